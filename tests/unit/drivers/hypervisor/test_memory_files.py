"""The memory of a hibernated machine in its files: what is read is what was written, or nothing."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakehouse.drivers.hypervisor.qemu.memory_files import MemoryFiles, MemoryRecord, MemoryUnreadable, new_salt
from bakehouse.ports.volumes import LayerKey

KEY = LayerKey(id="key", passphrase="a secret")
OTHER = LayerKey(id="other", passphrase="another secret")
RECORD = MemoryRecord(fits={"vcpus": 1}, ports=9, taken={"vol-1": 0})
#: More than a piece, and not a whole number of them.
CONTENT = b"what programs had in mind " * 100_000


@pytest.fixture
def files(tmp_path: Path) -> MemoryFiles:
    return MemoryFiles(tmp_path / "memory", tmp_path / "memory.json")


def write(files: MemoryFiles, content: bytes, key: LayerKey | None, salt: str) -> None:
    transfer = files.writer(key, salt)
    with transfer.end() as descriptor, os.fdopen(os.dup(descriptor), "wb") as pipe:
        pipe.write(content)
    transfer.finish()
    files.keep(RECORD)


def read(files: MemoryFiles, key: LayerKey | None, salt: str) -> bytes:
    transfer = files.reader(key, salt)
    found = b""
    with transfer.end() as descriptor, os.fdopen(os.dup(descriptor), "rb") as pipe:
        found = pipe.read()
    transfer.finish()
    return found


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_what_is_read_is_what_was_written(files: MemoryFiles, key: LayerKey | None) -> None:
    salt = new_salt()
    write(files, CONTENT, key, salt)

    assert read(files, key, salt) == CONTENT


def test_an_encrypted_memory_shows_nothing(files: MemoryFiles, tmp_path: Path) -> None:
    write(files, CONTENT, KEY, new_salt())

    assert b"programs" not in (tmp_path / "memory").read_bytes()


def test_another_key_opens_nothing(files: MemoryFiles) -> None:
    salt = new_salt()
    write(files, CONTENT, KEY, salt)

    with pytest.raises(MemoryUnreadable):
        read(files, OTHER, salt)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(length=st.integers(min_value=0), flipped=st.integers(min_value=0))
def test_an_encrypted_memory_that_was_cut_or_changed_is_not_taken(
    files: MemoryFiles, tmp_path: Path, length: int, flipped: int
) -> None:
    salt = new_salt()
    write(files, CONTENT, KEY, salt)
    memory = tmp_path / "memory"
    whole = memory.read_bytes()
    changed = bytearray(whole)
    changed[flipped % len(whole)] ^= 1

    for damaged in (whole[: length % len(whole)], bytes(changed)):
        memory.write_bytes(damaged)
        with pytest.raises(MemoryUnreadable):
            read(files, KEY, salt)


def test_the_memory_is_its_owners_alone(files: MemoryFiles, tmp_path: Path) -> None:
    write(files, CONTENT, None, new_salt())

    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o600


def test_a_memory_without_its_record_is_none(files: MemoryFiles) -> None:
    transfer = files.writer(None, "")
    with transfer.end():
        pass
    transfer.finish()

    assert files.read_record() is None


def test_removing_leaves_nothing(files: MemoryFiles, tmp_path: Path) -> None:
    write(files, CONTENT, None, new_salt())

    files.remove()
    files.remove()

    assert (list(tmp_path.iterdir()), files.read_record()) == ([], None)


def test_a_reader_who_leaves_ends_the_transfer(files: MemoryFiles) -> None:
    salt = new_salt()
    write(files, CONTENT, None, salt)
    transfer = files.reader(None, salt)

    with transfer.end():
        pass

    with pytest.raises(BrokenPipeError):
        transfer.finish()
    assert threading.active_count() < 50
