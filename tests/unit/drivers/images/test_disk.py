import os
import struct
from pathlib import Path

import pytest

from bakehouse.drivers import process
from bakehouse.drivers.images import debian12, disk, ext4, host, minimal
from bakehouse.drivers.images.disk import MIB, SECTOR, Partition

WHEN = 1_704_067_200
ROOT = Partition(start=2048, sectors=24 * MIB // SECTOR, kind="83")


async def make(folder: Path, name: str) -> Path:
    tree = folder / f"tree-{name}"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text("fresh bread\n")
    (tree / "with blank").write_text("x")
    (tree / "link").symlink_to("etc/motd")
    file = folder / name
    await disk.create(file, 32 * MIB, "dos", "0x0ec20001", [ROOT])
    await ext4.make_owned_by_root(file, ROOT, disk.derived_uuid("key", "root"), tree, WHEN)
    return file


async def test_a_file_system_of_a_partition_is_clean(tmp_path: Path) -> None:
    file = await make(tmp_path, "disk")
    part = tmp_path / "part"
    part.write_bytes(file.read_bytes()[ROOT.offset :][: ROOT.size])

    await process.run(["e2fsck", "-f", "-n", part], env=host.environment())


async def test_everything_in_a_file_system_is_root_s(tmp_path: Path) -> None:
    file = await make(tmp_path, "disk")
    for path in (tmp_path / "tree-disk/etc/motd", tmp_path / "tree-disk/etc"):
        if os.geteuid() == 0:
            os.chown(path, 1000, 1000)
    await ext4.make_owned_by_root(file, ROOT, disk.derived_uuid("key", "root"), tmp_path / "tree-disk", WHEN)

    shown = await process.run(
        ["debugfs", "-R", "ls -l /etc", f"{file}?offset={ROOT.offset}"], env=host.environment(TZ="UTC")
    )

    motd = next(line.split() for line in shown.text.splitlines() if line.endswith("motd"))
    assert motd[3:7] == ["0", "0", "12", "1-Jan-2024"]


async def test_the_same_content_gives_the_same_disk_in_every_byte(tmp_path: Path) -> None:
    one, two = await make(tmp_path, "one"), await make(tmp_path, "two")

    assert one.read_bytes() == two.read_bytes()


async def test_a_tree_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "loaf").write_bytes(os.urandom(25 * MIB))
    file = tmp_path / "disk"
    await disk.create(file, 32 * MIB, "dos", "0x0ec20001", [ROOT])

    with pytest.raises(process.ProcessFailed):
        await ext4.make_owned_by_root(file, ROOT, disk.derived_uuid("key", "root"), tree, WHEN)


async def test_a_disk_is_sparse(tmp_path: Path) -> None:
    file = tmp_path / "disk"

    await disk.create(file, 2048 * MIB, "dos", "0x0ec20001", [ROOT])

    assert file.stat().st_blocks * SECTOR < MIB


def test_boot_code_leaves_the_partition_table_alone(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"\0" * 512)

    disk.write_boot_code(file, b"\xff" * 512)

    assert file.read_bytes() == b"\xff" * 440 + b"\0" * 72


def test_a_missing_file_of_the_host_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(host.HostFileMissing, match="install the package `syslinux-common`"):
        host.read(tmp_path / "mbr.bin", "syslinux-common")


def test_the_parts_of_grub_know_where_the_next_one_is() -> None:
    boot, core = debian12.chained(bytes(512), bytes(1024), 2048)

    assert struct.unpack_from("<Q", boot, 0x5C) == (2048,)
    assert struct.unpack_from("<Q", core, 0x1F4) == (2049,)


def module(folder: Path, name: str, needs: str) -> None:
    (folder / f"{name}.ko").write_bytes(b"\x7fELF\0license=GPL\0depends=" + needs.encode() + b"\0")


def test_a_module_comes_behind_what_it_needs(tmp_path: Path) -> None:
    module(tmp_path, "virtio_net", "net-failover,virtio")
    module(tmp_path, "net_failover", "failover")
    module(tmp_path, "failover", "")
    modules = {path.stem: path for path in tmp_path.glob("*.ko")}

    assert list(minimal.with_dependencies("virtio_net", modules)) == ["failover", "net_failover", "virtio_net"]


def test_a_module_loses_its_signature_and_nothing_else() -> None:
    signed = b"\x7fELF code" + b"S" * 300 + struct.pack(">8xI", 300) + b"~Module signature appended~\n"

    assert minimal.quick_to_load(signed) == b"\x7fELF code"


def test_a_module_without_a_signature_stays_as_it_is() -> None:
    assert minimal.quick_to_load(b"\x7fELF code") == b"\x7fELF code"
