"""Calls of the qcow2 store that meet: sweeps, deletions and cancellations in the middle of others."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.contract.disks import MIB, DiskMachine, files, filled_volume, opened, volume_content

from bakehouse.drivers import process
from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Qcow2VolumeStore:
    return opened(root, DiskMachine())


class PausedTool:
    """Stops the store right before or after its tool has made a file, when no record names it yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, before: bool = False) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self._before = before
        self._run = process.run
        monkeypatch.setattr(process, "run", self.run)

    async def run(self, *arguments: Any, **options: Any) -> process.Completed:
        if self._before:
            await self.pause()
        done = await self._run(*arguments, **options)
        if not self._before:
            await self.pause()
        return done

    async def pause(self) -> None:
        self.reached.set()
        await self.go_on.wait()


@pytest.mark.parametrize("before", [True, False], ids=["before-its-file", "after-its-file"])
async def test_a_sweep_leaves_a_volume_alone_that_is_being_made(
    store: Qcow2VolumeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")
    tool = PausedTool(monkeypatch, before=before)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1"))
        await tool.reached.wait()
        await store.delete_snapshot("snap-1")
        await store.sweep(remove=True)
        tool.go_on.set()

    assert await volume_content(store, "vol-2", tmp_path) == b"\x07" * MIB


async def test_a_sweep_leaves_a_snapshot_alone_that_is_being_taken(
    store: Qcow2VolumeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled_volume(store, "vol-1", 7)
    tool = PausedTool(monkeypatch)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.snapshot({"vol-1": "snap-1"}, machine_id=None))
        await tool.reached.wait()
        await store.sweep(remove=True)
        tool.go_on.set()

    assert await volume_content(store, "vol-1", tmp_path) == b"\x07" * MIB


async def test_a_volume_cancelled_while_it_is_made_leaves_only_what_a_sweep_removes(
    store: Qcow2VolumeStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = PausedTool(monkeypatch)
    making = asyncio.create_task(store.create("vol-1", size_bytes=MIB, snapshot_id=None))
    await tool.reached.wait()

    making.cancel()
    await asyncio.wait({making})
    await store.sweep(remove=True)

    assert [path.name for path in files(root / "layers")] == []


async def test_one_volume_does_not_wait_for_another(store: Qcow2VolumeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.create("vol-2", size_bytes=MIB, snapshot_id=None)
    tool = PausedTool(monkeypatch)
    making = asyncio.create_task(store.create("vol-1", size_bytes=MIB, snapshot_id=None))
    await tool.reached.wait()

    await store.delete("vol-2")

    assert (making.done(), (await store.inventory()).volume_ids) == (False, frozenset())
    tool.go_on.set()
    await making
