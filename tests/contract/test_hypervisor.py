"""What every hypervisor does, the fake and the real one. The real one runs guests of one sector, by emulation."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.vm import boot_sector

from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.hypervisor.qemu import QemuHypervisor
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.ports.hypervisor import (
    DeviceBusy,
    Hypervisor,
    MachineDisk,
    MachineInterface,
    MachineSpec,
    MachineStartFailed,
    MachineState,
    MachineStatus,
    MonitorLost,
)
from bakehouse.ports.network import InterfaceConnection

MACHINE = "i-0000000000000000a"
OTHER = "i-0000000000000000b"
ROOT = "vol-0000000000000000a"
DATA = "vol-0000000000000000b"
DEADLINE_S = 20


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


@pytest.fixture
def fake_driver(tmp_path: Path) -> Driver:
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

    async def booted(machine_id: str, times: int) -> None:
        assert (await hypervisor.console_output(machine_id)).count(b"login:") == times

    return Driver(
        hypervisor=hypervisor,
        directory=tmp_path,
        reopened=reopened,
        broken=broken,
        guest_powers_off=power_off,
        guest_panics=panic,
        guest_ignores_power_button=deafen,
        guest_keeps_disks=hypervisor.clinging_guests.add,
        process_dies=hypervisor.crash_machine,
        booted=booted,
    )


@pytest.fixture
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
        booted=lambda machine_id, times: boot_sector.console_shows(opened[-1], machine_id, b"K" * times),
    )
    for status in await opened[-1].observe():
        await opened[-1].kill(status.machine_id)
    for hypervisor in opened:
        await hypervisor.close()


@pytest.fixture(params=["fake_driver", pytest.param("qemu_driver", marks=pytest.mark.vm)], ids=["fake", "qemu"])
def driver(request: pytest.FixtureRequest) -> Driver:
    made: Driver = request.getfixturevalue(request.param)
    return made


async def first_change(hypervisor: Hypervisor) -> MachineStatus:
    changes: Any = hypervisor.changes()
    async with aclosing(changes), asyncio.timeout(DEADLINE_S):
        status: MachineStatus = await anext(changes)
        return status


async def test_a_started_machine_runs_and_holds_its_volumes(driver: Driver) -> None:
    await driver.started()

    assert await driver.hypervisor.observe() == (
        MachineStatus(machine_id=MACHINE, state=MachineState.RUNNING, volume_ids=frozenset({ROOT})),
    )


async def test_starting_a_machine_again_does_nothing(driver: Driver) -> None:
    spec = await driver.started()

    await driver.hypervisor.start(spec)

    await driver.booted(MACHINE, 1)


async def test_a_start_that_fails_says_why(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed, match="Could not open"):
        await driver.hypervisor.start(driver.broken(driver.spec()))


async def test_a_start_that_fails_leaves_nothing(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(driver.broken(driver.spec()))

    assert await driver.hypervisor.observe() == ()


async def test_a_start_that_fails_closes_the_taps(driver: Driver) -> None:
    tap, other_end = os.pipe()
    os.close(other_end)
    interface = MachineInterface(
        interface_id="eni-0000000000000000a", mac="0a:00:00:00:00:01", connection=InterfaceConnection(fd=tap)
    )
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(replace(driver.broken(driver.spec()), interfaces=(interface,)))

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tap)


async def test_an_unknown_architecture_is_refused(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed, match="vax"):
        await driver.hypervisor.start(replace(driver.spec(), architecture="vax"))


async def test_a_failed_start_can_be_tried_again(driver: Driver) -> None:
    spec = driver.spec()
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(driver.broken(spec))

    await driver.hypervisor.start(spec)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_the_power_button_shuts_the_guest_down(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.press_power_button(MACHINE)

    assert await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)


async def test_a_powered_off_machine_still_holds_its_volumes(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    assert await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    assert await driver.status() == MachineStatus(
        machine_id=MACHINE, state=MachineState.POWERED_OFF, volume_ids=frozenset({ROOT})
    )


async def test_waiting_for_a_guest_that_ignores_its_power_button_ends_at_the_deadline(driver: Driver) -> None:
    await driver.started()
    await driver.guest_ignores_power_button(MACHINE)
    await driver.hypervisor.press_power_button(MACHINE)

    assert not await driver.hypervisor.wait_powered_off(MACHINE, 0.3)


async def test_a_guest_that_powers_off_is_news(driver: Driver) -> None:
    await driver.started()

    await driver.guest_powers_off(MACHINE)

    assert await first_change(driver.hypervisor) == MachineStatus(
        machine_id=MACHINE, state=MachineState.POWERED_OFF, volume_ids=frozenset({ROOT})
    )


async def test_a_guest_that_panics_is_news(driver: Driver) -> None:
    await driver.started()

    await driver.guest_panics(MACHINE)

    assert (await first_change(driver.hypervisor)).state is MachineState.PANICKED


async def test_a_process_that_dies_is_news(driver: Driver) -> None:
    await driver.started()

    driver.process_dies(MACHINE)

    assert await first_change(driver.hypervisor) == MachineStatus(machine_id=MACHINE, state=MachineState.GONE)


async def test_a_machine_that_was_killed_is_no_news(driver: Driver) -> None:
    await driver.started(MACHINE)
    await driver.started(OTHER)

    await driver.hypervisor.kill(MACHINE)
    await driver.guest_powers_off(OTHER)

    assert (await first_change(driver.hypervisor)).machine_id == OTHER


async def test_a_machine_whose_process_died_can_be_started_again(driver: Driver) -> None:
    spec = await driver.started()
    driver.process_dies(MACHINE)
    await first_change(driver.hypervisor)

    await driver.hypervisor.start(spec)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_a_reset_begins_a_powered_off_machine_again(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.reset(MACHINE)

    assert (await driver.status()).state is MachineState.RUNNING
    assert not await driver.hypervisor.wait_powered_off(MACHINE, 0)


async def test_a_reset_begins_a_running_machine_again(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.reset(MACHINE)

    await driver.booted(MACHINE, 2)


async def test_a_reset_begins_a_panicked_machine_again(driver: Driver) -> None:
    await driver.started()
    await driver.guest_panics(MACHINE)
    await first_change(driver.hypervisor)

    await driver.hypervisor.reset(MACHINE)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_a_killed_machine_holds_nothing(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.kill(MACHINE)

    assert await driver.status() == MachineStatus(machine_id=MACHINE, state=MachineState.GONE)


async def test_a_powered_off_machine_can_be_killed(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.kill(MACHINE)

    assert (await driver.status()).state is MachineState.GONE


async def test_the_console_of_a_killed_machine_can_be_read(driver: Driver) -> None:
    await driver.started()
    before = await driver.hypervisor.console_output(MACHINE)

    await driver.hypervisor.kill(MACHINE)

    assert await driver.hypervisor.console_output(MACHINE) == before


async def test_a_machine_started_after_a_kill_has_a_new_console(driver: Driver) -> None:
    spec = await driver.started()
    await driver.hypervisor.kill(MACHINE)

    await driver.hypervisor.start(spec)

    await driver.booted(MACHINE, 1)


async def test_a_forgotten_machine_leaves_nothing(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.kill(MACHINE)

    await driver.hypervisor.forget(MACHINE)

    assert await driver.hypervisor.observe() == ()
    assert await driver.hypervisor.console_output(MACHINE) == b""


async def test_a_running_machine_is_not_forgotten(driver: Driver) -> None:
    await driver.started()

    with pytest.raises(RuntimeError, match="runs"):
        await driver.hypervisor.forget(MACHINE)


async def test_calls_for_a_machine_that_never_was_succeed(driver: Driver) -> None:
    hypervisor = driver.hypervisor

    await hypervisor.press_power_button(MACHINE)
    await hypervisor.reset(MACHINE)
    await hypervisor.thaw_filesystems(MACHINE)
    await hypervisor.detach_disk(MACHINE, DATA, force=False)
    await hypervisor.kill(MACHINE)
    await hypervisor.forget(MACHINE)

    assert await hypervisor.wait_powered_off(MACHINE, 0)
    assert not await hypervisor.freeze_filesystems(MACHINE)
    assert await hypervisor.observe() == ()


async def test_a_new_server_finds_a_running_machine(driver: Driver) -> None:
    await driver.started()
    before = await driver.hypervisor.observe()

    hypervisor = await driver.reopened()

    assert await hypervisor.observe() == before


async def test_a_new_server_finds_that_a_guest_powered_off_meanwhile(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    hypervisor = await driver.reopened()

    assert (await hypervisor.observe())[0].state is MachineState.POWERED_OFF


async def test_a_new_server_kills_a_machine_it_did_not_start(driver: Driver) -> None:
    await driver.started()

    hypervisor = await driver.reopened()
    await hypervisor.kill(MACHINE)

    assert (await hypervisor.observe())[0].state is MachineState.GONE


async def test_an_attached_disk_is_held(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_attaching_a_disk_again_does_nothing(driver: Driver) -> None:
    await driver.started()
    disk = driver.disk(DATA)
    await driver.hypervisor.attach_disk(MACHINE, disk)

    await driver.hypervisor.attach_disk(MACHINE, disk)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_attaching_to_a_machine_that_is_gone_is_told(driver: Driver) -> None:
    with pytest.raises(MonitorLost):
        await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))


async def test_a_disk_that_the_guest_keeps_stays_attached(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    with pytest.raises(DeviceBusy):
        await driver.hypervisor.detach_disk(MACHINE, DATA, force=False)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_a_disk_that_the_guest_keeps_can_be_taken_by_force(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    await driver.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert (await driver.status()).volume_ids == {ROOT}


async def test_a_disk_taken_by_force_can_be_attached_again(driver: Driver) -> None:
    await driver.started()
    disk = driver.disk(DATA)
    await driver.hypervisor.attach_disk(MACHINE, disk)
    await driver.hypervisor.detach_disk(MACHINE, DATA, force=True)

    await driver.hypervisor.attach_disk(MACHINE, disk)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_a_guest_that_is_off_keeps_no_disk(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.detach_disk(MACHINE, DATA, force=False)

    assert (await driver.status()).volume_ids == {ROOT}


async def test_a_guest_without_an_agent_is_not_frozen(driver: Driver) -> None:
    await driver.started()

    assert not await driver.hypervisor.freeze_filesystems(MACHINE)


async def test_thawing_a_guest_that_is_not_frozen_does_nothing(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.thaw_filesystems(MACHINE)


async def test_eight_machines_start_at_once(driver: Driver) -> None:
    specs = [driver.spec(f"i-0000000000000000{n}") for n in range(8)]

    await asyncio.gather(*(driver.hypervisor.start(spec) for spec in specs))

    states = [status.state for status in await driver.hypervisor.observe()]
    assert states == [MachineState.RUNNING] * 8
