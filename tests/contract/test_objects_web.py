"""Files on the web: limits, redirections, and what is not to be fetched. The web is a server on loopback."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bakehouse.drivers.objects import BucketStore
from bakehouse.drivers.objects.web import WebFiles
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchObject,
    ObjectTooLarge,
    TransferFailed,
    WebAddress,
)

UNLIMITED = 1 << 40
CONTENT = b"disk" * 1000


@dataclass
class Web:
    url: str
    hosts: list[str] = field(default_factory=list)
    """What each request named in its header `Host`."""


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        web.hosts.append(self.headers["Host"])
        name, _, rest = self.path.lstrip("/").partition("/")
        answer: Callable[[str], None] = getattr(self, f"answer_{name.replace('-', '_').partition('?')[0]}")
        answer(rest)

    def answer_disk(self, _: str) -> None:
        self._send(200, CONTENT, {"Content-Length": str(len(CONTENT))})

    def answer_untold(self, _: str) -> None:
        self._send(200, CONTENT, {})

    def answer_short(self, _: str) -> None:
        self._send(200, CONTENT[:100], {"Content-Length": str(len(CONTENT))})

    def answer_packed(self, _: str) -> None:
        self._send(200, CONTENT, {"Content-Encoding": "gzip", "Content-Length": str(len(CONTENT))})

    def answer_status(self, rest: str) -> None:
        self._send(int(rest), b"", {})

    def answer_to(self, rest: str) -> None:
        self._send(302, b"", {"Location": rest})

    def answer_loop(self, _: str) -> None:
        self._send(302, b"", {"Location": "/loop"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # The library's own looks this host's name up.
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


@pytest.fixture
def web() -> Iterator[Web]:
    server = Server(("127.0.0.1", 0), Answers)
    server.web = Web(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.web  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> BucketStore:
    return BucketStore(buckets=tmp_path / "buckets", work=tmp_path / "work", web=WebFiles(allow_this_host=True))


async def fetched(store: BucketStore, url: str, path: Path, *, limit_bytes: int = UNLIMITED) -> bytes:
    await store.fetch(WebAddress(url=url), path, limit_bytes=limit_bytes)
    return await asyncio.to_thread(path.read_bytes)


def names_in(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


async def test_a_file_is_fetched(store: BucketStore, web: Web, tmp_path: Path) -> None:
    assert await fetched(store, f"{web.url}/disk?signature=a%2Fb", tmp_path / "back") == CONTENT
    assert web.hosts == [web.url.removeprefix("http://")]


async def test_a_file_whose_size_is_not_told_is_fetched(store: BucketStore, web: Web, tmp_path: Path) -> None:
    assert await fetched(store, f"{web.url}/untold", tmp_path / "back") == CONTENT
    with pytest.raises(TransferFailed, match="size"):
        await store.size(WebAddress(url=f"{web.url}/untold"))


async def test_the_size_is_told_without_fetching(store: BucketStore, web: Web) -> None:
    assert await store.size(WebAddress(url=f"{web.url}/disk")) == len(CONTENT)


@pytest.mark.parametrize("path", ["disk", "untold"])
async def test_a_file_over_the_limit_is_refused(store: BucketStore, web: Web, tmp_path: Path, path: str) -> None:
    with pytest.raises(ObjectTooLarge):
        await fetched(store, f"{web.url}/{path}", tmp_path / "back", limit_bytes=len(CONTENT) - 1)

    assert names_in(tmp_path, "back*") == []


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("status/404", NoSuchObject),
        ("status/410", NoSuchObject),
        ("status/403", AccessDenied),
        ("status/500", TransferFailed),
        ("status/206", TransferFailed),
        ("short", TransferFailed),
        ("packed", TransferFailed),
        ("loop", TransferFailed),
        ("to/ftp://example.com/x", InvalidObjectName),
        ("to/file:///etc/shadow", InvalidObjectName),
    ],
)
async def test_what_goes_wrong_has_a_name(
    store: BucketStore, web: Web, tmp_path: Path, path: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await fetched(store, f"{web.url}/{path}", tmp_path / "back")

    assert names_in(tmp_path, "back*") == []


async def test_a_redirection_is_followed(store: BucketStore, web: Web, tmp_path: Path) -> None:
    assert await fetched(store, f"{web.url}/to/{web.url}/disk", tmp_path / "back") == CONTENT


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "file:///etc/shadow",
        "s3://images/x",
        "http://",
        "http:///x",
        "//host/x",
        "http://[::1",
        "http://h/" + "x" * 4096,
    ],
)
async def test_what_is_no_web_address_is_refused(store: BucketStore, tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidObjectName):
        await fetched(store, url, tmp_path / "back")


async def test_a_host_that_does_not_answer_is_a_failure(store: BucketStore, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed):
        await fetched(store, "http://127.0.0.1:1/disk", tmp_path / "back")
    with pytest.raises(TransferFailed):
        await fetched(store, "http://no-such-host.invalid/disk", tmp_path / "back")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "0.0.0.0", "[::]", "[fe80::1]", "224.0.0.1"),  # noqa: S104
        *("2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "240.0.0.1"),
    ],
)
async def test_this_host_and_its_link_are_not_fetched_from(tmp_path: Path, web: Web, host: str) -> None:
    port = web.url.rpartition(":")[2]
    store = BucketStore(buckets=tmp_path / "buckets", work=tmp_path / "work")

    with pytest.raises((AccessDenied, InvalidObjectName)):
        await fetched(store, f"http://{host}:{port}/disk", tmp_path / "back")

    assert web.hosts == []


async def test_no_redirection_leads_to_this_host(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BucketStore(buckets=tmp_path / "buckets", work=tmp_path / "work")
    # Only the first look is satisfied: what stands for a host elsewhere sends back to this one.
    looks = iter([False])
    monkeypatch.setattr("bakehouse.drivers.objects.web._is_ours", lambda _: next(looks, True))

    with pytest.raises(AccessDenied):
        await fetched(store, f"{web.url}/to/{web.url}/disk", tmp_path / "back")

    assert len(web.hosts) == 1
