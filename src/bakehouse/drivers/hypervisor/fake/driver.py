"""The hypervisor port without a hypervisor: guests that boot at once and obey.

With a directory the machines are found again by the next server, as real ones are.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.fake.consoles import FakeConsoles
from bakehouse.drivers.hypervisor.fake.guest import boot_messages, endorsement_keys
from bakehouse.ports.hypervisor import (
    DeviceBusy,
    EndorsementKey,
    GuestSupport,
    HypervisorCapabilities,
    MachineDisk,
    MachineInterface,
    MachineSpec,
    MachineStartFailed,
    MachineState,
    MachineStatus,
    MachineUnsupported,
    MonitorLost,
    NotHibernated,
)
from bakehouse.ports.volumes import LayerKey

_REASON: Final = "Machines are simulated: nothing runs."
_BOTH: Final = GuestSupport(
    accelerator="tcg",
    accelerator_reason=_REASON,
    boot_modes=frozenset({"legacy-bios", "uefi"}),
    has_tpm=True,
    has_uefi_data=True,
    has_secure_boot=True,
)
_GUESTS: Final = {"x86_64": _BOTH, "i386": _BOTH, "arm64": replace(_BOTH, boot_modes=frozenset({"uefi"}))}

#: As EC2 writes a store in which nothing is, but for its dictionary of what stores hold.
_NO_VARIABLES: Final = b"QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"


class TopSwitch(Protocol):
    """What `switch_tops` needs of one volume's change of files."""

    @property
    def volume_id(self) -> str:
        """The volume."""

    @property
    def new_path(self) -> Path:
        """The file it writes to afterwards."""


class _Machine(msgspec.Struct, kw_only=True):
    """All that there is of a machine. Stored as JSON."""

    spec: MachineSpec
    disks: dict[str, MachineDisk]
    interfaces: dict[str, MachineInterface] = {}
    state: MachineState = MachineState.RUNNING
    console: str = ""
    frozen: bool = False
    is_saved: bool = False
    """Whether its memory is there to wake up with."""


class FakeHypervisor:
    """Remembers machines. Fulfils `Hypervisor`, and `LiveDisks` of the qcow2 volume store.

    A guest shuts down as soon as its power button is pressed, unless it is in `deaf_guests`, and has an agent if
    it is in `guests_with_agent`; one in `clinging_guests` keeps its disks and interfaces, and the memory of one in
    `sleepless_guests` cannot be saved. The next start of a machine
    in `failing_starts` fails with the text given there. `guests` is what the simulated host can run.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """Remember machines in a directory, beside other files, or only as long as this object lives."""
        self.deaf_guests: set[str] = set()
        self.clinging_guests: set[str] = set()
        self.sleepless_guests: set[str] = set()
        self.guests_with_agent: set[str] = set()
        self.failing_starts: dict[str, str] = {}
        self.kept_local_disks: dict[str, list[bool]] = {}
        """For each machine, whether the kills of it kept its local disks."""
        self.guests = dict(_GUESTS)
        self._directory = directory
        self._machines: dict[str, _Machine] = {}
        self._moved = asyncio.Event()
        self._news: asyncio.Queue[MachineStatus] = asyncio.Queue()
        self.consoles = FakeConsoles(lambda it: self._live(it) is not None, self._written, self.write_console)
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            for file in directory.glob("i-*.json"):
                self._machines[file.stem] = msgspec.json.decode(file.read_bytes(), type=_Machine)

    async def capabilities(self) -> HypervisorCapabilities:
        """Return that nothing is run, and so nothing isolated."""
        return HypervisorCapabilities(
            accelerator="tcg",
            accelerator_reason=_REASON,
            isolates=False,
            version="simulated",
            guests=self.guests,
        )

    async def start(self, spec: MachineSpec) -> None:
        """Start the machine; see the port. The descriptors of its interfaces are closed in any case."""
        for interface in spec.interfaces:
            interface.connection.close()
        if self._live(spec.machine_id) is not None:
            for disk in spec.disks:
                await self.limit_disk(spec.machine_id, disk.volume_id, disk.limits)
            return
        reason = self.failing_starts.pop(spec.machine_id, None)
        failure = MachineStartFailed if reason is not None else MachineUnsupported
        if reason is None and spec.architecture not in self.guests:
            reason = f"there is no {spec.architecture} here"
        elif reason is None and spec.boot_mode not in self.guests[spec.architecture].boot_modes:
            reason = f"there is no {spec.boot_mode} firmware for {spec.architecture} here"
        if reason is not None:
            self._machines.pop(spec.machine_id, None)
            self._forget_file(spec.machine_id)
            raise failure(reason)
        # A descriptor means nothing to a later process.
        interfaces = tuple(replace(it, connection=replace(it.connection, fd=-1)) for it in spec.interfaces)
        spec = replace(spec, interfaces=interfaces)
        disks = {disk.volume_id: disk for disk in spec.disks}
        plugged = {interface.interface_id: interface for interface in interfaces}
        self._machines[spec.machine_id] = _Machine(
            spec=spec, disks=disks, interfaces=plugged, console=boot_messages(spec)
        )
        self._keep(spec.machine_id)

    async def hibernate(self, machine_id: str, key: LayerKey | None) -> bool:
        """Save the machine's memory and end it; see the port. Guests in `sleepless_guests` cannot be saved."""
        del key
        machine = self._machines.get(machine_id)
        if machine is None or self._live(machine_id) is None:
            return machine is not None and machine.is_saved
        if machine_id in self.sleepless_guests:
            raise NotHibernated(f"{machine_id} could not be saved")
        machine.is_saved = True
        self._move(machine_id, MachineState.GONE, news=False)
        return True

    async def wake(self, spec: MachineSpec) -> bool:
        """Start a hibernated machine where it was; see the port. It does not boot."""
        for interface in spec.interfaces:
            interface.connection.close()
        machine = self._machines.get(spec.machine_id)
        if machine is None or not (machine.is_saved or self._live(spec.machine_id)):
            return False
        if machine.is_saved:
            machine.is_saved = False
            if set(machine.disks) != {disk.volume_id for disk in spec.disks}:
                return False
            machine.disks = {disk.volume_id: disk for disk in spec.disks}
            self._move(spec.machine_id, MachineState.RUNNING, news=False)
        return True

    async def press_power_button(self, machine_id: str) -> None:
        """Ask the guest to shut down, which it does at once if it hears."""
        if machine_id not in self.deaf_guests:
            self.power_off_guest(machine_id)

    async def pause(self, machine_id: str) -> None:
        """Let the guest stand still; see the port."""
        if self._state(machine_id) is MachineState.RUNNING:
            self._move(machine_id, MachineState.STALLED, news=True)

    async def resume(self, machine_id: str) -> None:
        """Let a guest that stands still go on; see the port."""
        if self._state(machine_id) is MachineState.STALLED:
            self._move(machine_id, MachineState.RUNNING, news=True)

    async def wait_powered_off(self, machine_id: str, deadline_s: float) -> bool:
        """Wait until the guest has shut down; see the port."""
        try:
            async with asyncio.timeout(deadline_s):
                while self._state(machine_id) not in (MachineState.POWERED_OFF, MachineState.GONE):
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def reset(self, machine_id: str) -> None:
        """Begin again at the firmware; see the port."""
        machine = self._live(machine_id)
        if machine is not None:
            machine.console += boot_messages(machine.spec)
            machine.frozen = False
            self._move(machine_id, MachineState.RUNNING, news=False)

    async def kill(self, machine_id: str, *, keep_local_disks: bool = False) -> None:
        """End the machine; see the port."""
        if machine_id in self._machines:
            self._machines[machine_id].is_saved = False
        if self._live(machine_id) is not None:
            self.kept_local_disks.setdefault(machine_id, []).append(keep_local_disks)
            self._move(machine_id, MachineState.GONE, news=False)

    async def forget(self, machine_id: str) -> None:
        """Forget a machine that is gone; see the port.

        Raises:
            RuntimeError: The machine runs. Nothing was removed.
        """
        if self._live(machine_id) is not None:
            raise RuntimeError(f"{machine_id} runs; kill it before forgetting it")
        self._machines.pop(machine_id, None)
        self._forget_file(machine_id)

    async def attach_disk(self, machine_id: str, disk: MachineDisk) -> None:
        """Plug a disk; see the port."""
        machine = self._needed(machine_id)
        machine.disks.setdefault(disk.volume_id, disk)
        self._keep(machine_id)

    async def detach_disk(self, machine_id: str, volume_id: str, *, force: bool) -> None:
        """Take a disk back; see the port."""
        machine = self._live(machine_id)
        if machine is None or volume_id not in machine.disks:
            return
        if self._clings(machine_id, machine) and not force:
            raise DeviceBusy(f"the guest of {machine_id} did not let go of {volume_id}")
        del machine.disks[volume_id]
        self._keep(machine_id)

    async def attach_interface(self, machine_id: str, interface: MachineInterface) -> None:
        """Plug an interface; see the port."""
        interface.connection.close()
        machine = self._needed(machine_id)
        interface = replace(interface, connection=replace(interface.connection, fd=-1))
        machine.interfaces.setdefault(interface.interface_id, interface)
        self._keep(machine_id)

    async def detach_interface(self, machine_id: str, interface_id: str, *, force: bool) -> None:
        """Take an interface back; see the port."""
        machine = self._live(machine_id)
        if machine is None or interface_id not in machine.interfaces:
            return
        if self._clings(machine_id, machine) and not force:
            raise DeviceBusy(f"the guest of {machine_id} did not let go of {interface_id}")
        del machine.interfaces[interface_id]
        self._keep(machine_id)

    async def limit_disk(self, machine_id: str, volume_id: str, limits: SpeedLimits) -> None:
        """Change how fast a disk may be; see the port."""
        machine = self._live(machine_id)
        if machine is not None and volume_id in machine.disks:
            machine.disks[volume_id] = replace(machine.disks[volume_id], limits=limits)
            self._keep(machine_id)

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        """Let volumes write to new files: all of them or, with an exception, none."""
        machine = self._needed(machine_id)
        changed = {
            switch.volume_id: _with_path(machine.disks[switch.volume_id], switch.new_path) for switch in switches
        }
        machine.disks.update(changed)
        self._keep(machine_id)

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:
        """Return the file that each volume is written to, by volume id; nothing when the machine is gone."""
        machine = self._live(machine_id)
        disks = {} if machine is None else machine.disks
        return {volume_id: Path(disk.connection.path) for volume_id, disk in disks.items()}

    async def freeze_filesystems(self, machine_id: str) -> bool:
        """Freeze the guest's filesystems; see the port."""
        machine = self._live(machine_id)
        if machine is None or machine_id not in self.guests_with_agent:
            return False
        machine.frozen = True
        return True

    async def thaw_filesystems(self, machine_id: str) -> None:
        """Undo `freeze_filesystems`; see the port."""
        machine = self._live(machine_id)
        if machine is not None:
            machine.frozen = False

    async def console_output(self, machine_id: str) -> bytes:
        """Return what the guest wrote to its console."""
        return self._written(machine_id)

    async def endorsement_keys(self, machine_id: str) -> Mapping[str, EndorsementKey]:
        """Return keys that are made of the machine's id, of a machine that has a platform module."""
        machine = self._machines.get(machine_id)
        return endorsement_keys(machine_id) if machine is not None and machine.spec.has_tpm else {}

    async def uefi_data(self, machine_id: str) -> bytes | None:
        """Return the UEFI variables that a machine was first started with: its guest writes none."""
        machine = self._machines.get(machine_id)
        if machine is None or machine.spec.boot_mode != "uefi":
            return None
        return machine.spec.uefi_data or _NO_VARIABLES

    async def observe(self) -> tuple[MachineStatus, ...]:
        """Look at every machine; see the port."""
        return tuple(self._status(machine_id) for machine_id in sorted(self._machines))

    async def changes(self) -> AsyncIterator[MachineStatus]:
        """Yield what machines do by themselves; see the port. There is one stream: iterate once."""
        while True:
            yield await self._news.get()

    async def close(self) -> None:
        """Let go of all machines, which changes nothing for them."""

    def is_frozen(self, machine_id: str) -> bool:
        """Tell a test whether the guest's filesystems are frozen."""
        machine = self._live(machine_id)
        return machine is not None and machine.frozen

    def spec(self, machine_id: str) -> MachineSpec:
        """Tell a test from what the machine was started last."""
        return self._machines[machine_id].spec

    def limits(self, machine_id: str, volume_id: str) -> SpeedLimits:
        """Tell a test how fast a disk may be."""
        return self._machines[machine_id].disks[volume_id].limits

    def write_console(self, machine_id: str, text: str) -> None:
        """Let the guest write to its console."""
        self._machines[machine_id].console += text
        self._keep(machine_id)

    def power_off_guest(self, machine_id: str) -> None:
        """Let the guest shut down by itself. Nothing happens unless it runs."""
        if self._state(machine_id) is MachineState.RUNNING:
            self._move(machine_id, MachineState.POWERED_OFF, news=True)

    def panic_guest(self, machine_id: str) -> None:
        """Let the guest's kernel panic. Nothing happens unless it runs."""
        if self._state(machine_id) is MachineState.RUNNING:
            self._move(machine_id, MachineState.PANICKED, news=True)

    def crash_machine(self, machine_id: str) -> None:
        """Let the process of the machine end by itself."""
        if self._live(machine_id) is not None:
            self._move(machine_id, MachineState.GONE, news=True)

    def _written(self, machine_id: str) -> bytes:
        machine = self._machines.get(machine_id)
        return b"" if machine is None else machine.console.encode()

    def _live(self, machine_id: str) -> _Machine | None:
        machine = self._machines.get(machine_id)
        return None if machine is None or machine.state is MachineState.GONE else machine

    def _needed(self, machine_id: str) -> _Machine:
        machine = self._live(machine_id)
        if machine is None:
            raise MonitorLost(f"{machine_id} is gone")
        return machine

    def _state(self, machine_id: str) -> MachineState:
        machine = self._machines.get(machine_id)
        return MachineState.GONE if machine is None else machine.state

    def _clings(self, machine_id: str, machine: _Machine) -> bool:
        return machine_id in self.clinging_guests and machine.state in (MachineState.RUNNING, MachineState.STALLED)

    def _status(self, machine_id: str) -> MachineStatus:
        machine = self._live(machine_id)
        volumes = frozenset[str]() if machine is None else frozenset(machine.disks)
        interfaces = frozenset[str]() if machine is None else frozenset(machine.interfaces)
        state = self._state(machine_id)
        return MachineStatus(machine_id=machine_id, state=state, volume_ids=volumes, interface_ids=interfaces)

    def _move(self, machine_id: str, state: MachineState, *, news: bool) -> None:
        self._machines[machine_id].state = state
        self._keep(machine_id)
        self._moved.set()
        self._moved = asyncio.Event()
        if news:
            self._news.put_nowait(self._status(machine_id))

    def _keep(self, machine_id: str) -> None:
        if self._directory is not None:
            new = self._directory / f"{machine_id}.new"
            new.write_bytes(msgspec.json.encode(self._machines[machine_id]))
            new.replace(self._directory / f"{machine_id}.json")

    def _forget_file(self, machine_id: str) -> None:
        if self._directory is not None:
            (self._directory / f"{machine_id}.json").unlink(missing_ok=True)


def _with_path(disk: MachineDisk, path: Path) -> MachineDisk:
    return replace(disk, connection=replace(disk.connection, path=str(path)))
