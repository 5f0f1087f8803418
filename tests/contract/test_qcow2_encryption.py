"""Encrypted volumes of the real store: who has its folder without the keys has nothing."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.contract.disks import MIB, DiskMachine
from tests.contract.encrypted_disks import (
    SECRET,
    content,
    holds_secret,
    qemu_io,
    snapshot_content,
    volume_content,
    write,
    write_secret,
)
from tests.memory_keys import MemoryKeys

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, BlocksUnreadable
from bakehouse.ports.storage_upkeep import Severity

KEY, OTHER_KEY = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture
async def keys() -> MemoryKeys:
    made = MemoryKeys()
    await made.create(KEY)
    await made.create(OTHER_KEY)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def opened(root: Path, keys: MemoryKeys, machine: DiskMachine | None = None) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(root, live=machine or DiskMachine(), owner=None, keys=keys, reserve_bytes=0)


@pytest.fixture
async def store(root: Path, keys: MemoryKeys) -> AsyncIterator[Qcow2VolumeStore]:
    store = opened(root, keys)
    yield store
    store.blocks.close_idle()


async def secret_volume(store: Qcow2VolumeStore, volume_id: str, scratch: Path) -> bytes:
    """Make an encrypted volume of 4 MiB with a text in its first; return its content."""
    await store.create(volume_id, size_bytes=4 * MIB, snapshot_id=None, key_id=KEY)
    text = write_secret(await store.connect(volume_id), scratch, at=0, length=MIB)
    return text.ljust(4 * MIB, b"\0")


async def test_what_is_written_is_read_again_and_found_nowhere(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path
) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)

    assert await volume_content(store, "vol-1", tmp_path) == written
    assert holds_secret(root) == []


async def test_without_the_keys_nothing_can_be_opened(store: Qcow2VolumeStore, root: Path, tmp_path: Path) -> None:
    await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    shutil.copytree(root, tmp_path / "stolen")
    thief = opened(tmp_path / "stolen", MemoryKeys())

    with pytest.raises(KeyUnavailable):
        await thief.connect("vol-1")
    with pytest.raises(BlocksUnreadable):
        await thief.blocks.read("snap-1", 0)
    with pytest.raises(KeyUnavailable):
        await thief.create("vol-2", size_bytes=4 * MIB, snapshot_id="snap-1")


async def test_another_key_store_s_key_of_the_same_id_opens_nothing(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path
) -> None:
    await secret_volume(store, "vol-1", tmp_path)
    wrong = MemoryKeys()
    await wrong.create(KEY)

    with pytest.raises(KeyUnavailable):
        await opened(root, wrong).connect("vol-1")


async def test_a_check_says_which_layers_lost_their_key(
    store: Qcow2VolumeStore, tmp_path: Path, keys: MemoryKeys
) -> None:
    await secret_volume(store, "vol-1", tmp_path)
    sound = await store.upkeep.check(repair=False)
    keys.keys.clear()

    report = await store.upkeep.check(repair=False)

    assert sound.findings == ()
    assert [(it.severity, it.affects) for it in report.findings] == [(Severity.LOST, ("vol-1",))]
    assert "its key is gone" in report.findings[0].problem


async def test_snapshots_and_their_volumes_are_encrypted_with_the_same_key(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path
) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.create("vol-2", size_bytes=8 * MIB, snapshot_id="snap-1")
    text = write_secret(await store.connect("vol-2"), tmp_path, at=2 * MIB, length=MIB)

    assert [await store.key_of(it) for it in ("vol-1", "snap-1", "vol-2")] == [KEY] * 3
    assert (await volume_content(store, "vol-2", tmp_path))[: 3 * MIB] == written[: 2 * MIB] + text
    assert await snapshot_content(store, "snap-1", 4 * MIB, tmp_path) == written
    assert holds_secret(root) == []
    assert len(list((root / "data-keys").iterdir())) == 1


async def test_a_volume_of_a_plain_snapshot_encrypts_what_is_written_to_it(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path
) -> None:
    await store.create("vol-1", size_bytes=4 * MIB, snapshot_id=None)
    write(await store.connect("vol-1"), 7, at=0, length=2 * MIB)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.create("vol-2", size_bytes=4 * MIB, snapshot_id="snap-1", key_id=KEY)
    text = write_secret(await store.connect("vol-2"), tmp_path, at=MIB, length=MIB)

    assert (await volume_content(store, "vol-2", tmp_path))[: 2 * MIB] == b"\x07" * MIB + text
    assert await store.key_of("snap-1") is None
    assert holds_secret(root) == []


async def test_a_copy_under_another_key_needs_nothing_of_its_source(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path, keys: MemoryKeys
) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.copy_snapshot("snap-1", "snap-2", key_id=OTHER_KEY)
    await store.delete("vol-1")
    await store.delete_snapshot("snap-1")
    await store.sweep(remove=True)
    del keys.keys[KEY]

    assert await snapshot_content(store, "snap-2", 4 * MIB, tmp_path) == written
    assert await store.key_of("snap-2") == OTHER_KEY
    assert holds_secret(root) == []


async def test_an_encrypted_copy_of_a_plain_snapshot_is_encrypted_whole(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path
) -> None:
    await store.create("vol-1", size_bytes=4 * MIB, snapshot_id=None)
    text = write_secret(await store.connect("vol-1"), tmp_path, at=0, length=MIB)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.copy_snapshot("snap-1", "snap-2", key_id=KEY)
    await store.delete("vol-1")
    await store.delete_snapshot("snap-1")
    await store.sweep(remove=True)

    assert await snapshot_content(store, "snap-2", 4 * MIB, tmp_path) == text.ljust(4 * MIB, b"\0")
    assert holds_secret(root) == []


async def test_a_copy_under_the_same_key_copies_no_byte(store: Qcow2VolumeStore, root: Path, tmp_path: Path) -> None:
    await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    before = sorted((root / "layers").iterdir())

    await store.copy_snapshot("snap-1", "snap-2", key_id=KEY)

    assert sorted((root / "layers").iterdir()) == before


async def test_an_encrypted_volume_grows(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)

    await store.grow("vol-1", size_bytes=8 * MIB, machine_id=None)

    assert await volume_content(store, "vol-1", tmp_path) == written.ljust(8 * MIB, b"\0")


async def test_a_sweep_forgets_data_keys_that_no_layer_needs_but_not_new_ones(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path, keys: MemoryKeys
) -> None:
    await secret_volume(store, "vol-1", tmp_path)
    await store.delete("vol-1")

    await store.sweep(remove=True)
    kept = list((root / "data-keys").iterdir())
    await opened(root, keys).sweep(remove=True)

    assert len(kept) == 1
    assert list((root / "data-keys").iterdir()) == []


async def test_a_long_chain_is_merged_and_reads_the_same(root: Path, keys: MemoryKeys, tmp_path: Path) -> None:
    """Also by whoever described the chain before, and of zeros that hide what is below."""
    machine = DiskMachine()
    store = opened(root, keys, machine)
    written = bytearray(await secret_volume(store, "vol-1", tmp_path))
    for number in range(1, 14):
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)
        write(await store.connect("vol-1"), number, at=number * 65536, length=2 * 65536)
        written[number * 65536 : (number + 2) * 65536] = bytes([number]) * (2 * 65536)
        part = 15 * 65536 + number * 4096
        write(await store.connect("vol-1"), number, at=part, length=4096)
        written[part : part + 4096] = bytes([number]) * 4096
    qemu_io(await store.connect("vol-1"), f"discard {65536 * 14} {65536}")
    written[65536 * 14 : 65536 * 15] = bytes(65536)
    assert await store.depth("vol-1") == 14
    before = await store.connect("vol-1")

    while (step := await store.upkeep.tend()) is not None:
        assert step.did.name != "FAILED", step.detail[-900:]

    assert await store.depth("vol-1") < 14
    assert await volume_content(store, "vol-1", tmp_path) == content(before, tmp_path) == bytes(written)
    assert (await snapshot_content(store, "snap-1", 4 * MIB, tmp_path))[: 2 * MIB] == await first_blocks(store)
    assert holds_secret(root) == []


async def first_blocks(store: Qcow2VolumeStore) -> bytes:
    """Return the first two MiB of the first snapshot, by blocks."""
    blocks = [(await store.blocks.read("snap-1", index))[0] for index in range(4)]
    return b"".join(blocks)


async def test_a_live_machine_gets_the_key_of_its_new_top(root: Path, keys: MemoryKeys, tmp_path: Path) -> None:
    machine = DiskMachine()
    store = opened(root, keys, machine)
    written = await secret_volume(store, "vol-1", tmp_path)
    machine.start({"vol-1": await store.connect("vol-1")})

    await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")

    assert machine.last_switches[0].key == (await store.connect("vol-1")).key
    machine.end()
    assert await volume_content(store, "vol-1", tmp_path) == written


async def test_blocks_of_an_encrypted_snapshot_are_read_as_written(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)
    write(await store.connect("vol-1"), 9, at=3 * MIB + 512, length=1024)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    expected = written[: 3 * MIB + 512] + b"\x09" * 1024
    expected = expected.ljust(4 * MIB, b"\0")

    indexes = list(await store.blocks.blocks("snap-1"))
    read = [await store.blocks.read("snap-1", index) for index in range(8)]

    assert indexes == [0, 1, 6]
    assert b"".join(data for data, _ in read) == expected
    assert all(sha256(data).digest() == digest for data, digest in read)


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_blocks_are_written_encrypted(
    store: Qcow2VolumeStore, root: Path, keys: MemoryKeys, tmp_path: Path, *, is_resumed: bool
) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    block = (b"the recipe of the house " * BLOCK_BYTES)[:BLOCK_BYTES]
    noise = random.Random(1).randbytes(BLOCK_BYTES)
    await store.blocks.begin("snap-2", size_bytes=4 * MIB, parent_id="snap-1", key_id=KEY)
    await store.blocks.write("snap-2", 7, block, digest=sha256(block).digest())
    if is_resumed:
        store = opened(root, keys)
    await asyncio.gather(
        store.blocks.write("snap-2", 1, noise, digest=sha256(noise).digest()),
        store.blocks.write("snap-2", 0, bytes(BLOCK_BYTES), digest=sha256(bytes(BLOCK_BYTES)).digest()),
    )
    assert holds_secret(root) == []

    await store.blocks.complete("snap-2")

    expected = bytes(BLOCK_BYTES) + noise + written[2 * BLOCK_BYTES : 7 * BLOCK_BYTES] + block
    assert await snapshot_content(store, "snap-2", 4 * MIB, tmp_path) == expected
    await store.sweep(remove=True)
    assert (await store.upkeep.check(repair=False)).findings == ()
    assert holds_secret(root) == []


async def test_a_passphrase_is_in_no_text_of_a_connection(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await secret_volume(store, "vol-1", tmp_path)

    connection = await store.connect("vol-1")

    assert connection.key is not None
    assert connection.key.passphrase not in repr(connection)
    assert content(connection, tmp_path)[:MIB] != bytes(MIB)


async def test_an_imported_disk_is_encrypted_whole(store: Qcow2VolumeStore, root: Path, tmp_path: Path) -> None:
    text = (SECRET * MIB)[:MIB]
    (tmp_path / "disk.raw").write_bytes(text)

    taken = await store.import_file("snap-1", tmp_path / "disk.raw", key_id=KEY)

    assert (taken.size_bytes, taken.source_format, await store.key_of("snap-1")) == (MIB, "raw", KEY)
    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == text
    assert holds_secret(root) == []


async def test_an_archived_snapshot_is_as_encrypted_and_comes_back(
    store: Qcow2VolumeStore, root: Path, tmp_path: Path, keys: MemoryKeys
) -> None:
    written = await secret_volume(store, "vol-1", tmp_path)
    await store.snapshot({"vol-1": "snap-0"}, machine_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    (tmp_path / "archive").mkdir()
    await store.files.archive(tmp_path / "archive" / "snap-1", "snap-1")
    await store.delete("vol-1")
    await store.delete_snapshot("snap-0")
    await store.delete_snapshot("snap-1")
    await opened(root, keys).sweep(remove=True)
    assert [*(root / "layers").iterdir(), *(root / "data-keys").iterdir()] == []
    assert holds_secret(tmp_path / "archive") == []
    store = opened(root, keys)
    await store.files.verify(tmp_path / "archive" / "snap-1")

    for _ in range(2):
        await store.files.unarchive(tmp_path / "archive" / "snap-1", "snap-1")

    assert await snapshot_content(store, "snap-1", 4 * MIB, tmp_path) == written
    assert await store.key_of("snap-1") == KEY
    await store.sweep(remove=True)
    assert (await store.upkeep.check(repair=False)).findings == ()
    assert holds_secret(root) == []
