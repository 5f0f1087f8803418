"""The machines of one home, found by their run directories and followed while they live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from bakehouse.drivers.hypervisor.qemu.machine import Held, Machine
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.ports.hypervisor import MachineState, MachineStatus, MonitorLost

#: Time for the monitor of a machine that runs already.
_ADOPT_DEADLINE_S: Final = 10.0
#: The same where all machines are looked at: one that hangs holds up what is to be known of the others.
_LOOK_PATIENCE_S: Final = 5.0

#: States that a machine reaches by itself and that somebody wants to know. A guest's reboot is not one.
_NEWS: Final = frozenset({MachineState.POWERED_OFF, MachineState.PANICKED, MachineState.STALLED, MachineState.GONE})


class Fleet:
    """The machines whose run directories are in one folder. `machines` has those that are followed, by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.machines: dict[str, Machine] = {}
        self._lifecycles: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self._news: asyncio.Queue[tuple[str, MachineState]] = asyncio.Queue()

    def run(self, machine_id: str) -> RunDirectory:
        """Return a machine's run directory, whether or not it is there."""
        return RunDirectory(self._folder / machine_id)

    def lifecycle(self, machine_id: str) -> asyncio.Lock:
        """Return what is held while a machine is started, ended or removed."""
        return self._lifecycles.setdefault(machine_id, asyncio.Lock())

    async def find(self, machine_id: str, *, deadline_s: float = _ADOPT_DEADLINE_S) -> Machine | None:
        """Return the live machine of this id, adopting it if need be. Its lifecycle lock is held.

        Raises:
            MonitorLost: There is a process and it does not answer.
        """
        machine = self.machines.get(machine_id)
        if machine is not None and machine.state is not MachineState.GONE:
            return machine
        run = self.run(machine_id)
        name = await asyncio.to_thread(run.running_process)
        if name is None:
            return None
        machine = Machine(run, name, self.hear)
        self.machines[machine_id] = machine
        try:
            await machine.follow(deadline_s=deadline_s)
        except BaseException:
            del self.machines[machine_id]
            await machine.close()
            raise
        return machine

    async def live(self, machine_id: str, *, deadline_s: float = _ADOPT_DEADLINE_S) -> Machine | None:
        """Return the live machine of this id; None when it is gone.

        Raises:
            MonitorLost: There is a process and it does not answer.
        """
        machine = self.machines.get(machine_id)
        if machine is not None and machine.state is not MachineState.GONE:
            return machine
        async with self.lifecycle(machine_id):
            return await self.find(machine_id, deadline_s=deadline_s)

    async def needed(self, machine_id: str) -> Machine:
        """Return the live machine of this id.

        Raises:
            MonitorLost: It is gone, or does not answer.
        """
        machine = await self.live(machine_id)
        if machine is None:
            raise MonitorLost(f"{machine_id} is gone")
        return machine

    async def observe(self) -> tuple[MachineStatus, ...]:
        """Look at every machine. One whose monitor is silent counts as running, and one that takes long to start."""
        ids = await asyncio.to_thread(self._machine_ids)
        return tuple(await asyncio.gather(*(self._observe_one(machine_id) for machine_id in ids)))

    async def changes(self) -> AsyncIterator[MachineStatus]:
        """Yield what machines do by themselves. There is one stream: iterate once."""
        while True:
            machine_id, state = await self._news.get()
            yield await self._status(machine_id, state)

    async def close(self) -> None:
        """Let go of all machines. They run on."""
        machines = list(self.machines.values())
        self.machines.clear()
        await asyncio.gather(*(machine.close() for machine in machines), *self._closing)

    def hear(self, machine: Machine) -> None:
        """Take note of a machine's new state."""
        if machine.ending:
            return
        if machine.state in _NEWS:
            self._news.put_nowait((machine.machine_id, machine.state))
        if machine.state is MachineState.GONE and self.machines.get(machine.machine_id) is machine:
            del self.machines[machine.machine_id]
            task = asyncio.create_task(machine.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _machine_ids(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir())
        return []

    async def _observe_one(self, machine_id: str) -> MachineStatus:
        run = self.run(machine_id)
        await asyncio.to_thread(run.trim_console_log)
        try:
            async with asyncio.timeout(_LOOK_PATIENCE_S), self.lifecycle(machine_id):
                pass
            machine = await self.live(machine_id, deadline_s=_LOOK_PATIENCE_S)
        except (MonitorLost, TimeoutError):
            return _status(machine_id, MachineState.RUNNING, await self._recorded(machine_id), answers=False)
        if machine is None:
            return MachineStatus(machine_id=machine_id, state=MachineState.GONE)
        return await self._status(machine_id, machine.state)

    async def _status(self, machine_id: str, state: MachineState) -> MachineStatus:
        machine = self.machines.get(machine_id)
        if machine is None or machine.state is MachineState.GONE:
            return MachineStatus(machine_id=machine_id, state=state)
        await machine.look(patience_s=_LOOK_PATIENCE_S)
        held = machine.holds or await self._recorded(machine_id)
        return _status(machine_id, state, held, answers=machine.answers)

    async def _recorded(self, machine_id: str) -> Held:
        """Return what a machine was started with."""
        record = await asyncio.to_thread(self.run(machine_id).read_record)
        disks, interfaces = (record.spec.disks, record.spec.interfaces) if record else ((), ())
        return Held(
            volume_ids=frozenset(it.volume_id for it in disks),
            interface_ids=frozenset(it.interface_id for it in interfaces),
        )


def _status(machine_id: str, state: MachineState, held: Held, *, answers: bool) -> MachineStatus:
    return MachineStatus(
        machine_id=machine_id,
        state=state,
        volume_ids=held.volume_ids,
        interface_ids=held.interface_ids,
        answers=answers,
    )
