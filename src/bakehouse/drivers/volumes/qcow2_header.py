"""The few fields of a qcow2 header that the store reads itself.

`qemu-img info` would tell them too, at some 10 ms per file; a sweep looks at every file.
Source: QEMU's `docs/interop/qcow2.rst`, section "Header". All numbers are big-endian.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = b"QFI\xfb"

#: magic, version, backing_file_offset, backing_file_size, cluster_bits, size, crypt_method, l1_size, l1_table_offset,
#: refcount_table_offset, refcount_table_clusters, nb_snapshots
_FIELDS: Final = struct.Struct(">4sIQIIQIIQQII")

#: header_length of version 3, behind which the extensions begin: type and length, then their data in eights.
_LENGTH_AT: Final = 100
_LENGTH: Final = struct.Struct(">I")
_EXTENSION: Final = struct.Struct(">II")
_OFFSET: Final = struct.Struct(">Q")

#: A backing file's name must not be longer. Source: as above, `backing_file_size`.
MAX_BACKING_NAME_BYTES: Final = 1023

#: Type of the header extension that says where a LUKS header is. Source: as above, "Header extensions".
LUKS_EXTENSION: Final = 0x0537_BE77

#: A header with its extensions and the backing name behind them is shorter in every file that qemu-img makes.
READ_BYTES: Final = 4096


class NotQcow2(ValueError):
    """The bytes are no qcow2 header, or one that ends too soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a qcow2 file says about itself."""

    version: int
    size_bytes: int
    encrypted: bool
    snapshots: int
    """How many snapshots QEMU keeps inside."""
    backing_offset: int
    """Where in the file the backing file's name is; 0 without one."""
    backing_length: int


def parse(data: bytes) -> Header:
    """Read a header from the first bytes of a file.

    Raises:
        NotQcow2: It is none.
    """
    if len(data) < _FIELDS.size:
        raise NotQcow2(f"{len(data)} bytes are too few for a header")
    magic, version, backing_offset, backing_length, _, size_bytes, crypt_method, _, _, _, _, snapshots = (
        _FIELDS.unpack_from(data)
    )
    if magic != MAGIC:
        raise NotQcow2(f"it begins with {magic!r}")
    return Header(
        version=version,
        size_bytes=size_bytes,
        encrypted=crypt_method != 0,
        snapshots=snapshots,
        backing_offset=backing_offset,
        backing_length=backing_length if backing_offset else 0,
    )


def read(fd: int) -> tuple[Header, str | None]:
    """Read the header of an open file, and the name of its backing file if it has one.

    Raises:
        NotQcow2: It has none, or names a backing file where no name can be.
    """
    return read_by(lambda at, length: os.pread(fd, length, at), os.fstat(fd).st_size)


def read_by(read_at: Callable[[int, int], bytes], file_bytes: int) -> tuple[Header, str | None]:
    """Do as `read` for a file of which `read_at` gives bytes, by offset and length.

    Raises:
        NotQcow2: As `read`.
    """
    header = parse(read_at(0, READ_BYTES))
    if not header.backing_offset:
        return header, None
    if header.backing_length > MAX_BACKING_NAME_BYTES or header.backing_offset > file_bytes:
        raise NotQcow2("its backing file's name lies outside of the file")
    name = read_at(header.backing_offset, header.backing_length)
    return header, name.decode(errors="replace")


def luks_offset(data: bytes) -> int | None:
    """Return where a file's LUKS header is, by its first `READ_BYTES`; None when it has none."""
    if len(data) < _LENGTH_AT + _LENGTH.size:
        return None
    at = int(_LENGTH.unpack_from(data, _LENGTH_AT)[0])
    while at + _EXTENSION.size <= len(data):
        kind, length = _EXTENSION.unpack_from(data, at)
        at += _EXTENSION.size
        if kind == LUKS_EXTENSION and at + _OFFSET.size <= len(data):
            return int(_OFFSET.unpack_from(data, at)[0])
        if kind == 0:
            break
        at += -(-length // 8) * 8
    return None


def backing_name(path: Path) -> str | None:
    """Return the name of a qcow2 file's backing file, None when it stands alone.

    Raises:
        NotQcow2: It is no qcow2 file.
        OSError: It cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read(fd)[1]
    finally:
        os.close(fd)
