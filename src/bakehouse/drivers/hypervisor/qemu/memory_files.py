"""What a hibernated machine had in its memory, in files of its run directory.

The memory is the stream by which QEMU hands a machine on, as it is or encrypted: pieces of up to 1 MiB, each behind its
length and sealed by AES-256-GCM under a key made of the volume's and of a salt that is new for each file. The number of
a piece, and whether it is the last, is part of its nonce, so none can be left out, moved or put behind another.

A second file says what the memory belongs to. It comes last and goes first: without it the memory is nothing.
"""

import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bakehouse.ports.volumes import LayerKey

_PIECE_BYTES: Final = 1 << 20
_LENGTH_BYTES: Final = 4
_SALT_BYTES: Final = 16
_PURPOSE: Final = b"bakehouse memory of a hibernated machine"


class MemoryUnreadable(Exception):
    """A file is cut short, was changed, or does not belong to the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRecord:
    """What a memory belongs to."""

    fits: Mapping[str, object]
    """What must be the same of the machine that wakes up with it."""
    ports: int
    taken: Mapping[str, int]
    """Which hot-plug port each device was in, by the names of `command_line.Places`."""
    key_id: str | None = None
    """By which of the volume's keys it is encrypted."""
    salt: str = ""


class MemoryFiles:
    """The two files. Methods wait for the disk: for threads."""

    def __init__(self, memory: Path, record: Path) -> None:
        self._memory = memory
        self._record = record

    def read_record(self) -> MemoryRecord | None:
        """Return what the memory belongs to, or None when there is none that can be read."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=MemoryRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def keep(self, record: MemoryRecord) -> None:
        """Bring the memory that was written to the disk, and say what it belongs to: from now on it is there."""
        _synchronise(self._memory)
        new = self._record.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(record))
        _synchronise(new)
        new.replace(self._record)
        _synchronise(self._record.parent)

    def remove(self) -> None:
        """Remove both. Succeeds when there is nothing."""
        if self._record.exists() or self._memory.exists():
            self._record.unlink(missing_ok=True)
            _synchronise(self._record.parent)
            self._memory.unlink(missing_ok=True)

    def writer(self, key: LayerKey | None, salt: str) -> "MemoryTransfer":
        """Begin to write a memory, in place of an earlier one."""
        self.remove()
        descriptor = os.open(self._memory, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        file = os.fdopen(descriptor, "wb", buffering=0)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        source = os.fdopen(reading, "rb", buffering=0)
        seal = None if key is None else _cipher(key, salt)
        return MemoryTransfer(writing, source, file, _pieces_of(source) if seal is None else _sealed(source, seal))

    def reader(self, key: LayerKey | None, salt: str) -> "MemoryTransfer":
        """Begin to read the memory.

        Raises:
            MemoryUnreadable: It is not there.
        """
        try:
            file = self._memory.open("rb", buffering=0)
        except OSError as err:
            raise MemoryUnreadable(str(err)) from err
        reading, writing = os.pipe2(os.O_CLOEXEC)
        target = os.fdopen(writing, "wb", buffering=0)
        seal = None if key is None else _cipher(key, salt)
        return MemoryTransfer(reading, file, target, _pieces_of(file) if seal is None else _opened(file, seal))


class MemoryTransfer:
    """A thread that carries a memory between its file and a pipe, whose other end is for QEMU."""

    def __init__(self, descriptor: int, source: BinaryIO, target: BinaryIO, pieces: Iterator[bytes]) -> None:
        self._descriptor = descriptor
        self._source = source
        self._target = target
        self._pieces = pieces
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._carry, name="memory", daemon=True)

    @contextmanager
    def end(self) -> Iterator[int]:
        """Let the thread run, and give QEMU's end of the pipe, which is ours to close when QEMU has a copy."""
        self._thread.start()
        try:
            yield self._descriptor
        finally:
            os.close(self._descriptor)

    def finish(self) -> None:
        """Wait until all is carried; QEMU has closed its end, or the process is gone.

        Raises:
            MemoryUnreadable: The file is not whole, or is not for this key.
            OSError: The file could not be read or written: there is no room, maybe.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _carry(self) -> None:
        try:
            # Closing the pipe is how QEMU hears of a failure.
            with self._source, self._target:
                for piece in self._pieces:
                    _write_all(self._target, piece)
        except (OSError, MemoryUnreadable) as err:
            self._failure = err


def new_salt() -> str:
    """Return a salt for a memory that is to be written."""
    return secrets.token_hex(_SALT_BYTES)


def _cipher(key: LayerKey, salt: str) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=bytes.fromhex(salt), info=_PURPOSE)
    return AESGCM(derived.derive(key.passphrase.encode()))


def _pieces_of(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_PIECE_BYTES):
        yield piece


def _sealed(source: BinaryIO, cipher: AESGCM) -> Iterator[bytes]:
    number = 0
    for number, piece in enumerate(_pieces_of(source), start=1):
        yield _with_length(cipher.encrypt(_nonce(number, last=False), piece, None))
    yield _with_length(cipher.encrypt(_nonce(number + 1, last=True), b"", None))


def _opened(source: BinaryIO, cipher: AESGCM) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        length = int.from_bytes(_exactly(source, _LENGTH_BYTES))
        sealed = _exactly(source, length)
        try:
            yield cipher.decrypt(_nonce(number, last=False), sealed, None)
        except InvalidTag:
            break
    try:
        cipher.decrypt(_nonce(number, last=True), sealed, None)
    except InvalidTag as err:
        raise MemoryUnreadable("the memory was changed, or is of another key") from err


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])


def _with_length(sealed: bytes) -> bytes:
    return len(sealed).to_bytes(_LENGTH_BYTES) + sealed


def _exactly(source: BinaryIO, length: int) -> bytes:
    if length > 2 * _PIECE_BYTES:
        raise MemoryUnreadable("the memory was changed")
    found = b""
    while len(found) < length:
        more = source.read(length - len(found))
        if not more:
            raise MemoryUnreadable("the memory was cut short")
        found += more
    return found


def _write_all(target: BinaryIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[target.write(rest) :]


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
