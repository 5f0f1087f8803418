"""Disk files and objects when the server is killed, or the disk is full: nothing half-made is taken for whole."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.contract.disks import MIB, snapshot_content
from tests.contract.killing import Killed, killed_at
from tests.contract.test_qcow2_full_disk import NAMESPACE, can_make_namespaces

from bakehouse.drivers.objects import BucketStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.disk_files import ExportFormat
from bakehouse.ports.objects import ObjectAt

CONTENT = os.urandom(MIB)
PLACE = ObjectAt(bucket="images", key="a/disk")
Step = Callable[[Path], Awaitable[object]]


def opened(root: Path) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(root / "store", live=NoLiveDisks(), owner=None, reserve_bytes=0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store with a snapshot, once; files of it beside it."""
    root = tmp_path_factory.mktemp("prepared")
    asyncio.run(prepare(root))
    return root


async def prepare(root: Path) -> None:
    (root / "disk").write_bytes(CONTENT)
    store = opened(root)
    await store.import_file("snap-1", root / "disk")
    await store.files.export("snap-1", root / "disk.vmdk", file_format=ExportFormat.VMDK)
    await store.files.pack(root / "pack", {}, ["snap-1", "snap-1"])


async def export(root: Path) -> None:
    await opened(root).files.export("snap-1", root / "out", file_format=ExportFormat.QCOW2)


async def pack(root: Path) -> None:
    await opened(root).files.pack(root / "out", {}, ["snap-1"])


async def unpack(root: Path) -> None:
    await opened(root).files.unpack(root / "pack", ["snap-2", "snap-3"])


async def import_vmdk(root: Path) -> None:
    await opened(root).import_file("snap-2", root / "disk.vmdk")


@pytest.mark.slow
@pytest.mark.parametrize("call", [export, pack, unpack, import_vmdk])
async def test_what_was_killed_at_any_step_can_be_done_again_and_leaves_only_what_a_sweep_removes(
    tmp_path: Path, prepared: Path, call: Step
) -> None:
    for step in count():
        root = tmp_path / str(step)
        shutil.copytree(prepared, root)
        with killed_at(step) as begun:
            try:
                await call(root)
            except Killed:
                pass
            else:
                break
        restarted = opened(root)
        await restarted.sweep(remove=True)
        assert names_in(root / "store" / "incoming") == [], begun
        if (root / "out").exists():
            await restarted.import_file("snap-9", root / "out") if call is export else None

        await call(root)

        again = opened(root)
        for snapshot_id in (await again.inventory()).snapshot_ids:
            assert await snapshot_content(again, snapshot_id, MIB, tmp_path) == CONTENT, begun
    assert step > 0


async def test_an_object_put_when_killed_at_any_step_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(CONTENT)
    for step in count():
        buckets = tmp_path / str(step)
        (buckets / "images").mkdir(parents=True)
        with killed_at(step) as begun:
            try:
                await BucketStore(buckets=buckets, work=tmp_path / "work").put(tmp_path / "disk", PLACE)
            except Killed:
                pass
            else:
                break
        store = BucketStore(buckets=buckets, work=tmp_path / "work")
        if await store.exists(PLACE):
            assert await store.size(PLACE) == len(CONTENT), begun

        await store.put(tmp_path / "disk", PLACE)

        assert names_in(buckets / "images" / "a") == ["disk"], begun
    assert step > 0


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("full")
    disk = folder / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=3m none "$1" && exec "$3" "$4" "$1" "$2"'
    program = Path(__file__).with_name("full_disk_files.py")
    words: list[str | Path] = [*NAMESPACE, "sh", "-c", script, "sh", disk, folder, sys.executable, program]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.skipif(not can_make_namespaces(), reason="this host lets nobody make a namespace")
def test_a_full_disk_is_named_whatever_fills_it(outcome: dict[str, Any]) -> None:
    assert outcome["refused"] == outcome["asked"]


@pytest.mark.skipif(not can_make_namespaces(), reason="this host lets nobody make a namespace")
def test_nothing_half_made_is_left_on_a_full_disk(outcome: dict[str, Any]) -> None:
    assert outcome["left"] == ["store/layers/snap-1.0.raw", "store/snapshots/snap-1.json"]
