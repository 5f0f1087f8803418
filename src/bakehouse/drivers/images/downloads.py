"""Files fetched from the web for somebody at this host, continued after a break.

    downloads/KEY-NAME          as much of the file as is there
    downloads/KEY-NAME.json     what the server said of it: by this it is known again

What was fetched in an earlier run is continued only when the server has the very same file still, which it is asked in
the request itself. Source: RFC 9110, sections 13.1.5 (If-Range) and 14 (Range requests).
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

import httpx

_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_REDIRECTIONS_MAX: Final = 5

#: How often in a row a connection may break without a byte between; then it waits 1, 2, 4 and 8 seconds.
_ATTEMPTS: Final = 5
#: What a server answers that is busy or broken for a while. Source: RFC 9110, section 15.6; RFC 6585, section 4.
_PASSING: Final = (408, 429, 500, 502, 503, 504)

#: After how long nobody is expected to go on with a file.
_KEPT_S: Final = 7 * 24 * 3600

#: Bytes of a list of checksums. Debian's longest has 20 KiB.
_TEXT_MAX: Final = 1 << 20


class DownloadFailed(Exception):
    """A file could not be fetched. The text says why."""


class DownloadInterrupted(DownloadFailed):
    """The connection broke too often: another try goes on where this one ended."""


class _OtherFile(Exception):
    """The server has another file now; what is there has to go."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server says of a file."""

    etag: str | None
    last_modified: str | None
    length: int | None

    @classmethod
    def of(cls, answer: httpx.Response) -> Self:
        """Read it from an answer's headers."""
        headers = answer.headers
        return cls(headers.get("etag"), _certain(headers), _length(answer))

    @property
    def validator(self) -> str | None:
        """What to ask with whether it is the same still; None if that could not be sure."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


@dataclass(frozen=True, slots=True)
class Download:
    """A whole file."""

    path: Path

    def discard(self) -> None:
        """Forget it: its content is not what it should be."""
        self.path.unlink(missing_ok=True)
        _notes_of(self.path).unlink(missing_ok=True)


class Downloads:
    """The folder of files on their way. Several processes may share it: of one file, one after the other."""

    def __init__(self, folder: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Get ready; the folder is made when it is needed."""
        self._folder = folder
        self._pause = pause

    @contextmanager
    def file(self, url: str, limit_bytes: int, progress: Callable[[float], None]) -> Iterator[Download]:
        """Fetch a file, and give it for as long as the block lasts.

        It is removed when the block ends well. After an error it stays for the next try, which asks the server for one
        byte of it only; what nobody asked for in a week goes.

        Raises:
            DownloadInterrupted: It broke off too often.
            DownloadFailed: It is not there, too large, or comes unprotected from a protected address.
        """
        with _failures(url):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_old()
            path = self._folder / _file_name(url)
        with _locked(path) as file:
            with _failures(url):
                self._fetch(url, file, path, limit_bytes, progress)
            download = Download(path)
            yield download
            download.discard()

    def _fetch(self, url: str, file: BinaryIO, path: Path, limit: int, progress: Callable[[float], None]) -> None:
        failures, furthest = 0, file.seek(0, os.SEEK_END)
        with _client() as client:
            while True:
                try:
                    _attempt(client, url, file, path, limit, progress)
                except _OtherFile:
                    file.truncate(0)
                    continue
                except (httpx.TransportError, _Unavailable) as err:
                    reached = file.seek(0, os.SEEK_END)
                    failures = 1 if reached > furthest else failures + 1
                    furthest = max(furthest, reached)
                    never_answered = isinstance(err, httpx.ConnectError | httpx.UnsupportedProtocol) and not reached
                    if failures == _ATTEMPTS or never_answered:
                        kind = DownloadInterrupted if reached else DownloadFailed
                        raise kind(f"cannot download `{url}`: {str(err) or type(err).__name__}") from err
                    self._pause(2.0 ** (failures - 1))
                else:
                    return

    def _forget_old(self) -> None:
        for path in self._folder.iterdir():
            # Nobody is at work on it: who is, writes to it.
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - _KEPT_S:
                    path.unlink()


class _Unavailable(Exception):
    """A server answers that it cannot, now."""


def fetch_text(url: str) -> str:
    """Return a small text file.

    Raises:
        DownloadFailed: It cannot be had, is longer than a mebibyte, or no text.
    """
    text = bytearray()
    with _failures(url), _client() as client, _answer(client, url, {}) as answer:
        for block in answer.iter_bytes():
            text += block
            if len(text) > _TEXT_MAX:
                raise DownloadFailed(f"cannot read `{url}`: it is longer than {_TEXT_MAX} bytes")
        try:
            return text.decode()
        except UnicodeDecodeError as err:
            raise DownloadFailed(f"cannot read `{url}`: it is no text") from err


def digest_of(path: Path, algorithm: str) -> str:
    """Return the checksum of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _attempt(
    client: httpx.Client, url: str, file: BinaryIO, path: Path, limit: int, progress: Callable[[float], None]
) -> None:
    """Fetch what is missing, in one request."""
    known, start = _known(path), 0
    headers = {"Accept-Encoding": "identity"}
    size = file.seek(0, os.SEEK_END)
    if size and known is not None and known.validator is not None:
        # The last byte is asked for again, so that a whole file can be asked about: no range begins at its end.
        start = size - 1
        headers |= {"Range": f"bytes={start}-", "If-Range": known.validator}
    with _answer(client, url, headers) as answer:
        total: int | None
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            total = _continues(answer, known, start)
        else:
            # Emptied before the note is written: a crash between the two leaves nothing that seems to be of this file.
            start, total = 0, _length(answer)
            file.truncate(0)
            _notes_of(path).write_text(json.dumps(asdict(Identity.of(answer))))
        _check_room(url, path.parent, total, start, limit)
        file.seek(start)
        # As the bytes come: what was gathered to a larger block would be lost when the connection breaks.
        for block in answer.iter_raw():
            if file.tell() + len(block) > limit:
                raise DownloadFailed(f"cannot download `{url}`: it has more than {limit} bytes")
            file.write(block)
            progress(file.tell() / total if total else 0)
        file.flush()
    if total is not None and file.tell() != total:
        raise httpx.ReadError(f"{file.tell()} of {total} bytes came")


def _continues(answer: httpx.Response, known: Identity | None, start: int) -> int:
    """Return the whole file's size, if the answer is the rest of the file that is known."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
    etag = answer.headers.get("etag")
    if known is None or found is None or int(found[1]) != start or int(found[3]) != known.length:
        raise _OtherFile
    if etag is not None and known.etag is not None and etag != known.etag:
        raise _OtherFile
    return int(found[3])


def _check_room(url: str, folder: Path, total: int | None, start: int, limit: int) -> None:
    if total is None:
        return
    if total > limit:
        raise DownloadFailed(f"cannot download `{url}`: it has {total} bytes; {limit} are the most")
    free = shutil.disk_usage(folder).free
    if total - start > free:
        raise DownloadFailed(f"cannot download `{url}`: {total - start} bytes are to come, `{folder}` has {free} free")


@contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    with client.stream("GET", url, headers=headers) as answer:
        schemes = [each.url.scheme for each in (*answer.history, answer)]
        if "https" in schemes and "http" in schemes[schemes.index("https") :]:
            raise DownloadFailed(f"cannot download `{url}`: the server redirects from https to http")
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
            raise _OtherFile
        if answer.status_code in _PASSING:
            raise _Unavailable(f"the server answers {answer.status_code} {answer.reason_phrase}")
        if answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise DownloadFailed(f"cannot download `{url}`: {answer.status_code} {answer.reason_phrase}")
        if answer.status_code == httpx.codes.PARTIAL_CONTENT and "Range" not in headers:
            raise DownloadFailed(f"cannot download `{url}`: the server sends a part that nobody asked for")
        yield answer


def _client() -> httpx.Client:
    client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True)
    client.max_redirects = _REDIRECTIONS_MAX
    return client


@contextmanager
def _failures(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, _Unavailable, OSError) as err:
        raise DownloadFailed(f"cannot download `{url}`: {str(err) or type(err).__name__}") from err


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file for this process alone; wait for the one that has it."""
    while True:
        with path.open("a+b") as appending:
            fcntl.flock(appending, fcntl.LOCK_EX)
            # Who had it may have removed it: then the name is another file's, or nobody's.
            try:
                file = path.open("r+b")
            except FileNotFoundError:
                continue
            with file:
                if os.fstat(file.fileno()).st_ino == os.fstat(appending.fileno()).st_ino:
                    yield file
                    return


def _known(path: Path) -> Identity | None:
    with suppress(OSError, ValueError, TypeError):
        return Identity(**json.loads(_notes_of(path).read_text()))
    return None


def _notes_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _file_name(url: str) -> str:
    """Return a name that is the URL's own, and that a person knows again."""
    last = re.sub(r"[^A-Za-z0-9._-]", "_", httpx.URL(url).path.rpartition("/")[2])[-100:]
    return f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{last or 'file'}"


def _length(answer: httpx.Response) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _certain(headers: httpx.Headers) -> str | None:
    """Return the time of the last change, if it is certain to be another after a change.

    Source: RFC 9110, section 8.8.2.2: it is when the answer is at least a second younger.
    """
    try:
        changed, now = (parsedate_to_datetime(headers[name]) for name in ("last-modified", "date"))
    except (KeyError, ValueError, TypeError):
        return None
    return headers["last-modified"] if (now - changed).total_seconds() >= 1 else None
