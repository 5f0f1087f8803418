"""The disk file port: disks as files of formats that other programs read, and whole images packed into one file.

The way in is `VolumeStore.import_file`; `examine` tells beforehand what a file holds. The volume store's ids name the
disks here too. Methods that write a file replace what is at that path, and leave nothing there when they fail or are
cancelled; methods that make snapshots may be repeated with the same ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[float], None]
"""Called in the event loop with a fraction from 0 to 1, never less than before; last of all with 1."""


class CannotExport(Exception):
    """A disk cannot be had in this format. The text says why, in one sentence."""


class NotAPack(Exception):
    """A file is no packed image, is one of a later version, or is damaged. The text says what was found."""


class ImportFormat(StrEnum):
    """What can be taken in. Values are EC2's words in lower case, and QEMU's own format."""

    OVA = "ova"
    QCOW2 = "qcow2"
    RAW = "raw"
    VHD = "vhd"
    VHDX = "vhdx"
    VMDK = "vmdk"


class ExportFormat(StrEnum):
    """What can be written. Values are EC2's words in lower case, and QEMU's own format.

    Source: EC2 API Reference, ExportImage, DiskImageFormat: VMDK (stream-optimised), RAW, VHD.
    """

    QCOW2 = "qcow2"
    RAW = "raw"
    VHD = "vhd"
    VMDK = "vmdk"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskInFile:
    """One disk of a file."""

    name: str
    """The disk's file name in an OVA; empty for a file that is a disk itself."""
    format: ImportFormat
    size_bytes: int
    """Virtual size, a multiple of 512."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedFile:
    """What a file from outside holds."""

    format: ImportFormat
    disks: tuple[DiskInFile, ...]
    """In the order of the machine's description, the first being the one to boot from; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackContents:
    """What a packed image says about itself."""

    document: Mapping[str, Any]
    """What its maker gave `pack`."""
    disk_sizes_bytes: tuple[int, ...]
    """Virtual sizes, in the order of `pack`'s snapshots."""


class DiskFiles(Protocol):
    """Reads and writes disks as files. Whatever takes long runs in processes and threads of its own."""

    async def examine(self, path: Path, *, expected_format: str | None = None) -> ExaminedFile:
        """Find out what a file from outside holds, in under a second whatever it is; nothing is made of it.

        Only a forecast: `VolumeStore.import_file` looks again, at its private copy.

        Args:
            path: A regular file.
            expected_format: A value of `ImportFormat`; a file of another is refused. None takes any.

        Raises:
            UnsafeImage: It would not be taken; the text says why (`ports.volumes`).
            OSError: It cannot be opened.
        """
        ...

    async def export(
        self, snapshot_id: str, path: Path, *, file_format: ExportFormat, progress: Progress | None = None
    ) -> int:
        """Write a snapshot's disk as a file that stands alone, mode 0600; return the file's size in bytes.

        Raises:
            NoSuchSnapshot: There is none (`ports.volumes`).
            CannotExport: The format cannot hold a disk of this size.
            StorageFull: There is no room for it (`ports.volumes`).
        """
        ...

    async def pack(
        self,
        path: Path,
        document: Mapping[str, Any],
        snapshot_ids: Sequence[str],
        *,
        progress: Progress | None = None,
    ) -> int:
        """Write one file that holds these snapshots' disks and a document about them; return its size in bytes.

        Args:
            path: The file to write, mode 0600.
            document: What JSON can hold, at most 1 MiB of it: the image's description, for the one who restores it.
            snapshot_ids: In the order in which `unpack` gives them back.
            progress: Told how much of the disks' data is in.

        Raises:
            NoSuchSnapshot: There is none (`ports.volumes`).
            StorageFull: There is no room for it (`ports.volumes`).
        """
        ...

    async def contents(self, path: Path) -> PackContents:
        """Read what a packed image says about itself, in milliseconds; the disks' data is not looked at.

        Raises:
            NotAPack: It is none.
            OSError: It cannot be opened.
        """
        ...

    async def archive(self, path: Path, snapshot_id: str, *, progress: Progress | None = None) -> int:
        """Write one file of a snapshot, compressed, or as encrypted as the snapshot is; return its size in bytes.

        Raises:
            NoSuchSnapshot: There is none (`ports.volumes`).
            StorageFull: There is no room for it (`ports.volumes`).
            KeyUnavailable: It is encrypted, and its key is gone (`ports.keys`).
        """
        ...

    async def unarchive(self, path: Path, snapshot_id: str, *, progress: Progress | None = None) -> None:
        """Make a snapshot of what `archive` wrote here, encrypted as it was. There is one of this id: nothing happens.

        Raises:
            NotAPack: It is none, or damaged. Nothing was made.
            StorageFull: Nothing was made (`ports.volumes`).
        """
        ...

    async def verify(self, path: Path, *, progress: Progress | None = None) -> None:
        """Read a packed image to its end and look whether it is what was packed. Nothing is made of it.

        Raises:
            NotAPack: It is none, or its data is not what was packed.
            OSError: It cannot be read.
        """
        ...

    async def unpack(self, path: Path, snapshot_ids: Sequence[str], *, progress: Progress | None = None) -> None:
        """Make snapshots of a packed image's disks, in order. Their content is what was packed, to the last bit.

        Snapshots of these ids that are there already stay as they are. On failure all of them are deleted.

        Raises:
            NotAPack: It is none, or its data is not what was packed; there are no such snapshots afterwards.
            ValueError: There are not as many ids as disks.
            StorageFull: There are no such snapshots afterwards (`ports.volumes`).
            OSError: It cannot be opened.
        """
        ...
