"""Serving ASGI applications on sockets that are already open, in the running event loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn

_BACKLOG: Final = 512


class Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: several listeners share this process."""
        yield


async def serve(application: Any, listener: socket.socket, stop: asyncio.Event) -> None:  # noqa: ANN401 - any ASGI app
    """Serve until `stop` is set; requests under way are answered first, for two seconds at the most."""
    config = uvicorn.Config(
        application,
        # Who asks is known by a signature, or by the socket's owner. No header says it better.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        date_header=True,
        ws="websockets-sansio",
        # What guests write goes to this very host.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
        backlog=_BACKLOG,
    )
    server = Listener(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


def tcp_socket(port: int) -> socket.socket:
    """Return a socket listening on 127.0.0.1. Raises OSError when the port is taken."""
    # The event loop turns Nagle's algorithm off only for sockets that name their protocol; with it, and the client's
    # delayed acknowledgement, each answer of two writes takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def unix_socket(path: Path) -> socket.socket:
    """Return a socket listening at a path that only its owner may connect to.

    The path may be longer than the 107 bytes that an address holds: it is bound through its directory's descriptor.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    with open_directory(path.parent) as directory:
        listener.bind(f"{directory}/{path.name}")
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return listener


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[str]:
    """Give a short name to a directory for as long as the block lasts."""
    descriptor = os.open(path, os.O_DIRECTORY | os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
