"""Files that are made to harm: each is refused in under a second, with a reason, and leaves nothing behind."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract import hostile_archives, hostile_disks
from tests.contract.hostile_disks import Make

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.volumes import SweepReport, UnsafeImage

#: A second at the most on a host with nothing else to do; one that works at other things may take its time.
LONGEST_S = 20.0

SHAPES = {**hostile_disks.SHAPES, **hostile_archives.SHAPES}


@pytest.fixture
def store(tmp_path: Path) -> Qcow2VolumeStore:
    (tmp_path / "home").mkdir()
    return Qcow2VolumeStore(tmp_path / "home", live=NoLiveDisks(), owner=None, reserve_bytes=0)


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for the file, and remove what may pretend to be large."""
    folder = tmp_path / "from"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(("make", "why"), SHAPES.values(), ids=list(SHAPES))
async def test_a_hostile_file_is_refused_at_once_and_leaves_nothing(
    store: Qcow2VolumeStore, spare: Path, make: Make, why: str
) -> None:
    make(spare / "file")
    begun = time.monotonic()

    with pytest.raises(UnsafeImage, match=why) as refusal:
        await store.import_file("snap-1", spare / "file")

    assert time.monotonic() - begun < LONGEST_S
    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)
    assert (await store.inventory()).snapshot_ids == frozenset()
    assert str(spare.parent) not in str(refusal.value)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.endswith(("cut short", "million times"))])
async def test_examining_refuses_what_importing_does(store: Qcow2VolumeStore, spare: Path, shape: str) -> None:
    make, why = SHAPES[shape]
    make(spare / "file")

    with pytest.raises(UnsafeImage, match=why):
        await store.files.examine(spare / "file")
