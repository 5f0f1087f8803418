"""Serves the metadata of every segment's guests, each segment on a listening socket of its own."""

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config

from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.imds.answers import answer
from bakehouse.imds.connection import GuestConnection, GuestConnections
from bakehouse.imds.tokens import Tokens

if TYPE_CHECKING:
    from asyncio.base_events import Server

#: (VPC id, source address) -> the instance that has this address there, or None.
Lookup = Callable[[str, str], InstanceMetadata | None]

#: How long a connection may be idle.
_IDLE_S: Final = 60
#: How long answers under way may take when a segment is closed. They take about a millisecond.
_CLOSE_DEADLINE_S: Final = 1.0
#: TCP's own probes end connections to guests that vanished in the middle of a request: 30 s, then 3 probes 10 s apart.
_PROBES: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class MetadataService:
    """The instance metadata service. It fulfils the metadata port."""

    def __init__(self, *, lookup: Lookup, now: Callable[[], datetime], secret: bytes) -> None:
        """Answer from `lookup`, asked anew for each request; `now` is in UTC; tokens are signed with `secret`."""
        self._lookup = lookup
        self._now = now
        self._tokens = Tokens(secret)
        self._segments: dict[str, _Segment] = {}
        self._changing = asyncio.Lock()

    async def open(self, vpc_id: str, listener: socket.socket) -> None:
        """Serve this VPC's guests on a listening TCP socket, which the service owns from then on.

        A VPC that is served already is served on; the socket is closed.

        Raises:
            OSError: The socket cannot be served on; it is closed.
        """
        async with self._changing:
            if vpc_id in self._segments:
                listener.close()
                return
            try:
                self._segments[vpc_id] = await _Segment.open(self._app(vpc_id), listener)
            except BaseException:
                listener.close()
                raise

    async def close(self, vpc_id: str) -> None:
        """Stop serving a VPC and close its socket and connections. Succeeds when it is not served."""
        async with self._changing:
            segment = self._segments.pop(vpc_id, None)
            if segment is not None:
                await segment.close()

    async def close_all(self) -> None:
        """Stop serving."""
        for vpc_id in list(self._segments):
            await self.close(vpc_id)

    def _app(self, vpc_id: str) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            now = self._now()
            source_ip: str = scope["client"][0]
            response = answer(Request(scope), self._lookup(vpc_id, source_ip), self._tokens, now)
            response.headers["date"] = format_datetime(now, usegmt=True)
            await response(scope, receive, send)

        return app


class _Segment:
    """One VPC's listener and connections.

    uvicorn's `Server` is left out: it takes the process's signals and wakes ten times a second, here once per VPC.
    """

    def __init__(self, server: "Server", connections: GuestConnections) -> None:
        self._server = server
        self._connections = connections

    @classmethod
    async def open(cls, app: ASGIApp, listener: socket.socket) -> "_Segment":
        for level, option, value in _PROBES:
            listener.setsockopt(level, option, value)
        config = Config(
            app,
            http=GuestConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            # On, a header could say who asks.
            proxy_headers=False,
            timeout_keep_alive=_IDLE_S,
        )
        config.load()
        connections = GuestConnections()
        server = await asyncio.get_running_loop().create_server(
            lambda: GuestConnection(config, connections, {}), sock=listener
        )
        return cls(server, connections)

    async def close(self) -> None:
        self._server.close()
        for connection in list(self._connections.connections):
            connection.shutdown()
        if self._connections.tasks:
            await asyncio.wait(self._connections.tasks, timeout=_CLOSE_DEADLINE_S)
        for connection in list(self._connections.connections):
            connection.transport.abort()
        await self._server.wait_closed()
