"""A publisher of images on the loopback: its server can break off, change its files, and lie."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONG_AGO = "Tue, 02 Jan 2024 03:04:05 GMT"


@dataclass
class ServedFile:
    """A file, and how its server behaves."""

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = LONG_AGO
    knows_ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes of its body each of the next answers breaks off."""
    statuses: list[int] = field(default_factory=list)
    """What the next answers are instead."""
    claimed_bytes: int | None = None
    """What it says its length is."""
    location: str | None = None
    then: "ServedFile | None" = None
    """What is served instead after the first answer."""
    headers: dict[str, str] = field(default_factory=dict)


class Publisher:
    """What is served, by path, and what was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, ServedFile] = {}
        self.asked: list[tuple[str, str | None]] = []
        """Path and range of each request."""

    def serve(self, path: str, content: bytes, **how: Any) -> ServedFile:
        """Serve a file from now on."""
        served = self.files[path] = ServedFile(content, **how)
        return served

    def ranges(self, path: str) -> list[str | None]:
        """Return what was asked of a file, request by request."""
        return [asked for about, asked in self.asked if about == path]


@contextlib.contextmanager
def publisher() -> Iterator[Publisher]:
    """Serve for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    _Handler.publishers[server.server_port] = Publisher(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield _Handler.publishers[server.server_port]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        del _Handler.publishers[server.server_port]


class _Handler(BaseHTTPRequestHandler):
    publishers: dict[int, Publisher] = {}  # noqa: RUF012 - the class is all that the server hands on

    def do_GET(self) -> None:
        publisher = self.publishers[self.server.server_port]  # type: ignore[attr-defined]
        path, asked = self.path.removeprefix("/"), self.headers.get("range")
        publisher.asked.append((path, asked))
        self.close_connection = True
        served = publisher.files.get(path)
        if served is None:
            self._answer(404, b"", {})
        elif served.location is not None:
            self._answer(302, b"", {"Location": served.location})
        elif served.statuses:
            self._answer(served.statuses.pop(0), b"", {})
        else:
            publisher.files[path] = served.then or served
            self._send(served, asked)

    def _send(self, served: ServedFile, asked: str | None) -> None:
        headers = dict(served.headers)
        if served.etag is not None:
            headers["ETag"] = served.etag
        if served.last_modified is not None:
            headers["Last-Modified"] = served.last_modified
        known = self.headers.get("if-range") in (served.etag, served.last_modified)
        if asked is None or not served.knows_ranges or not known:
            self._answer(200, served.content, headers, served)
            return
        start, total = int(asked.removeprefix("bytes=").removesuffix("-")), len(served.content)
        if start >= total:
            self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
            return
        headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} | headers
        self._answer(206, served.content[start:], headers, served)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], served: ServedFile | None = None) -> None:
        length = len(body)
        if served is not None and served.claimed_bytes is not None:
            length = served.claimed_bytes
        self.send_response(status)
        for name, value in ({"Content-Length": str(length)} | headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        cut = served.cuts.pop(0) if served is not None and served.cuts else len(body)
        with contextlib.suppress(OSError):
            self.wfile.write(body[:cut])

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
