"""Looking into a file from outside before any program opens it as a disk.

What is a format is decided by oslo.utils, as in Glance, Nova and Cinder, from the content alone. Only what
stands alone passes: a file that could make QEMU open another file of this host is refused.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

from oslo_utils.imageutils import format_inspector

from bakehouse.drivers.volumes import qcow2_header
from bakehouse.drivers.volumes.sizes import SECTOR_BYTES, whole_sectors
from bakehouse.ports.disk_files import DiskInFile, ExaminedFile, ImportFormat
from bakehouse.ports.volumes import UnsafeImage

#: The largest disk that is taken. Source: EBS, the largest gp2 volume, 16 TiB.
MAX_SIZE_BYTES: Final = 16 << 40

#: Every format shows itself before this; a file that keeps an inspector waiting longer is hostile.
_READ_LIMIT_BYTES: Final = 8 << 20
_CHUNK_BYTES: Final = 64 << 10

#: What somebody may mistake for a disk image: offset, magic, name. Source: file(1)'s magic.
_PACKED: Final = (
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"BZh", "bzip2"),
    (0, b"PK\x03\x04", "zip"),
    (257, b"ustar", "tar"),
)

#: Disks of other programs: oslo's name, qemu-img's name.
_CONVERTIBLE: Final = {"vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}

#: oslo's names of what fails, and what that means to a reader.
_FINDINGS: Final = {
    "data_file": "keeps its data in another file",
    "unknown_features": "has features that are not known to be safe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A file that may be opened as a disk, in this format and no other."""

    format: str
    size_bytes: int
    """Virtual size, a multiple of 512."""


def open_regular(path: Path) -> int:
    """Open a file for reading; the caller closes it.

    Raises:
        UnsafeImage: It is a pipe, a device or a directory.
        OSError: It cannot be opened.
    """
    # Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnsafeImage("it is not a regular file")
    return fd


def inspect_file(path: Path) -> Inspected:
    """Find out what a file is. Blocks, for some milliseconds.

    Raises:
        UnsafeImage: As `inspect` and `open_regular`.
        OSError: It cannot be opened.
    """
    fd = open_regular(path)
    try:
        return inspect(fd)
    finally:
        os.close(fd)


def examine(path: Path) -> ExaminedFile:
    """Find out what disks a file holds. Blocks, for some milliseconds.

    Raises:
        UnsafeImage: As `inspect` and `open_regular`.
        OSError: It cannot be opened.
    """
    return examined(inspect_file(path))


def examined(found: Inspected) -> ExaminedFile:
    """Return what a file that is one disk holds."""
    kind = ImportFormat(found.format)
    return ExaminedFile(format=kind, disks=(DiskInFile(name="", format=kind, size_bytes=found.size_bytes),))


def chosen_disk(found: ExaminedFile, disk: int, expected_format: str | None) -> DiskInFile:
    """Return one disk of a file, counted from 0.

    Raises:
        UnsafeImage: The file is of another format than expected, or has no such disk.
    """
    if expected_format not in (None, found.format):
        raise UnsafeImage(f"it is a file of format {found.format}, not {expected_format}")
    if not 0 <= disk < len(found.disks):
        raise UnsafeImage(f"it holds {len(found.disks)} disks, and none of number {disk}")
    return found.disks[disk]


def inspect(fd: int) -> Inspected:
    """Find out what an open file is. Blocks, for some milliseconds.

    Raises:
        UnsafeImage: It names another file, has unknown features, is no disk or is too large.
    """
    found = _detect(fd)
    if found is None or str(found) in ("raw", "gpt"):
        # oslo's checks of a partition table are left out: only the guest reads it, QEMU gets the format `raw`.
        inspected = _raw(fd)
    elif str(found) == "qcow2":
        inspected = _qcow2(fd, found)
    else:
        raise UnsafeImage(_why_not(found))
    if inspected.size_bytes > MAX_SIZE_BYTES:
        raise UnsafeImage(f"its virtual size is {inspected.size_bytes / (1 << 40):.0f} TiB; 16 TiB are the most")
    if inspected.size_bytes == 0:
        raise UnsafeImage("it is an empty disk")
    return inspected


def _detect(fd: int) -> format_inspector.FileInspector | None:
    with open(os.dup(fd), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.seek(0)
        stream = format_inspector.InspectWrapper(file)
        try:
            left = _READ_LIMIT_BYTES
            while left > 0 and stream.format is None and (chunk := stream.read(_CHUNK_BYTES)):
                left -= len(chunk)
            stream.close()
            found: format_inspector.FileInspector | None = stream.format
        except format_inspector.ImageFormatError as err:
            raise UnsafeImage(f"its format is not clear ({err})") from err
    return found


def _why_not(found: format_inspector.FileInspector) -> str:
    name = str(found)
    if name not in _CONVERTIBLE:
        return f"it is a file of format {name}, which is no disk that can be taken"
    try:
        found.safety_check()
    except (format_inspector.SafetyCheckFailed, format_inspector.ImageFormatError):
        return f"it is a {name} file that may name other files to keep its data in; only whole disks are taken"
    return f"it is a {name} file; convert it first, by `qemu-img convert -f {_CONVERTIBLE[name]} -O qcow2`"


def _raw(fd: int) -> Inspected:
    start = os.pread(fd, SECTOR_BYTES, 0)
    for offset, magic, name in _PACKED:
        if start[offset:].startswith(magic):
            raise UnsafeImage(f"it is packed by {name}; unpack it first")
    size = os.fstat(fd).st_size
    return Inspected(format="raw", size_bytes=whole_sectors(size))


def _qcow2(fd: int, found: format_inspector.FileInspector) -> Inspected:
    try:
        head, backing = qcow2_header.read(fd)
    except qcow2_header.NotQcow2 as err:
        raise UnsafeImage(f"it is a damaged qcow2 file: {err}") from err
    if backing is not None:
        raise UnsafeImage(f"it is a qcow2 file over a backing file, `{backing}`; only whole disks are taken")
    if head.encrypted:
        raise UnsafeImage("it is an encrypted qcow2 file")
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as err:
        what = " and ".join(_FINDINGS.get(name, str(reason)) for name, reason in err.failures.items())
        raise UnsafeImage(f"it is a qcow2 file that {what}") from err
    except format_inspector.ImageFormatError as err:
        raise UnsafeImage(f"it is a damaged qcow2 file: {err}") from err
    return Inspected(format="qcow2", size_bytes=whole_sectors(head.size_bytes))
