"""One port of a public address on the host: finding a socket for it, and the guest behind it."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.network.linux.host_ports import OpenPort

#: Where a port is found that the host does not let us have.
PORT_OFFSET: Final = 10_000

_BACKLOG: Final = 128
_LAST_PORT: Final = 65_535


class GuestUnreachable(Exception):
    """No connection to the guest's port came about."""


class NoHostPort(Exception):
    """Neither a port nor its substitute is to be had."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest's port."""

    interface_id: str
    private_ip: str
    port: OpenPort


#: Opens a socket for a guest's port: not blocking, connected or (TCP) still on its way.
Dial = Callable[[Guest], Awaitable[socket.socket]]


def bind(public_ip: str, port: OpenPort) -> socket.socket:
    """Return a socket at a port or, if we may not have it or another has it, at its substitute. It does not block.

    Raises:
        NoHostPort: Both are taken, or this process has as many files open as it may.
    """
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    for candidate in (port.number, port.number + PORT_OFFSET):
        if candidate > _LAST_PORT:
            continue
        try:
            bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        except OSError as err:
            raise _no_port(public_ip, port, err.strerror) from err
        if kind == socket.SOCK_STREAM:
            # After a restart, ports of connections that have just ended are ours again.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((public_ip, candidate))
            if kind == socket.SOCK_STREAM:
                bound.listen(_BACKLOG)
        except OSError:
            bound.close()
        else:
            return bound
    raise _no_port(public_ip, port, "it is taken")


def _no_port(public_ip: str, port: OpenPort, reason: str | None) -> NoHostPort:
    return NoHostPort(f"cannot listen on {public_ip} for {port.protocol} port {port.number}: {reason}")
