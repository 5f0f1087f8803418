"""Disks of other programs: what comes in reads as what was written. Needs qemu-img, no virtual machine."""

import os
import struct
import tarfile
from pathlib import Path

import pytest
from tests.contract import foreign_files
from tests.contract.disks import MIB, qemu_img, snapshot_content
from tests.contract.foreign_files import ova, ovf, patched_vhd, tar, vmdk

from bakehouse.drivers import process
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.disk_files import DiskInFile, ImportFormat
from bakehouse.ports.volumes import SweepReport, UnsafeImage

#: Name, what qemu-img calls it, with which options.
KINDS = {
    "raw": ("raw", "raw"),
    "qcow2": ("qcow2", "qcow2"),
    "qcow2, compressed": ("qcow2", "qcow2", "-c"),
    "qcow2, zstd": ("qcow2", "qcow2", "-c", "-o", "compression_type=zstd"),
    "VMDK, sparse": ("vmdk", "vmdk", "-o", "subformat=monolithicSparse"),
    "VMDK, stream-optimised": ("vmdk", "vmdk", "-o", "subformat=streamOptimized"),
    "VHD, dynamic": ("vhd", "vpc", "-o", "subformat=dynamic,force_size=on"),
    "VHD, fixed": ("vhd", "vpc", "-o", "subformat=fixed,force_size=on"),
    "VHDX, dynamic": ("vhdx", "vhdx", "-o", "subformat=dynamic"),
    "VHDX, fixed": ("vhdx", "vhdx", "-o", "subformat=fixed"),
}


@pytest.fixture
def store(tmp_path: Path) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(tmp_path / "store", live=NoLiveDisks(), owner=None, reserve_bytes=0)


@pytest.fixture
def data() -> bytes:
    """A disk with data at both ends, no hole a multiple of anything."""
    return os.urandom(MIB + 512) + bytes(6 * MIB) + os.urandom(MIB - 1024)


def made(folder: Path, data: bytes, kind: str) -> Path:
    (folder / "plain").write_bytes(data)
    _, driver, *options = KINDS[kind]
    qemu_img("convert", "-f", "raw", "-O", driver, *options, folder / "plain", folder / "disk")
    return folder / "disk"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disk_of_each_format_reads_as_it_was_written(
    store: Qcow2VolumeStore, tmp_path: Path, data: bytes, kind: str
) -> None:
    seen: list[float] = []
    stages: list[str] = []

    disk = await store.import_file(
        "snap-1", made(tmp_path, data, kind), expected_format=KINDS[kind][0], progress=seen.append, stage=stages.append
    )

    assert (disk.size_bytes, disk.source_format) == (len(data), KINDS[kind][0])
    assert await snapshot_content(store, "snap-1", len(data), tmp_path) == data
    assert (seen == sorted(seen), seen[-1]) == (True, 1.0)
    plain = kind in ("raw", "VHD, fixed")
    assert stages == ["validating", "copying"] if plain else ["validating", "copying", "converting"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "raw"])
async def test_a_disk_of_another_format_than_was_said_is_refused(
    store: Qcow2VolumeStore, tmp_path: Path, data: bytes, kind: str
) -> None:
    other = "vmdk" if KINDS[kind][0] != "vmdk" else "vhd"

    with pytest.raises(UnsafeImage, match=f"format {KINDS[kind][0]}, not {other}"):
        await store.import_file("snap-1", made(tmp_path, data, kind), expected_format=other)

    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


async def test_a_raw_disk_that_ends_like_a_vhd_is_raw_when_it_is_said_to_be(
    store: Qcow2VolumeStore, tmp_path: Path, data: bytes
) -> None:
    path = made(tmp_path, data, "VHD, fixed")
    assert (await store.files.examine(path)).format is ImportFormat.VHD

    found = await store.files.examine(path, expected_format="raw")
    disk = await store.import_file("snap-1", path, expected_format="raw")

    assert found.format is ImportFormat.RAW
    assert (disk.source_format, disk.size_bytes) == ("raw", len(data) + 512)


async def test_a_vhd_is_as_large_as_it_says_and_not_as_its_geometry(
    store: Qcow2VolumeStore, tmp_path: Path, data: bytes
) -> None:
    path = made(tmp_path, data, "VHD, dynamic")

    def by_another_program(footer: bytearray) -> None:
        footer[28:32] = b"vbox"  # For which qemu-img would count cylinders, heads and sectors.
        footer[56:60] = struct.pack(">HBB", 10, 16, 63)

    patched_vhd(path, by_another_program)

    await store.import_file("snap-1", path)

    assert await snapshot_content(store, "snap-1", len(data), tmp_path) == data


async def test_a_vmdk_with_its_directory_at_the_end_is_taken(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    # As VMware and VirtualBox stream it: the header says that the true one is the last sector but one.
    plain = foreign_files.small_raw(tmp_path / "plain")
    content = bytearray(vmdk(plain))
    header = bytes(content[:512])
    content[56:64] = b"\xff" * 8
    marker = struct.pack("<QII496s", 1, 0, 3, b"")
    (tmp_path / "disk").write_bytes(bytes(content) + marker + header + bytes(512))

    await store.import_file("snap-1", tmp_path / "disk")

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == plain.read_bytes()


@pytest.mark.parametrize("subformat", ["streamOptimized", "monolithicSparse"])
async def test_each_disk_of_an_ova_is_taken_by_its_number(
    store: Qcow2VolumeStore, tmp_path: Path, subformat: str
) -> None:
    contents = [os.urandom(MIB), bytes(MIB) + os.urandom(512), os.urandom(2 * MIB)]
    disks = {}
    for number, content in enumerate(contents):
        (tmp_path / "plain").write_bytes(content)
        disks[f"vm-disk{number}.vmdk"] = vmdk(tmp_path / "plain", subformat=subformat)
    ova(tmp_path / "vm.ova", disks)

    found = await store.files.examine(tmp_path / "vm.ova")
    assert found.format is ImportFormat.OVA
    assert found.disks == tuple(
        DiskInFile(name=name, format=ImportFormat.VMDK, size_bytes=len(content))
        for name, content in zip(disks, contents, strict=True)
    )
    for number, content in enumerate(contents):
        disk = await store.import_file(f"snap-{number}", tmp_path / "vm.ova", disk=number, expected_format="ova")
        assert (disk.size_bytes, disk.source_format) == (len(content), "ova")
        assert await snapshot_content(store, f"snap-{number}", len(content), tmp_path) == content


async def test_the_disks_of_an_ova_come_in_the_order_of_their_slots(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    disk = vmdk(foreign_files.small_raw(tmp_path / "plain"))
    tar(
        tmp_path / "vm.ova",
        [
            ("vm.ovf", ovf(["data.vmdk", "boot.vmdk"], addresses={0: 1, 1: 0})),
            ("vm.mf", b"SHA256(vm.ovf)= 0"),
            ("data.vmdk", disk),
            ("boot.vmdk", disk),
        ],
    )

    found = await store.files.examine(tmp_path / "vm.ova")

    assert [it.name for it in found.disks] == ["boot.vmdk", "data.vmdk"]


async def test_a_disk_in_an_ova_may_end_within_a_sector(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    plain = foreign_files.small_raw(tmp_path / "plain")
    disk = vmdk(plain, subformat="monolithicSparse") + b"x" * 100
    ova(tmp_path / "vm.ova", {"one.vmdk": disk, "two.vmdk": disk})

    for number in range(2):
        await store.import_file(f"snap-{number}", tmp_path / "vm.ova", disk=number)
        assert await snapshot_content(store, f"snap-{number}", MIB, tmp_path) == plain.read_bytes()


async def test_a_raw_disk_that_ends_within_a_sector_is_filled_up(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 1000)

    await store.import_file("snap-1", tmp_path / "disk")

    assert await snapshot_content(store, "snap-1", 1024, tmp_path) == b"x" * 1000 + bytes(24)


async def test_a_disk_that_an_ova_has_not_is_refused(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    ova(tmp_path / "vm.ova", {"disk.vmdk": vmdk(foreign_files.small_raw(tmp_path / "plain"))})

    with pytest.raises(UnsafeImage, match="it holds 1 disks, and none of number 1"):
        await store.import_file("snap-1", tmp_path / "vm.ova", disk=1)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_an_ova_may_be_written_by_any_tar(store: Qcow2VolumeStore, tmp_path: Path, form: int) -> None:
    def member(name: str) -> tarfile.TarInfo:
        info = tarfile.TarInfo("./" + name)
        info.mtime = 1_700_000_000.5  # As `TarFile.add` has it; PAX writes a header for it.
        return info

    disk = vmdk(foreign_files.small_raw(tmp_path / "plain"))
    tar(tmp_path / "vm.ova", [(member("vm.ovf"), ovf(["d.vmdk"])), (member("d.vmdk"), disk)], form=form)

    await store.import_file("snap-1", tmp_path / "vm.ova")

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == (tmp_path / "plain").read_bytes()


async def test_an_ova_may_be_written_by_the_system_s_tar(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "d.vmdk").write_bytes(vmdk(foreign_files.small_raw(tmp_path / "plain")))
    (tmp_path / "vm.ovf").write_bytes(ovf(["d.vmdk"]))
    await process.run(["tar", "-C", tmp_path, "-cf", tmp_path / "vm.ova", "vm.ovf", "d.vmdk"])

    await store.import_file("snap-1", tmp_path / "vm.ova")

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == (tmp_path / "plain").read_bytes()
