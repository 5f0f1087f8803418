"""Talking to agents from the server's event loop."""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.network.linux import messages
from bakehouse.drivers.network.linux.agent_socket import READY, connect
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.ports.network import NetworkUnavailable

#: An agent is ready in 0.1 s; this is for a host that swaps.
_START_TIMEOUT_S: Final = 20
#: Most calls take milliseconds, and asking guests under a second; this is for a host that swaps.
_ANSWER_TIMEOUT_S: Final = 60
_MESSAGE_BYTES: Final = 64 * 1024


class AgentGone(Exception):
    """The agent ended, or never ran. What it was asked in that moment was done or not."""


class AgentClient:
    """A connection to a segment's agent. Calls may be made side by side; the agent orders them.

    Args:
        connection: To its socket.
        timeout_s: How long a call may be without an answer, as one to an agent that was stopped (SIGSTOP) is.
    """

    def __init__(self, connection: socket.socket, timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[messages.Answer, int | None]]] = {}
        self._room = asyncio.Lock()
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._read)

    @classmethod
    def connect(cls, layout: SegmentLayout) -> "AgentClient":
        """Connect to a segment's running agent.

        Raises:
            AgentGone: There is none.
        """
        try:
            return cls(connect(layout.directory))
        except OSError as err:
            raise AgentGone(f"no agent serves {layout.vpc_id}") from err

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        return self._connection.fileno() >= 0

    def close(self) -> None:
        """End the connection; the agent goes on."""
        if not self.alive:
            return
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._closed.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(AgentGone("the network agent ended"))
        self._waiting.clear()

    async def wait_closed(self, timeout_s: float) -> None:
        """Wait until the agent has ended.

        Raises:
            TimeoutError: It has not after that many seconds.
        """
        async with asyncio.timeout(timeout_s):
            await self._closed.wait()

    async def call(self, request: messages.Request, fd: int | None = None) -> messages.SegmentReport:
        """Have a request fulfilled, handing over a copy of a descriptor; return what the agent holds then.

        Raises:
            NetworkUnavailable: The agent refused, and nothing was done; or it does not answer, and may do it yet.
            AgentGone: It ended; the outcome is unknown.
        """
        answer, descriptor = await self._call(request, fd)
        if descriptor is not None:
            os.close(descriptor)
        if answer.report is None:
            raise AgentGone(f"the agent answered {type(request).__name__} without a report")
        return answer.report

    async def call_for_descriptor(self, request: messages.Request) -> int:
        """Have a request fulfilled that is answered with a descriptor; the caller closes it.

        Raises:
            NetworkUnavailable: The agent refused, and nothing was done; or it does not answer, and may do it yet.
            AgentGone: It ended; the outcome is unknown.
        """
        _answer, descriptor = await self._call(request, None)
        if descriptor is None:
            raise AgentGone(f"the agent answered {type(request).__name__} without a descriptor")
        return descriptor

    async def _call(self, request: messages.Request, fd: int | None) -> tuple[messages.Answer, int | None]:
        number = next(self._numbers)
        waiting = self._loop.create_future()
        self._waiting[number] = waiting
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(messages.Call(number, request), fd)
                answer, descriptor = await waiting
        except TimeoutError as err:
            _close_answered(waiting)
            raise NetworkUnavailable(f"the network agent has not answered for {self._timeout_s:g} s") from err
        except asyncio.CancelledError:
            _close_answered(waiting)
            raise
        finally:
            self._waiting.pop(number, None)
        if answer.error is not None:
            raise NetworkUnavailable(answer.error)
        return answer, descriptor

    async def _send(self, call: messages.Call, fd: int | None) -> None:
        async with self._room:  # keeps the order of calls, also when one must wait for room
            while True:
                if not self.alive:
                    raise AgentGone("the network agent ended")
                try:
                    messages.send(self._connection, call, fd)
                except BlockingIOError:
                    await self._writable()
                except messages.PacketTooLarge as err:
                    raise NetworkUnavailable(f"the description is too large: {err}") from err
                except OSError as err:
                    self.close()
                    raise AgentGone("the network agent ended") from err
                else:
                    return

    async def _writable(self) -> None:
        writable = asyncio.Event()
        self._loop.add_writer(self._connection, writable.set)
        try:
            await writable.wait()
        finally:
            if self.alive:
                self._loop.remove_writer(self._connection)

    def _read(self) -> None:
        try:
            received = messages.receive_answer(self._connection)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self.close()
            return
        answer, descriptor = received
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result((answer, descriptor))
        elif descriptor is not None:  # whoever asked was cancelled
            os.close(descriptor)


def _close_answered(waiting: asyncio.Future[tuple[messages.Answer, int | None]]) -> None:
    """Close a descriptor that came in the very moment in which nobody wanted it any more."""
    if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
        _answer, descriptor = waiting.result()
        if descriptor is not None:
            os.close(descriptor)


async def start_agent(layout: SegmentLayout, *, tun_device: Path, rootless: bool) -> AgentClient:
    """Start a segment's agent, detached, and connect to it once it serves.

    Raises:
        NetworkUnavailable: It cannot; the text has what it said.
    """
    layout.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    reading, writing = os.pipe()
    try:
        argv = [
            # -P: the current directory is nobody's library.
            *(sys.executable, "-P", "-m", "bakehouse.drivers.network.linux.agent"),
            *("--home", layout.home, "--vpc", layout.vpc_id, "--tun", tun_device, "--ready", str(writing)),
            *(("--rootless",) if rootless else ()),
        ]
        try:
            await process.spawn_detached(argv, log=layout.log, pass_fds=(writing,))
        finally:
            os.close(writing)
        async with asyncio.timeout(_START_TIMEOUT_S):
            said = await read_to_end(reading, enough=READY)
    except (TimeoutError, process.ProcessFailed) as err:
        raise NetworkUnavailable(f"the network agent does not start; see `{layout.log}`") from err
    finally:
        os.close(reading)
    if said != READY:
        what = said.decode(errors="replace") or f"it ended; see `{layout.log}`"
        raise NetworkUnavailable(f"cannot make the network of {layout.vpc_id}: {what}")
    return AgentClient.connect(layout)


async def read_to_end(fd: int, *, enough: bytes) -> bytes:
    """Read from a pipe until its end, or until it has said `enough`."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    said = b""
    try:
        while said != enough:
            await readable.wait()
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                part = os.read(fd, _MESSAGE_BYTES)
                if not part:
                    break
                said += part
    finally:
        loop.remove_reader(fd)
    return said
