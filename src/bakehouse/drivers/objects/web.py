"""Files on the web, fetched for accounts of this server: with limits, and not from where only the server should look.

An account chooses the address, and the server fetches it: so an address of this host itself, or of its link (cloud
metadata), is refused, after names are resolved and at every redirection; the connection is made to the very address
that was checked.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import httpx

from bakehouse.drivers.long_work import Work
from bakehouse.ports.objects import AccessDenied, InvalidObjectName, NoSuchObject, ObjectTooLarge, TransferFailed

_REDIRECTIONS_MAX: Final = 5
_URL_CHARACTERS_MAX: Final = 4096

#: Of one file. A server that sends a byte a minute would otherwise be waited for as long as it likes.
_LONGEST_S: Final = 12 * 3600.0
_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_CHUNK_BYTES: Final = 1 << 20

_DENIED: Final = (401, 403, 407)
_MISSING: Final = (404, 410)


class WebFiles:
    """What `http` and `https` reach, straight and not by a proxy."""

    def __init__(self, *, allow_this_host: bool = False) -> None:
        """Get ready.

        Args:
            allow_this_host: Whether addresses of this host and of its link may be fetched from.
        """
        self._allow_this_host = allow_this_host

    def size(self, url: str) -> int:
        """Return the size that the server tells for a file.

        Raises:
            NoSuchObject: There is none.
            AccessDenied: The server, or this one, forbids it.
            InvalidObjectName: The address cannot be used.
            TransferFailed: The server cannot be asked, or does not tell.
        """
        with self._answer(url) as answer:
            size = _told_size(answer)
        if size is None:
            raise TransferFailed("the web server does not tell the file's size")
        return size

    def read_into(self, url: str, file: BinaryIO, limit_bytes: int, work: Work) -> None:
        """Write a file's bytes into an empty one.

        Raises:
            ObjectTooLarge: There are more than the limit.
            NoSuchObject: There is none.
            AccessDenied: The server, or this one, forbids it.
            InvalidObjectName: The address cannot be used.
            TransferFailed: It broke off.
        """
        begun, received = time.monotonic(), 0
        with self._answer(url) as answer:
            size = _told_size(answer)
            if size is not None and size > limit_bytes:
                raise ObjectTooLarge(f"it has {size} bytes; {limit_bytes} are the most")
            for chunk in answer.iter_raw(_CHUNK_BYTES):
                received += len(chunk)
                if received > limit_bytes:
                    raise ObjectTooLarge(f"it has more than {limit_bytes} bytes")
                if time.monotonic() > begun + _LONGEST_S:
                    raise TransferFailed("the web server takes too long")
                file.write(chunk)
                work.report(received, size or limit_bytes)
        if size is not None and received != size:
            raise TransferFailed(f"the web server sent {received} of {size} bytes")
        work.report(received, received)

    @contextmanager
    def _answer(self, url: str) -> Iterator[httpx.Response]:
        """Give the answer with a file, its body not read yet."""
        parsed = _parsed(url)
        with _named(), httpx.Client(timeout=_TIMEOUT, trust_env=False, verify=ssl.create_default_context()) as client:
            for _ in range(1 + _REDIRECTIONS_MAX):
                answer = client.send(self._request(client, parsed), stream=True)
                try:
                    if not answer.is_redirect:
                        _check_status(answer)
                        yield answer
                        return
                    following = parsed.join(answer.headers["location"])
                finally:
                    answer.close()
                if parsed.scheme == "https" and following.scheme != "https":
                    raise InvalidObjectName("the web server redirects from https to another scheme")
                parsed = _parsed(str(following))
        raise TransferFailed(f"the web server redirects more than {_REDIRECTIONS_MAX} times")

    def _request(self, client: httpx.Client, url: httpx.URL) -> httpx.Request:
        address = self._checked_address(url)
        return client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode("ascii").rpartition("@")[2], "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )

    def _checked_address(self, url: httpx.URL) -> str:
        """Resolve a host's name; of its addresses none may be one that is not to be reached."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as err:
            raise TransferFailed(f"the host {url.host} cannot be found") from err
        addresses = [str(entry[4][0]) for entry in found]
        for text in addresses:
            if not self._allow_this_host and _is_ours(text):
                raise AccessDenied(f"the host {url.host} is this host itself, or of no network")
        return addresses[0]


def _is_ours(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or (address.is_reserved and isinstance(address, ipaddress.IPv4Address))
    )


def _parsed(url: str) -> httpx.URL:
    try:
        if len(url) > _URL_CHARACTERS_MAX:
            raise InvalidObjectName(f"a URL has at most {_URL_CHARACTERS_MAX} characters")
        parsed = httpx.URL(url)
        parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as err:
        raise InvalidObjectName("it is no URL") from err
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidObjectName("a URL to fetch from begins with http:// or https:// and names a host")
    return parsed


def _check_status(answer: httpx.Response) -> None:
    if answer.status_code in _MISSING:
        raise NoSuchObject(f"the web server says {answer.status_code}")
    if answer.status_code in _DENIED:
        raise AccessDenied(f"the web server says {answer.status_code}")
    if answer.status_code != httpx.codes.OK:
        raise TransferFailed(f"the web server says {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise TransferFailed("the web server packs the file, though it was asked not to")


def _told_size(answer: httpx.Response) -> int | None:
    told = answer.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() else None


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as err:
        raise TransferFailed(f"the web server broke off: {type(err).__name__} {err}") from err
