"""A TCP port of a public address: connections are accepted here and carried to the guest."""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final

from bakehouse.drivers.network.linux.public_port import Dial, Guest, GuestUnreachable, bind

_BUFFER_BYTES: Final = 256 * 1024

#: A machine that boots has no address yet. A new attempt each half second finds it sooner than the kernel, which
#: asks again after 1, 3, 7 and 15 s.
_ATTEMPT_S: Final = 0.5
_CONNECT_TIMEOUT_S: Final = 15

#: Closing with this sends a reset. Source: socket(7), SO_LINGER.
_RESET: Final = struct.pack("ii", 1, 0)

_log: Final = logging.getLogger(__name__)


class StreamPort:
    """Listens from its making until `close`.

    Args:
        public_ip: Where.
        guest: To whom connections are carried.
        dial: Opens connections to it.
        ended: Told when this port is closed and its last connection has ended.

    Raises:
        NoHostPort: The port is taken.
    """

    def __init__(self, public_ip: str, guest: Guest, dial: Dial, *, ended: Callable[["StreamPort"], None]) -> None:
        self._guest = guest
        self._dial = dial
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._socket = bind(public_ip, guest.port)
        self._connections: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self.host_port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Listen no more. Connections go on."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if not self._connections:
            self._loop.call_soon(self._ended, self)

    async def end(self) -> None:
        """End every connection."""
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self) -> None:
        try:
            client, _address = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as err:
            # Out of files, most likely. The connection waits in the queue.
            _log.debug("cannot accept a connection for %s: %s", self._guest, err)
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(_ATTEMPT_S, self._loop.add_reader, self._socket, self._accept)
            return
        task = asyncio.create_task(self._carry(client))
        self._connections.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if not self._connections and self._socket.fileno() < 0:
            self._ended(self)

    async def _carry(self, client: socket.socket) -> None:
        client.settimeout(0)
        with client:
            try:
                guest = await self._reach()
                with guest:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(_pump(client, guest))
                        both.create_task(_pump(guest, client))
            except* (GuestUnreachable, OSError) as reasons:
                _log.debug("connection to %s: %s", self._guest, reasons.exceptions)
                with contextlib.suppress(OSError):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _reach(self) -> socket.socket:
        """Return a connection to the guest's port."""
        deadline = self._loop.time() + _CONNECT_TIMEOUT_S
        while self._loop.time() < deadline:
            guest = await self._dial(self._guest)
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
