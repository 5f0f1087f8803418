"""Looking into a file from outside before any program opens it as a disk.

What is a format is decided by oslo.utils, as in Glance, Nova and Cinder, from the content alone; what stands in its
header, by the modules of `foreign`. Only what stands alone passes: a file that could make QEMU open another file of
this host is refused.
"""

import os
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final, cast

from oslo_utils.imageutils import format_inspector

from bakehouse.drivers.volumes import qcow2_header
from bakehouse.drivers.volumes.foreign import ovf, tar, vhd, vhdx, vmdk
from bakehouse.drivers.volumes.foreign.window import Window, whole
from bakehouse.drivers.volumes.sizes import whole_sectors
from bakehouse.ports.disk_files import DiskInFile, ExaminedFile, ImportFormat
from bakehouse.ports.volumes import UnsafeImage

#: The largest disk that is taken. Source: EBS, the largest gp3 volume, 64 TiB.
MAX_SIZE_BYTES: Final = 64 << 40

#: Every format shows itself before this; a file that keeps an inspector waiting longer is hostile.
_READ_LIMIT_BYTES: Final = 8 << 20
_CHUNK_BYTES: Final = 64 << 10

#: How disks begin that are not raw, whatever becomes of their headers: qcow2, VMDK, VHDX.
_MAGICS: Final = (b"QFI\xfb", b"KDMV", b"vhdxfile")

#: What somebody may mistake for a disk image: magic, name. Source: file(1)'s magic.
_PACKED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)

#: oslo's names of what fails, and what that means to a reader.
_FINDINGS: Final = {
    "data_file": "keeps its data in another file",
    "unknown_features": "has features that are not known to be safe",
}

#: What is known and not taken.
_WHY_NOT: Final = {
    "luks": "it is an encrypted disk (LUKS)",
    "vdi": "it is a vdi file; convert it first, by `qemu-img convert -f vdi -O qcow2`",
}

#: The end of a stream-optimised VMDK, which oslo looks at, is that long.
_TAIL_BYTES: Final = 1536


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A disk in a file, and how its bytes are to be read."""

    disk: DiskInFile
    window: Window
    """Where in the file it is."""
    driver: str
    """QEMU's name of the format of what is in the window; the only one to read it as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file whose disks may be taken."""

    format: ImportFormat
    parts: tuple[Part, ...]

    def part(self, number: int) -> Part:
        """Return one disk, counted from 0.

        Raises:
            UnsafeImage: There is none of that number.
        """
        if not 0 <= number < len(self.parts):
            raise UnsafeImage(f"it holds {len(self.parts)} disks, and none of number {number}")
        return self.parts[number]


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


def examine(path: Path, expected_format: str | None = None) -> ExaminedFile:
    """Find out what disks a file holds. Blocks, for some milliseconds.

    Raises:
        UnsafeImage: As `look` and `open_regular`.
        OSError: It cannot be opened.
    """
    fd = open_regular(path)
    try:
        found = look(fd, expected_format)
    finally:
        os.close(fd)
    return ExaminedFile(format=found.format, disks=tuple(part.disk for part in found.parts))


def look(fd: int, expected_format: str | None = None) -> Found:
    """Find out what disks an open file holds. Blocks, for some milliseconds.

    Args:
        fd: A regular file.
        expected_format: A value of `ImportFormat` that the file must have; any by default.

    Raises:
        UnsafeImage: It names another file, has unknown features, is no disk, is too large, or of another format.
    """
    file = whole(fd)
    if file.read(tar.MAGIC_AT, len(tar.MAGIC)) == tar.MAGIC:
        found = Found(format=ImportFormat.OVA, parts=_parts_of_archive(file))
    else:
        part = look_at_disk(file, expected_format)
        found = Found(format=part.disk.format, parts=(part,))
    if expected_format not in (None, found.format):
        raise UnsafeImage(f"it is a file of format {found.format}, not {expected_format}")
    return found


def look_at_disk(file: Window, expected_format: str | None = None) -> Part:
    """Find out what a disk is, without what may be around it. Blocks, for some milliseconds.

    Raises:
        UnsafeImage: It names another file, has unknown features, is no disk or is too large.
    """
    found = _detect(file)
    name = "raw" if found is None else str(found)
    # oslo's checks of a partition table are left out: only the guest reads it, QEMU gets the format `raw`.
    if found is None or name in ("raw", "gpt"):
        part = _raw(file, expected_format)
    elif name in _SIZES:
        part = _convertible(file, found, ImportFormat(name))
    elif name in _WHY_NOT:
        raise UnsafeImage(_WHY_NOT[name])
    else:
        raise UnsafeImage(f"it is a file of format {name}, which is no disk that can be taken")
    size_bytes = part.disk.size_bytes
    if size_bytes > MAX_SIZE_BYTES:
        raise UnsafeImage(
            f"its virtual size is {size_bytes / (1 << 40):.0f} TiB; {MAX_SIZE_BYTES >> 40} TiB are the most"
        )
    if size_bytes == 0:
        raise UnsafeImage("it is an empty disk")
    return part


def _detect(file: Window) -> format_inspector.FileInspector | None:
    stream = format_inspector.InspectWrapper(cast("IO[bytes]", _Stream(file)))
    try:
        left = _READ_LIMIT_BYTES
        while left > 0 and stream.format is None and (chunk := stream.read(_CHUNK_BYTES)):
            left -= len(chunk)
        stream.close()
        found: format_inspector.FileInspector | None = stream.format
    except format_inspector.ImageFormatError as err:
        raise UnsafeImage(f"its format is not clear ({err})") from err
    return found


class _Stream(RawIOBase):
    """What oslo reads."""

    def __init__(self, file: Window) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._at, size)
        self._at += len(data)
        return data


def _raw(file: Window, expected_format: str | None) -> Part:
    start = file.read(0, 16)
    for magic, name in _PACKED:
        if start.startswith(magic):
            raise UnsafeImage(f"it is packed by {name}; unpack it first")
    if expected_format != ImportFormat.RAW and start.startswith(_MAGICS):
        raise UnsafeImage("it begins as a disk of another format, and is cut short")
    # A fixed VHD is a raw disk with a footer. A raw disk may end so by chance, or by the will of a guest.
    size_bytes = None if expected_format == ImportFormat.RAW else vhd.fixed_size(file)
    if size_bytes is not None:
        return _part(ImportFormat.VHD, whole_sectors(size_bytes), file.inside(0, size_bytes), "raw")
    return _part(ImportFormat.RAW, whole_sectors(file.length), file, "raw")


def _convertible(file: Window, found: format_inspector.FileInspector, name: ImportFormat) -> Part:
    size_of, driver = _SIZES[name]
    size_bytes = size_of(file)
    try:
        _inspector_of(found, file).safety_check()
    except format_inspector.SafetyCheckFailed as err:
        what = " and ".join(_FINDINGS.get(check, str(reason)) for check, reason in err.failures.items())
        raise UnsafeImage(f"it is a {name} file that {what}") from err
    except format_inspector.ImageFormatError as err:
        raise UnsafeImage(f"it is a damaged {name} file: {err}") from err
    return _part(name, whole_sectors(size_bytes), file, driver)


def _inspector_of(found: format_inspector.FileInspector, file: Window) -> format_inspector.FileInspector:
    """Return oslo's inspector, having seen what it wants to see.

    It reads a VMDK to the end to see its footer; what lies between the descriptor and that is only data, so it is
    shown a file without.
    """
    if str(found) != ImportFormat.VMDK:
        return found
    inspector = format_inspector.VMDKInspector()
    start = file.read(0, min(2 * format_inspector.VMDKInspector.DESC_MAX_SIZE, max(file.length - _TAIL_BYTES, 0)))
    try:
        inspector.eat_chunk(start)
        inspector.eat_chunk(file.read(max(file.length - _TAIL_BYTES, 0), _TAIL_BYTES))
        inspector.finish()
    except Exception as err:
        raise UnsafeImage(f"it is a damaged vmdk file: {err}") from err
    return inspector


def _qcow2_size(file: Window) -> int:
    try:
        head, backing = qcow2_header.read_by(file.read, file.length)
    except qcow2_header.NotQcow2 as err:
        raise UnsafeImage(f"it is a damaged qcow2 file: {err}") from err
    if backing is not None:
        raise UnsafeImage(f"it is a qcow2 file over a backing file, `{backing}`; only whole disks are taken")
    if head.encrypted:
        raise UnsafeImage("it is an encrypted qcow2 file")
    if head.snapshots:
        raise UnsafeImage(f"it is a qcow2 file with {head.snapshots} snapshots inside; delete them first")
    return head.size_bytes


def _parts_of_archive(archive: Window) -> tuple[Part, ...]:
    members = {member.name: member.content for member in tar.files(archive)}
    descriptions = [content for name, content in members.items() if name.lower().endswith(".ovf")]
    if len(descriptions) != 1:
        raise UnsafeImage(f"it is a tar archive with {len(descriptions)} machine descriptions (OVF); an OVA has one")
    if descriptions[0].length > ovf.BYTES_MAX:
        raise UnsafeImage("its machine description is too long")
    parts = []
    for name, told_bytes in ovf.disk_files(descriptions[0].read(0, ovf.BYTES_MAX)).items():
        content = members.get(name)
        if content is None:
            raise UnsafeImage(f"its disk {name[:80]!r} is not in the archive")
        if told_bytes not in (None, content.length):
            raise UnsafeImage(f"its disk {name[:80]!r} is of another size than its description says")
        try:
            part = look_at_disk(content)
        except UnsafeImage as err:
            raise UnsafeImage(f"its disk {name[:80]!r}: {err}") from err
        if part.disk.format is not ImportFormat.VMDK:
            raise UnsafeImage(f"its disk {name[:80]!r} is a file of format {part.disk.format}, not vmdk")
        disk = DiskInFile(name=name, format=part.disk.format, size_bytes=part.disk.size_bytes)
        parts.append(Part(disk=disk, window=part.window, driver=part.driver))
    return tuple(parts)


def _part(name: ImportFormat, size_bytes: int, window: Window, driver: str) -> Part:
    return Part(disk=DiskInFile(name="", format=name, size_bytes=size_bytes), window=window, driver=driver)


#: What tells the virtual size of a disk that stands alone, and QEMU's name of its format.
_SIZES: Final = {
    ImportFormat.QCOW2: (_qcow2_size, "qcow2"),
    ImportFormat.VHD: (vhd.size_of, "vpc"),
    ImportFormat.VHDX: (vhdx.size_of, "vhdx"),
    ImportFormat.VMDK: (vmdk.size_of, "vmdk"),
}
