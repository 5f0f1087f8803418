"""Blocks of qcow2 layers, against what QEMU itself writes and reads; and uploads that end in the middle."""

import asyncio
import os
import random
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.disks import MIB, qemu_img, qemu_io, snapshot_content
from tests.contract.killing import Killed, killed_at

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore, block_maps, block_writing, snapshot_blocks
from bakehouse.drivers.volumes.qcow2.block_maps import open_layer
from bakehouse.drivers.volumes.qcow2.block_reading import ChainReader
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, BlocksUnreadable, NoSuchUpload
from bakehouse.ports.volumes import StorageFull

SIZE = 8 * MIB
COUNT = SIZE // BLOCK_BYTES
ZEROS = bytes(BLOCK_BYTES)


def opened(directory: Path, *, reserve_bytes: int = 0) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(directory / "store", live=NoLiveDisks(), owner=None, reserve_bytes=reserve_bytes)


@cache
def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


async def put(store: Qcow2VolumeStore, snapshot_id: str, index: int, data: bytes) -> None:
    await store.blocks.write(snapshot_id, index, data, digest=sha256(data).digest())


async def read_all(store: Qcow2VolumeStore, snapshot_id: str, count: int = COUNT) -> bytes:
    return b"".join([(await store.blocks.read(snapshot_id, index))[0] for index in range(count)])


def with_data(content: bytes) -> list[int]:
    return [index for index in range(len(content) // BLOCK_BYTES) if any(content[index * BLOCK_BYTES :][:BLOCK_BYTES])]


# --- reading what QEMU wrote


SECTORS = SIZE // 512
STRETCH = st.tuples(st.integers(0, SECTORS - 1), st.integers(1, 3000)).map(
    lambda it: (it[0] * 512, min(it[1], SECTORS - it[0]) * 512)
)
COMMAND = st.tuples(st.sampled_from(["write -P 7", "write -P 9", "write -z -u", "write -z", "discard"]), STRETCH)
LAYERS = st.lists(st.lists(COMMAND, max_size=4), min_size=1, max_size=4)


@settings(max_examples=max(8, settings().max_examples // 8), suppress_health_check=list(HealthCheck), deadline=None)
@given(layers=LAYERS)
def test_whatever_a_machine_wrote_is_read_as_qemu_reads_it(
    layers: Sequence[Sequence[tuple[str, tuple[int, int]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compare(Path(folder), layers))


async def _compare(folder: Path, layers: Sequence[Sequence[tuple[str, tuple[int, int]]]]) -> None:
    store = opened(folder)
    await store.create("vol-1", size_bytes=SIZE, snapshot_id=None)
    for number, commands in enumerate(layers):
        for word, (start, length) in commands:
            qemu_io((await store.connect("vol-1")).path, f"{word} {start} {length}")
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)
    contents = [await snapshot_content(store, f"snap-{number}", SIZE, folder) for number in range(len(layers))]

    for number, content in enumerate(contents):
        assert await read_all(store, f"snap-{number}") == content
        listed = list(await store.blocks.blocks(f"snap-{number}"))
        # Something of a listed block may have been written as zeros; what is not listed has none but zeros.
        assert set(listed) >= set(with_data(content))
        assert listed == sorted(listed)
    backup = {index: (await store.blocks.read(f"snap-{len(layers) - 1}", index))[0] for index in listed}
    await store.blocks.begin("snap-99", size_bytes=SIZE, parent_id=None)
    for index, data in backup.items():
        await put(store, "snap-99", index, data)
    await store.blocks.complete("snap-99")
    assert await snapshot_content(store, "snap-99", SIZE, folder) == contents[-1]
    for number in range(1, len(contents)):
        changed = await store.blocks.changed_blocks(f"snap-{number - 1}", f"snap-{number}")
        for index in set(range(COUNT)) - set(changed):
            at = slice(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)
            assert contents[number - 1][at] == contents[number][at]
        touched = {
            index
            for _, (start, length) in layers[number]
            for index in range(start // BLOCK_BYTES, -(-(start + length) // BLOCK_BYTES))
        }
        assert set(changed) <= touched


@pytest.mark.parametrize("cluster", ["4k", "64k", "2M"])
@pytest.mark.parametrize("options", ["", ",compat=0.10", ",lazy_refcounts=on", ",extended_l2=on"])
def test_a_layer_of_other_making_is_read(tmp_path: Path, cluster: str, options: str) -> None:
    if (options, cluster) in {(",lazy_refcounts=on", "2M"), (",extended_l2=on", "4k")}:
        options = ""
    disk = tmp_path / "layer.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"cluster_size={cluster}{options}", disk, str(SIZE))
    qemu_io(disk, f"write -P 5 {3 * BLOCK_BYTES + 512} 1024")

    layer = open_layer(disk)
    found = bytearray(BLOCK_BYTES)
    missing = layer.read(3 * BLOCK_BYTES, memoryview(found))

    assert found[512:1536] == b"\5" * 1024
    assert sum(length for _, length in missing) < BLOCK_BYTES
    assert not any(found[1536:])
    layer.close()


@pytest.mark.parametrize("options", ["extended_l2=off", "extended_l2=on"])
def test_a_compressed_layer_is_read(tmp_path: Path, options: str) -> None:
    raw, packed = tmp_path / "disk.raw", tmp_path / "packed.qcow2"
    content = (b"compress me" * 100_000).ljust(SIZE, b"\0")
    raw.write_bytes(content)
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, packed)

    layer = open_layer(packed)
    found = bytearray(SIZE)
    layer.read(0, memoryview(found))

    assert bytes(found) == content
    assert all(is_data for _, _, is_data in layer.extents())
    layer.close()


def test_a_layer_that_is_encrypted_or_newer_is_refused(tmp_path: Path) -> None:
    newer, cut = tmp_path / "newer.qcow2", tmp_path / "cut.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", "compression_type=zstd", newer, str(SIZE))
    cut.write_bytes(newer.read_bytes()[:50])

    for path in (newer, cut):
        with pytest.raises(BlocksUnreadable):
            open_layer(path)


async def test_an_imported_disk_is_read_by_its_holes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    source = tmp_path / "disk.raw"
    with source.open("wb") as file:
        file.truncate(SIZE + 512)  # not a number of blocks
        os.pwrite(file.fileno(), b"x" * 4096, 2 * BLOCK_BYTES)
        os.pwrite(file.fileno(), b"y" * 512, SIZE)
    await store.import_file("snap-1", source)

    assert list(await store.blocks.blocks("snap-1")) == [2, COUNT]
    assert (await store.blocks.read("snap-1", COUNT))[0] == b"y" * 512 + bytes(BLOCK_BYTES - 512)
    assert (await store.blocks.read("snap-1", COUNT + 1))[0] == ZEROS


# --- what we write, read by QEMU


async def test_qemu_finds_nothing_wrong_and_reads_what_was_written(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    for index in (15, 0, 7, 7, 7, 3):
        await put(store, "snap-1", index, block(index))
    await store.blocks.complete("snap-1")
    await store.blocks.begin("snap-2", size_bytes=2 * SIZE, parent_id="snap-1")
    for index, data in ((3, block(30)), (7, ZEROS), (20, block(20))):
        await put(store, "snap-2", index, data)
    await store.blocks.complete("snap-2")

    for snapshot_id in ("snap-1", "snap-2"):
        layer = tmp_path / "store" / "layers" / f"{snapshot_id}.0.qcow2"
        qemu_img("check", layer)
        assert layer.stat().st_mode & 0o777 == 0o444
    wanted = {0: block(0), 3: block(30), 15: block(15), 20: block(20)}
    expected = b"".join(wanted.get(index, ZEROS) for index in range(2 * COUNT))
    assert await snapshot_content(store, "snap-2", 2 * SIZE, tmp_path) == expected


async def test_a_large_disk_is_written_where_it_is_large(tmp_path: Path) -> None:
    store = opened(tmp_path)
    size = 64 << 40
    last = size // BLOCK_BYTES - 1
    await store.blocks.begin("snap-1", size_bytes=size, parent_id=None)
    await put(store, "snap-1", last, block(1))
    await put(store, "snap-1", 1_000_000, block(2))
    await store.blocks.complete("snap-1")

    layer = tmp_path / "store" / "layers" / "snap-1.0.qcow2"
    qemu_img("check", layer)
    assert layer.stat().st_blocks * 512 < 8 * MIB
    assert list(await store.blocks.blocks("snap-1")) == [1_000_000, last]
    assert (await store.blocks.read("snap-1", last))[0] == block(1)


async def test_a_child_takes_the_room_of_what_it_changed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    for index in range(COUNT):
        await put(store, "snap-1", index, block(1))
    await store.blocks.complete("snap-1")
    await store.blocks.begin("snap-2", size_bytes=SIZE, parent_id="snap-1")
    await put(store, "snap-2", 3, block(2))
    await store.blocks.complete("snap-2")

    assert (tmp_path / "store" / "layers" / "snap-2.0.qcow2").stat().st_blocks * 512 < BLOCK_BYTES + MIB


# --- what may go wrong


async def test_a_server_killed_while_it_completes_leaves_an_upload_or_a_snapshot(tmp_path: Path) -> None:
    outcomes = set()
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        store = opened(folder)
        await store.blocks.begin("snap-0", size_bytes=SIZE, parent_id=None)
        await put(store, "snap-0", 1, block(1))
        await store.blocks.complete("snap-0")
        await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id="snap-0")
        await put(store, "snap-1", 2, block(2))
        with killed_at(step) as begun, suppress(Killed):
            await store.blocks.complete("snap-1")
        again = opened(folder)
        await again.sweep(remove=True)
        outcomes.add("snap-1" in (await again.inventory()).snapshot_ids)
        await again.blocks.complete("snap-1")

        assert await read_all(again, "snap-1") == b"".join(
            {1: block(1), 2: block(2)}.get(index, ZEROS) for index in range(COUNT)
        )
        assert list((folder / "store" / "uploads").iterdir()) == []
        assert (await again.sweep(remove=False)).files == ()
        if len(begun) <= step:
            break
    assert outcomes == {True, False}


async def test_an_upload_that_was_frozen_and_not_moved_is_written_on(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    await put(store, "snap-1", 1, block(1))
    (data,) = (tmp_path / "store" / "uploads").glob("*.qcow2")
    data.chmod(0o444)

    again = opened(tmp_path)

    assert data.stat().st_mode & 0o200
    await put(again, "snap-1", 2, block(2))
    await again.blocks.complete("snap-1")


async def test_a_torn_record_of_the_journal_is_as_if_it_never_was(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    await put(store, "snap-1", 1, block(1))
    await put(store, "snap-1", 2, block(2))
    journal = tmp_path / "store" / "uploads" / "snap-1.journal"
    os.truncate(journal, journal.stat().st_size - 5)

    again = opened(tmp_path)
    assert (await again.blocks.written("snap-1")).count == 1
    await put(again, "snap-1", 3, block(3))
    await again.blocks.complete("snap-1")

    assert list(await again.blocks.blocks("snap-1")) == [1, 3]


async def test_an_upload_of_before_a_restart_of_the_host_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another\n")
    monkeypatch.setattr(block_writing, "_BOOT_ID", boot_id)

    again = opened(tmp_path)

    with pytest.raises(NoSuchUpload):
        await again.blocks.written("snap-1")
    assert list((tmp_path / "store" / "uploads").iterdir()) == []


async def test_a_full_disk_refuses_a_block_and_keeps_the_others(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    await put(store, "snap-1", 1, block(1))
    full = opened(tmp_path, reserve_bytes=1 << 60)

    with pytest.raises(StorageFull):
        await put(full, "snap-1", 2, block(2))
    with pytest.raises(StorageFull):
        await full.blocks.begin("snap-2", size_bytes=SIZE, parent_id=None)
    await full.blocks.complete("snap-1")

    assert list(await full.blocks.blocks("snap-1")) == [1]


async def test_files_of_a_snapshot_are_closed_when_nobody_reads_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    await put(store, "snap-1", 1, block(1))
    await store.blocks.complete("snap-1")
    await store.blocks.read("snap-1", 1)
    assert open_layers(tmp_path) == 1

    store.blocks.close_idle()

    assert open_layers(tmp_path) == 0
    assert (await store.blocks.read("snap-1", 1))[0] == block(1)


async def test_who_reads_many_snapshots_in_turn_holds_the_files_of_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_blocks, "_MOST_OPEN", 2)
    store = opened(tmp_path)
    ids = [f"snap-{number}" for number in range(5)]
    for number, snapshot_id in enumerate(ids):
        await store.blocks.begin(snapshot_id, size_bytes=SIZE, parent_id=None)
        await put(store, snapshot_id, 1, block(number))
        await store.blocks.complete(snapshot_id)

    one_by_one = [(await store.blocks.read(it, 1))[0] for it in ids]
    side_by_side = await asyncio.gather(*(store.blocks.read(it, 1) for it in ids))

    assert one_by_one == [data for data, _digest in side_by_side] == [block(number) for number in range(5)]
    assert open_layers(tmp_path) == 2


def open_layers(folder: Path) -> int:
    layers = folder / "store" / "layers"
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += descriptor.readlink().is_relative_to(layers)
    return count


async def test_what_is_read_stays_the_same_while_its_layers_are_merged(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.create("vol-1", size_bytes=SIZE, snapshot_id=None)
    for number in range(14):
        qemu_io((await store.connect("vol-1")).path, f"write -P {number + 1} {number * BLOCK_BYTES} 4096")
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)
    before = await read_all(store, "snap-13")
    for number in range(13):
        await store.delete_snapshot(f"snap-{number}")

    while (step := await store.upkeep.tend()) is not None and step.did.value != "failed":
        await store.sweep(remove=True)
        assert await read_all(store, "snap-13") == before
        store.blocks.close_idle()
        assert await read_all(store, "snap-13") == before


def test_tables_beyond_what_is_kept_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_maps, "_TABLES_KEPT", 2)
    disk = tmp_path / "layer.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", disk, "4G")
    for number in range(6):
        qemu_io(disk, f"write -P {number + 1} {number * 600 * MIB} 512")

    layer = open_layer(disk)
    for _ in range(2):
        for number in range(6):
            found = bytearray(512)
            layer.read(number * 600 * MIB, memoryview(found))
            assert found == bytes([number + 1]) * 512
    layer.close()


def test_a_layer_that_gave_way_to_another_is_not_read_with_what_the_other_stands_on(tmp_path: Path) -> None:
    layer = tmp_path / "snap-0.1.raw"
    layer.write_bytes(bytes(512))

    def merged(_name: str) -> None:
        (tmp_path / "merged").write_bytes(bytes(512))
        (tmp_path / "merged").replace(layer)

    with pytest.raises(FileNotFoundError):
        ChainReader.open(tmp_path, layer.name, 512, merged, {})
