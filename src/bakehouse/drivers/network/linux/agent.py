"""The process that lives in a segment's namespace and does everything in it for the server.

It outlives the server: a new one connects to its socket and goes on. Should the agent itself die, running machines
keep their network, for the kernel has it all and dnsmasq holds the namespace; the next agent joins that, and
the server describes everything to it again.

    python -m bakehouse.drivers.network.linux.agent --home DIR --vpc ID --tun DEVICE [--rootless] --ready FD

It says `ready`, or what is wrong, on the descriptor.
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, assert_never

from bakehouse.drivers.network.linux import messages, namespaces
from bakehouse.drivers.network.linux.agent_socket import READY, listen
from bakehouse.drivers.network.linux.host_link import HostLink
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.drivers.network.linux.name_service import NameService, holder
from bakehouse.drivers.network.linux.neighbours import answering
from bakehouse.drivers.network.linux.nftables import Nftables, NftablesRefused
from bakehouse.drivers.network.linux.rtnetlink import RouteNetlink
from bakehouse.drivers.network.linux.segment import Segment, SegmentRefused

_PEER_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid. Source: unix(7), SO_PEERCRED

#: How often an agent looks whether its home is still there.
_LOOK_S: Final = 10

_log: Final = logging.getLogger("bakehouse.agent")


class _Caller:
    """A server's connection. One that is slow to read its answers gets them later: it waits for every one of them."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        self.connection = connection
        self._turn = asyncio.Lock()
        self._writable = asyncio.Event()

    async def answer(self, answer: messages.Answer, fd: int | None) -> None:
        """Send an answer, with a copy of a descriptor, as soon as there is room for it.

        Raises:
            OSError: The server is gone.
        """
        async with self._turn:
            while True:
                try:
                    messages.send(self.connection, answer, fd)
                except BlockingIOError:
                    await self._wait_for_room()
                else:
                    return

    def close(self) -> None:
        """Let go of a server that is gone."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.connection)
        loop.remove_writer(self.connection)
        self.connection.close()
        self._writable.set()

    async def _wait_for_room(self) -> None:
        self._writable.clear()
        loop = asyncio.get_running_loop()
        loop.add_writer(self.connection, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            if self.connection.fileno() >= 0:
                loop.remove_writer(self.connection)


class Agent:
    """Answers calls about a segment, one change at a time, in the order in which they came."""

    def __init__(self, segment: Segment, listener: socket.socket, directory: Path) -> None:
        self._segment = segment
        self._listener = listener
        self._directory = directory
        self._changes = asyncio.Lock()
        self._callers: set[_Caller] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._uplink_fd: int | None = None
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Answer until a server asks for the end, or somebody has removed the home with everything in it."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener, self._accept)
        try:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._ended.wait()
                if not self._ended.is_set() and not self._directory.exists():
                    _log.warning("%s is gone, and so is the segment", self._directory)
                    await self._segment.remove()
                    self._ended.set()
        finally:
            loop.remove_reader(self._listener)
            for caller in self._callers:
                caller.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _address = self._listener.accept()
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
            if _PEER_CREDENTIALS.unpack(credentials)[1] != os.geteuid():
                connection.close()
                return
            caller = _Caller(connection)
            self._callers.add(caller)
            asyncio.get_running_loop().add_reader(connection, self._read, caller)

    def _read(self, caller: _Caller) -> None:
        try:
            received = messages.receive_call(caller.connection)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            _log.exception("a server spoke nonsense, or left in the middle of it")
            received = None
        if received is None:
            self._callers.discard(caller)
            caller.close()
            return
        task = asyncio.create_task(self._answer(caller, *received))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, caller: _Caller, call: messages.Call, fd: int | None) -> None:
        report: messages.SegmentReport | None = None
        error: str | None = None
        reply_fd: int | None = None
        try:
            result = await self._do(call.request, fd)
        except Exception as err:  # noqa: BLE001 - whatever it was: who asked waits for an answer
            _log.exception("%s failed", type(call.request).__name__)
            error = str(err) or type(err).__name__
        else:
            if isinstance(result, int):
                reply_fd = result
            else:
                report = result
        try:
            try:
                await caller.answer(messages.Answer(call.number, error, report), reply_fd)
            except messages.PacketTooLarge as err:
                await caller.answer(messages.Answer(call.number, str(err)), None)
        except OSError as err:
            _log.warning("a server did not wait for its answer: %s", err)
        finally:
            for descriptor in (fd, reply_fd):
                if descriptor is not None:
                    os.close(descriptor)
        if isinstance(call.request, messages.Shutdown) and error is None:
            self._ended.set()

    async def _do(self, request: messages.Request, fd: int | None) -> messages.SegmentReport | int:
        """Fulfil a request; return a descriptor if it asks for one, else what holds now."""
        guests: tuple[str, ...] = ()
        unheld: tuple[str, ...] = ()
        match request:
            case messages.OpenTap(interface_id):
                return self._segment.open_tap(interface_id)
            case messages.OpenMetadata():
                return self._segment.open_metadata()
            case messages.Dial(interface_id, address, port, is_datagram):
                return self._segment.dial(interface_id, address, port, is_datagram=is_datagram)
            case messages.Report():
                unheld = self._segment.unheld
            case messages.AskGuests():
                guests = await answering(self._segment.interfaces)
                unheld = self._segment.unheld
            case messages.HoldUplink():
                self._hold_uplink(fd)
            case _:
                async with self._changes:
                    await self._change(request, fd)
        return messages.SegmentReport(
            pid=os.getpid(),
            is_described=self._segment.is_described,
            interface_ids=self._segment.interface_ids,
            has_uplink=self._has_uplink(),
            answering=guests,
            unheld=unheld,
        )

    async def _change(self, request: messages.Change, fd: int | None) -> None:
        match request:
            case messages.EnsureSegment(description):
                await self._segment.ensure(description, fd)
            case messages.ApplyGroup(group):
                self._segment.apply_group(group)
            case messages.DeleteGroup(group_id):
                self._segment.delete_group(group_id)
            case messages.Plug(interface):
                await self._segment.plug(interface)
            case messages.Unplug(interface_id):
                await self._segment.unplug(interface_id)
            case messages.Shutdown():
                await self._segment.remove()
            case _:
                assert_never(request)

    def _hold_uplink(self, fd: int | None) -> None:
        if fd is None:
            raise SegmentRefused("no descriptor came along")
        if self._uplink_fd is not None:
            os.close(self._uplink_fd)
        self._uplink_fd = os.dup(fd)

    def _has_uplink(self) -> bool:
        """Tell whether slirp4netns still holds the other end of its pipe."""
        if self._uplink_fd is None:
            return False
        poll = select.poll()
        poll.register(self._uplink_fd, 0)
        return not poll.poll(0)


def main(arguments: list[str] | None = None) -> None:
    """Run an agent."""
    parser = argparse.ArgumentParser(prog="bakehouse-network-agent")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--vpc", required=True)
    parser.add_argument("--tun", type=Path, required=True)
    parser.add_argument("--rootless", action="store_true")
    parser.add_argument("--ready", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    # A server that stops with Ctrl-C takes its terminal's processes along; not us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    layout = SegmentLayout(options.home, options.vpc)
    try:
        with _alone(layout.directory):
            segment = _enter(layout, options.tun, rootless=options.rootless)
            listener = listen(layout.directory)
            os.write(options.ready, READY)
            os.close(options.ready)
            asyncio.run(Agent(segment, listener, layout.directory).serve())
    except (OSError, NftablesRefused) as err:
        _log.exception("cannot serve the segment")
        with contextlib.suppress(OSError):
            os.write(options.ready, str(err).encode())
        sys.exit(1)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the segment's lock, so that it never has two agents."""
    with (directory / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _enter(layout: SegmentLayout, tun_device: Path, *, rootless: bool) -> Segment:
    """Go into the segment's namespace: the one there is, or a new one."""
    files = layout.names(rootless=rootless)
    keeper = holder(files)
    host_link = None if rootless else HostLink(layout, is_new=keeper is None)
    if keeper is None:
        namespaces.enter_new(rootless=rootless)
    else:
        namespaces.join(keeper, rootless=rootless)
    links, firewall = RouteNetlink(), Nftables()
    if host_link is not None:
        host_link.bring_inside(links)
    return Segment(
        tun_device=tun_device,
        names=NameService(files, unprivileged=not rootless),
        links=links,
        firewall=firewall,
        host_link=host_link,
    )


if __name__ == "__main__":
    main()
