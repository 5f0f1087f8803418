"""The snapshot archive port: a folder with one packed image for each snapshot.

A packed image is compressed, leaves out what is empty and carries a digest of every block (`pack.py`), so that one that
has gone bad in years of lying there is told from one that has not. One that is encrypted lies there as encrypted.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes import durable
from bakehouse.ports.disk_files import DiskFiles, NotAPack
from bakehouse.ports.snapshot_archive import ArchiveDamaged, NoSuchArchive, Progress

_SUFFIX: Final = ".pack"
_FOLDER_MODE: Final = 0o700


class PackedArchive:
    """Fulfils `bakehouse.ports.snapshot_archive.SnapshotArchive` over a volume store's disk files."""

    def __init__(self, folder: Path, disk_files: DiskFiles) -> None:
        """Make the folder where it is missing, and remove what a crash left half-written. Blocks for a moment."""
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        for unfinished in folder.glob("*" + durable.UNFINISHED):
            unfinished.unlink()
        self._folder = folder
        self._disk_files = disk_files
        self._known = {path.stem for path in folder.glob("*" + _SUFFIX)}

    async def put(self, snapshot_id: str, progress: Progress) -> None:
        """Pack a snapshot: see the port."""
        if snapshot_id not in self._known:
            await self._disk_files.archive(self._path(snapshot_id), snapshot_id, progress=progress)
            self._known.add(snapshot_id)

    async def take_out(self, snapshot_id: str, progress: Progress) -> None:
        """Unpack a snapshot: see the port."""
        if snapshot_id not in self._known:
            raise NoSuchArchive(snapshot_id)
        try:
            await self._disk_files.unarchive(self._path(snapshot_id), snapshot_id, progress=progress)
        except NotAPack as err:
            raise ArchiveDamaged(str(err)) from err

    async def discard(self, snapshot_id: str) -> None:
        """Remove a pack: see the port."""
        if snapshot_id in self._known:
            await asyncio.to_thread(durable.remove, self._path(snapshot_id))
            self._known.discard(snapshot_id)

    async def verify(self, snapshot_id: str) -> None:
        """Read a pack to its end: see the port."""
        if snapshot_id not in self._known:
            raise NoSuchArchive(snapshot_id)
        try:
            await self._disk_files.verify(self._path(snapshot_id))
        except NotAPack as err:
            raise ArchiveDamaged(str(err)) from err
        except FileNotFoundError as err:
            raise NoSuchArchive(snapshot_id) from err

    async def sizes(self) -> Mapping[str, int]:
        """Look at every pack: see the port."""
        return await asyncio.to_thread(self._sizes)

    async def ids(self) -> frozenset[str]:
        """List the packs: see the port."""
        return frozenset(self._known)

    def _sizes(self) -> dict[str, int]:
        sizes = {}
        for path in self._folder.glob("*" + _SUFFIX):
            with suppress(FileNotFoundError):  # discarded meanwhile
                sizes[path.stem] = path.stat().st_blocks * 512
        return sizes

    def _path(self, snapshot_id: str) -> Path:
        return self._folder / (snapshot_id + _SUFFIX)
