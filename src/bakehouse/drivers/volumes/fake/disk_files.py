"""The disk file port without bytes: its files are of the right format and size, and empty."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bakehouse.drivers.volumes import inspection, sizes
from bakehouse.drivers.volumes.fake import empty_files
from bakehouse.drivers.volumes.fake.store import FakeVolumeStore
from bakehouse.ports.disk_files import ExaminedFile, ExportFormat, NotAPack, PackContents
from bakehouse.ports.volumes import NoSuchSnapshot

_PACK: Final = "bakehouse simulated pack"


class FakeDiskFiles:
    """Fulfils `bakehouse.ports.disk_files.DiskFiles` over a `FakeVolumeStore`."""

    def __init__(self, volumes: FakeVolumeStore) -> None:
        self._volumes = volumes

    async def examine(self, path: Path, *, expected_format: str | None = None) -> ExaminedFile:
        """Look at a file as the real driver does: see the port."""
        return await asyncio.to_thread(inspection.examine, path, expected_format)

    async def export(
        self,
        snapshot_id: str,
        path: Path,
        *,
        file_format: ExportFormat,
        progress: Callable[[float], None] | None = None,
    ) -> int:
        """Write an empty disk of the snapshot's size: see the port."""
        size_bytes = self._size(snapshot_id)
        sizes.check_exportable(size_bytes, file_format)
        start = empty_files.start_of(file_format, size_bytes)
        length = size_bytes if file_format is ExportFormat.RAW else len(start)
        await asyncio.to_thread(_write, path, start, length)
        if progress is not None:
            progress(1.0)
        return length

    async def pack(
        self,
        path: Path,
        document: Mapping[str, Any],
        snapshot_ids: Sequence[str],
        *,
        progress: Callable[[float], None] | None = None,
    ) -> int:
        """Write the document and the sizes: see the port."""
        disk_sizes = [self._size(snapshot_id) for snapshot_id in snapshot_ids]
        pack = json.dumps({"format": _PACK, "document": dict(document), "sizes": disk_sizes}).encode()
        await asyncio.to_thread(_write, path, pack, len(pack))
        if progress is not None:
            progress(1.0)
        return len(pack)

    async def contents(self, path: Path) -> PackContents:
        """Read the document and the sizes: see the port."""
        try:
            pack = json.loads(await asyncio.to_thread(path.read_bytes))
        except ValueError as err:
            raise NotAPack("it is no packed image") from err
        if not isinstance(pack, dict) or pack.get("format") != _PACK:
            raise NotAPack("it is no packed image")
        return PackContents(document=pack["document"], disk_sizes_bytes=tuple(pack["sizes"]))

    async def verify(self, path: Path, *, progress: Callable[[float], None] | None = None) -> None:
        """Read the document and the sizes: see the port."""
        await self.contents(path)
        if progress is not None:
            progress(1.0)

    async def unpack(
        self, path: Path, snapshot_ids: Sequence[str], *, progress: Callable[[float], None] | None = None
    ) -> None:
        """Make snapshots of these sizes: see the port."""
        disk_sizes = (await self.contents(path)).disk_sizes_bytes
        if len(snapshot_ids) != len(disk_sizes):
            raise ValueError(f"{len(snapshot_ids)} ids for {len(disk_sizes)} disks")
        for snapshot_id, size_bytes in zip(snapshot_ids, disk_sizes, strict=True):
            if self._volumes.snapshot_size(snapshot_id) is None:
                self._volumes.put_snapshot(snapshot_id, size_bytes)
        if progress is not None:
            progress(1.0)

    async def archive(self, path: Path, snapshot_id: str, *, progress: Callable[[float], None] | None = None) -> int:
        """Write the size, and the key: see the port."""
        self._size(snapshot_id)
        document = {"key_id": await self._volumes.key_of(snapshot_id)}
        return await self.pack(path, document, [snapshot_id], progress=progress)

    async def unarchive(self, path: Path, snapshot_id: str, *, progress: Callable[[float], None] | None = None) -> None:
        """Make a snapshot of that size: see the port."""
        contents = await self.contents(path)
        if self._volumes.snapshot_size(snapshot_id) is None:
            self._volumes.put_snapshot(
                snapshot_id, contents.disk_sizes_bytes[0], key_id=contents.document.get("key_id")
            )
        if progress is not None:
            progress(1.0)

    def _size(self, snapshot_id: str) -> int:
        size_bytes = self._volumes.snapshot_size(snapshot_id)
        if size_bytes is None:
            raise NoSuchSnapshot(snapshot_id)
        return size_bytes


def _write(path: Path, start: bytes, length: int) -> None:
    path.touch(mode=0o600)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(length)
