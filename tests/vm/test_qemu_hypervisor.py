"""What only the QEMU driver does. The guests are of one sector, by emulation; they boot in a quarter of a second."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.vm import boot_sector
from tests.vm.boot_sector import COUNTED_SECTORS, bootable_disk, console_shows, counters, empty_disk, machine_spec

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import QemuHypervisor, accelerator, monitor
from bakehouse.drivers.hypervisor.qemu.live_disks import SwitchRefused
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused
from bakehouse.drivers.hypervisor.qemu.run_directory import SOCKETS, ProcessName, RunDirectory
from bakehouse.drivers.process import UnixUser
from bakehouse.drivers.volumes.qcow2 import TopSwitch
from bakehouse.ports.hypervisor import DeviceBusy, MachineState, MachineStatus

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]

MACHINE = "i-0000000000000000a"
ROOT = "vol-0000000000000000a"
DATA = "vol-0000000000000000b"
DEADLINE_S = 20


@dataclass
class Host:
    """One home, and what a test does around the driver."""

    directory: Path
    hypervisor: QemuHypervisor

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.home / "machines" / MACHINE)

    def process(self) -> ProcessName:
        found = self.run.running_process()
        assert found is not None
        return found

    async def reopen(self) -> None:
        await self.hypervisor.close()
        self.hypervisor = QemuHypervisor(self.home, accelerator="tcg")

    async def started(self) -> None:
        """Start a machine with two disks and wait until it has booted."""
        disks = (bootable_disk(self.directory, ROOT), empty_disk(self.directory, DATA))
        await self.hypervisor.start(machine_spec(MACHINE, *disks))
        await console_shows(self.hypervisor, MACHINE, b"K")

    async def writing(self) -> None:
        """Let the guest write on both disks, and wait until each sector has been written."""
        await self.started()
        await boot_sector.tell(self.home, MACHINE, b"w")
        await self.written_anew()

    async def written_anew(self) -> None:
        """Wait until each sector has been written once more."""
        rounds = (await self.hypervisor.console_output(MACHINE)).count(b".")
        await console_shows(self.hypervisor, MACHINE, b"." * (rounds + 2))

    def path(self, volume_id: str, generation: int = 0) -> Path:
        return self.directory / (f"{volume_id}.qcow2" if generation == 0 else f"{volume_id}.{generation}.qcow2")

    def switch(self, volume_id: str, generation: int = 1) -> TopSwitch:
        """Make the file of the next generation."""
        old, new = self.path(volume_id, generation - 1), self.path(volume_id, generation)
        boot_sector.make_overlay(new, old, "qcow2")
        return TopSwitch(volume_id=volume_id, old_path=old, new_path=new, size_bytes=boot_sector.DISK_BYTES)

    def assert_one_point_in_time(self) -> None:
        """The guest writes a number on the first disk, then on the second; each overwrites the one 64 before."""
        first, second = (counters(self.path(volume_id), self.directory) for volume_id in (ROOT, DATA))
        newest = max(first)
        assert sorted(first) == list(range(newest - COUNTED_SECTORS + 1, newest + 1))
        assert max(second) in (newest - 1, newest)

    def open_disks(self) -> set[Path]:
        """Return the disks that QEMU has open, as the kernel sees it."""
        links = Path(f"/proc/{self.process().pid}/fd").iterdir()
        return {link.readlink() for link in links if link.readlink().suffix == ".qcow2"}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path, QemuHypervisor(tmp_path / "home", accelerator="tcg", unplug_deadline_s=0.3))
    yield made
    await made.hypervisor.kill(MACHINE)
    await made.hypervisor.close()


async def test_a_snapshot_is_one_point_in_time_on_all_disks(host: Host) -> None:
    await host.writing()

    await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), host.switch(DATA)])

    host.assert_one_point_in_time()


async def test_the_guest_writes_on_to_the_new_files(host: Host) -> None:
    await host.writing()

    await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), host.switch(DATA)])

    await host.written_anew()
    await host.hypervisor.kill(MACHINE)
    frozen, live = (max(counters(host.path(DATA, generation), host.directory)) for generation in (0, 1))
    assert live >= frozen + COUNTED_SECTORS


async def test_a_frozen_file_does_not_change_any_more(host: Host) -> None:
    await host.writing()
    await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), host.switch(DATA)])
    frozen = host.path(DATA).read_bytes()

    await host.written_anew()

    assert host.path(DATA).read_bytes() == frozen


async def test_the_active_tops_are_the_new_files(host: Host) -> None:
    await host.started()

    await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA)])

    assert await host.hypervisor.active_tops(MACHINE) == {ROOT: host.path(ROOT), DATA: host.path(DATA, 1)}


async def test_tops_can_be_switched_again_and_again(host: Host) -> None:
    await host.started()

    for generation in range(1, 6):
        await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA, generation)])

    assert (await host.hypervisor.active_tops(MACHINE))[DATA] == host.path(DATA, 5)


async def test_switching_twice_to_the_same_file_switches_once(host: Host) -> None:
    await host.started()
    switch = host.switch(DATA)
    await host.hypervisor.switch_tops(MACHINE, [switch])

    await host.hypervisor.switch_tops(MACHINE, [switch, host.switch(ROOT)])

    assert await host.hypervisor.active_tops(MACHINE) == {ROOT: host.path(ROOT, 1), DATA: host.path(DATA, 1)}


async def test_tops_of_a_powered_off_machine_can_be_switched(host: Host) -> None:
    await host.started()
    await host.hypervisor.press_power_button(MACHINE)
    assert await host.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), host.switch(DATA)])

    assert await host.hypervisor.active_tops(MACHINE) == {ROOT: host.path(ROOT, 1), DATA: host.path(DATA, 1)}


async def test_when_one_file_is_missing_no_volume_is_switched(host: Host) -> None:
    await host.started()
    missing = replace(host.switch(DATA), new_path=host.directory / "missing.qcow2")

    with pytest.raises(CommandRefused, match="missing"):
        await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), missing])

    assert await host.hypervisor.active_tops(MACHINE) == {ROOT: host.path(ROOT), DATA: host.path(DATA)}


async def test_a_switch_that_failed_leaves_no_file_open(host: Host) -> None:
    await host.started()
    missing = replace(host.switch(DATA), new_path=host.directory / "missing.qcow2")

    with pytest.raises(CommandRefused):
        await host.hypervisor.switch_tops(MACHINE, [host.switch(ROOT), missing])

    assert host.open_disks() == {host.path(ROOT), host.path(DATA)}


async def test_a_switch_from_a_file_that_is_not_the_top_is_refused(host: Host) -> None:
    await host.started()
    host.switch(DATA)

    with pytest.raises(SwitchRefused, match=DATA):
        await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA, 2)])


async def test_a_new_server_switches_on_from_the_present_top(host: Host) -> None:
    await host.started()
    await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA)])

    await host.reopen()
    await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA, 2)])

    assert (await host.hypervisor.active_tops(MACHINE))[DATA] == host.path(DATA, 2)


async def test_a_machine_that_is_gone_has_no_tops(host: Host) -> None:
    assert await host.hypervisor.active_tops(MACHINE) == {}


async def test_a_disk_taken_by_force_is_closed_with_all_its_files(host: Host) -> None:
    await host.started()
    await host.hypervisor.switch_tops(MACHINE, [host.switch(DATA)])

    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert host.open_disks() == {host.path(ROOT)}


async def test_a_guest_goes_on_when_a_disk_is_taken_by_force(host: Host) -> None:
    await host.writing()

    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    await host.written_anew()


async def test_a_disk_that_leaves_after_the_deadline_is_closed(host: Host) -> None:
    await host.started()
    with pytest.raises(DeviceBusy):
        await host.hypervisor.detach_disk(MACHINE, DATA, force=False)

    # The firmware lets go of what was asked for.
    await host.hypervisor.reset(MACHINE)

    async with asyncio.timeout(DEADLINE_S):
        while host.open_disks() != {host.path(ROOT)}:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)
    assert set(await host.hypervisor.active_tops(MACHINE)) == {ROOT}


async def test_a_file_that_cannot_be_opened_is_not_attached(host: Host) -> None:
    await host.started()
    disk = boot_sector.machine_disk("vol-0000000000000000c", host.directory / "missing.qcow2")

    with pytest.raises(CommandRefused, match="missing"):
        await host.hypervisor.attach_disk(MACHINE, disk)

    assert (await host.hypervisor.observe())[0].volume_ids == {ROOT, DATA}


async def test_what_the_guest_wrote_is_in_the_file_after_a_kill(host: Host) -> None:
    await host.writing()

    await host.hypervisor.kill(MACHINE)

    host.assert_one_point_in_time()


async def test_a_machine_that_a_crash_kept_from_being_recorded_is_found(host: Host) -> None:
    await host.started()
    (host.run.path / "machine.json").unlink()

    await host.reopen()

    assert [status.state for status in await host.hypervisor.observe()] == [MachineState.RUNNING]


async def test_a_machine_that_a_crash_kept_from_being_recorded_can_be_killed(host: Host) -> None:
    await host.started()
    before = host.process()
    (host.run.path / "machine.json").unlink()

    await host.reopen()
    await host.hypervisor.kill(MACHINE)

    assert not process.is_running(before.pid, before.start_time)


async def test_a_machine_whose_monitor_is_taken_runs_unanswering(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.drivers.hypervisor.qemu.fleet._LOOK_PATIENCE_S", 0.2)
    await host.started()
    squatter = host.hypervisor
    host.hypervisor = QemuHypervisor(host.home, accelerator="tcg")

    (status,) = await host.hypervisor.observe()

    await squatter.close()
    assert status == MachineStatus(
        machine_id=MACHINE, state=MachineState.RUNNING, volume_ids=frozenset({ROOT, DATA}), answers=False
    )


async def test_a_connection_that_broke_is_opened_again(host: Host) -> None:
    await host.started()
    client = host.hypervisor._fleet.machines[MACHINE].monitor._client
    assert client is not None
    await client.disconnect()

    assert set(await host.hypervisor.active_tops(MACHINE)) == {ROOT, DATA}


async def test_a_machine_reset_half_by_a_server_that_crashed_runs_on(host: Host) -> None:
    await host.started()
    await host.hypervisor.press_power_button(MACHINE)
    await host.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)
    monitor = host.hypervisor._fleet.machines[MACHINE].monitor
    for task in host.hypervisor._fleet.machines[MACHINE]._tasks:
        task.cancel()
    await monitor.execute("system_reset")

    await host.reopen()

    await host.hypervisor.observe()
    await console_shows(host.hypervisor, MACHINE, b"KBK")


async def test_a_home_below_a_long_path_works(tmp_path: Path) -> None:
    hypervisor = QemuHypervisor(tmp_path / ("h" * 120), accelerator="tcg")

    await hypervisor.start(machine_spec(MACHINE, bootable_disk(tmp_path, ROOT)))

    await console_shows(hypervisor, MACHINE, b"K")
    await hypervisor.kill(MACHINE)
    await hypervisor.close()


async def test_the_sockets_of_a_machine_are_private(host: Host) -> None:
    await host.started()

    modes = {stat.S_IMODE((host.run.path / name).stat().st_mode) for name in SOCKETS}
    assert modes == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_qemu_runs_as_the_user_it_is_told(open_directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    hypervisor = QemuHypervisor(open_directory, accelerator="tcg", user=UnixUser(nobody.pw_uid, nobody.pw_gid))
    disk = bootable_disk(open_directory, ROOT)
    os.chown(disk.connection.path, nobody.pw_uid, nobody.pw_gid)
    try:
        await hypervisor.start(machine_spec(MACHINE, disk))
        await console_shows(hypervisor, MACHINE, b"K")
        found = RunDirectory(open_directory / "machines" / MACHINE).running_process()
        assert found is not None
        status = await asyncio.to_thread(Path(f"/proc/{found.pid}/status").read_text, encoding="utf-8")
    finally:
        await hypervisor.kill(MACHINE)
        await hypervisor.close()

    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (lines["Uid"].split(), lines["CapEff"]) == ([str(nobody.pw_uid)] * 4, "0" * 16)


async def test_the_test_guest_runs_under_emulation() -> None:
    verdict = await accelerator.prove("tcg", binary="qemu-system-x86_64", user=None)

    assert verdict.reason == "A test guest ran under tcg."


async def test_capabilities_name_what_was_found() -> None:
    capabilities = await QemuHypervisor(Path("/nonexistent"), accelerator="tcg").capabilities()

    assert (capabilities.accelerator, capabilities.isolates) == ("tcg", False)
    assert "legacy-bios" in capabilities.guests["x86_64"].boot_modes
    assert capabilities.guests["i386"] == capabilities.guests["x86_64"]


async def test_a_machine_killed_from_outside_is_gone(host: Host) -> None:
    await host.started()

    os.kill(host.process().pid, signal.SIGKILL)

    assert await host.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)


async def test_a_machine_whose_monitor_is_silent_runs_and_does_not_answer(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.started()
    monkeypatch.setattr(monitor, "ANSWER_DEADLINE_S", 0.2)

    os.kill(host.process().pid, signal.SIGSTOP)

    assert [(it.state, it.answers) for it in await host.hypervisor.observe()] == [(MachineState.RUNNING, False)]
