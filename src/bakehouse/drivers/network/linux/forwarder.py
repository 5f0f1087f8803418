"""Public addresses without root: the server listens on them and carries bytes into the segment.

A connection into the segment starts there from 100.127.0.1 and passes the guest's groups like any other.
What is different from root's translation: a port that nothing listens on inside is accepted first and then reset.
"""

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

#: Where a port is found that the host does not let us have.
PORT_OFFSET: Final = 10_000

_BACKLOG: Final = 128
_BUFFER_BYTES: Final = 256 * 1024
_LAST_PORT: Final = 65_535

#: A machine that boots has no address yet. A new attempt each half second finds it sooner than the kernel, which
#: asks again after 1, 3, 7 and 15 s.
_ATTEMPT_S: Final = 0.5
_CONNECT_TIMEOUT_S: Final = 15

#: Closing with this sends a reset. Source: socket(7), SO_LINGER.
_RESET: Final = struct.pack("ii", 1, 0)

_log: Final = logging.getLogger(__name__)

#: Opens a connection to a port of an interface: a socket that is not blocking and may still be on its way.
Dial = Callable[[str, int], Awaitable[socket.socket]]


class GuestUnreachable(Exception):
    """No connection to the guest's port came about."""


@dataclass(frozen=True, slots=True)
class _Listener:
    socket: socket.socket
    host_port: int
    task: asyncio.Task[None]


class Forwarder:
    """Listens on the ports of public addresses.

    Args:
        dial: Opens connections into segments.
        most_listeners: How many ports of all addresses together it listens on; more are left out, with a warning.
    """

    def __init__(self, dial: Dial, *, most_listeners: int = 256) -> None:
        self._dial = dial
        self._most_listeners = most_listeners
        self._listeners: dict[str, dict[tuple[str, int], _Listener]] = {}
        self._connections: set[asyncio.Task[None]] = set()

    def publish(self, interface_id: str, public_ip: str | None, ports: frozenset[int]) -> None:
        """Listen on exactly these ports for an interface. Connections that stand are not touched."""
        current = self._listeners.setdefault(interface_id, {})
        wanted = {(public_ip, port) for port in ports} if public_ip is not None else set()
        for key in current.keys() - wanted:
            _close(current.pop(key))
        room = self._most_listeners - sum(map(len, self._listeners.values()))
        missing = sorted(wanted - current.keys())
        if len(missing) > room:
            _log.warning("%s: not listening on %s, to keep files for connections", public_ip, missing[max(room, 0) :])
        for address, port in missing[: max(room, 0)]:
            listening = _listen(address, port)
            if listening is None:
                _log.warning("cannot listen on %s for port %d: it is taken", address, port)
                continue
            task = asyncio.create_task(self._accept(listening, interface_id, port))
            current[address, port] = _Listener(listening, listening.getsockname()[1], task)
        if not current:
            del self._listeners[interface_id]

    def withdraw(self, interface_id: str) -> None:
        """Listen no more for an interface."""
        self.publish(interface_id, None, frozenset())

    def host_port(self, public_ip: str, port: int) -> int | None:
        """Return where we listen for a port of a public address, or None when we do not."""
        for listeners in self._listeners.values():
            if (listener := listeners.get((public_ip, port))) is not None:
                return listener.host_port
        return None

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        for interface_id in list(self._listeners):
            self.withdraw(interface_id)
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, listening: socket.socket, interface_id: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _address = await loop.sock_accept(listening)
            except OSError as err:
                # Out of files, most likely. The connection waits in the queue.
                _log.debug("cannot accept a connection for port %d: %s", port, err)
                await asyncio.sleep(_ATTEMPT_S)
                continue
            task = asyncio.create_task(self._carry(client, interface_id, port))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _carry(self, client: socket.socket, interface_id: str, port: int) -> None:
        client.settimeout(0)
        with client:
            try:
                guest = await self._reach(interface_id, port)
                with guest:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(_pump(client, guest))
                        both.create_task(_pump(guest, client))
            except* (GuestUnreachable, OSError) as reasons:
                _log.debug("connection to %s port %d: %s", interface_id, port, reasons.exceptions)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _reach(self, interface_id: str, port: int) -> socket.socket:
        """Return a connection to the guest's port."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONNECT_TIMEOUT_S
        while loop.time() < deadline:
            guest = await self._dial(interface_id, port)
            try:
                async with asyncio.timeout(_ATTEMPT_S):
                    await _writable(guest)
                number = guest.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except TimeoutError:
                guest.close()
                continue
            except BaseException:
                guest.close()
                raise
            if number == 0:
                return guest
            guest.close()
            if number == errno.ECONNREFUSED:
                break
            await asyncio.sleep(_ATTEMPT_S)
        raise GuestUnreachable


async def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes until the source ends; then end the target's input, and leave the other way as it is."""
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    while count := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(target, buffer[:count])
        # Both calls return without a pause while there are bytes and room; others want to run too.
        await asyncio.sleep(0)
    target.shutdown(socket.SHUT_WR)


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(connection, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(connection)


def _listen(address: str, port: int) -> socket.socket | None:
    """Return a socket that listens on a port or, if we may not have it or another has it, on its substitute."""
    for candidate in (port, port + PORT_OFFSET):
        if candidate > _LAST_PORT:
            continue
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # After a restart, ports of connections that have just ended are ours again.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, candidate))
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
        else:
            return listening
    return None


def _close(listener: _Listener) -> None:
    # Only once the task has let go of it, or the loop would watch a number that means another socket by then.
    listener.task.add_done_callback(lambda _task: listener.socket.close())
    listener.task.cancel()
