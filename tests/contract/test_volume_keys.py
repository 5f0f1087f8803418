"""What every volume store says of encryption, the fake and the real one. Needs qemu-img."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.contract.disks import MIB
from tests.memory_keys import MemoryKeys

from bakehouse.drivers.keys.directory import KeyDirectory
from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.keys import KeyStore, KeyUnavailable
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES
from bakehouse.ports.volumes import NoSuchSnapshot, NoSuchVolume, VolumeStore

KEY, OTHER_KEY = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
NO_KEY = "00000000-0000-4000-8000-000000000003"


def fake_store(directory: Path, keys: KeyStore) -> VolumeStore:
    return FakeVolumeStore(directory / "volumes.json", keys=keys)


def qcow2_store(directory: Path, keys: KeyStore) -> VolumeStore:
    return Qcow2VolumeStore(directory / "store", live=NoLiveDisks(), owner=None, keys=keys)


@pytest.fixture
async def keys(tmp_path: Path) -> KeyStore:
    made = KeyDirectory(tmp_path / "keys")
    await made.create(KEY)
    await made.create(OTHER_KEY)
    return made


@pytest.fixture(params=[fake_store, qcow2_store], ids=["fake", "qcow2"])
def make(request: pytest.FixtureRequest) -> Callable[[Path, KeyStore], VolumeStore]:
    made: Callable[[Path, KeyStore], VolumeStore] = request.param
    return made


@pytest.fixture
def store(make: Callable[[Path, KeyStore], VolumeStore], keys: KeyStore, tmp_path: Path) -> VolumeStore:
    return make(tmp_path, keys)


async def test_what_is_made_of_something_encrypted_has_its_key(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None, key_id=KEY)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1")
    await store.copy_snapshot("snap-1", "snap-2")

    assert {await store.key_of(it) for it in ("vol-1", "snap-1", "vol-2", "snap-2")} == {KEY}


async def test_what_nobody_encrypts_has_no_key(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert {await store.key_of(it) for it in ("vol-1", "snap-1")} == {None}


async def test_volumes_and_copies_can_have_another_key(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None, key_id=KEY)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1", key_id=OTHER_KEY)
    await store.copy_snapshot("snap-1", "snap-2", key_id=OTHER_KEY)

    assert {await store.key_of(it) for it in ("vol-2", "snap-2")} == {OTHER_KEY}


async def test_an_upload_has_the_key_that_it_was_begun_with(store: VolumeStore) -> None:
    block = bytes([7]) * BLOCK_BYTES
    await store.blocks.begin("snap-1", size_bytes=MIB, parent_id=None, key_id=KEY)
    await store.blocks.write("snap-1", 1, block, digest=sha256(block).digest())

    await store.blocks.complete("snap-1")

    assert await store.key_of("snap-1") == KEY
    assert (await store.blocks.read("snap-1", 1))[0] == block


async def test_a_reopened_store_knows_the_keys(
    make: Callable[[Path, KeyStore], VolumeStore], store: VolumeStore, keys: KeyStore, tmp_path: Path
) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None, key_id=KEY)

    assert await make(tmp_path, keys).key_of("vol-1") == KEY


async def test_nothing_is_made_with_a_key_that_is_not_there(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    with pytest.raises(KeyUnavailable):
        await store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1", key_id=NO_KEY)
    with pytest.raises(KeyUnavailable):
        await store.copy_snapshot("snap-1", "snap-2", key_id=NO_KEY)

    inventory = await store.inventory()
    assert inventory.volume_ids | inventory.snapshot_ids == {"vol-1", "snap-1"}


async def test_what_is_not_there_has_no_key(store: VolumeStore) -> None:
    with pytest.raises(NoSuchVolume):
        await store.key_of("vol-1")
    with pytest.raises(NoSuchSnapshot):
        await store.key_of("snap-1")


@pytest.fixture(params=["folder", "memory"])
async def key_store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    made: KeyStore = KeyDirectory(tmp_path / "keys") if request.param == "folder" else MemoryKeys()
    await made.create(KEY)
    return made


async def test_a_wrapped_secret_is_got_back_for_its_purpose_alone(key_store: KeyStore) -> None:
    wrapped = await key_store.wrap(KEY, b"secret", purpose="this")

    assert b"secret" not in wrapped
    assert await key_store.unwrap(KEY, wrapped, purpose="this") == b"secret"
    with pytest.raises(KeyUnavailable):
        await key_store.unwrap(KEY, wrapped, purpose="that")


async def test_a_key_made_again_is_the_same_key(key_store: KeyStore) -> None:
    wrapped = await key_store.wrap(KEY, b"secret", purpose="this")

    await key_store.create(KEY)

    assert await key_store.unwrap(KEY, wrapped, purpose="this") == b"secret"
    assert await key_store.ids() == {KEY}


async def test_a_key_that_is_not_there_is_said_so(key_store: KeyStore) -> None:
    with pytest.raises(KeyUnavailable):
        await key_store.wrap(OTHER_KEY, b"secret", purpose="this")


async def test_the_folder_of_keys_is_closed_to_everybody_else(keys: KeyStore, tmp_path: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}

    assert len(await keys.ids()) == 2
    assert ((tmp_path / "keys").stat().st_mode & 0o777, modes) == (0o700, {0o600})


async def test_a_damaged_key_opens_nothing(keys: KeyStore, tmp_path: Path) -> None:
    (tmp_path / "keys" / f"{KEY}.key").write_bytes(b"short")

    with pytest.raises(KeyUnavailable, match="damaged"):
        await keys.wrap(KEY, b"secret", purpose="this")
