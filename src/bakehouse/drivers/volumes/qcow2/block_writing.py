"""A snapshot that is written block by block, in any order: a qcow2 file that grows, and a journal beside it.

The data file has room for a header, then the blocks in the order of their coming; tables and header are written at the
end, so that half a file is never taken for a whole one. A block is written behind the others even if it was written
before, and counts from its record in the journal on: neither a killed server nor a client that tries again leaves half
a block. All this is in the host's memory until the end brings it to disk. A power cut before that loses the upload,
which is known by the host's boot id.
"""

import errno
import json
import os
import struct
import threading
import time
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from sys import byteorder
from typing import Final

from bakehouse.drivers.volumes import durable, qcow2_header
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, WrittenBlocks, WrongBlocks

_CLUSTER: Final = 64 << 10
_PER_BLOCK: Final = BLOCK_BYTES // _CLUSTER
_ENTRIES: Final = _CLUSTER // 8
#: Two bytes each.
_COUNTS: Final = _CLUSTER // 2

#: Source: QEMU's `docs/interop/qcow2.rst`: bit 63 of an entry says that the cluster's reference count is one, bit 0
#: that it reads as zeros.
_COPIED: Final = 1 << 63
_READS_AS_ZEROS: Final = 1

_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_HEADER_BYTES: Final = 104
_EXTENSION: Final = struct.Struct(">II")
_BACKING_FORMAT: Final = 0xE279_2ACA

#: Index, where in the file (0 for zeros), SHA-256, checksum of these.
_RECORD: Final = struct.Struct(">IQ32s")
_CHECKSUM: Final = struct.Struct(">I")
_RECORD_BYTES: Final = _RECORD.size + _CHECKSUM.size

_ZEROS: Final = bytes(BLOCK_BYTES)
_DIGEST_OF_ZEROS: Final = sha256(_ZEROS).digest()

DATA_SUFFIX: Final = ".qcow2"
JOURNAL_SUFFIX: Final = ".journal"

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Lost(Exception):
    """What is left of an upload cannot be gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an upload is to become."""

    size_bytes: int
    parent: str | None
    """The layer below it."""
    parent_format: str | None


class Upload:
    """One upload: its two files, open. The methods block, and may be called from several threads."""

    def __init__(self, plan: Plan, data: Path, journal: Path, data_fd: int, journal_fd: int) -> None:
        """Take over open files; `create` and `resume` make them."""
        self.plan = plan
        self.data = data
        self.journal = journal
        self._data_fd = data_fd
        self._journal_fd = journal_fd
        self._lock = threading.Lock()
        self._where: dict[int, tuple[int, bytes]] = {}
        self._free: list[int] = []
        self._end = _CLUSTER
        self._last_written_at = time.time()

    @classmethod
    def create(cls, directory: Path, snapshot_id: str, plan: Plan) -> "Upload":
        """Begin an upload. Afterwards it outlives the server.

        Raises:
            OSError: There is nothing, or a journal without blocks.
        """
        data, journal = _files(directory, snapshot_id)
        head = {
            "size_bytes": plan.size_bytes,
            "parent": plan.parent,
            "parent_format": plan.parent_format,
            "boot": _BOOT_ID.read_text().strip(),
        }
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        data_fd = os.open(data, flags, 0o600)
        try:
            durable.write(journal, json.dumps(head).encode() + b"\n")
            journal_fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except BaseException:
            os.close(data_fd)
            data.unlink(missing_ok=True)
            raise
        return cls(plan, data, journal, data_fd, journal_fd)

    @classmethod
    def resume(cls, directory: Path, snapshot_id: str) -> "Upload":
        """Go on with an upload of an earlier server.

        Raises:
            Lost: The host has lost power since, or the files are not whole.
        """
        data, journal = _files(directory, snapshot_id)
        try:
            text, _, records = journal.read_bytes().partition(b"\n")
            head = json.loads(text)
            if head.pop("boot") != _BOOT_ID.read_text().strip():
                raise Lost("the host was restarted")
            plan = Plan(**head)
            data_fd = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise Lost(str(err)) from err
        upload = cls(plan, data, journal, data_fd, os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        whole = upload._read(records)
        os.truncate(upload.journal, len(text) + 1 + whole)
        upload._last_written_at = journal.stat().st_mtime
        return upload

    def write(self, index: int, data: bytes, digest: bytes) -> None:
        """Write a block.

        Raises:
            ValueError: The disk has no such block, or the data is none.
            WrongBlocks: The data has another digest. Nothing was written.
            OSError: Nothing was written.
        """
        if len(data) != BLOCK_BYTES or not 0 <= index < self.plan.size_bytes // BLOCK_BYTES:
            raise ValueError(f"{len(data)} bytes are no block {index} of {self.plan.size_bytes} bytes")
        if sha256(data).digest() != digest:
            raise WrongBlocks("the data has another checksum")
        if digest == _DIGEST_OF_ZEROS:
            self._note(index, 0, digest)
            return
        with self._lock:
            offset = self._free.pop() if self._free else self._end
            self._end = max(self._end, offset + BLOCK_BYTES)
        try:
            _pwrite(self._data_fd, data, offset)
            self._note(index, offset, digest)
        except BaseException:
            with self._lock:
                self._free.append(offset)
            raise

    def written(self) -> WrittenBlocks:
        """Tell what was written so far."""
        with self._lock:
            digests = [self._where[index][1] for index in sorted(self._where)]
            return WrittenBlocks(
                count=len(digests),
                digest=sha256(b"".join(digests)).digest(),
                last_written_at=self._last_written_at,
            )

    def seal(self) -> None:
        """Write the tables and the header, and bring all of it to disk. May be repeated.

        Raises:
            OSError: It may be repeated.
        """
        with self._lock:
            where = {index: offset for index, (offset, _) in self._where.items()}
            os.ftruncate(self._data_fd, self._end)
            _Tables(self.plan, where, self._end).write(self._data_fd)
        os.fsync(self._data_fd)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._data_fd)
        os.close(self._journal_fd)

    def remove(self) -> None:
        """Let go of the files and remove them."""
        self.close()
        remove_files(self.data, self.journal)

    def _note(self, index: int, offset: int, digest: bytes) -> None:
        record = _RECORD.pack(index, offset, digest)
        with self._lock:
            _append(self._journal_fd, record + _CHECKSUM.pack(zlib.crc32(record)))
            self._place(index, offset, digest)
            self._last_written_at = time.time()

    def _place(self, index: int, offset: int, digest: bytes) -> None:
        before = self._where.get(index)
        if before is not None and before[0]:
            self._free.append(before[0])
        self._where[index] = (offset, digest)

    def _read(self, records: bytes) -> int:
        """Take over what the journal has; return the length of its whole records."""
        position = 0
        while position + _RECORD_BYTES <= len(records):
            record = records[position : position + _RECORD.size]
            (checksum,) = _CHECKSUM.unpack_from(records, position + _RECORD.size)
            if checksum != zlib.crc32(record):
                break
            index, offset, digest = _RECORD.unpack(record)
            if offset:
                self._end = max(self._end, offset + BLOCK_BYTES)
            self._where[index] = (offset, digest)
            position += _RECORD_BYTES
        self._free = list(self._gaps())
        return position

    def _gaps(self) -> Iterable[int]:
        used = {offset for offset, _ in self._where.values()}
        return [offset for offset in range(_CLUSTER, self._end, BLOCK_BYTES) if offset not in used]


class _Tables:
    """The tables that make a file of blocks a qcow2 file; they go behind the blocks."""

    def __init__(self, plan: Plan, where: Mapping[int, int], end: int) -> None:
        self._plan = plan
        self._where = where
        self._end = end

    def write(self, fd: int) -> None:
        """Write tables, then the header."""
        upper = array("Q", bytes(8 * max(1, -(-self._plan.size_bytes // (_CLUSTER * _ENTRIES)))))
        position = self._end
        for number, lower in self._lower_tables():
            _pwrite(fd, _big_endian(lower), position)
            upper[number] = position | _COPIED
            position += _CLUSTER
        upper_at = position
        _pwrite(fd, _padded(_big_endian(upper)), upper_at)
        position += len(_padded(_big_endian(upper)))
        counts_at, table_clusters = self._write_counts(fd, position)
        _pwrite(fd, self._header(upper_at, len(upper), counts_at, table_clusters), 0)

    def _lower_tables(self) -> Iterable[tuple[int, "array[int]"]]:
        per_table = _ENTRIES // _PER_BLOCK
        tables: dict[int, array[int]] = {}
        for index, offset in self._where.items():
            number, place = divmod(index, per_table)
            table = tables.get(number)
            if table is None:
                table = tables[number] = array("Q", bytes(_CLUSTER))
            for cluster in range(_PER_BLOCK):
                entry = offset + cluster * _CLUSTER | _COPIED if offset else _READS_AS_ZEROS
                table[place * _PER_BLOCK + cluster] = entry
        return tables.items()

    def _write_counts(self, fd: int, position: int) -> tuple[int, int]:
        """Write the reference counts: one for each cluster of the file but those of free slots."""
        blocks = table_clusters = 1
        while True:
            clusters = position // _CLUSTER + blocks + table_clusters
            needed = -(-clusters // _COUNTS)
            if needed <= blocks and -(-needed * 8 // _CLUSTER) <= table_clusters:
                break
            blocks, table_clusters = needed, -(-needed * 8 // _CLUSTER)
        counts = array("H", [1]) * clusters
        counts.extend([0] * (blocks * _COUNTS - clusters))
        used = set(self._where.values())
        for offset in range(_CLUSTER, self._end, BLOCK_BYTES):
            if offset not in used:
                first = offset // _CLUSTER
                counts[first : first + _PER_BLOCK] = array("H", bytes(2 * _PER_BLOCK))
        _pwrite(fd, _big_endian(counts), position)
        table = array("Q", [position + number * _CLUSTER for number in range(blocks)])
        table_at = position + blocks * _CLUSTER
        _pwrite(fd, _big_endian(table).ljust(table_clusters * _CLUSTER, b"\0"), table_at)
        return table_at, table_clusters

    def _header(self, upper_at: int, upper_entries: int, counts_at: int, counts_clusters: int) -> bytes:
        """Source: as above, "Header" and "Header extensions"; version 3, counts of 16 bits, clusters of 64 KiB."""
        parent, extensions = b"", b""
        if self._plan.parent is not None and self._plan.parent_format is not None:
            parent = self._plan.parent.encode()
            name = self._plan.parent_format.encode()
            extensions = _EXTENSION.pack(_BACKING_FORMAT, len(name)) + name.ljust(-(-len(name) // 8) * 8, b"\0")
        extensions += _EXTENSION.pack(0, 0)
        parent_at = _HEADER_BYTES + len(extensions) if parent else 0
        header = _HEADER.pack(
            qcow2_header.MAGIC, 3, parent_at, len(parent), 16, self._plan.size_bytes, 0, upper_entries, upper_at,
            counts_at, counts_clusters, 0, 0, 0, 0, 0, 4, _HEADER_BYTES,
        )  # fmt: skip
        return _padded(header + extensions + parent)


def remove_files(data: Path, journal: Path) -> None:
    """Remove an upload's files: the journal last, by which the other is found."""
    data.unlink(missing_ok=True)
    durable.remove(journal)


def _files(directory: Path, snapshot_id: str) -> tuple[Path, Path]:
    return directory / (snapshot_id + DATA_SUFFIX), directory / (snapshot_id + JOURNAL_SUFFIX)


def _big_endian(table: "array[int]") -> bytes:
    if byteorder == "big":
        return table.tobytes()
    swapped = array(table.typecode, table)
    swapped.byteswap()
    return swapped.tobytes()


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // _CLUSTER) * _CLUSTER, b"\0")


def _pwrite(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _append(fd: int, record: bytes) -> None:
    """Append a record as a whole, or nothing of it."""
    before = os.fstat(fd).st_size
    if os.write(fd, record) != len(record):
        os.ftruncate(fd, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
