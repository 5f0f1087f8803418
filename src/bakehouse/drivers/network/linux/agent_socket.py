"""The Unix socket between the server and a segment's agent."""

import os
import socket
from pathlib import Path
from typing import Final

from bakehouse.drivers import socket_address

#: What an agent says on the descriptor it was given, when it serves.
READY: Final = b"ready"

_NAME: Final = "agent.sock"
_BACKLOG: Final = 16


def listen(directory: Path) -> socket.socket:
    """Return an agent's listening socket, which only our user can reach. It replaces a dead agent's."""
    listener = _new()
    (directory / _NAME).unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with socket_address.short(directory) as short:
            listener.bind(f"{short}/{_NAME}")
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


def connect(directory: Path) -> socket.socket:
    """Return a connection to an agent.

    Raises:
        OSError: None serves there.
    """
    connection = _new()
    try:
        with socket_address.short(directory) as short:
            connection.connect(f"{short}/{_NAME}")
    except OSError:
        connection.close()
        raise
    return connection


def _new() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
