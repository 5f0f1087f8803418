"""Files fetched from a server that breaks off, changes them, and lies."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.publisher import LONG_AGO, Publisher, publisher

from bakehouse.drivers.images import downloads
from bakehouse.drivers.images.downloads import DownloadFailed, DownloadInterrupted, Downloads, digest_of, fetch_text

CONTENT = bytes(range(256)) * 4096
SIZE = len(CONTENT)
OTHER = CONTENT[::-1]
LIMIT = 1 << 30


@pytest.fixture
def web() -> Iterator[Publisher]:
    with publisher() as served:
        yield served


class Fetcher:
    """Fetches `disk` into one folder, as each run of a command does."""

    def __init__(self, folder: Path, web: Publisher) -> None:
        self.folder = folder
        self.url = f"{web.url}/disk"
        self.pauses: list[float] = []
        self.fractions: list[float] = []

    def __call__(self, limit: int = LIMIT) -> bytes:
        with Downloads(self.folder, pause=self.pauses.append).file(self.url, limit, self.fractions.append) as download:
            return download.path.read_bytes()

    def broken_off(self) -> None:
        """Fetch until the connection is lost for good."""
        with pytest.raises(DownloadInterrupted):
            self()
        self.pauses.clear()

    def left(self) -> list[int]:
        """Return the sizes of the files that are kept, without the notes on them."""
        return [path.stat().st_size for path in self.folder.iterdir() if path.suffix != ".json"]


@pytest.fixture
def fetch(tmp_path: Path, web: Publisher) -> Fetcher:
    return Fetcher(tmp_path / "downloads", web)


def cut_for_good(web: Publisher, at: int = 1000) -> None:
    """Let the next command get this far."""
    web.files["disk"].cuts = [at, *[0] * 4]


def test_a_file_comes_whole_and_leaves_nothing_when_it_was_used(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)

    assert fetch() == CONTENT
    assert list(fetch.folder.iterdir()) == []
    assert fetch.fractions == sorted(fetch.fractions)
    assert fetch.fractions[-1] == 1


@pytest.mark.parametrize("cut", [1, 1000, SIZE - 1])
def test_a_broken_connection_is_taken_up_where_it_broke(web: Publisher, fetch: Fetcher, cut: int) -> None:
    web.serve("disk", CONTENT, cuts=[cut])

    assert fetch() == CONTENT
    assert web.ranges("disk") == [None, f"bytes={cut - 1}-"]
    assert fetch.pauses == [1.0]


def test_pauses_grow_while_nothing_comes_and_start_anew_when_something_does(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, cuts=[1000, 1, 1, 1000])

    assert fetch() == CONTENT
    assert fetch.pauses == [1.0, 2.0, 4.0, 1.0]


def test_the_next_command_goes_on_where_the_last_one_ended(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    cut_for_good(web)
    fetch.broken_off()
    web.asked.clear()

    assert fetch() == CONTENT
    assert web.ranges("disk") == ["bytes=999-"]


def test_after_an_error_of_the_one_who_needs_it_a_whole_file_costs_one_byte(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    with pytest.raises(KeyError), Downloads(fetch.folder).file(fetch.url, LIMIT, lambda _: None):
        raise KeyError
    web.asked.clear()

    assert fetch() == CONTENT
    assert web.ranges("disk") == [f"bytes={SIZE - 1}-"]


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"two"'},
        {"etag": None, "last_modified": "Wed, 03 Jan 2024 03:04:05 GMT"},
        {"etag": '"two"', "knows_ranges": False},
    ],
    ids=["another tag", "another time", "no ranges"],
)
def test_another_file_is_fetched_from_its_start(
    web: Publisher, fetch: Fetcher, change: dict[str, str | bool | None]
) -> None:
    web.serve("disk", CONTENT, etag=None if change["etag"] is None else '"one"')
    cut_for_good(web)
    fetch.broken_off()
    web.serve("disk", OTHER, **change)

    assert fetch() == OTHER


def test_another_file_of_the_same_tag_is_noticed_by_its_length(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    cut_for_good(web)
    fetch.broken_off()
    web.serve("disk", OTHER + b"more")

    assert fetch() == OTHER + b"more"


def test_a_shorter_file_of_the_same_tag_is_fetched_from_its_start(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    cut_for_good(web)
    fetch.broken_off()
    web.serve("disk", b"short")

    assert fetch() == b"short"


@pytest.mark.parametrize(
    ("etag", "last_modified"),
    [('W/"one"', None), (None, None), (None, "Fri, 01 Jan 2100 00:00:00 GMT"), (None, "yesterday")],
)
def test_a_file_that_cannot_be_known_again_for_sure_is_fetched_from_its_start(
    web: Publisher, fetch: Fetcher, etag: str | None, last_modified: str | None
) -> None:
    web.serve("disk", CONTENT, etag=etag, last_modified=last_modified, cuts=[1000])

    assert fetch() == CONTENT
    assert web.ranges("disk") == [None, None]


def test_a_weak_tag_leaves_the_time_to_know_it_by(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, etag='W/"one"', last_modified=LONG_AGO, cuts=[1000])

    assert fetch() == CONTENT
    assert web.ranges("disk") == [None, "bytes=999-"]


def test_a_server_that_gets_no_further_without_ranges_is_given_up(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, knows_ranges=False, cuts=[1000, 500] * 10)

    with pytest.raises(DownloadInterrupted):
        fetch()

    assert len(web.asked) == 5


def test_a_server_that_promises_more_than_it_has_is_given_up(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, claimed_bytes=SIZE + 5)

    with pytest.raises(DownloadFailed):
        fetch()


def test_a_busy_server_is_asked_again(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, statuses=[503, 429])

    assert fetch() == CONTENT
    assert fetch.pauses == [1.0, 2.0]


def test_a_missing_file_is_said_at_once(web: Publisher, fetch: Fetcher) -> None:
    with pytest.raises(DownloadFailed, match="404 Not Found"):
        fetch()

    assert len(web.asked) == 1
    assert fetch.pauses == []


def test_a_server_that_is_not_there_is_said_at_once(fetch: Fetcher) -> None:
    fetch.url = "http://127.0.0.1:1/disk"

    with pytest.raises(DownloadFailed, match="cannot download"):
        fetch()

    assert fetch.pauses == []


@pytest.mark.parametrize("url", ["ftp://host/disk", "http://[/", "nothing"])
def test_what_is_no_address_of_the_web_is_refused(fetch: Fetcher, url: str) -> None:
    fetch.url = url

    with pytest.raises(DownloadFailed, match="cannot download"):
        fetch()


@pytest.mark.parametrize("length", [None, str(SIZE)])
def test_a_file_over_the_limit_is_refused(web: Publisher, fetch: Fetcher, length: str | None) -> None:
    web.serve("disk", CONTENT, headers={"Content-Length": length or ""})

    with pytest.raises(DownloadFailed, match="bytes"):
        fetch(limit=SIZE - 1)

    assert sum(fetch.left()) < SIZE


def test_a_file_for_which_there_is_no_room_is_refused_before_it_comes(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, claimed_bytes=1 << 62)

    with pytest.raises(DownloadFailed, match=r"bytes are to come, .* free"):
        fetch(limit=1 << 63)

    assert fetch.left() == [0]


def test_a_length_that_nobody_tells_is_not_needed(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT, headers={"Content-Length": ""})

    assert fetch() == CONTENT


def test_redirections_are_followed(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", b"", location="/moved")
    web.serve("moved", CONTENT, cuts=[1000])

    assert fetch() == CONTENT
    assert web.ranges("moved") == [None, "bytes=999-"]


def test_a_redirection_out_of_protection_is_refused() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        away = request.url.scheme == "https"
        return httpx.Response(302, headers={"location": "http://elsewhere/"}) if away else httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)

    with pytest.raises(DownloadFailed, match="from https to http"), downloads._answer(client, "https://here/", {}):
        pass


def test_redirections_that_never_end_are_given_up(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", b"", location="/disk")

    with pytest.raises(DownloadFailed, match="redirect"):
        fetch()


def test_notes_that_cannot_be_read_are_no_notes(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    cut_for_good(web)
    fetch.broken_off()
    web.asked.clear()
    for path in fetch.folder.glob("*.json"):
        path.write_text('{"colour": "red"}')

    assert fetch() == CONTENT
    assert web.ranges("disk") == [None]


def test_what_is_discarded_is_gone(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    with Downloads(fetch.folder).file(fetch.url, LIMIT, lambda _: None) as download:
        download.discard()

    assert list(fetch.folder.iterdir()) == []


def test_of_one_file_two_downloads_take_turns(web: Publisher, fetch: Fetcher) -> None:
    web.serve("disk", CONTENT)
    found: list[bytes] = []
    with Downloads(fetch.folder).file(fetch.url, LIMIT, lambda _: None):
        second = threading.Thread(target=lambda: found.append(fetch()))
        second.start()
        second.join(0.2)
        assert found == []
    second.join(10)

    assert found == [CONTENT]
    assert len(web.asked) == 2


def test_what_nobody_went_on_with_for_a_week_goes(web: Publisher, fetch: Fetcher) -> None:
    fetch.folder.mkdir()
    for name, age_days in (("old", 8), ("new", 6)):
        (fetch.folder / name).touch()
        os.utime(fetch.folder / name, (time.time() - age_days * 86400,) * 2)
    web.serve("disk", CONTENT)

    fetch()

    assert [path.name for path in fetch.folder.iterdir()] == ["new"]


def test_a_small_text_is_read(web: Publisher) -> None:
    web.serve("sums", b"text\n")

    assert fetch_text(f"{web.url}/sums") == "text\n"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"x" * (1 << 20) + b"x", "longer than"), (b"\xff\xfe", "it is no text")]
)
def test_a_text_that_is_none_is_refused(web: Publisher, content: bytes, reason: str) -> None:
    web.serve("sums", content)

    with pytest.raises(DownloadFailed, match=reason):
        fetch_text(f"{web.url}/sums")


def test_a_checksum_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert digest_of(tmp_path / "file", "sha256").startswith("ba7816bf8f01cfea")
