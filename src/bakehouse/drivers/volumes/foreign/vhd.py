"""VHD, as Virtual PC, Hyper-V before 2012 and Azure write it: fixed and dynamic disks.

Source: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0. All numbers are big-endian.
"""

import struct
from array import array
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.volumes.foreign.window import Window
from bakehouse.drivers.volumes.sizes import SECTOR_BYTES
from bakehouse.ports.volumes import UnsafeImage

COOKIE: Final = b"conectix"
_DYNAMIC_COOKIE: Final = b"cxsparse"

_FOOTER_BYTES: Final = 512
_DYNAMIC_HEADER_BYTES: Final = 1024

#: cookie, features, version, data offset, time, creator, its version, its host, original size, current size,
#: geometry, type, checksum
_FOOTER: Final = struct.Struct(">8sIIQIIIIQQIII")
_CHECKSUM_AT: Final = 64

#: cookie, data offset, table's offset, version, entries, block size, checksum, parent's id
_DYNAMIC: Final = struct.Struct(">8sQQIIII16s")
_DYNAMIC_CHECKSUM_AT: Final = 36

#: Where the eight parent locators are.
_LOCATORS: Final = slice(576, 768)

_FIXED: Final = 2
_DYNAMIC_DISK: Final = 3
_DIFFERENCING: Final = 4

#: The largest disk. Source: as above, 2040 GiB.
_SIZE_MAX: Final = 2040 << 30

#: Blocks of 512 KiB, the smallest in use, make so many of the largest disk.
_ENTRIES_MAX: Final = 4 << 20
_NO_BLOCK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Footer:
    """What the footer, or its copy at the start, says."""

    kind: int
    size_bytes: int
    header_at: int


def fixed_size(file: Window) -> int | None:
    """Return the size of a fixed disk, whose data is the start of the file; None when the file is none."""
    data = file.read(file.length - _FOOTER_BYTES, _FOOTER_BYTES)
    if not data.startswith(COOKIE) or not _is_whole(data, _CHECKSUM_AT):
        return None
    footer = _parsed(data)
    is_fixed = footer.kind == _FIXED and footer.size_bytes == file.length - _FOOTER_BYTES
    return footer.size_bytes if is_fixed and footer.size_bytes % SECTOR_BYTES == 0 else None


def size_of(file: Window) -> int:
    """Return the virtual size of a dynamic disk, in bytes.

    Raises:
        UnsafeImage: It is a difference to another disk, or is damaged.
    """
    data = file.exactly(0, _FOOTER_BYTES, "the VHD header")
    if not _is_whole(data, _CHECKSUM_AT):
        raise UnsafeImage("it is a damaged VHD file: its header's checksum differs")
    footer = _parsed(data)
    if footer.kind == _DIFFERENCING:
        raise UnsafeImage("it is a VHD file that holds the differences to another; only whole disks are taken")
    if footer.kind != _DYNAMIC_DISK:
        raise UnsafeImage(f"it is a VHD file of type {footer.kind}, which is not known")
    if not 0 < footer.size_bytes <= _SIZE_MAX:
        raise UnsafeImage(
            f"it is a damaged VHD file: {footer.size_bytes / (1 << 40):.0f} TiB are more than it can hold"
        )
    if not file.read(file.length - _FOOTER_BYTES, _FOOTER_BYTES).startswith(COOKIE):
        raise UnsafeImage("it is a VHD file that is cut short: its footer is missing")
    _check_blocks(file, footer)
    return footer.size_bytes


def _parsed(data: bytes) -> Footer:
    _, _, _, header_at, _, _, _, _, _, size_bytes, _, kind, _ = _FOOTER.unpack_from(data)
    return Footer(kind, size_bytes, header_at)


def _check_blocks(file: Window, footer: Footer) -> None:
    """Refuse a parent that only the dynamic header names, and blocks that lie outside of the file."""
    data = file.exactly(footer.header_at, _DYNAMIC_HEADER_BYTES, "the VHD's dynamic header")
    cookie, _, table_at, _, entries, block_bytes, _, parent = _DYNAMIC.unpack_from(data)
    if cookie != _DYNAMIC_COOKIE or not _is_whole(data, _DYNAMIC_CHECKSUM_AT):
        raise UnsafeImage("it is a damaged VHD file: its dynamic header's checksum differs")
    if any(parent) or any(data[_LOCATORS]):
        raise UnsafeImage("it is a VHD file that names a parent; only whole disks are taken")
    if block_bytes < SECTOR_BYTES or block_bytes & (block_bytes - 1):
        raise UnsafeImage("it is a damaged VHD file: its block size is impossible")
    needed = -(-footer.size_bytes // block_bytes)
    if needed > min(entries, _ENTRIES_MAX):
        raise UnsafeImage("it is a damaged VHD file: its table and its size do not fit")
    table = array("I", file.exactly(table_at, needed * 4, "the VHD's block table"))
    table.byteswap()
    last = max((sector for sector in table if sector != _NO_BLOCK), default=None)
    bitmap_bytes = -(-(block_bytes // SECTOR_BYTES // 8) // SECTOR_BYTES) * SECTOR_BYTES
    if last is not None and last * SECTOR_BYTES + bitmap_bytes + block_bytes > file.length:
        raise UnsafeImage("it is a VHD file that is cut short: a block lies behind its end")


def _is_whole(data: bytes, checksum_at: int) -> bool:
    (checksum,) = struct.unpack_from(">I", data, checksum_at)
    total = sum(data) - sum(data[checksum_at : checksum_at + 4])
    return bool(checksum == ~total & 0xFFFFFFFF)
