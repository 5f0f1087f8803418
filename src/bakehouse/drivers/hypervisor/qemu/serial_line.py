"""The serial console of one machine: the server's one connection to QEMU, and those who watch.

QEMU serves one client of a serial port at a time, and writes all that the guest writes to a log as well. What is read
from the connection is only the sign that there is something new: everybody reads the log, each from their own place.
So nobody who reads slowly holds up the guest, nothing is missed or seen twice between what was written before somebody
came and what is written after, and a place in the log means the same to the next server.
"""

import asyncio
import fcntl
import socket
import termios
from array import array
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from bakehouse.drivers.hypervisor.qemu.run_directory import CONSOLE_LIMIT_BYTES, CONSOLE_SOCKET, RunDirectory
from bakehouse.drivers.hypervisor.scrollback import scrollback
from bakehouse.ports.consoles import MachineGone

#: As much as is read from the log at once.
_PIECE_BYTES: Final = 64 * 1024
#: QEMU writes to the connection first and to the log right after.
_LOG_BEHIND_S: Final = 0.002
#: While somebody else has QEMU's connection there is no sign of anything new.
_POLL_S: Final = 0.25
#: How long a BREAK waits for a guest to read what was typed before it. One that hangs is what a BREAK is for.
_DRAINED_WITHIN_S: Final = 1.0
#: Nothing tells that QEMU has read on; nor when the guest has what QEMU's port holds for it, 16 bytes at most.
_DRAIN_POLL_S: Final = 0.005
#: By these a reader finds its place again in a log that was cut meanwhile.
_LANDMARK_BYTES: Final = 256


class SerialLine:
    """A machine's serial port. Connected to QEMU from the first `open` to the last viewer's end."""

    def __init__(self, run: RunDirectory, send_break: Callable[[], Awaitable[None]]) -> None:
        """Make a line that nobody watches yet."""
        self.run = run
        self._send_break = send_break
        self.ended = False
        """Whether the machine's process has closed the line."""
        self._viewers = 0
        self._connection: socket.socket | None = None
        self._listening: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._opening = asyncio.Lock()
        self._typing = asyncio.Lock()

    async def open(self, position: int | None) -> "SerialViewer":
        """Return a new viewer, who begins at this place of the log, or with its last lines.

        Raises:
            MachineGone: Nobody listens at the machine's end.
        """
        async with self._opening:
            if self._connection is None:
                try:
                    self._connection = await self.run.connect(CONSOLE_SOCKET)
                except OSError as err:
                    raise MachineGone(f"the serial console of {self.run.machine_id} does not answer") from err
                self._listening = asyncio.create_task(self._listen(self._connection))
            self._viewers += 1
        written = self.run.console_size()
        if position is None or position > written:
            position = written - len(scrollback(self.run.console_tail()))
        return SerialViewer(self, max(0, position))

    async def leave(self) -> None:
        """Count one viewer less; after the last one QEMU's connection is free for others."""
        async with self._opening:
            self._viewers -= 1
            if self._viewers == 0 and self._listening is not None and self._connection is not None:
                self._listening.cancel()
                with suppress(asyncio.CancelledError):
                    await self._listening
                self._connection.close()
                self._connection = None

    async def type(self, data: bytes) -> None:
        """Write to the guest, one writer after the other."""
        connection = self._connection
        if connection is None or self.ended:
            raise MachineGone(f"{self.run.machine_id} is gone")
        try:
            async with self._typing:
                await asyncio.get_running_loop().sock_sendall(connection, data)
        except OSError as err:
            raise MachineGone(f"{self.run.machine_id} is gone") from err

    async def send_break(self) -> None:
        """Send a BREAK after what was typed, if the guest reads that in time: it goes another way, and is faster."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_WITHIN_S), self._typing:
                was_typing = False
                while self._connection is not None and not self.ended and _unread(self._connection):
                    was_typing = True
                    await asyncio.sleep(_DRAIN_POLL_S)
                if was_typing:
                    await asyncio.sleep(_DRAIN_POLL_S)
        await self._send_break()

    @property
    def news(self) -> asyncio.Event:
        """What is set when there is more in the log than there was when this was asked for."""
        return self._news

    async def wait(self, news: asyncio.Event) -> None:
        """Wait for a sign, not forever: it may have been another's."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await news.wait()

    async def _listen(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while await loop.sock_recv(connection, _PIECE_BYTES):
                await asyncio.sleep(_LOG_BEHIND_S)
                self._ring()
        self.ended = True
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _unread(connection: socket.socket) -> int:
    """Return how much of what was written the other end has not read; 0 where the system does not tell.

    Source: unix(7), SIOCOUTQ is TIOCOUTQ: what the kernel still holds, counted with its own overhead.
    """
    held = array("i", [0])
    try:
        fcntl.ioctl(connection, termios.TIOCOUTQ, held)
    except OSError:
        return 0
    return held[0]


class SerialViewer:
    """One connection to a line. Fulfils `SerialConsole`."""

    def __init__(self, line: SerialLine, position: int) -> None:
        self._line = line
        self._position = position
        self._landmark = b""
        self._closed = False

    @property
    def position(self) -> int:
        """How far it has read; see the port."""
        return self._position

    async def read(self) -> bytes:
        """Return what comes next; see the port."""
        while True:
            news, ended = self._line.news, self._line.ended
            if self._line.run.console_size() < self._position:
                self._find_place()
            data = self._line.run.console_from(self._position, _PIECE_BYTES)
            if data:
                self._position += len(data)
                self._landmark = (self._landmark + data)[-_LANDMARK_BYTES:]
                return data
            if ended:
                return b""
            await self._line.wait(news)

    async def write(self, data: bytes) -> None:
        """Type; see the port."""
        await self._line.type(data)

    async def send_break(self) -> None:
        """Send a BREAK; see the port."""
        await self._line.send_break()

    async def close(self) -> None:
        """Hang up; see the port. May be repeated."""
        if not self._closed:
            self._closed = True
            await self._line.leave()

    def _find_place(self) -> None:
        """Find where this viewer was in a log that was cut to its tail. One who was far behind goes on at its start."""
        kept = self._line.run.console_from(0, CONSOLE_LIMIT_BYTES)
        found = kept.rfind(self._landmark) if self._landmark else -1
        self._position = 0 if found < 0 else found + len(self._landmark)
