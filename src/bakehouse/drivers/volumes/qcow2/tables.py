"""Writing whole qcow2 files: the tables behind the data, then the header, so that half a file is never taken for one.

Source: QEMU's `docs/interop/qcow2.rst`; version 3, reference counts of 16 bits, clusters of 64 KiB.
"""

import os
import struct
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import byteorder
from typing import Final

from bakehouse.drivers.volumes import durable, luks, qcow2_header
from bakehouse.drivers.volumes.sectors import SectorCipher
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES

CLUSTER: Final = 64 << 10

_PER_BLOCK: Final = BLOCK_BYTES // CLUSTER
_ENTRIES: Final = CLUSTER // 8
#: Two bytes each.
_COUNTS: Final = CLUSTER // 2

#: Source: as above: bit 63 of an entry says that the cluster's reference count is one, bit 0 that it reads as zeros.
_COPIED: Final = 1 << 63
_READS_AS_ZEROS: Final = 1
#: Source: as above, "Incompatible features bitmap": entries of 16 bytes.
_EXTENDED: Final = 1 << 4
#: Of each: a bit for each part that is here, and above them one for each that reads as zeros.
_PARTS: Final = 32
_PART: Final = CLUSTER // _PARTS

_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_HEADER_BYTES: Final = 104
#: Which of its fields say where the name of the file below is.
_PARENT_AT: Final = 2
_EXTENSION: Final = struct.Struct(">II")
_BACKING_FORMAT: Final = 0xE279_2ACA

#: Where a LUKS header begins, and what lies behind it. Source: as above, "Full disk encryption header pointer".
LUKS_AT: Final = CLUSTER
_BEHIND_LUKS: Final = LUKS_AT + -(-luks.HEADER_BYTES // CLUSTER) * CLUSTER
_LUKS_METHOD: Final = 2
_LUKS_POINTER: Final = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file is to become."""

    size_bytes: int
    parent: str | None
    """The layer below it."""
    parent_format: str | None
    key_id: str | None = None
    """The data key of one that is encrypted."""
    in_parts: bool = False
    """Whether its clusters will have parts (`layers.py`). Only a file without data is made so."""

    @property
    def first_block(self) -> int:
        """Where its data begins."""
        return CLUSTER if self.key_id is None else _BEHIND_LUKS


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that make a file of blocks a qcow2 file; they go behind the blocks."""

    plan: Plan
    where: Mapping[int, int] = field(default_factory=dict)
    """Where in the file each block is, by its index; 0 for one of zeros."""
    end: int = 0
    """What lies behind the blocks."""
    zeros: Iterable[tuple[int, int]] = ()
    """What else reads as zeros, whatever is below: first byte and byte behind the last, in whole clusters or parts."""

    def write(self, fd: int) -> None:
        """Write tables, then the header."""
        end = max(self.end, self.plan.first_block)
        reach = CLUSTER * _ENTRIES // (2 if self.plan.in_parts else 1)
        upper = array("Q", bytes(8 * max(1, -(-self.plan.size_bytes // reach))))
        position = end
        for number, lower in self._lower_tables():
            pwrite(fd, _big_endian(lower), position)
            upper[number] = position | _COPIED
            position += CLUSTER
        upper_at = position
        pwrite(fd, _padded(_big_endian(upper)), upper_at)
        position += len(_padded(_big_endian(upper)))
        counts_at, table_clusters = self._write_counts(fd, position, end)
        pwrite(fd, self._header(upper_at, len(upper), counts_at, table_clusters), 0)

    def _lower_tables(self) -> Iterable[tuple[int, "array[int]"]]:
        per_table = _ENTRIES // _PER_BLOCK
        tables: dict[int, array[int]] = {}
        for index, offset in self.where.items():
            number, place = divmod(index, per_table)
            table = tables.get(number)
            if table is None:
                table = tables[number] = array("Q", bytes(CLUSTER))
            for cluster in range(_PER_BLOCK):
                entry = offset + cluster * CLUSTER | _COPIED if offset else _READS_AS_ZEROS
                table[place * _PER_BLOCK + cluster] = entry
        for start, end in self.zeros:
            self._mark_zeros(start, end, tables)
        return tables.items()

    def _mark_zeros(self, start: int, end: int, tables: dict[int, "array[int]"]) -> None:
        words = 2 if self.plan.in_parts else 1
        for first in range(start - start % CLUSTER, end, CLUSTER):
            number, place = divmod(first // CLUSTER, _ENTRIES // words)
            table = tables.setdefault(number, array("Q", bytes(CLUSTER)))
            if words == 1:
                table[place] = _READS_AS_ZEROS
            else:
                begin, stop = max(start - first, 0) // _PART, -(-min(end - first, CLUSTER) // _PART)
                table[2 * place + 1] |= (1 << stop) - (1 << begin) << _PARTS

    def _write_counts(self, fd: int, position: int, end: int) -> tuple[int, int]:
        """Write the reference counts: one for each cluster of the file but those of free slots."""
        blocks = table_clusters = 1
        while True:
            clusters = position // CLUSTER + blocks + table_clusters
            needed = -(-clusters // _COUNTS)
            if needed <= blocks and -(-needed * 8 // CLUSTER) <= table_clusters:
                break
            blocks, table_clusters = needed, -(-needed * 8 // CLUSTER)
        counts = array("H", [1]) * clusters
        counts.extend([0] * (blocks * _COUNTS - clusters))
        used = set(self.where.values())
        for offset in range(self.plan.first_block, end, BLOCK_BYTES):
            if offset not in used:
                first = offset // CLUSTER
                counts[first : first + _PER_BLOCK] = array("H", bytes(2 * _PER_BLOCK))
        pwrite(fd, _big_endian(counts), position)
        table = array("Q", [position + number * CLUSTER for number in range(blocks)])
        table_at = position + blocks * CLUSTER
        pwrite(fd, _big_endian(table).ljust(table_clusters * CLUSTER, b"\0"), table_at)
        return table_at, table_clusters

    def _header(self, upper_at: int, upper_entries: int, counts_at: int, counts_clusters: int) -> bytes:
        """Source: as above, "Header" and "Header extensions"."""
        parent, extensions, method = b"", b"", 0
        if self.plan.parent is not None and self.plan.parent_format is not None:
            parent = self.plan.parent.encode()
            extensions = _backing_format(self.plan.parent_format)
        if self.plan.key_id is not None:
            pointer = _LUKS_POINTER.pack(LUKS_AT, luks.HEADER_BYTES)
            extensions += _EXTENSION.pack(qcow2_header.LUKS_EXTENSION, len(pointer)) + pointer
            method = _LUKS_METHOD
        extensions += _EXTENSION.pack(0, 0)
        parent_at = _HEADER_BYTES + len(extensions) if parent else 0
        header = _HEADER.pack(
            qcow2_header.MAGIC, 3, parent_at, len(parent), 16, self.plan.size_bytes, method, upper_entries, upper_at,
            counts_at, counts_clusters, 0, 0, _EXTENDED if self.plan.in_parts else 0, 0, 0, 4, _HEADER_BYTES,
        )  # fmt: skip
        return _padded(header + extensions + parent)


def write_luks_header(fd: int, passphrase: str) -> SectorCipher:
    """Write the LUKS header of a file that is to be encrypted, and return what its data is encrypted with. Blocks."""
    head, cipher = luks.make(passphrase)
    pwrite(fd, head, LUKS_AT)
    return cipher


def create_encrypted(path: Path, plan: Plan, passphrase: str, zeros: Iterable[tuple[int, int]] = ()) -> None:
    """Make an empty encrypted layer, over another or over nothing. Afterwards its data is on disk. Blocks.

    Args:
        path: The file, which is not there.
        plan: What it is to be.
        passphrase: What opens it.
        zeros: As in `Tables`.

    Raises:
        OSError: A part of the file may be left.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_luks_header(fd, passphrase)
        Tables(plan, zeros=zeros).write(fd)
    finally:
        os.close(fd)
    durable.sync_file(path)


def name_parent(path: Path, parent: str, parent_format: str) -> None:
    """Put a layer that stands alone, and that nobody has open, over another. Blocks."""
    with path.open("r+b", buffering=0) as file:
        head = os.pread(file.fileno(), CLUSTER, 0)
        fields = list(_HEADER.unpack_from(head))
        extensions, at = _backing_format(parent_format), int(fields[-1])
        while (kind_and_length := _EXTENSION.unpack_from(head, at))[0]:
            size = _EXTENSION.size + -(-int(kind_and_length[1]) // 8) * 8
            extensions += head[at : at + size]
            at += size
        name = parent.encode()
        body = head[_HEADER_BYTES : fields[-1]] + extensions + _EXTENSION.pack(0, 0)
        fields[_PARENT_AT : _PARENT_AT + 2] = [_HEADER_BYTES + len(body), len(name)]
        pwrite(file.fileno(), _padded(_HEADER.pack(*fields) + body + name), 0)


def _backing_format(name: str) -> bytes:
    data = name.encode()
    return _EXTENSION.pack(_BACKING_FORMAT, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")


def pwrite(fd: int, data: bytes, offset: int) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _big_endian(table: "array[int]") -> bytes:
    if byteorder == "big":
        return table.tobytes()
    swapped = array(table.typecode, table)
    swapped.byteswap()
    return swapped.tobytes()


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // CLUSTER) * CLUSTER, b"\0")
