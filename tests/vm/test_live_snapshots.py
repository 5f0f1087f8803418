"""Snapshots of a machine that really runs: the qcow2 store and QEMU together, with a guest that counts."""

import os
import pwd
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.vm import boot_sector
from tests.vm.boot_sector import DISK_BYTES, counters
from tests.vm.counting_host import CLONE, DATA, MACHINE, ROOT, SNAPSHOTS, Host, counting_host

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore, TopSwitch
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.ports.volumes import VolumeInUse

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with counting_host(tmp_path, None) as made:
        yield made


async def test_snapshots_of_two_disks_are_of_one_moment(host: Host) -> None:
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)

    first, second = await host.snapshot_counters()
    # The guest writes each number to the first disk, then to the second.
    assert 0 <= max(first) - max(second) <= 1


async def test_a_snapshot_stands_still_while_the_guest_writes_on(host: Host) -> None:
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
    before = await host.snapshot_counters()

    await host.written_anew()

    assert [counters(await host.path(f"vol-{number}"), host.directory) for number in (0, 1)] == list(before)


async def test_the_volumes_of_a_killed_machine_hold_what_it_wrote_since(host: Host) -> None:
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
    last = max((await host.snapshot_counters())[1])
    await host.written_anew()

    await host.hypervisor.kill(MACHINE)

    assert min(counters(await host.path(DATA), host.directory)) > last


async def test_a_machine_boots_from_the_snapshot_of_another_that_runs_on(host: Host) -> None:
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
    await host.store.create("vol-c", size_bytes=DISK_BYTES, snapshot_id=SNAPSHOTS[ROOT])

    await host.hypervisor.start(await host.spec(CLONE, "vol-c"))

    await boot_sector.console_shows(host.hypervisor, CLONE, b"K")


async def test_a_volume_of_a_running_machine_is_not_deleted(host: Host) -> None:
    with pytest.raises(VolumeInUse):
        await host.store.delete(ROOT)


async def test_a_volume_of_a_running_machine_is_not_sealed_behind_its_back(host: Host) -> None:
    with pytest.raises(VolumeInUse):
        await host.store.snapshot({ROOT: "snap-c"}, machine_id=None)


async def test_a_store_reopened_after_a_lost_answer_completes_the_same_snapshots(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_tops = host.hypervisor.switch_tops

    async def losing(machine_id: str, switches: Sequence[TopSwitch]) -> None:
        await switch_tops(machine_id, switches)
        raise MonitorLost(machine_id)

    with monkeypatch.context() as patch:
        patch.setattr(host.hypervisor, "switch_tops", losing)
        with pytest.raises(MonitorLost):
            await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
    host.store = Qcow2VolumeStore(host.directory / "home" / "volumes", live=host.hypervisor, owner=None)

    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)

    first, second = await host.snapshot_counters()
    assert 0 <= max(first) - max(second) <= 1


async def test_a_sweep_takes_nothing_from_a_running_machine(host: Host) -> None:
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)

    report = await host.store.sweep(remove=True)

    assert report.files == ()


async def test_snapshot_after_snapshot_the_machine_writes_on(host: Host) -> None:
    for number in range(5):
        await host.store.snapshot({ROOT: f"snap-a{number}", DATA: f"snap-b{number}"}, machine_id=MACHINE)

    await host.written_anew()

    assert await host.path(DATA) == host.directory / "home" / "volumes" / "layers" / f"{DATA}.5.qcow2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_qemu_as_another_user_writes_on_after_a_snapshot(open_directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    async with counting_host(open_directory, (nobody.pw_uid, nobody.pw_gid)) as host:
        await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
        await host.written_anew()
        await host.store.snapshot({ROOT: "snap-c", DATA: "snap-d"}, machine_id=MACHINE)

        await host.written_anew()

        frozen = open_directory / "home" / "volumes" / "layers" / f"{DATA}.0.qcow2"
        assert (frozen.owner(), frozen.stat().st_mode & 0o777) == ("root", 0o444)
