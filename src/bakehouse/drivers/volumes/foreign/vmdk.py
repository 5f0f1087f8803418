"""VMDK: one file with the disk's data in it, `monolithicSparse` or `streamOptimized`.

A VMDK describes itself in a text that may name other files: extents with data, a parent. QEMU opens what that text
names, so it is read here line by line, and anything but one extent that is this very file is refused.
Source: VMware, "Virtual Disk Format 5.0"; QEMU's `block/vmdk.c` for what is really read.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.volumes.foreign.window import Window
from bakehouse.drivers.volumes.sizes import SECTOR_BYTES
from bakehouse.ports.volumes import UnsafeImage

MAGIC: Final = b"KDMV"

#: magic, version, flags, capacity, grain size, descriptor's offset and size, entries per grain table, offsets of the
#: redundant directory, of the directory, of the data, unclean shutdown, four line ends, compression.
_HEADER: Final = struct.Struct("<4sIIQQQQIQQQ?4sH")

_VERSIONS: Final = (1, 2, 3)
_LINE_ENDS: Final = b"\n \r\n"
_GRAIN_SECTORS: Final = tuple(1 << bit for bit in range(3, 12))
_ENTRIES_PER_TABLE: Final = 512

#: The directory is behind the data, and the header that names it there in the last sector but one.
_DIRECTORY_AT_END: Final = (1 << 64) - 1

#: A longer descriptor is read by nobody. Source: QEMU's `block/vmdk.c`, vmdk_open_desc_file.
_DESCRIPTOR_BYTES_MAX: Final = 1 << 20

_TYPES: Final = ("monolithicsparse", "streamoptimized")
_KNOWN_FIELDS: Final = frozenset({"version", "encoding", "cid", "parentcid", "isnativesnapshot", "createtype"})
_NO_PARENT: Final = "ffffffff"
_EXTENT: Final = re.compile(
    r'(?P<access>rw|rdonly|noaccess)\s+(?P<sectors>\d{1,19})\s+(?P<kind>\w+)\s+"(?P<file>[^"]*)"[\s\d]*'
)
_ACCESS: Final = re.compile(r"(rw|rdonly|noaccess)\b")


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    sectors: int
    grain_sectors: int
    descriptor_sector: int
    descriptor_sectors: int
    directory_sector: int

    @property
    def behind_data(self) -> bool:
        return self.directory_sector == _DIRECTORY_AT_END


def size_of(file: Window) -> int:
    """Return the virtual size of a VMDK that stands alone, in bytes.

    Raises:
        UnsafeImage: It names other files, is of a kind that is not taken, or is damaged.
    """
    data = file.read(0, _HEADER.size)
    if not data.startswith(MAGIC):
        raise UnsafeImage(
            "it is a VMDK descriptor, which names other files to hold the data; only whole disks are taken"
        )
    if len(data) < _HEADER.size:
        raise UnsafeImage("it is a VMDK file that is cut short: its header is missing")
    header = _parsed(data)
    if header.behind_data:
        _require_same(header, _footer(file))
    _check_descriptor(_descriptor(file, header), header)
    return header.sectors * SECTOR_BYTES


def _parsed(data: bytes) -> _Header:
    (
        magic, version, _, sectors, grain_sectors, descriptor_sector, descriptor_sectors,
        entries, _, directory_sector, _, _, line_ends, _,
    ) = _HEADER.unpack(data)  # fmt: skip
    header = _Header(version, sectors, grain_sectors, descriptor_sector, descriptor_sectors, directory_sector)
    if magic != MAGIC or version not in _VERSIONS:
        raise UnsafeImage("it is a VMDK file of a version that is not known")
    if line_ends != _LINE_ENDS:
        raise UnsafeImage("it is a damaged VMDK file: it was transferred as text")
    if sectors == 0:
        # QEMU takes such a header for a sign that the descriptor names the files with the data.
        raise UnsafeImage("it is a VMDK file that holds no data itself; only whole disks are taken")
    if grain_sectors not in _GRAIN_SECTORS or entries != _ENTRIES_PER_TABLE:
        raise UnsafeImage("it is a damaged VMDK file: its header's sizes are impossible")
    return header


def _footer(file: Window) -> _Header:
    """Return the header at the end, between the marker before it and the marker of the end of the stream."""
    end = file.exactly(file.length - 3 * SECTOR_BYTES, 3 * SECTOR_BYTES, "the end of the VMDK stream")
    marker, footer, last = (end[at : at + SECTOR_BYTES] for at in range(0, len(end), SECTOR_BYTES))
    if marker[8:16] != b"\0\0\0\0\3\0\0\0" or any(last):
        raise UnsafeImage("it is a VMDK file that is cut short: the end of the stream is missing")
    return _parsed(footer[: _HEADER.size])


def _require_same(header: _Header, footer: _Header) -> None:
    """Refuse a file whose two headers tell different things: which is true depends on who reads."""
    same = (
        (header.version, header.sectors, header.grain_sectors)
        == (footer.version, footer.sectors, footer.grain_sectors)
        and (header.descriptor_sector, header.descriptor_sectors)
        == (footer.descriptor_sector, footer.descriptor_sectors)
        and not footer.behind_data
    )  # fmt: skip
    if not same:
        raise UnsafeImage("it is a VMDK file whose footer contradicts its header")


def _descriptor(file: Window, header: _Header) -> list[str]:
    if header.descriptor_sector != 1:
        raise UnsafeImage("it is a VMDK file without a descriptor in its place")
    length = header.descriptor_sectors * SECTOR_BYTES
    if not 0 < length <= _DESCRIPTOR_BYTES_MAX:
        raise UnsafeImage("it is a VMDK file with a descriptor of an impossible length")
    data = file.exactly(SECTOR_BYTES, length, "the VMDK descriptor").partition(b"\0")[0]
    try:
        # Keys and values are read without regard to case by some, with regard by others.
        return data.decode("ascii").lower().splitlines()
    except UnicodeDecodeError as err:
        raise UnsafeImage("it is a VMDK file with a descriptor that is no plain text") from err


def _check_descriptor(lines: list[str], header: _Header) -> None:
    known = [line for line in map(str.strip, lines) if line and not line.startswith(("#", "ddb."))]
    extents = [line for line in known if _ACCESS.match(line)]
    fields = _fields(line for line in known if line not in extents)
    if fields.get("parentcid", _NO_PARENT) != _NO_PARENT:
        raise UnsafeImage("it is a VMDK file over a parent file; only whole disks are taken")
    kind = fields.get("createtype", "")
    if kind not in _TYPES:
        raise UnsafeImage(
            f"it is a VMDK file of the type {kind[:40]!r}, which may keep its data in other files; "
            "only whole disks are taken: monolithicSparse and streamOptimized"
        )
    if len(extents) != 1:
        raise UnsafeImage(f"it is a VMDK file of {len(extents)} extents; only whole disks are taken")
    _check_extent(extents[0], header)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """Return the descriptor's names and values; one that is not known may make some program open a file."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = (part.strip() for part in line.partition("="))
        if name == "parentfilenamehint":
            raise UnsafeImage("it is a VMDK file over a parent file; only whole disks are taken")
        if name not in _KNOWN_FIELDS or name in fields:
            raise UnsafeImage(f"it is a VMDK file whose descriptor has {name[:40]!r}, which is not known to be safe")
        fields[name] = value.strip('"')
    return fields


def _check_extent(line: str, header: _Header) -> None:
    extent = _EXTENT.fullmatch(line)
    if extent is None or extent["access"] == "noaccess" or extent["kind"] != "sparse":
        raise UnsafeImage("it is a VMDK file with an extent outside of it; only whole disks are taken")
    if re.search(r"[/\\:]", extent["file"]):
        raise UnsafeImage("it is a VMDK file that names a file of the host; only whole disks are taken")
    if int(extent["sectors"]) != header.sectors:
        raise UnsafeImage("it is a damaged VMDK file: its descriptor and its header differ in the disk's size")
