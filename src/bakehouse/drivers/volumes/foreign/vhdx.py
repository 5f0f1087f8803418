"""VHDX, as Hyper-V writes it since 2012: fixed and dynamic disks.

Source: Microsoft, [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format". All numbers are little-endian.
"""

import struct
import uuid
from collections.abc import Iterator
from typing import Final

from bakehouse.drivers.volumes.foreign.window import Window
from bakehouse.ports.volumes import UnsafeImage

MAGIC: Final = b"vhdxfile"

_HEADERS_AT: Final = (64 << 10, 128 << 10)
_REGION_TABLES_AT: Final = (192 << 10, 256 << 10)
_TABLE_BYTES: Final = 64 << 10
_ENTRIES_MAX: Final = 2047

_HEADER_MAGIC: Final = b"head"
_LOG_ID: Final = slice(48, 64)

_METADATA_REGION: Final = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FILE_PARAMETERS: Final = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_DISK_SIZE: Final = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_PARENT_LOCATOR: Final = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le

#: Of the file parameters' flags.
_HAS_PARENT: Final = 2


def size_of(file: Window) -> int:
    """Return the virtual size of a VHDX that stands alone, in bytes.

    Raises:
        UnsafeImage: It has a parent, was not closed cleanly, or is damaged.
    """
    for at in _HEADERS_AT:
        header = file.exactly(at, 4096, "the VHDX header")
        if header.startswith(_HEADER_MAGIC) and any(header[_LOG_ID]):
            raise UnsafeImage("it is a VHDX file that was not closed cleanly; open and close it once where it was made")
    sizes = {_size_in(file, offset) for at in _REGION_TABLES_AT for offset in _metadata_regions(file, at)}
    if len(sizes) != 1:
        raise UnsafeImage("it is a damaged VHDX file: its metadata cannot be found")
    return sizes.pop()


def _metadata_regions(file: Window, at: int) -> Iterator[int]:
    """Give what a region table says of where the metadata is; a table that is damaged says nothing."""
    table = file.exactly(at, _TABLE_BYTES, "the VHDX region table")
    magic, _, entries, _ = struct.unpack_from("<4sIII", table)
    if magic != b"regi" or entries > _ENTRIES_MAX:
        return
    for number in range(entries):
        region, offset, _, _ = struct.unpack_from("<16sQII", table, 16 + 32 * number)
        if region == _METADATA_REGION:
            yield offset


def _size_in(file: Window, region_at: int) -> int:
    table = file.exactly(region_at, _TABLE_BYTES, "the VHDX metadata")
    magic, _, entries = struct.unpack_from("<8sHH", table)
    if magic != b"metadata" or entries > _ENTRIES_MAX:
        raise UnsafeImage("it is a damaged VHDX file: its metadata is none")
    items: dict[bytes, int] = {}
    for number in range(entries):
        item, offset, _, _ = struct.unpack_from("<16sIII", table, 32 + 32 * number)
        if item in items:
            raise UnsafeImage("it is a damaged VHDX file: its metadata says one thing twice")
        items[item] = region_at + offset
    if _FILE_PARAMETERS not in items or _DISK_SIZE not in items:
        raise UnsafeImage("it is a damaged VHDX file: its size is missing")
    _, flags = struct.unpack("<II", file.exactly(items[_FILE_PARAMETERS], 8, "the VHDX file parameters"))
    if flags & _HAS_PARENT or _PARENT_LOCATOR in items:
        raise UnsafeImage("it is a VHDX file with a parent locator, over another file; only whole disks are taken")
    (size_bytes,) = struct.unpack("<Q", file.exactly(items[_DISK_SIZE], 8, "the VHDX disk size"))
    return int(size_bytes)
