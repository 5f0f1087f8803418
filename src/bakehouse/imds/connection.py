"""A guest's connection: uvicorn's HTTP protocol, with the limits that guests need and the hop limit of tokens."""

import asyncio
import logging
import socket
from collections import Counter
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

#: Connections one guest may have open at a time; more are dropped. A guest exhausts its own share, not the host's.
CONNECTIONS_PER_GUEST_MAX: Final = 64
#: Bytes of one request. Far above what clients send; uvicorn's httptools protocol has no limit of its own.
REQUEST_BYTES_MAX: Final = 64 * 1024

#: What guests send is none of the operator's concern, so only errors of ours are logged.
_LOGGER: Final = logging.getLogger("bakehouse.imds")
_LOGGER.setLevel(logging.ERROR)


class GuestConnections(ServerState):
    """The open connections of one segment."""

    def __init__(self) -> None:
        """Begin with none; answers name their server as AWS's do."""
        super().__init__()
        self.default_headers = [(b"server", b"EC2ws")]
        self.open_by: Counter[str] = Counter()


class GuestConnection(HttpToolsProtocol):
    """One connection. The guest is known by the peer's address, which the segment's anti-spoofing vouches for.

    A request's `state.limit_hops(hops)` keeps everything that this connection sends from then on within that many hops.
    """

    def __init__(
        self,
        config: Config,
        server_state: GuestConnections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn's own protocol takes."""
        super().__init__(config, server_state, {**app_state, "limit_hops": self.limit_hops}, _loop)
        self.logger = _LOGGER
        self.access_log = False
        self._open_by = server_state.open_by
        self._request_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as upstream has it
        """Drop the connection when its guest has too many, or is gone already."""
        super().connection_made(transport)
        if self.client is None:
            transport.abort()
            return
        self._open_by[self.client[0]] += 1
        if self._open_by[self.client[0]] > CONNECTIONS_PER_GUEST_MAX:
            transport.abort()
            return
        # uvicorn counts idle time from the first answer only.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the guest its share back."""
        super().connection_lost(exc)
        if self.client is not None:
            self._open_by[self.client[0]] -= 1
            if not self._open_by[self.client[0]]:
                del self._open_by[self.client[0]]

    def data_received(self, data: bytes) -> None:
        """Drop a connection whose request does not end."""
        self._request_bytes += len(data)
        if self._request_bytes > REQUEST_BYTES_MAX:
            self.transport.abort()
            return
        super().data_received(data)

    def on_message_complete(self) -> None:
        """Count the next request's bytes from here."""
        self._request_bytes = 0
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # upstream never keeps its half open
        """Answer a client that closes its half after asking (`printf ... | nc`), and close then."""
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before a request
            return False
        self.cycle.keep_alive = False
        return True

    def limit_hops(self, hops: int) -> None:
        """Let packets of this connection live for so many hops, 1 to 64.

        It holds until the connection ends: a packet sent again would take a later, wider limit.
        """
        connected: socket.socket = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
