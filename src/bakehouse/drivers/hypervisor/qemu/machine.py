"""One machine that runs: its process, its monitor, and what its guest is doing."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import live_disks, live_interfaces
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused, Monitor
from bakehouse.drivers.hypervisor.qemu.run_directory import ProcessName, RunDirectory
from bakehouse.ports.hypervisor import MachineState, MonitorLost

#: QEMU's run state -> ours; all others are RUNNING. Source: QEMU QMP Reference, RunState.
_STATES: Final = {
    "shutdown": MachineState.POWERED_OFF,
    "guest-panicked": MachineState.PANICKED,
    "internal-error": MachineState.PANICKED,
    "paused": MachineState.STALLED,
    "io-error": MachineState.STALLED,
}
#: Reset while it stood still. No machine stays so: whoever sees it lets it run.
_PRELAUNCH: Final = "prelaunch"

#: Time for QEMU to write out and close its files after SIGTERM, before SIGKILL. It takes some 10 ms.
_TERM_GRACE_S: Final = 2.0
_KILL_DEADLINE_S: Final = 30.0
_RESET_DEADLINE_S: Final = 10.0
_POLL_S: Final = 0.002
#: Time for a machine that was silent at the last look: whoever looks at all machines waits for it again each time.
_SILENT_PATIENCE_S: Final = 0.5
#: How often a silent machine is looked at: a connection that broke is opened again, and what it missed is seen.
_HEARTBEAT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The ids of what a machine has plugged in."""

    volume_ids: frozenset[str]
    interface_ids: frozenset[str]


class Machine:
    """A live machine. `state` follows the guest by itself until the process is gone or `close` is called."""

    def __init__(self, run: RunDirectory, name: ProcessName, on_change: Callable[["Machine"], None]) -> None:
        """Wrap a process that was started or found; `on_change` is called after each change of `state`."""
        self.run = run
        self.process = name
        self.state = MachineState.RUNNING
        self.ending = False
        """Whether we end the machine, so that its end is not news."""
        self.answers = True
        """Whether the monitor answered when it was last asked."""
        self.holds: Held | None = None
        """What it held when it was last looked at; None when it never was."""
        self.monitor = Monitor(run, self._hear)
        self.disks_lock = asyncio.Lock()
        """Held for changes of the disks, one after the other."""
        self._on_change = on_change
        self._moved = asyncio.Event()
        self._heard = asyncio.Event()
        self._unplugged = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def machine_id(self) -> str:
        """The instance's id."""
        return self.run.machine_id

    async def follow(self, *, deadline_s: float) -> None:
        """Connect to the monitor and follow the guest from now on.

        Raises:
            MonitorLost: It did not answer, or the process ended meanwhile.
        """
        connecting = asyncio.create_task(self.monitor.connect(deadline_s=deadline_s))
        gone = asyncio.create_task(process.wait_until_gone(self.process.pid, self.process.start_time))
        try:
            await asyncio.wait((connecting, gone), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise MonitorLost(f"{self.machine_id} ended before its monitor answered")
            await connecting
        finally:
            for task in (connecting, gone):
                task.cancel()
            await asyncio.gather(connecting, gone, return_exceptions=True)
        try:
            async with asyncio.timeout(deadline_s):
                await self.refresh()
        except TimeoutError as err:
            raise MonitorLost(f"the monitor of {self.machine_id} greets and does not answer") from err
        followers = (self._follow_guest, self._follow_disks, self._follow_process)
        self._tasks = [asyncio.create_task(follow()) for follow in followers]

    async def close(self) -> None:
        """Stop following and disconnect. The machine runs on."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        await self.monitor.close()

    async def end(self) -> None:
        """End the process and return when it holds nothing any more. Nobody is told.

        Raises:
            MonitorLost: It did not even obey SIGKILL.
        """
        self.ending = True
        await self.close()
        await end_process(self.process)
        self._move(MachineState.GONE)

    async def refresh(self) -> None:
        """Ask the monitor what the guest is doing.

        Raises:
            MonitorLost: It did not answer.
        """
        status = (await self.monitor.execute("query-status"))["status"]
        if status == _PRELAUNCH:
            with suppress(CommandRefused):
                await self.monitor.execute("cont")
        self.answers = True
        self._move(_STATES.get(status, MachineState.RUNNING))

    async def look(self, *, patience_s: float) -> None:
        """Ask the monitor what the machine holds, and set `answers` and `holds`.

        One that was silent the last time gets less time; the heartbeat hears of it when it answers again.
        """
        try:
            async with asyncio.timeout(patience_s if self.answers else min(patience_s, _SILENT_PATIENCE_S)):
                self.holds = Held(
                    volume_ids=frozenset((await live_disks.look(self.monitor)).disks),
                    interface_ids=frozenset(await live_interfaces.attached(self.monitor)),
                )
        except (MonitorLost, TimeoutError):
            self.answers = False
        else:
            self.answers = True

    async def wait_for(self, states: frozenset[MachineState], *, deadline_s: float) -> bool:
        """Wait until the machine is in one of these states; False when the deadline passed first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self.state not in states:
                    await self._moved.wait()
        return self.state in states

    async def wait_unplugged(self, device: str, *, deadline_s: float) -> bool:
        """Wait until the guest let go of a device; False when the deadline passed first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                unplugged = self._unplugged
                while await live_disks.has_device(self.monitor, device):
                    await unplugged.wait()
                    unplugged = self._unplugged
        return not await live_disks.has_device(self.monitor, device)

    async def reset(self) -> None:
        """Let the guest begin again at the firmware.

        Raises:
            MonitorLost: Whether it was reset is unknown.
        """
        await self.monitor.execute("system_reset")
        deadline = asyncio.get_running_loop().time() + _RESET_DEADLINE_S
        await self.refresh()
        while self.state is not MachineState.RUNNING:
            if asyncio.get_running_loop().time() > deadline:
                raise MonitorLost(f"{self.machine_id} did not begin again")
            await asyncio.sleep(_POLL_S)
            await self.refresh()

    def _hear(self, event: str) -> None:
        if event == "DEVICE_DELETED":
            self._unplugged.set()
            self._unplugged = asyncio.Event()
        self._heard.set()

    async def _follow_guest(self) -> None:
        """Look at the guest after each event. An event alone is too early: at SHUTDOWN its disks still write."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._heard.wait()
            self._heard.clear()
            with suppress(MonitorLost):
                await self.refresh()

    async def _follow_disks(self) -> None:
        """Close the files of disks that left when nobody waited for them any more, or before we came."""
        while True:
            unplugged = self._unplugged
            async with self.disks_lock:
                with suppress(MonitorLost, CommandRefused):
                    await live_disks.sweep_nodes(self.monitor, await live_disks.look(self.monitor))
            await unplugged.wait()

    async def _follow_process(self) -> None:
        await process.wait_until_gone(self.process.pid, self.process.start_time)
        self._move(MachineState.GONE)

    def _move(self, state: MachineState) -> None:
        if state is self.state or self.state is MachineState.GONE:
            return
        self.state = state
        self._moved.set()
        self._moved = asyncio.Event()
        self._on_change(self)


async def end_process(name: ProcessName) -> None:
    """End a machine's process; return when it holds nothing any more.

    Raises:
        MonitorLost: It did not even obey SIGKILL: the kernel waits for a disk.
    """
    for number, patience_s in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, _KILL_DEADLINE_S)):
        _signal(name, number)
        if await process.wait_until_gone(name.pid, name.start_time, timeout_s=patience_s):
            return
    raise MonitorLost(f"process {name.pid} is still there after SIGKILL")


def _signal(name: ProcessName, number: signal.Signals) -> None:
    """Signal this very process and never one that got its pid later."""
    try:
        pidfd = os.pidfd_open(name.pid)
    except ProcessLookupError:
        return
    try:
        if process.is_running(name.pid, name.start_time):
            signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
