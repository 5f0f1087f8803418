"""Encrypted disks of a machine that really runs: the qcow2 store and QEMU together, with a guest that counts."""

import os
import pwd
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.encrypted_disks import content
from tests.memory_keys import MemoryKeys
from tests.vm import boot_sector
from tests.vm.boot_sector import DISK_BYTES, SECTOR
from tests.vm.counting_host import CLONE, DATA, KEY, MACHINE, ROOT, SNAPSHOTS, Host, counting_host

from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.ports.hypervisor import MachineDisk
from bakehouse.ports.storage_upkeep import Tended

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


@pytest.fixture
async def host(open_directory: Path) -> AsyncIterator[Host]:
    """Run machines as another user where that can be: the one that must get the keys."""
    owner = None
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        owner = (nobody.pw_uid, nobody.pw_gid)
    async with counting_host(open_directory, owner, keys=MemoryKeys()) as made:
        yield made


async def counted(host: Host, volume_id: str) -> list[int]:
    data = content(await host.store.connect(volume_id), host.directory)
    return [int.from_bytes(data[at : at + 4], "little") for at in range(512, 512 * 65, 512)]


def seen_from_outside(directory: Path, pid: int) -> dict[Path, bytes]:
    seen = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    return seen | {Path("cmdline"): Path(f"/proc/{pid}/cmdline").read_bytes()}


async def test_a_machine_lives_on_encrypted_disks(host: Host) -> None:
    """Boots, is snapshotted while it runs, has its chain merged below it, and a clone boots of its snapshot."""
    for number in range(12):
        await host.store.snapshot({ROOT: f"snap-a{number}", DATA: f"snap-b{number}"}, machine_id=MACHINE)
    await host.written_anew()
    tended = set()
    while (step := await host.store.upkeep.tend()) is not None:
        tended.add(step.did)
    await host.written_anew()
    await host.store.snapshot(SNAPSHOTS, machine_id=MACHINE)
    for number, snapshot_id in enumerate(SNAPSHOTS.values()):
        await host.store.create(f"vol-{number}", size_bytes=DISK_BYTES, snapshot_id=snapshot_id)

    await host.hypervisor.start(await host.spec(CLONE, "vol-0"))
    await boot_sector.console_shows(host.hypervisor, CLONE, b"K")

    assert {Tended.MERGED, Tended.REOPENED} <= tended <= {Tended.MERGED, Tended.REOPENED, Tended.SUMMED}
    await host.hypervisor.kill(CLONE)
    assert 0 <= max(await counted(host, "vol-0")) - max(await counted(host, "vol-1")) <= 1
    assert max(await counted(host, "vol-1")) > 0


async def test_a_disk_is_plugged_in_with_its_key(host: Host) -> None:
    await host.store.create("vol-c", size_bytes=DISK_BYTES, snapshot_id=None, key_id=KEY)
    disk = MachineDisk(volume_id="vol-0000000000000000c", connection=await host.store.connect("vol-c"))

    await host.hypervisor.attach_disk(MACHINE, disk)

    (machine,) = await host.hypervisor.observe()
    assert machine.volume_ids == {ROOT, DATA, "vol-0000000000000000c"}


async def test_neither_key_nor_data_are_in_any_file_or_argument(host: Host) -> None:
    connection = await host.store.connect(ROOT)
    assert connection.key is not None
    passphrase = connection.key.passphrase.encode()
    process = RunDirectory(host.directory / "home" / "machines" / MACHINE).running_process()
    assert process is not None

    seen = seen_from_outside(host.directory, process.pid)

    assert [path for path, data in seen.items() if passphrase in data] == []
    assert [path for path, data in seen.items() if SECTOR[:48] in data] == []
