"""What may come in from outside, and what may not. Every hostile file here is made by the tools that attackers use."""

import json
import os
import struct
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tests.contract import disks
from tests.contract.disks import MIB, qemu_img, snapshot_content
from tests.contract.killing import Killed, killed_at

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.volumes import StorageFull, SweepReport, UnsafeImage

#: Where a qcow2 header keeps these. Source: QEMU's docs/interop/qcow2.rst.
CRYPT_METHOD = 32
INCOMPATIBLE_FEATURES = 72
L1_TABLE_OFFSET = 40


def opened(root: Path, *, reserve_bytes: int = 0, owner: tuple[int, int] | None = None) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(root, live=NoLiveDisks(), owner=owner, reserve_bytes=reserve_bytes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Qcow2VolumeStore:
    return opened(root)


def patched(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def with_backing_file(path: Path) -> None:
    qemu_img("create", "-u", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", path, "1M")


def with_data_file(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={path}.data", path, "1M")


def with_unknown_feature(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "1M")
    patched(path, INCOMPATIBLE_FEATURES, struct.pack(">Q", 1 << 40))


def encrypted(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "1M")
    patched(path, CRYPT_METHOD, struct.pack(">I", 2))


def vmdk_descriptor_of_a_host_file(path: Path) -> None:
    path.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\nRW 20480 FLAT "/etc/shadow" 0\n'
    )


def qed(path: Path) -> None:
    qemu_img("create", "-f", "qed", path, "1M")


def vdi(path: Path) -> None:
    qemu_img("create", "-f", "vdi", path, "1M")


def qcow2_of_100_tib(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", "cluster_size=2M", path, "100T")


def raw_of_no_bytes(path: Path) -> None:
    path.touch()


def truncated_qcow2(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "4M")
    disks.write(path, 7, at=0, length=4 * MIB)
    os.truncate(path, MIB)


def header_alone(path: Path) -> None:
    path.write_bytes(b"QFI\xfb\x00\x00\x00\x03" + bytes(600))


def tables_outside_of_the_file(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "4M")
    patched(path, L1_TABLE_OFFSET, struct.pack(">Q", 1 << 50))


def gzip(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b\x08" + bytes(5000))


def two_formats_at_once(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "1M")
    patched(path, 510, b"\x55\xaa")


def named_pipe(path: Path) -> None:
    os.mkfifo(path)


REFUSALS: dict[Callable[[Path], None], str] = {
    with_backing_file: "backing file, `/etc/shadow`",
    with_data_file: "keeps its data in another file",
    with_unknown_feature: "features that are not known",
    encrypted: "encrypted",
    vmdk_descriptor_of_a_host_file: "names other files",
    qed: "format qed, which is no disk",
    vdi: "convert -f vdi",
    qcow2_of_100_tib: "100 TiB",
    raw_of_no_bytes: "empty",
    truncated_qcow2: "cannot read it|damaged",
    header_alone: "damaged|empty|cannot read it",
    tables_outside_of_the_file: "cannot read it",
    gzip: "packed by gzip",
    two_formats_at_once: "not clear",
    named_pipe: "not a regular file",
}


@pytest.mark.parametrize(("make", "why"), REFUSALS.items(), ids=[make.__name__ for make in REFUSALS])
async def test_a_file_that_is_not_a_whole_disk_is_refused_and_leaves_nothing(
    store: Qcow2VolumeStore, tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    make(tmp_path / "disk.img")

    with pytest.raises(UnsafeImage, match=why):
        await store.import_file("snap-1", tmp_path / "disk.img")

    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


async def test_the_reason_of_a_refusal_does_not_name_our_own_files(
    store: Qcow2VolumeStore, tmp_path: Path, root: Path
) -> None:
    truncated_qcow2(tmp_path / "disk.img")

    with pytest.raises(UnsafeImage) as refusal:
        await store.import_file("snap-1", tmp_path / "disk.img")

    assert str(root) not in str(refusal.value)


async def test_a_file_that_is_swapped_after_the_first_look_is_refused(
    store: Qcow2VolumeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk.img", "1M")
    with_backing_file(tmp_path / "hostile.img")
    hostile = (tmp_path / "hostile.img").read_bytes()
    copy = store._intake._copy

    async def swapping_copy(*arguments: object) -> None:
        (tmp_path / "disk.img").write_bytes(hostile)
        await copy(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store._intake, "_copy", swapping_copy)

    with pytest.raises(UnsafeImage, match="backing file"):
        await store.import_file("snap-1", tmp_path / "disk.img")


async def test_a_file_that_does_not_exist_is_named(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-disk"):
        await store.import_file("snap-1", tmp_path / "no-disk")


@pytest.mark.parametrize("options", [("raw",), ("qcow2",), ("qcow2", "-c")], ids=["raw", "qcow2", "compressed"])
async def test_an_imported_disk_reads_as_the_file_does(
    store: Qcow2VolumeStore, tmp_path: Path, options: tuple[str, ...]
) -> None:
    data = os.urandom(MIB) + bytes(3 * MIB) + os.urandom(MIB)
    (tmp_path / "plain").write_bytes(data)
    qemu_img("convert", "-f", "raw", "-O", *options, tmp_path / "plain", tmp_path / "disk.img")

    await store.import_file("snap-1", tmp_path / "disk.img")

    assert await snapshot_content(store, "snap-1", 5 * MIB, tmp_path) == data


async def test_a_disk_with_a_partition_table_is_taken(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    # A hybrid table, which strict checkers refuse; only the guest reads it.
    entry = struct.pack("<B3sB3sII", 0x80, b"\x00\x02\x00", 0xEE, b"\xff" * 3, 1, 2047)
    table = entry + struct.pack("<B3sB3sII", 0, b"\x00" * 3, 0x83, b"\xff" * 3, 64, 100) + bytes(32)
    (tmp_path / "disk.img").write_bytes(bytes(446) + table + b"\x55\xaa" + bytes(MIB - 512))

    assert (await store.import_file("snap-1", tmp_path / "disk.img")).source_format == "raw"


async def test_zeros_of_an_imported_file_take_no_room(store: Qcow2VolumeStore, tmp_path: Path, root: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"x" * MIB + bytes(63 * MIB))

    await store.import_file("snap-1", tmp_path / "disk.img")

    assert (root / "layers" / "snap-1.0.raw").stat().st_blocks * 512 < 2 * MIB


async def test_the_imported_file_may_go_and_the_disk_stays(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"x" * MIB)
    await store.import_file("snap-1", tmp_path / "disk.img")

    (tmp_path / "disk.img").unlink()

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == b"x" * MIB


async def test_a_file_larger_than_the_room_left_is_refused_before_it_is_copied(root: Path, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"x" * MIB)
    store = opened(root, reserve_bytes=1 << 60)

    with pytest.raises(StorageFull):
        await store.import_file("snap-1", tmp_path / "disk.img")

    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_as_root_the_file_is_read_by_the_unprivileged_user(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = (65534, 65534)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)
    log = tmp_path / "log"
    log.mkdir(mode=0o777)
    log.chmod(0o777)
    spy = tmp_path / "bin" / "qemu-img"
    spy.parent.mkdir()
    spy.parent.chmod(0o755)
    spy.write_text(f'#!/bin/sh\nid -u > {log}/$1-$$\nexec /usr/bin/qemu-img "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setattr("bakehouse.drivers.volumes.qcow2.tools.ENVIRONMENT", {"PATH": f"{spy.parent}:/usr/bin:/bin"})
    qemu_img("create", "-f", "qcow2", tmp_path / "disk.img", "1M")

    await opened(root, owner=nobody).import_file("snap-1", tmp_path / "disk.img")

    users = {path.name.split("-")[0]: path.read_text().strip() for path in log.iterdir()}
    assert (users["check"], users["measure"]) == ("65534", "65534"), json.dumps(users)


@pytest.mark.slow
async def test_an_import_killed_at_any_step_leaves_only_what_a_sweep_removes(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    qemu_img("create", "-f", "qcow2", disk, "1M")
    disks.write(disk, 7, at=0, length=MIB)
    for step in count():
        root = tmp_path / f"store{step}"
        with killed_at(step) as begun:
            try:
                await opened(root).import_file("snap-1", disk)
            except Killed:
                pass
            else:
                break
        restarted = opened(root)
        await restarted.sweep(remove=True)
        await restarted.import_file("snap-1", disk)

        assert [path.name for path in (root / "incoming").iterdir()] == [], begun
        assert await snapshot_content(restarted, "snap-1", MIB, tmp_path) == b"\x07" * MIB, begun
