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
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes import durable, luks
from bakehouse.drivers.volumes.qcow2.tables import LUKS_AT, Plan, Tables, pwrite, write_luks_header
from bakehouse.drivers.volumes.sectors import SectorCipher
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, WrittenBlocks, WrongBlocks

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
        self._end = plan.first_block
        self._cipher: SectorCipher | None = None
        self._last_written_at = time.time()

    @classmethod
    def create(cls, directory: Path, snapshot_id: str, plan: Plan, passphrase: str | None = None) -> "Upload":
        """Begin an upload. Afterwards it outlives the server. With a key in the plan there is a passphrase.

        Raises:
            OSError: There is nothing, or a journal without blocks.
        """
        data, journal = _files(directory, snapshot_id)
        head = {
            "size_bytes": plan.size_bytes,
            "parent": plan.parent,
            "parent_format": plan.parent_format,
            "key_id": plan.key_id,
            "boot": _BOOT_ID.read_text().strip(),
        }
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        data_fd = os.open(data, flags, 0o600)
        cipher = None
        try:
            if passphrase is not None:
                cipher = write_luks_header(data_fd, passphrase)
            durable.write(journal, json.dumps(head).encode() + b"\n")
            journal_fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except BaseException:
            os.close(data_fd)
            data.unlink(missing_ok=True)
            raise
        upload = cls(plan, data, journal, data_fd, journal_fd)
        upload._cipher = cipher
        return upload

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

    @property
    def is_locked(self) -> bool:
        """Whether it is encrypted, and was resumed, so that it takes no block before it is unlocked."""
        return self.plan.key_id is not None and self._cipher is None

    def unlock(self, passphrase: str) -> None:
        """Make a resumed upload take blocks again.

        Raises:
            WrongPassphrase: It was begun with another.
        """
        self._cipher = luks.unlock(os.pread(self._data_fd, luks.READ_BYTES, LUKS_AT), passphrase)

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
            kept = data if self._cipher is None else self._cipher.encrypt(data, offset)
            pwrite(self._data_fd, kept, offset)
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
            Tables(self.plan, where, self._end).write(self._data_fd)
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
        return [offset for offset in range(self.plan.first_block, self._end, BLOCK_BYTES) if offset not in used]


def remove_files(data: Path, journal: Path) -> None:
    """Remove an upload's files: the journal last, by which the other is found."""
    data.unlink(missing_ok=True)
    durable.remove(journal)


def _files(directory: Path, snapshot_id: str) -> tuple[Path, Path]:
    return directory / (snapshot_id + DATA_SUFFIX), directory / (snapshot_id + JOURNAL_SUFFIX)


def _append(fd: int, record: bytes) -> None:
    """Append a record as a whole, or nothing of it."""
    before = os.fstat(fd).st_size
    if os.write(fd, record) != len(record):
        os.ftruncate(fd, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
