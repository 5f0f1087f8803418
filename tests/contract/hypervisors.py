"""The fake and the real hypervisor, and what a test does to their machines from outside."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.vm import boot_sector

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.hypervisor.qemu import QemuHypervisor, speed_limits
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.ports.hypervisor import Hypervisor, MachineDisk, MachineSpec, MachineStatus

MACHINE = "i-0000000000000000a"
OTHER = "i-0000000000000000b"
ROOT = "vol-0000000000000000a"
DATA = "vol-0000000000000000b"
DEADLINE_S = 30


@dataclass
class Driver:
    """A hypervisor, and what a test must be able to do to its machines from outside."""

    hypervisor: Hypervisor
    directory: Path
    reopened: Callable[[], Awaitable[Hypervisor]]
    """Let go of the machines and open the same ones once more, as a new server does."""
    broken: Callable[[MachineSpec], MachineSpec]
    """Make of a spec one whose start fails."""
    guest_powers_off: Callable[[str], Awaitable[None]]
    guest_panics: Callable[[str], Awaitable[None]]
    guest_ignores_power_button: Callable[[str], Awaitable[None]]
    guest_keeps_disks: Callable[[str], None]
    process_dies: Callable[[str], None]
    limits: Callable[[str, str], Awaitable[SpeedLimits]]
    """What a machine enforces on a volume."""
    booted: Callable[[str, int], Awaitable[None]]
    """Wait until a machine's guest has booted so many times."""

    def disk(self, volume_id: str) -> MachineDisk:
        if volume_id == ROOT:
            return boot_sector.bootable_disk(self.directory, volume_id)
        return boot_sector.empty_disk(self.directory, volume_id)

    def spec(self, machine_id: str = MACHINE) -> MachineSpec:
        directory = self.directory / machine_id
        directory.mkdir()
        return boot_sector.machine_spec(machine_id, boot_sector.bootable_disk(directory, ROOT))

    async def started(self, machine_id: str = MACHINE) -> MachineSpec:
        spec = self.spec(machine_id)
        await self.hypervisor.start(spec)
        await self.booted(machine_id, 1)
        return spec

    async def status(self, machine_id: str = MACHINE) -> MachineStatus:
        (status,) = [it for it in await self.hypervisor.observe() if it.machine_id == machine_id]
        return status


async def first_change(hypervisor: Hypervisor) -> MachineStatus:
    changes: Any = hypervisor.changes()
    async with aclosing(changes), asyncio.timeout(DEADLINE_S):
        status: MachineStatus = await anext(changes)
        return status


@asynccontextmanager
async def fake_driver(tmp_path: Path) -> AsyncIterator[Driver]:
    state = tmp_path / "machines"
    hypervisor = FakeHypervisor(state)

    async def reopened() -> Hypervisor:
        return FakeHypervisor(state)

    def broken(spec: MachineSpec) -> MachineSpec:
        hypervisor.failing_starts[spec.machine_id] = "Could not open the disk"
        return spec

    async def power_off(machine_id: str) -> None:
        hypervisor.power_off_guest(machine_id)

    async def panic(machine_id: str) -> None:
        hypervisor.panic_guest(machine_id)

    async def deafen(machine_id: str) -> None:
        hypervisor.deaf_guests.add(machine_id)

    async def limits(machine_id: str, volume_id: str) -> SpeedLimits:
        return hypervisor.limits(machine_id, volume_id)

    async def booted(machine_id: str, times: int) -> None:
        assert (await hypervisor.console_output(machine_id)).count(b"login:") == times

    yield Driver(
        hypervisor=hypervisor,
        directory=tmp_path,
        reopened=reopened,
        broken=broken,
        guest_powers_off=power_off,
        guest_panics=panic,
        guest_ignores_power_button=deafen,
        guest_keeps_disks=hypervisor.clinging_guests.add,
        process_dies=hypervisor.crash_machine,
        limits=limits,
        booted=booted,
    )


@asynccontextmanager
async def qemu_driver(tmp_path: Path) -> AsyncIterator[Driver]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")
    home = tmp_path / "home"
    opened = [QemuHypervisor(home, accelerator="tcg", unplug_deadline_s=0.3)]

    async def reopened() -> Hypervisor:
        await opened[-1].close()
        opened.append(QemuHypervisor(home, accelerator="tcg", unplug_deadline_s=0.3))
        return opened[-1]

    def broken(spec: MachineSpec) -> MachineSpec:
        missing = replace(spec.disks[0].connection, path=str(tmp_path / "missing.qcow2"))
        return replace(spec, disks=(replace(spec.disks[0], connection=missing),))

    def process_dies(machine_id: str) -> None:
        found = RunDirectory(home / "machines" / machine_id).running_process()
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)

    async def limits(machine_id: str, volume_id: str) -> SpeedLimits:
        return (await speed_limits.current(opened[-1]._fleet.machines[machine_id].monitor))[volume_id]

    async def deafen(machine_id: str) -> None:
        await boot_sector.tell(home, machine_id, b"i")
        await boot_sector.console_shows(opened[-1], machine_id, b"i")

    yield Driver(
        hypervisor=opened[0],
        directory=tmp_path,
        reopened=reopened,
        broken=broken,
        guest_powers_off=lambda machine_id: boot_sector.tell(home, machine_id, b"o"),
        guest_panics=lambda machine_id: boot_sector.tell(home, machine_id, b"p"),
        guest_ignores_power_button=deafen,
        # A guest of one sector knows nothing of hot-plug.
        guest_keeps_disks=lambda _: None,
        process_dies=process_dies,
        limits=limits,
        booted=lambda machine_id, times: boot_sector.console_shows(opened[-1], machine_id, b"K" * times),
    )
    for status in await opened[-1].observe():
        await opened[-1].kill(status.machine_id)
    for hypervisor in opened:
        await hypervisor.close()


PARAMETERS = (
    pytest.param(fake_driver, id="fake"),
    pytest.param(qemu_driver, id="qemu", marks=[pytest.mark.vm, pytest.mark.one_user]),
)
