"""The volume port: bytes of volumes and snapshots, named by EC2's own ids.

Every method may be repeated with the same ids and then changes nothing. What it acknowledges is on disk.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
class LayerKey:
    """What opens a file that is encrypted (LUKS). Handed on in memory only: in no argument, file or message."""

    id: str
    passphrase: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBelow:
    """A file below a volume's own."""

    path: str
    format: str
    key: LayerKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeConnection:
    """How a hypervisor opens a volume: what Cinder calls connection info."""

    driver: str
    """`file`, for now."""
    path: str
    format: str
    """`qcow2` or `raw`; always passed on explicitly, never probed."""
    size_bytes: int
    key: LayerKey | None = None
    below: tuple[FileBelow, ...] = ()
    """All files below it, the upper first, of a volume of which a part is encrypted; else they are found by it."""


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
    """Keeps volumes and snapshots. A snapshot never copies a byte, nor does a volume made from one.

    A `key_id` is one of the key store's; what it encrypts cannot be read without the key store. Everything that opens
    or extends what is encrypted raises KeyUnavailable (`ports.keys`) where the key is gone; then nothing changed.
    """

    @property
    def upkeep(self) -> StorageUpkeep:
        """What the store does for itself in the background, and tells of its inside."""
        ...

    @property
    def blocks(self) -> SnapshotBlocks:
        """Blocks of snapshots, read and written one by one."""
        ...

    async def create(
        self, volume_id: str, *, size_bytes: int, snapshot_id: str | None, key_id: str | None = None
    ) -> None:
        """Make a volume, empty or over a snapshot, at least as large as the snapshot. Milliseconds, no disk space.

        With a key all that is written to it is encrypted; what it has of its snapshot stays as that is encrypted, or
        is not. Without one a volume over an encrypted snapshot is encrypted by the same key.

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

    async def copy_snapshot(self, source_id: str, snapshot_id: str, *, key_id: str | None = None) -> None:
        """Make a second snapshot with the content of another, which either outlives.

        No byte is copied, unless a key is given with which not all of the source is encrypted: then the copy is all
        its own, every byte encrypted with that key, and takes its time.

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
        key_id: str | None = None,
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
            key_id: What the snapshot is encrypted with, if it is. The disk lies here in clear while it is converted.
            progress: Called with a fraction from 0 to 1.
            stage: Called with a word for what begins: `validating`, `copying`, `converting`.

        Raises:
            UnsafeImage: The file names another file, has unknown features, is no disk, is not of the expected format
                or has no such disk; nothing was made.
            StorageFull: Nothing was made.
        """
        ...

    async def key_of(self, resource_id: str) -> str | None:
        """Return the key that a volume or snapshot is encrypted with; None if it is not.

        Raises:
            NoSuchVolume: There is no volume of this id.
            NoSuchSnapshot: There is no snapshot of this id.
        """
        ...

    async def inventory(self) -> VolumeInventory:
        """List what has bytes here, for the reconciler to hold against the records."""
        ...

    async def sweep(self, *, remove: bool) -> SweepReport:
        """Find files that no volume or snapshot reaches, and remove them when asked to."""
        ...
