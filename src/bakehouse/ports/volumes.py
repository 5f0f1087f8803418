"""The volume port: bytes of volumes and snapshots, named by EC2's own ids.

Every method may be repeated with the same ids and then changes nothing. What it acknowledges is on disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakehouse.ports.snapshot_blocks import SnapshotBlocks
from bakehouse.ports.storage_upkeep import StorageUpkeep


class NoSuchVolume(Exception):
    """There are no bytes under this volume id."""


class NoSuchSnapshot(Exception):
    """There are no bytes under this snapshot id."""


class VolumeInUse(Exception):
    """A machine holds the volume. Ask again when it let go."""


class StorageFull(Exception):
    """The host has no space left. What was asked for was not done; nothing half-made remains."""


class UnsafeImage(Exception):
    """A file from outside was refused. The text says what was found, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConnection:
    """How a hypervisor opens a volume: what Cinder calls connection info."""

    driver: str
    """`file`, for now."""
    path: str
    format: str
    """`qcow2` or `raw`; always passed on explicitly, never probed."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDisk:
    """What `import_file` made of a file."""

    size_bytes: int
    """The virtual size of the disk."""
    source_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInventory:
    """Every volume and snapshot that has bytes here."""

    volume_ids: frozenset[str]
    snapshot_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep removed, or would remove."""

    files: tuple[str, ...]
    bytes_freed: int


class VolumeStore(Protocol):
    """Keeps volumes and snapshots. A snapshot never copies a byte, nor does a volume made from one."""

    @property
    def upkeep(self) -> StorageUpkeep:
        """What the store does for itself in the background, and tells of its inside."""
        ...

    @property
    def blocks(self) -> SnapshotBlocks:
        """Blocks of snapshots, read and written one by one."""
        ...

    async def create(self, volume_id: str, *, size_bytes: int, snapshot_id: str | None) -> None:
        """Make a volume, empty or over a snapshot, at least as large as the snapshot. Milliseconds, no disk space.

        Raises:
            NoSuchSnapshot: Nothing was made.
            StorageFull: Nothing was made.
        """
        ...

    async def grow(self, volume_id: str, *, size_bytes: int, machine_id: str | None) -> None:
        """Enlarge a volume; the new part reads as zeroes. It has that size already: nothing happens.

        With `machine_id` it is a volume of that machine, whose guest sees the new size at once if the machine is live.

        Raises:
            NoSuchVolume: There is none.
            ValueError: It would become smaller, or has no whole sectors. Nothing changed.
            VolumeInUse: A process holds it that cannot be made to see another size. Ask again when it let go.
            StorageFull: Nothing changed.
        """
        ...

    async def delete(self, volume_id: str) -> None:
        """Forget a volume; its own bytes go with the next sweep, those that snapshots need stay. No volume: nothing.

        Raises:
            VolumeInUse: A machine holds it; nothing changed.
        """
        ...

    async def connect(self, volume_id: str) -> VolumeConnection:
        """Return how to open the volume's present top.

        Raises:
            NoSuchVolume: There is none.
        """
        ...

    async def snapshot(self, snapshots: Mapping[str, str], *, machine_id: str | None) -> None:
        """Take one snapshot of each volume, all at one point in time. Keys are volume ids, values snapshot ids.

        With `machine_id` the volumes are those of a machine, which writes on to new tops from that moment if it is
        live (one that is gone holds nothing); without, no machine may hold them. After a crash in the middle, the same
        call completes the same snapshots.

        Raises:
            NoSuchVolume: Nothing was taken.
            VolumeInUse: A process other than that machine holds one of them; nothing was taken.
            StorageFull: Nothing was taken.
        """
        ...

    async def copy_snapshot(self, source_id: str, snapshot_id: str) -> None:
        """Make a second snapshot with the content of another, which either outlives. No byte is copied.

        Raises:
            NoSuchSnapshot: There is no source, nor was the copy made before. Nothing was made.
            StorageFull: Nothing was made.
        """
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot. Volumes and snapshots above it lose nothing. No snapshot: nothing happens."""
        ...

    async def import_file(
        self,
        snapshot_id: str,
        path: Path,
        *,
        disk: int = 0,
        expected_format: str | None = None,
        progress: Callable[[float], None] | None = None,
        stage: Callable[[str], None] | None = None,
    ) -> ImportedDisk:
        """Inspect a file from outside and take a private copy of a disk in it as a snapshot.

        Formats: raw, qcow2, VMDK in one file, VHD, VHDX, and OVA. The file itself is left as it was.

        Args:
            snapshot_id: The snapshot to make.
            path: A regular file.
            disk: Which disk of an OVA, counted from 0 (`DiskFiles.examine` lists them); 0 for every other format.
            expected_format: A value of `disk_files.ImportFormat`; a file of another is refused. None takes any.
            progress: Called with a fraction from 0 to 1.
            stage: Called with a word for what begins: `validating`, `copying`, `converting`.

        Raises:
            UnsafeImage: The file names another file, has unknown features, is no disk, is not of the expected format
                or has no such disk; nothing was made.
            StorageFull: Nothing was made.
        """
        ...

    async def inventory(self) -> VolumeInventory:
        """List what has bytes here, for the reconciler to hold against the records."""
        ...

    async def sweep(self, *, remove: bool) -> SweepReport:
        """Find files that no volume or snapshot reaches, and remove them when asked to."""
        ...
