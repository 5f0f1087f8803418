"""The volume port without bytes: it keeps what the contract lets a caller see, in memory or in one file."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bakehouse.drivers.volumes import inspection, sizes
from bakehouse.drivers.volumes.fake.snapshot_blocks import FakeSnapshotBlocks, Lineage
from bakehouse.drivers.volumes.fake.upkeep import FakeUpkeep
from bakehouse.drivers.volumes.inspection import Found, Part
from bakehouse.ports.keys import KeyStore, KeyUnavailable
from bakehouse.ports.volumes import (
    ImportedDisk,
    NoSuchSnapshot,
    NoSuchVolume,
    SweepReport,
    VolumeConnection,
    VolumeInUse,
    VolumeInventory,
)


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    size_bytes: int
    source_format: str = "raw"


class _State(msgspec.Struct, kw_only=True):
    """What a restart must find again."""

    volume_sizes: dict[str, int] = {}
    snapshots: dict[str, _Snapshot] = {}
    keys: dict[str, str] = {}
    """What each volume and snapshot is encrypted with, those that are."""
    lineage: Lineage = msgspec.field(default_factory=Lineage)


class FakeVolumeStore:
    """Keeps no bytes. Fulfils `bakehouse.ports.volumes.VolumeStore`.

    Attributes:
        fixed_sizes: Ids of volumes whose machine is to be one that cannot see another size before its next start.
        in_use: Ids of volumes that a machine is to be taken to hold; a fake hypervisor or a test fills it.
    """

    def __init__(self, state_file: Path | None = None, *, keys: KeyStore | None = None) -> None:
        """Open the store.

        Args:
            state_file: Holds the state across restarts, made when it is missing; only memory by default.
            keys: What must have the keys that something is to be encrypted with; without it any will do.
        """
        self.in_use: set[str] = set()
        self.fixed_sizes: set[str] = set()
        self._keys = keys
        self._state_file = state_file
        self._state = _State()
        self.upkeep = FakeUpkeep(lambda: self._state.volume_sizes, lambda: self._state.snapshots)
        self.blocks = FakeSnapshotBlocks(
            None if state_file is None else state_file.with_name(state_file.name + ".blocks"),
            lineage=lambda: self._state.lineage,
            size_of=self.snapshot_size,
            put=self.put_snapshot,
            encrypt=self._encrypt,
            save=self._save,
        )
        if state_file is not None and state_file.exists():
            self._state = msgspec.json.decode(state_file.read_bytes(), type=_State)

    async def create(
        self, volume_id: str, *, size_bytes: int, snapshot_id: str | None, key_id: str | None = None
    ) -> None:
        """Make a volume: see the port.

        Raises:
            ValueError: The size is not a positive multiple of 512, or less than the snapshot's. Nothing was made.
            NoSuchSnapshot: Nothing was made.
        """
        if volume_id in self._state.volume_sizes:
            return
        at_least = 0
        if snapshot_id is not None:
            snapshot = self._state.snapshots.get(snapshot_id)
            if snapshot is None:
                raise NoSuchSnapshot(snapshot_id)
            at_least = snapshot.size_bytes
        sizes.check(size_bytes, at_least=at_least)
        await self._require_key(key_id)
        self._state.volume_sizes[volume_id] = size_bytes
        if snapshot_id is not None:
            self._state.lineage.bases[volume_id] = snapshot_id
        self._encrypt(volume_id, key_id or self._state.keys.get(snapshot_id or ""))
        self._save()

    async def grow(self, volume_id: str, *, size_bytes: int, machine_id: str | None) -> None:
        """Enlarge a volume: see the port. One that only `in_use` knows a holder of is held by a stranger."""
        former = self._size(volume_id)
        sizes.check(size_bytes, at_least=former)
        if size_bytes == former:
            return
        if volume_id in self.fixed_sizes or (machine_id is None and volume_id in self.in_use):
            raise VolumeInUse(volume_id)
        self._state.volume_sizes[volume_id] = size_bytes
        self._save()

    async def delete(self, volume_id: str) -> None:
        """Forget a volume: see the port."""
        if volume_id in self.in_use:
            raise VolumeInUse(volume_id)
        if self._state.volume_sizes.pop(volume_id, None) is not None:
            self._state.keys.pop(volume_id, None)
            self._save()

    async def connect(self, volume_id: str) -> VolumeConnection:
        """Return a connection that only a fake hypervisor opens."""
        return VolumeConnection(driver="fake", path=volume_id, format="raw", size_bytes=self._size(volume_id))

    async def snapshot(self, snapshots: Mapping[str, str], *, machine_id: str | None) -> None:  # noqa: ARG002 - the port's
        """Take snapshots at one point in time: see the port. Every point is the same to a volume without bytes."""
        missing = {v: s for v, s in snapshots.items() if s not in self._state.snapshots}
        taken = {s: _Snapshot(size_bytes=self._size(v)) for v, s in missing.items()}
        if taken:
            for volume_id, snapshot_id in missing.items():
                self._state.lineage.snapshot_taken(volume_id, snapshot_id)
                self._encrypt(snapshot_id, self._state.keys.get(volume_id))
            self._state.snapshots.update(taken)
            self._save()

    async def copy_snapshot(self, source_id: str, snapshot_id: str, *, key_id: str | None = None) -> None:
        """Make a second snapshot of the same content: see the port."""
        if snapshot_id in self._state.snapshots:
            return
        source = self._state.snapshots.get(source_id)
        if source is None:
            raise NoSuchSnapshot(source_id)
        await self._require_key(key_id)
        self._state.snapshots[snapshot_id] = source
        self._state.lineage.parents[snapshot_id] = source_id
        self._encrypt(snapshot_id, key_id or self._state.keys.get(source_id))
        self._save()

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot: see the port."""
        await self.blocks.cancel(snapshot_id)
        if self._state.snapshots.pop(snapshot_id, None) is not None:
            self._state.keys.pop(snapshot_id, None)
            self._save()

    async def import_file(
        self,
        snapshot_id: str,
        path: Path,
        *,
        disk: int = 0,
        expected_format: str | None = None,
        key_id: str | None = None,
        progress: Callable[[float], None] | None = None,
        stage: Callable[[str], None] | None = None,
    ) -> ImportedDisk:
        """Inspect a file as the real store does, and remember its size.

        Raises:
            UnsafeImage: Nothing was made.
            OSError: The file cannot be opened. Nothing was made.
        """
        snapshot = self._state.snapshots.get(snapshot_id)
        if snapshot is None:
            if stage is not None:
                stage("validating")
            found, part = await asyncio.to_thread(_looked_at, path, disk, expected_format)
            snapshot = _Snapshot(size_bytes=part.disk.size_bytes, source_format=found.format)
            await self._require_key(key_id)
            self.put_snapshot(snapshot_id, snapshot.size_bytes, snapshot.source_format, key_id=key_id)
            if progress is not None:
                progress(1.0)
        return ImportedDisk(size_bytes=snapshot.size_bytes, source_format=snapshot.source_format)

    def put_snapshot(
        self, snapshot_id: str, size_bytes: int, source_format: str = "raw", *, key_id: str | None = None
    ) -> None:
        """Take note of a snapshot that was made of a file."""
        self._encrypt(snapshot_id, key_id)
        self._state.snapshots[snapshot_id] = _Snapshot(size_bytes=size_bytes, source_format=source_format)
        self._save()

    def snapshot_size(self, snapshot_id: str) -> int | None:
        """Return a snapshot's size in bytes; None without one."""
        snapshot = self._state.snapshots.get(snapshot_id)
        return None if snapshot is None else snapshot.size_bytes

    async def key_of(self, resource_id: str) -> str | None:
        """Return the key that a volume or snapshot is encrypted with: see the port."""
        if resource_id.startswith("vol-"):
            self._size(resource_id)
        elif resource_id not in self._state.snapshots:
            raise NoSuchSnapshot(resource_id)
        return self._state.keys.get(resource_id)

    async def inventory(self) -> VolumeInventory:
        """List what there is: see the port."""
        return VolumeInventory(
            volume_ids=frozenset(self._state.volume_sizes), snapshot_ids=frozenset(self._state.snapshots)
        )

    async def sweep(self, *, remove: bool) -> SweepReport:  # noqa: ARG002 - nothing to find, nothing to remove
        """Find nothing: no bytes, no files."""
        return SweepReport(files=(), bytes_freed=0)

    async def _require_key(self, key_id: str | None) -> None:
        if key_id is not None and self._keys is not None and key_id not in await self._keys.ids():
            raise KeyUnavailable(f"the key {key_id} is not in the key store")

    def _encrypt(self, resource_id: str, key_id: str | None) -> None:
        if key_id is not None:
            self._state.keys[resource_id] = key_id

    def _size(self, volume_id: str) -> int:
        size_bytes = self._state.volume_sizes.get(volume_id)
        if size_bytes is None:
            raise NoSuchVolume(volume_id)
        return size_bytes

    def _save(self) -> None:
        """Replace the file as a whole, so that a killed process leaves the old or the new.

        Not brought to disk: a simulation need not outlive a power cut, and this takes a tenth of a millisecond,
        which is why it needs no thread.
        """
        if self._state_file is None:
            return
        unfinished = self._state_file.with_name(self._state_file.name + ".tmp")
        unfinished.write_bytes(msgspec.json.encode(self._state))
        unfinished.replace(self._state_file)


def _looked_at(path: Path, disk: int, expected_format: str | None) -> tuple[Found, Part]:
    fd = inspection.open_regular(path)
    try:
        found = inspection.look(fd, expected_format)
    finally:
        os.close(fd)
    return found, found.part(disk)
