"""Volumes that grow below a machine that really runs, as far as its kind of disk lets them."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.vm.boot_sector import DISK_BYTES, counters
from tests.vm.counting_host import DATA, MACHINE, ROOT, Host, counting_host

from bakehouse.drivers.hypervisor.qemu.live_disks import look
from bakehouse.drivers.volumes import qcow2_header
from bakehouse.ports.hypervisor import DiskBus
from bakehouse.ports.volumes import VolumeInUse

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with counting_host(tmp_path, None, bus=DiskBus.VIRTIO) as made:
        yield made


async def size_in_machine(host: Host, volume_id: str) -> int:
    """Return the size that the machine's device has now."""
    machine = host.hypervisor._fleet.machines[MACHINE]
    return (await look(machine.monitor)).disks[volume_id].size_bytes


async def test_a_virtio_disk_grows_while_its_guest_runs(host: Host) -> None:
    await host.store.grow(DATA, size_bytes=4 * DISK_BYTES, machine_id=MACHINE)

    assert (await size_in_machine(host, DATA), await size_in_machine(host, ROOT)) == (4 * DISK_BYTES, DISK_BYTES)


async def test_the_guest_writes_on_while_its_disk_grows(host: Host) -> None:
    before = max(counters(await host.path(DATA), host.directory))

    await host.store.grow(DATA, size_bytes=4 * DISK_BYTES, machine_id=MACHINE)
    await host.written_anew()

    await host.hypervisor.kill(MACHINE)
    assert min(counters(await host.path(DATA), host.directory)) > before


async def test_a_disk_that_grew_is_snapshotted_and_merged_as_others(host: Host) -> None:
    await host.store.grow(DATA, size_bytes=4 * DISK_BYTES, machine_id=MACHINE)
    for number in range(14):
        await host.store.snapshot({ROOT: f"snap-{number}a", DATA: f"snap-{number}b"}, machine_id=MACHINE)

    while await host.store.upkeep.tend() is not None:
        pass

    await host.store.create("vol-9", size_bytes=4 * DISK_BYTES, snapshot_id="snap-13b")
    assert (await host.store.connect("vol-9")).size_bytes == 4 * DISK_BYTES
    assert max((await host.hypervisor.chain_depths()).values()) <= 12


async def test_a_snapshot_that_was_cut_short_does_not_keep_a_disk_from_growing(host: Host) -> None:
    await host.store.snapshot({DATA: "snap-1"}, machine_id=MACHINE)

    await host.store.grow(DATA, size_bytes=2 * DISK_BYTES, machine_id=MACHINE)

    with (await host.path(DATA)).open("rb") as top:
        assert qcow2_header.read(top.fileno())[0].size_bytes == 2 * DISK_BYTES


async def test_an_nvme_disk_grows_when_its_machine_has_let_go(tmp_path: Path) -> None:
    async with counting_host(tmp_path, None) as host:
        with pytest.raises(VolumeInUse):
            await host.store.grow(DATA, size_bytes=2 * DISK_BYTES, machine_id=MACHINE)
        await host.hypervisor.kill(MACHINE)

        await host.store.grow(DATA, size_bytes=2 * DISK_BYTES, machine_id=MACHINE)

        assert (await host.store.connect(DATA)).size_bytes == 2 * DISK_BYTES


async def test_a_virtio_disk_is_taken_by_force_as_others(host: Host) -> None:
    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert set(await host.hypervisor.active_tops(MACHINE)) == {ROOT}
