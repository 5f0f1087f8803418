"""The snapshot blocks port without disks: it keeps what is written through it, in memory or in files.

Snapshots of volumes have no blocks of their own, since nobody writes to a volume here; who descends from whom is known.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from bakehouse.ports.snapshot_blocks import (
    BLOCK_BYTES,
    NoSuchUpload,
    UnrelatedSnapshots,
    WrittenBlocks,
    WrongBlocks,
)
from bakehouse.ports.volumes import NoSuchSnapshot

_ZEROS: Final = bytes(BLOCK_BYTES)


class FakeUpload(msgspec.Struct, kw_only=True):
    """A snapshot that is being written."""

    size_bytes: int
    parent_id: str | None
    last_written_at: float
    key_id: str | None = None


class Lineage(msgspec.Struct, kw_only=True):
    """Who descends from whom: a part of the fake store's state."""

    parents: dict[str, str] = {}
    """Snapshot to snapshot."""
    bases: dict[str, str] = {}
    """Volume to the snapshot below it."""
    uploads: dict[str, FakeUpload] = {}

    def snapshot_taken(self, volume_id: str, snapshot_id: str) -> None:
        """Take note of a snapshot of a volume: the next one descends from it."""
        if volume_id in self.bases:
            self.parents[snapshot_id] = self.bases[volume_id]
        self.bases[volume_id] = snapshot_id


class FakeSnapshotBlocks:
    """Fulfils `bakehouse.ports.snapshot_blocks.SnapshotBlocks`."""

    def __init__(
        self,
        directory: Path | None,
        *,
        lineage: Callable[[], Lineage],
        size_of: Callable[[str], int | None],
        put: Callable[[str, int], None],
        save: Callable[[], None],
        encrypt: Callable[[str, str | None], None],
    ) -> None:
        """Work on a fake store.

        Args:
            directory: Holds what is written; None for memory only.
            lineage: The part of the store's state that is kept here.
            size_of: Returns a snapshot's size in bytes, None without one.
            put: Makes a snapshot of a size.
            save: Keeps the store's state.
            encrypt: Keeps the key that a snapshot is encrypted with.
        """
        self._directory = directory
        self._lineage_now = lineage
        self._size_of = size_of
        self._put = put
        self._save = save
        self._encrypt = encrypt
        self._in_memory: dict[str, dict[int, bytes]] = {}

    @property
    def _lineage(self) -> Lineage:
        return self._lineage_now()

    async def blocks(self, snapshot_id: str) -> Sequence[int]:
        """Return the blocks with data: see the port."""
        found: dict[int, bool] = {}
        for each in self._chain(snapshot_id):
            for index in self._indexes(each):
                if index not in found:
                    found[index] = self._block(each, index) != _ZEROS
        return sorted(index for index, has_data in found.items() if has_data)

    async def changed_blocks(self, first_id: str, second_id: str) -> Sequence[int]:
        """Return the blocks that were written: see the port."""
        first, second = list(self._chain(first_id)), list(self._chain(second_id))
        shared = set(first) & set(second)
        if not shared:
            raise UnrelatedSnapshots
        return sorted({index for each in {*first, *second} - shared for index in self._indexes(each)})

    async def read(self, snapshot_id: str, index: int) -> tuple[bytes, bytes]:
        """Return a block and its digest: see the port."""
        for each in self._chain(snapshot_id):
            block = self._block(each, index)
            if block is not None:
                return block, sha256(block).digest()
        return _ZEROS, sha256(_ZEROS).digest()

    async def begin(
        self, snapshot_id: str, *, size_bytes: int, parent_id: str | None, key_id: str | None = None
    ) -> None:
        """Begin an upload: see the port.

        Raises:
            ValueError: The size is no number of blocks, or less than the parent's.
            NoSuchSnapshot: Nothing was begun.
        """
        if snapshot_id in self._lineage.uploads or self._size_of(snapshot_id) is not None:
            return
        least = 0 if parent_id is None else self._size_of(parent_id)
        if least is None:
            raise NoSuchSnapshot(parent_id)
        if size_bytes <= 0 or size_bytes % BLOCK_BYTES or size_bytes < least:
            raise ValueError(f"a snapshot cannot have {size_bytes} bytes")
        upload = FakeUpload(size_bytes=size_bytes, parent_id=parent_id, last_written_at=time.time(), key_id=key_id)
        self._lineage.uploads[snapshot_id] = upload
        self._save()

    async def write(self, snapshot_id: str, index: int, data: bytes, *, digest: bytes) -> None:
        """Write a block: see the port."""
        upload = self._upload(snapshot_id)
        if len(data) != BLOCK_BYTES or not 0 <= index < upload.size_bytes // BLOCK_BYTES:
            raise ValueError(f"{len(data)} bytes are no block {index} of {upload.size_bytes} bytes")
        if sha256(data).digest() != digest:
            raise WrongBlocks("the data has another checksum")
        if self._directory is None:
            self._in_memory.setdefault(snapshot_id, {})[index] = data
        else:
            folder = self._directory / snapshot_id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(index)).write_bytes(data)
        upload.last_written_at = time.time()
        self._save()

    async def written(self, snapshot_id: str) -> WrittenBlocks:
        """Tell what was written: see the port."""
        upload = self._upload(snapshot_id)
        digests = [
            sha256(block).digest()
            for index in sorted(self._indexes(snapshot_id))
            if (block := self._block(snapshot_id, index)) is not None
        ]
        return WrittenBlocks(
            count=len(digests), digest=sha256(b"".join(digests)).digest(), last_written_at=upload.last_written_at
        )

    async def complete(self, snapshot_id: str) -> None:
        """Make an upload a snapshot: see the port."""
        if self._size_of(snapshot_id) is not None:
            return
        upload = self._upload(snapshot_id)
        if upload.parent_id is not None:
            self._lineage.parents[snapshot_id] = upload.parent_id
        del self._lineage.uploads[snapshot_id]
        self._encrypt(snapshot_id, upload.key_id)
        self._put(snapshot_id, upload.size_bytes)

    async def cancel(self, snapshot_id: str) -> None:
        """Forget an upload: see the port."""
        if self._lineage.uploads.pop(snapshot_id, None) is None:
            return
        self._in_memory.pop(snapshot_id, None)
        if self._directory is not None:
            for block in (self._directory / snapshot_id).glob("*"):
                block.unlink()
        self._save()

    async def uploads(self) -> frozenset[str]:
        """Return all uploads: see the port."""
        return frozenset(self._lineage.uploads)

    def _chain(self, snapshot_id: str) -> Iterator[str]:
        if self._size_of(snapshot_id) is None:
            raise NoSuchSnapshot(snapshot_id)
        at: str | None = snapshot_id
        while at is not None:
            yield at
            at = self._lineage.parents.get(at)

    def _indexes(self, snapshot_id: str) -> list[int]:
        if self._directory is None:
            return list(self._in_memory.get(snapshot_id, ()))
        return [int(path.name) for path in (self._directory / snapshot_id).glob("*")]

    def _block(self, snapshot_id: str, index: int) -> bytes | None:
        if self._directory is None:
            return self._in_memory.get(snapshot_id, {}).get(index)
        path = self._directory / snapshot_id / str(index)
        return path.read_bytes() if path.exists() else None

    def _upload(self, snapshot_id: str) -> FakeUpload:
        upload = self._lineage.uploads.get(snapshot_id)
        if upload is None:
            raise NoSuchUpload(snapshot_id)
        return upload
