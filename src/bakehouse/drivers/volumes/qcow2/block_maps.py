"""What of a disk a layer has: read from our own files without a process for each block.

A frozen layer never changes, so what was read of its tables stays true. Source: QEMU's `docs/interop/qcow2.rst`,
sections "Cluster mapping", "Standard Cluster Descriptor" and "Extended L2 Entries": a cluster of a file with those has
32 parts, and each of them is here, reads as zeros or is below. Figures that spoke for this: `docs/decisions/0006`.
"""

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from bakehouse.drivers.volumes import luks, qcow2_header
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, format_of
from bakehouse.drivers.volumes.sectors import SectorCipher
from bakehouse.ports.snapshot_blocks import BlocksUnreadable

#: magic, version, backing_file_offset, backing_file_size, cluster_bits, size, crypt_method, l1_size, l1_table_offset,
#: refcount_table_offset, refcount_table_clusters, nb_snapshots, snapshots_offset
_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQ")
#: incompatible_features, after the fields of version 2.
_FEATURES: Final = struct.Struct(">Q")
#: A file that was not closed in good order; its tables are right, only its reference counts may not be.
_DIRTY: Final = 1
_EXTENDED: Final = 1 << 4

_OFFSET: Final = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED: Final = 1 << 62
_READS_AS_ZEROS: Final = 1

#: Of an extended entry's bitmap: a bit for each of 32 parts that is here, and above them for each that reads as zeros.
_PART_BITS: Final = 5
_PARTS: Final = 1 << _PART_BITS
_ALL_HERE: Final = (1 << _PARTS) - 1
_ALL_ZEROS: Final = _ALL_HERE << _PARTS

#: Tables of 64 KiB that are kept for each layer: they cover 32 GiB.
_TABLES_KEPT: Final = 64

#: What `piece` returns of a stretch that is wholly below a layer, and of one that is not in one piece.
BELOW: Final = b""
SCATTERED: Final = None

#: (first byte, byte behind the last, whether there is data: else it reads as zeros, whatever is below).
Extent = tuple[int, int, bool]


class LayerReader(Protocol):
    """One layer, open."""

    @property
    def size_bytes(self) -> int:
        """The disk's size, as the layer has it."""
        ...

    def extents(self) -> Iterator[Extent]:
        """Yield what the layer has, ascending; everything else is below it."""
        ...

    def piece(self, start: int, length: int) -> bytes | None:
        """Return a stretch that lies in the file in one piece: `BELOW` if it is below, `SCATTERED` if it is neither.

        Most are one or the other, and to read one this way copies nothing.
        """
        ...

    def read(self, start: int, into: memoryview) -> list[tuple[int, int]]:
        """Read what the layer has of a stretch, and return the parts (first byte, length) that are below it.

        `into` is full of zeros before.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class RawLayer:
    """A file that is the disk itself; its holes are zeros, and nothing is below it."""

    def __init__(self, path: Path) -> None:
        """Open the layer. Blocks."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._fd).st_size

    def extents(self) -> Iterator[Extent]:
        """Yield the stretches between holes."""
        position = 0
        while position < self.size_bytes:
            try:
                start = os.lseek(self._fd, position, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole up to the end
                return
            position = os.lseek(self._fd, start, os.SEEK_HOLE)
            yield start, position, True

    def piece(self, start: int, length: int) -> bytes | None:
        """Return a stretch, if the file has all of it."""
        data = os.pread(self._fd, length, start) if start + length <= self.size_bytes else b""
        return data if len(data) == length else SCATTERED

    def read(self, start: int, into: memoryview) -> list[tuple[int, int]]:
        """Read a stretch; behind the end it stays zeros."""
        _pread(self._fd, into[: max(0, self.size_bytes - start)], start)
        return []

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class Qcow2Layer:
    """A qcow2 file: two levels of tables lead to its clusters."""

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        """Open the layer and read its upper table. Blocks.

        Raises:
            BlocksUnreadable: It is encrypted with another passphrase, or has features that no layer of ours had when
                this was written.
            OSError: It cannot be read.
        """
        self._path = path
        self._passphrase = passphrase
        self._cipher: SectorCipher | None = None
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._open()
        except BaseException:
            os.close(self._fd)
            raise

    def _open(self) -> None:
        data = os.pread(self._fd, _HEADER.size + _FEATURES.size, 0)
        if len(data) < _HEADER.size + _FEATURES.size:
            raise BlocksUnreadable(f"{self._path.name} is cut short")
        magic, version, _, _, cluster_bits, size_bytes, encryption, entries, table, *_ = _HEADER.unpack_from(data)
        features = _FEATURES.unpack_from(data, _HEADER.size)[0] if version > 2 else 0  # noqa: PLR2004 - they came with 3
        if magic != qcow2_header.MAGIC or features & ~(_DIRTY | _EXTENDED):
            raise BlocksUnreadable(f"{self._path.name} has features {features:#x}")
        if encryption:
            self._cipher = self._unlocked()
        self.size_bytes: int = size_bytes
        self._cluster_bits: int = cluster_bits
        self._cluster = 1 << cluster_bits
        self._words = 2 if features & _EXTENDED else 1
        self._entries = self._cluster // 8 // self._words
        self._upper = _table(os.pread(self._fd, entries * 8, table))
        self._lower: dict[int, array[int]] = {}

    def _unlocked(self) -> SectorCipher:
        at = qcow2_header.luks_offset(os.pread(self._fd, qcow2_header.READ_BYTES, 0))
        if at is None or self._passphrase is None:
            raise BlocksUnreadable(f"{self._path.name} is encrypted, and its key is not known")
        try:
            return luks.unlock(os.pread(self._fd, luks.READ_BYTES, at), self._passphrase)
        except luks.WrongPassphrase as err:
            raise BlocksUnreadable(f"{self._path.name} cannot be decrypted: {err}") from err

    def extents(self) -> Iterator[Extent]:
        """Yield what the tables have, neighbours of one kind as one."""
        start = end = 0
        kind = True
        for first, length, is_data in self._allocated():
            if first == end and is_data == kind:
                end += length
                continue
            if end > start:
                yield start, min(end, self.size_bytes), kind
            start, end, kind = first, first + length, is_data
        if end > start:
            yield start, min(end, self.size_bytes), kind

    def piece(self, start: int, length: int) -> bytes | None:
        """Return a stretch whose clusters lie side by side."""
        first, count = start >> self._cluster_bits, -(-length >> self._cluster_bits)
        if start + length > self.size_bytes or start & (self._cluster - 1) or length & (self._cluster - 1):
            return SCATTERED
        found = [self._entry((first + number) << self._cluster_bits) for number in range(count)]
        if any(bits != self._cluster_bits for _, bits in found):
            return SCATTERED
        entries = [entry for entry, _ in found]
        if not any(entries):
            return BELOW
        offset = entries[0] & _OFFSET
        for number, entry in enumerate(entries):
            if entry & (_COMPRESSED | _READS_AS_ZEROS) or entry & _OFFSET != offset + (number << self._cluster_bits):
                return SCATTERED
        data = os.pread(self._fd, length, offset) if offset else b""
        if len(data) != length:
            return SCATTERED
        return data if self._cipher is None else self._cipher.decrypt(data, offset)

    def read(self, start: int, into: memoryview) -> list[tuple[int, int]]:
        """Read what is here, clusters that lie side by side at once."""
        missing: list[tuple[int, int]] = []
        position, end = start, start + len(into)
        run_at = run_from = run_length = 0  # a stretch to read: where in `into`, where in the file, how long
        while position < end:
            entry, bits = self._entry(position)
            length = min(end, (position >> bits) + 1 << bits) - position
            within = position & ((1 << bits) - 1)
            if entry & _COMPRESSED:
                into[position - start : position - start + length] = self._unpacked(entry)[within : within + length]
            elif not entry & _READS_AS_ZEROS:
                offset = (entry & _OFFSET) + within
                if not entry & _OFFSET:
                    _add(missing, position, length)
                elif run_length and run_from + run_length == offset and run_at + run_length == position - start:
                    run_length += length
                else:
                    self._read_run(into[run_at : run_at + run_length], run_from)
                    run_at, run_from, run_length = position - start, offset, length
            position += length
        self._read_run(into[run_at : run_at + run_length], run_from)
        return missing

    def _read_run(self, into: memoryview, offset: int) -> None:
        _pread(self._fd, into, offset)
        if self._cipher is not None:
            into[:] = self._cipher.decrypt(into, offset)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _allocated(self) -> Iterator[tuple[int, int, bool]]:
        """Yield each cluster, or part of one, that is not below this layer: first byte, length, whether it has data."""
        for number, pointer in enumerate(self._upper):
            if not pointer & _OFFSET:
                continue
            table, base = self._table_at(pointer & _OFFSET), number * self._entries
            for place in range(self._entries):
                # A compressed cluster's lowest bit is a part of its offset.
                if entry := table[place * self._words]:
                    first = (base + place) << self._cluster_bits
                    if self._words == 1 or entry & _COMPRESSED:
                        yield first, self._cluster, bool(entry & _COMPRESSED) or not entry & _READS_AS_ZEROS
                    else:
                        yield from self._parts(first, table[place * 2 + 1])
                elif self._words > 1 and (bitmap := table[place * 2 + 1]):
                    yield from self._parts((base + place) << self._cluster_bits, bitmap)

    def _parts(self, first: int, bitmap: int) -> Iterator[tuple[int, int, bool]]:
        """Yield the parts of a cluster that are not below this layer."""
        if bitmap in {_ALL_HERE, _ALL_ZEROS}:
            yield first, self._cluster, bitmap == _ALL_HERE
            return
        length = self._cluster >> _PART_BITS
        for part in range(_PARTS):
            if bitmap >> part & (1 | 1 << _PARTS):
                yield first + part * length, length, bool(bitmap >> part & 1)

    def _entry(self, position: int) -> tuple[int, int]:
        """Return the entry of the cluster at a place, and how many bits the cluster has.

        Where its parts are not of one kind, it is as if the part at that place were a cluster.
        """
        bits = self._cluster_bits
        if position >= self.size_bytes:
            return _READS_AS_ZEROS, bits
        number, place = divmod(position >> bits, self._entries)
        pointer = self._upper[number] & _OFFSET if number < len(self._upper) else 0
        table = self._table_at(pointer) if pointer else None
        entry = 0 if table is None else table[place * self._words]
        if table is None or self._words == 1 or entry & _COMPRESSED:
            return entry, bits
        bitmap = table[place * 2 + 1]
        if bitmap not in {0, _ALL_HERE, _ALL_ZEROS}:
            bits -= _PART_BITS
            part = position >> bits & (_PARTS - 1)
            entry += part << bits
            bitmap >>= part
        if bitmap >> _PARTS & 1:
            return _READS_AS_ZEROS, bits
        return entry if bitmap & 1 else 0, bits

    def _table_at(self, offset: int) -> "array[int]":
        table = self._lower.get(offset)
        if table is None:
            if len(self._lower) >= _TABLES_KEPT:
                self._lower.clear()
            table = self._lower[offset] = _table(os.pread(self._fd, self._cluster, offset))
        return table

    def _unpacked(self, entry: int) -> bytes:
        """Return a compressed cluster. Source: as above, "Compressed Clusters Descriptor"."""
        bits = 62 - (self._cluster_bits - 8)
        offset = entry & ((1 << bits) - 1)
        sectors = (entry >> bits) & ((1 << (self._cluster_bits - 8)) - 1)
        packed = os.pread(self._fd, 512 * (sectors + 1) - offset % 512, offset)
        return zlib.decompressobj(-12).decompress(packed, self._cluster).ljust(self._cluster, b"\0")


def open_layer(path: Path, passphrase: str | None = None) -> LayerReader:
    """Open a layer by the format that its name tells, with its passphrase if it is encrypted. Blocks.

    Raises:
        BlocksUnreadable: Single blocks of it cannot be read.
        OSError: It cannot be read.
    """
    return Qcow2Layer(path, passphrase) if format_of(path.name) == QCOW2 else RawLayer(path)


def _table(data: bytes) -> "array[int]":
    table = array("Q", data)
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _add(parts: list[tuple[int, int]], start: int, length: int) -> None:
    """Add a part behind the others, to the last one where they touch."""
    if parts and sum(parts[-1]) == start:
        parts[-1] = (parts[-1][0], parts[-1][1] + length)
    else:
        parts.append((start, length))


def _pread(fd: int, into: memoryview, offset: int) -> None:
    """Fill a buffer. What lies behind the end of the file stays as it is, as zeros."""
    done = 0
    while done < len(into):
        count = os.preadv(fd, [into[done:]], offset + done)
        if not count:
            return
        done += count
