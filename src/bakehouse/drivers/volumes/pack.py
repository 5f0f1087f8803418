"""Packed images: one file that holds disks and a document about them, written and read from front to end.

    magic       16 bytes: the format's name and version
    head        its length (u32), then JSON: the document, and of each disk its size and how much data it has at most
    blocks      each: kind (u8), disk (u32), offset in the disk (u64), length (u32), stored length (u32); then the data
    end         a block of kind `end`; behind it nothing

All numbers are big-endian. Behind the head and behind each block comes a digest of 16 bytes over it *and the digest
before*: nothing can be changed, left out, doubled or moved without being noticed before it is used. That guards
against damage, not against forgery: whoever may write to a bucket may make a pack. Disks come in order, and so do a
disk's blocks. What no block covers is zeros. Blocks are compressed one by one with zlib where that helps.

The version is raised when an older Bakehouse could not read what a newer one writes; members of the head that are not
known are passed over.
"""

import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from bakehouse.drivers.long_work import Work
from bakehouse.drivers.volumes.inspection import MAX_SIZE_BYTES
from bakehouse.drivers.volumes.sizes import SECTOR_BYTES
from bakehouse.ports.disk_files import NotAPack, PackContents

T = TypeVar("T")

_MAGIC: Final = b"Bakehouse pack\0"
VERSION: Final = 1

_LENGTH: Final = struct.Struct(">I")
_BLOCK: Final = struct.Struct(">BIQII")
_DIGEST_BYTES: Final = 16

_PLAIN: Final = 1
_ZLIB: Final = 2
_END: Final = 3

#: What a block covers at most, and where in a disk blocks begin: at multiples of it.
BLOCK_BYTES: Final = 1 << 20

#: Zeros of at least this much inside of a block take no room in the restored disk.
_PIECE_BYTES: Final = 64 << 10

_ZEROS: Final = bytes(BLOCK_BYTES)

#: Fast rather than small: a disk of Debian shrinks to 36 % at level 1 and to 33 % at level 6, in a third of the time.
_LEVEL: Final = 1

#: The document, at most. Source: `ports.disk_files.DiskFiles.pack`.
DOCUMENT_BYTES_MAX: Final = 1 << 20
_HEAD_BYTES_MAX: Final = 2 * DOCUMENT_BYTES_MAX

#: An instance has at most 128 volumes. Source: EC2 User Guide, "Amazon EBS volume limits".
_DISKS_MAX: Final = 128

#: How many blocks are compressed at once; zlib works outside of Python's lock.
_AT_ONCE: Final = min(os.cpu_count() or 1, 4)


class _Disk(msgspec.Struct, frozen=True, kw_only=True):
    size_bytes: int
    data_bytes: int


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    document: dict[str, Any]
    disks: list[_Disk]


@dataclass(frozen=True, slots=True)
class _Block:
    kind: int
    offset: int
    length: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """A raw file to be packed."""

    fd: int
    size_bytes: int


def write(file: BinaryIO, document: Mapping[str, Any], disks: Sequence[SourceDisk], work: Work) -> None:
    """Write a pack into an empty file. Blocks.

    Raises:
        ValueError: The document is too long, or there are too many disks.
        Abandoned: Nobody waits any more; a part is written.
        OSError: A part is written.
    """
    sizes = [_Disk(size_bytes=disk.size_bytes, data_bytes=_data_bytes(disk)) for disk in disks]
    head = msgspec.json.encode(_Head(document=dict(document), disks=sizes))
    if len(head) > DOCUMENT_BYTES_MAX or len(disks) > _DISKS_MAX:
        raise ValueError(f"a document of {len(head)} bytes, {len(disks)} disks: more than a pack holds")
    file.write(_MAGIC + bytes([VERSION]))
    written = _LENGTH.pack(len(head)) + head
    digest = _digest(b"", written)
    file.write(written + digest)
    total, done = sum(disk.data_bytes for disk in sizes), 0
    for number, disk in enumerate(disks):
        for block in _compressed(disk):
            written = _BLOCK.pack(block.kind, number, block.offset, block.length, len(block.data)) + block.data
            digest = _digest(digest, written)
            file.write(written + digest)
            done += block.length
            work.report(done, total)
    written = _BLOCK.pack(_END, len(disks), 0, 0, 0)
    file.write(written + _digest(digest, written))
    work.report(total, total)


class Reader:
    """Reads a pack from an open file, once, from its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the head. Blocks, for milliseconds.

        Raises:
            NotAPack: It is none, or one of a later version.
        """
        self._file = file
        magic = file.read(len(_MAGIC) + 1)
        if magic[:-1] != _MAGIC:
            raise NotAPack("it is no packed image")
        if magic[-1] != VERSION:
            raise NotAPack(f"it is a packed image of version {magic[-1]}; this is version {VERSION}")
        prefix = self._exactly(_LENGTH.size)
        (length,) = _LENGTH.unpack(prefix)
        if length > _HEAD_BYTES_MAX:
            raise NotAPack("its head is too long")
        encoded = self._exactly(length)
        self._digest = b""
        self._check(prefix + encoded)
        try:
            self._head = msgspec.json.decode(encoded, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            raise NotAPack(f"its head cannot be read: {err}") from err
        if len(self._head.disks) > _DISKS_MAX:
            raise NotAPack(f"it has {len(self._head.disks)} disks")
        for disk in self._head.disks:
            if not 0 < disk.size_bytes <= MAX_SIZE_BYTES or disk.size_bytes % SECTOR_BYTES:
                raise NotAPack(f"it has a disk of {disk.size_bytes} bytes")
            if not 0 <= disk.data_bytes <= disk.size_bytes:
                raise NotAPack("it has a disk with more data than it holds")

    @property
    def contents(self) -> PackContents:
        """What the head says."""
        return PackContents(
            document=self._head.document, disk_sizes_bytes=tuple(disk.size_bytes for disk in self._head.disks)
        )

    @property
    def data_bytes(self) -> tuple[int, ...]:
        """How much data each disk has at most."""
        return tuple(disk.data_bytes for disk in self._head.disks)

    def restore(self, targets: Sequence[int | None], work: Work) -> None:
        """Write the disks into open, empty files of their sizes; None leaves a disk out. Blocks.

        Raises:
            NotAPack: It is damaged; what is in the files is of no use.
            Abandoned: Nobody waits any more.
            OSError: They cannot be written.
        """
        left = list(self.data_bytes)
        total = sum(left)
        for number, offset, data in self._blocks():
            left[number] -= len(data)
            if left[number] < 0:
                raise NotAPack("it has more data than it says")
            target = targets[number]
            if target is not None:
                _write_sparse(target, offset, data)
            work.report(total - sum(left), total)
        work.report(total, total)

    def _blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """Give disk, offset and data of each block, checked."""
        disk, reached = 0, 0
        while True:
            header = self._exactly(_BLOCK.size)
            kind, number, offset, length, stored = _BLOCK.unpack(header)
            if length > BLOCK_BYTES or stored > BLOCK_BYTES:
                raise NotAPack("it is damaged: a block is too long")
            data = self._exactly(stored)
            self._check(header + data)
            if kind == _END:
                break
            reached = reached if number == disk else 0
            if number < disk or number >= len(self._head.disks) or offset < reached:
                raise NotAPack("it is damaged: a block is out of its place")
            disk, reached = number, offset + length
            if reached > self._head.disks[disk].size_bytes:
                raise NotAPack("it is damaged: a block is outside of its disk")
            yield disk, offset, _plain(kind, data, length)
        if self._file.read(1):
            raise NotAPack("it is damaged: something follows its end")

    def _exactly(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise NotAPack("it is cut short")
        return data

    def _check(self, data: bytes) -> None:
        self._digest = _digest(self._digest, data)
        if self._exactly(_DIGEST_BYTES) != self._digest:
            raise NotAPack("it is damaged: a checksum differs")


def _digest(before: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=before).digest()


def _extents(disk: SourceDisk) -> Iterator[tuple[int, int]]:
    """Give offset and length of what may hold data, cut at multiples of a block."""
    offset = 0
    while offset < disk.size_bytes:
        try:
            offset = os.lseek(disk.fd, offset, os.SEEK_DATA)
        except OSError:
            return  # Nothing but a hole up to the end.
        end = min(os.lseek(disk.fd, offset, os.SEEK_HOLE), disk.size_bytes)
        while offset < end:
            length = min(BLOCK_BYTES - offset % BLOCK_BYTES, end - offset)
            yield offset, length
            offset += length


def _data_bytes(disk: SourceDisk) -> int:
    return sum(length for _, length in _extents(disk))


def _compressed(disk: SourceDisk) -> Iterator[_Block]:
    """Give each block with anything in it, a few compressed at a time."""

    def compress(extent: tuple[int, int]) -> _Block | None:
        offset, length = extent
        data = os.pread(disk.fd, length, offset)
        if len(data) != length:
            raise OSError(f"the disk ends at {offset + len(data)} bytes")
        if _is_zero(data):
            return None
        packed = zlib.compress(data, _LEVEL)
        if len(packed) < length:
            return _Block(_ZLIB, offset, length, packed)
        return _Block(_PLAIN, offset, length, data)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pack") as threads:
        yield from filter(None, _in_order(threads, compress, _extents(disk)))


def _in_order(
    threads: ThreadPoolExecutor, work: Callable[[tuple[int, int]], T], extents: Iterable[tuple[int, int]]
) -> Iterator[T]:
    """Like `map`, but no more than a few ahead: `Executor.map` would read the whole disk into memory."""
    ahead: deque[Future[T]] = deque()
    try:
        for extent in extents:
            ahead.append(threads.submit(work, extent))
            if len(ahead) > 2 * _AT_ONCE:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


def _plain(kind: int, data: bytes, length: int) -> bytes:
    if kind == _ZLIB:
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, length)
        except zlib.error as err:
            raise NotAPack("it is damaged: a block cannot be unpacked") from err
    elif kind != _PLAIN:
        raise NotAPack(f"it has a block of kind {kind}")
    if len(data) != length:
        raise NotAPack("it is damaged: a block is shorter than it says")
    return data


def _write_sparse(fd: int, offset: int, data: bytes) -> None:
    for start in range(0, len(data), _PIECE_BYTES):
        piece = data[start : start + _PIECE_BYTES]
        if not _is_zero(piece):
            os.pwrite(fd, piece, offset + start)


def _is_zero(data: bytes) -> bool:
    # As fast as memory; `any` takes 4 ms for a block, and Python's lock with it.
    return data == _ZEROS[: len(data)]
