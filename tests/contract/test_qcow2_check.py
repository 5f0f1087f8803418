"""A check of the storage finds what is damaged, missing or left over, and mends what concerns no data."""

import os
from pathlib import Path

import pytest
from tests.contract import disks
from tests.contract.disks import MIB, DiskMachine, filled_volume, held_open, opened, snapshot_content

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore
from bakehouse.ports.storage_upkeep import Finding, Severity

FROZEN = "vol-1.0.qcow2"
TOP = "vol-1.1.qcow2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path) -> Qcow2VolumeStore:
    """A store with a volume over one snapshot, which has its checksum."""
    store = opened(root, DiskMachine())
    await filled_volume(store, "vol-1", 1)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    while await store.upkeep.tend() is not None:
        pass
    return store


async def findings(store: Qcow2VolumeStore, *, repair: bool = False) -> tuple[Finding, ...]:
    return (await store.upkeep.check(repair=repair)).findings


def overwrite(path: Path, content: bytes, *, at: int) -> None:
    """Change a file as a failing disk does: its mode and its time stay."""
    before = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_of_a_sound_store_nothing_is_found(store: Qcow2VolumeStore) -> None:
    report = await store.upkeep.check(repair=False)

    assert (report.layers, report.findings, report.first_sums) == (2, (), 0)


async def test_data_that_changed_by_itself_is_found(store: Qcow2VolumeStore, root: Path) -> None:
    layer = root / "layers" / FROZEN
    overwrite(layer, b"x", at=layer.stat().st_size - 1)

    (found,) = await findings(store)

    assert (found.subject, found.severity, found.affects) == (FROZEN, Severity.LOST, ("snap-1", "vol-1"))


async def test_a_damaged_structure_is_found(store: Qcow2VolumeStore, root: Path) -> None:
    overwrite(root / "layers" / TOP, b"\xff" * 64, at=3 * (64 << 10))

    (found,) = await findings(store)

    assert (found.subject, found.severity, found.affects) == (TOP, Severity.LOST, ("vol-1",))


async def test_a_missing_layer_is_found(store: Qcow2VolumeStore, root: Path) -> None:
    (root / "layers" / FROZEN).unlink()

    (found,) = [it for it in await findings(store) if it.problem == "it is missing"]

    assert (found.subject, found.severity, found.affects) == (FROZEN, Severity.LOST, ("snap-1", "vol-1"))


async def test_a_file_that_nobody_needs_is_found_and_removed(store: Qcow2VolumeStore, root: Path) -> None:
    stray = root / "layers" / "vol-9.0.qcow2"
    disks.qemu_img("create", "-q", "-f", "qcow2", stray, str(MIB))

    found = [(it.subject, it.repaired) for it in await findings(store, repair=True)]

    assert (found, stray.exists()) == ([("layers/vol-9.0.qcow2", True)], False)


async def test_without_repair_nothing_is_removed(store: Qcow2VolumeStore, root: Path) -> None:
    stray = root / "incoming" / "left-over"
    stray.write_bytes(b"x")

    found = [(it.subject, it.repaired) for it in await findings(store)]

    assert (found, stray.exists()) == ([("incoming/left-over", False)], True)


async def test_space_that_a_killed_machine_left_is_mended(store: Qcow2VolumeStore, root: Path) -> None:
    top = root / "layers" / TOP
    # A cluster at the end that is counted as referred to, in the only block of counts, and that nothing refers to.
    os.truncate(top, 8 * (64 << 10))
    overwrite(top, b"\x00\x01", at=2 * (64 << 10) + 2 * 7)

    mended = [(it.subject, it.severity, it.repaired) for it in await findings(store, repair=True)]

    assert (mended, await findings(store)) == ([(TOP, Severity.WRONG, True)], ())


async def test_a_top_that_a_machine_writes_to_is_left_out(store: Qcow2VolumeStore) -> None:
    with held_open((await store.connect("vol-1")).path):
        report = await store.upkeep.check(repair=True)

    assert (report.in_use, report.findings) == ((TOP,), ())


async def test_a_layer_gets_its_checksum_from_the_first_check(root: Path) -> None:
    store = opened(root, DiskMachine())
    await filled_volume(store, "vol-1", 1)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    report = await store.upkeep.check(repair=False)

    assert (report.first_sums, report.findings) == (1, ())


async def test_a_merged_layer_has_its_own_checksum(root: Path, tmp_path: Path) -> None:
    store = opened(root, DiskMachine())
    await filled_volume(store, "vol-1", 1)
    for number in range(3):
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)
        await filled_again(store, number)
    await store.delete_snapshot("snap-0")
    await store.delete_snapshot("snap-1")
    while await store.upkeep.tend() is not None:
        pass

    assert await findings(store) == ()
    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == bytes([11]) * MIB


async def filled_again(store: Qcow2VolumeStore, number: int) -> None:
    disks.write((await store.connect("vol-1")).path, 10 + number, at=0, length=MIB)


@pytest.mark.usefixtures("store")
async def test_a_copy_of_the_store_with_other_holes_is_whole(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    disks.copy_tree(root, copy)

    assert await findings(opened(copy, DiskMachine())) == ()


async def test_progress_ends_at_one(store: Qcow2VolumeStore) -> None:
    seen: list[float] = []

    await store.upkeep.check(repair=False, progress=seen.append)

    assert (seen == sorted(seen), seen[-1]) == (True, 1.0)
