"""Disk files that are made to harm, with what their refusal says.

Where an attack depends on it, the file it would read is there to be read.
"""

import os
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.contract import foreign_files
from tests.contract.disks import MIB, qemu_img, write
from tests.contract.foreign_files import patched, patched_vhd, vmdk

Make = Callable[[Path], None]

DESCRIPTOR_AT = 512
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID={parent}
createType="{kind}"
{more}
{extents}
# The Disk Data Base
ddb.adapterType = "ide"
"""


# --- VMDK


def descriptor(
    *,
    kind: str = "monolithicSparse",
    parent: str = "ffffffff",
    more: str = "",
    extents: str = 'RW 2048 SPARSE "d.vmdk"',
) -> bytes:
    return DESCRIPTOR.format(kind=kind, parent=parent, more=more, extents=extents).encode()


def vmdk_with(text: bytes) -> Make:
    """Make a whole VMDK, but for its descriptor."""

    def make(path: Path) -> None:
        qemu_img("create", "-f", "vmdk", path, "1M")
        patched(path, DESCRIPTOR_AT, text.ljust(20 * 512, b"\0"))

    return make


def vmdk_text(text: bytes) -> Make:
    def make(path: Path) -> None:
        (path.parent / "disk-flat.vmdk").write_bytes(bytes(MIB))
        path.write_bytes(text)

    return make


def vmdk_of_two_files(path: Path) -> None:
    qemu_img("create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", path, "1M")


def vmdk_over_a_parent(path: Path) -> None:
    qemu_img("create", "-f", "vmdk", path.with_name("below"), "1M")
    qemu_img("create", "-f", "vmdk", "-b", path.with_name("below"), "-F", "vmdk", path)


def vmdk_without_capacity(path: Path) -> None:
    qemu_img("create", "-f", "vmdk", path, "1M")
    patched(path, 12, bytes(8))
    patched(path, DESCRIPTOR_AT, descriptor(kind="monolithicFlat", extents='RW 2048 FLAT "/etc/shadow" 0'))


def vmdk_whose_footer_contradicts(path: Path) -> None:
    content = bytearray(vmdk(foreign_files.small_raw(path.with_name("plain"))))
    footer = bytearray(content[:512])
    content[56:64] = b"\xff" * 8
    footer[12:20] = bytes(8)
    path.write_bytes(bytes(content) + struct.pack("<QII496s", 1, 0, 3, b"") + bytes(footer) + bytes(512))


def vmdk_cut_short(path: Path) -> None:
    path.with_name("plain").write_bytes(os.urandom(MIB))
    content = vmdk(path.with_name("plain"), subformat="monolithicSparse")
    path.write_bytes(content[: len(content) // 2])


def vmdk_header_alone(path: Path) -> None:
    path.write_bytes(b"KDMV" + bytes(40))


def vmdk_of_100_tib(path: Path) -> None:
    qemu_img("create", "-f", "vmdk", path, "1M")
    sectors = (100 << 40) // 512
    patched(path, 12, struct.pack("<Q", sectors))
    patched(path, DESCRIPTOR_AT, descriptor(extents=f'RW {sectors} SPARSE "d.vmdk"').ljust(20 * 512, b"\0"))


# --- VHD and VHDX


def vhd(path: Path, size: str = "8M") -> None:
    qemu_img("create", "-f", "vpc", "-o", "force_size=on", path, size)


def vhd_of_differences(path: Path) -> None:
    vhd(path)

    def differencing(footer: bytearray) -> None:
        footer[60:64] = struct.pack(">I", 4)

    patched_vhd(path, differencing)


def vhd_with_a_parent_s_name(path: Path) -> None:
    vhd(path)
    content = bytearray(path.read_bytes())
    header = content[512:1536]
    header[40:56] = uuid.uuid4().bytes
    header[576:600] = struct.pack(">4sIIIQ", b"W2ku", 512, 512, 0, 512)
    content[512:1536] = foreign_files.with_checksum(header, 36)
    path.write_bytes(content)


def vhd_of_100_tib(path: Path) -> None:
    vhd(path)

    def huge(footer: bytearray) -> None:
        footer[48:56] = struct.pack(">Q", 100 << 40)

    patched_vhd(path, huge)


def vhd_with_a_table_of_gigabytes(path: Path) -> None:
    vhd(path)

    def large(footer: bytearray) -> None:
        footer[48:56] = struct.pack(">Q", 2040 << 30)

    patched_vhd(path, large)
    content = bytearray(path.read_bytes())
    header = content[512:1536]
    header[28:36] = struct.pack(">II", 0xFFFFFFFF, 512)
    content[512:1536] = foreign_files.with_checksum(header, 36)
    path.write_bytes(content)
    os.truncate(path, 64 << 30)
    with path.open("r+b") as file:
        file.seek(-512, os.SEEK_END)
        file.write(content[:512])


def vhd_with_a_wrong_checksum(path: Path) -> None:
    vhd(path)
    patched(path, 48, b"\x01")


def vhd_cut_short(path: Path) -> None:
    vhd(path)
    os.truncate(path, 2048)


def vhd_with_a_block_outside(path: Path) -> None:
    vhd(path)
    patched(path, 1536, struct.pack(">I", 1 << 30))


def vhdx(path: Path) -> None:
    qemu_img("create", "-f", "vhdx", path, "8M")


def vhdx_item(content: bytes, item: str) -> int:
    """Return where a metadata item's table entry is."""
    return content.index(uuid.UUID(item).bytes_le)


def vhdx_with_a_parent(path: Path) -> None:
    vhdx(path)
    content = path.read_bytes()
    table = content.index(b"metadata")
    (offset,) = struct.unpack_from("<I", content, vhdx_item(content, "caa16737-fa36-4d43-b3b6-33f0aa44e76b") + 16)
    patched(path, table + offset + 4, struct.pack("<I", 2))


def vhdx_with_a_parent_locator(path: Path) -> None:
    vhdx(path)
    content = path.read_bytes()
    table = content.index(b"metadata")
    (count,) = struct.unpack_from("<H", content, table + 10)
    locator = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
    patched(path, table + 32 + 32 * count, locator + struct.pack("<IIII", 0x10000, 64, 4, 0))
    patched(path, table + 10, struct.pack("<H", count + 1))


def vhdx_not_closed(path: Path) -> None:
    vhdx(path)
    for header in (64 << 10, 128 << 10):
        patched(path, header + 48, uuid.uuid4().bytes)


def vhdx_of_100_tib(path: Path) -> None:
    vhdx(path)
    content = path.read_bytes()
    table = content.index(b"metadata")
    (offset,) = struct.unpack_from("<I", content, vhdx_item(content, "2fa54224-cd1b-4876-b211-5dbed83bf4b8") + 16)
    patched(path, table + offset, struct.pack("<Q", 100 << 40))


def vhdx_cut_short(path: Path) -> None:
    vhdx(path)
    os.truncate(path, 300 << 10)


def vhdx_of_two_minds(path: Path) -> None:
    vhdx(path)
    second = path.read_bytes().index(uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le, 256 << 10)
    patched(path, second + 16, struct.pack("<Q", 5 << 20))


# --- qcow2 (more in test_qcow2_imports.py), LUKS, raw


def qcow2_with_snapshots(path: Path) -> None:
    qemu_img("create", "-f", "qcow2", path, "1M")
    qemu_img("snapshot", "-c", "before", path)


def luks(path: Path) -> None:
    names = [text.ljust(32, b"\0") for text in (b"aes", b"xts-plain64", b"sha256")]
    path.write_bytes(b"LUKS\xba\xbe\0\1" + b"".join(names) + struct.pack(">II", 4096, 64) + bytes(MIB))


def qcow2_of_one_cluster_a_million_times(path: Path) -> None:
    """A few MiB that unpack into a terabyte: every entry of every table names the same cluster."""
    qemu_img("create", "-f", "qcow2", path, "1T")
    write(path, 7, at=0, length=65536)
    content = path.read_bytes()
    (l1_entries, l1_table) = struct.unpack_from(">IQ", content, 36)
    (l2_table,) = struct.unpack_from(">Q", content, l1_table)
    (cluster,) = struct.unpack_from(">Q", content, l2_table & ((1 << 56) - 512))
    patched(path, l2_table & ((1 << 56) - 512), struct.pack(">Q", cluster) * 8192)
    patched(path, l1_table, struct.pack(">Q", l2_table) * l1_entries)


SHAPES: dict[str, tuple[Make, str]] = {
    "VMDK: a text that names a host's file": (
        vmdk_text(descriptor(kind="monolithicFlat", extents='RW 2048 FLAT "/etc/shadow" 0')),
        "names other files",
    ),
    "VMDK: a text that names a file beside it": (
        vmdk_text(descriptor(kind="monolithicFlat", extents='RW 2048 FLAT "disk-flat.vmdk" 0')),
        "names other files",
    ),
    "VMDK: two files": (vmdk_of_two_files, "names other files"),
    "VMDK: over a parent": (vmdk_over_a_parent, "parent"),
    "VMDK: a parent's name alone": (vmdk_with(descriptor(more='parentFileNameHint="/etc/shadow"')), "parent"),
    "VMDK: a parent's name, spaced": (vmdk_with(descriptor(more='parentFileNameHint = "/etc/shadow"')), "parent"),
    "VMDK: a parent's id alone": (vmdk_with(descriptor(parent="12345678")), "parent"),
    "VMDK: flat inside": (
        vmdk_with(descriptor(kind="monolithicFlat", extents='RW 2048 FLAT "/etc/shadow" 0')),
        "monolithicflat",
    ),
    "VMDK: an extent that is no part of it": (
        vmdk_with(descriptor(extents='RW 2048 FLAT "/etc/shadow" 0')),
        "extent outside",
    ),
    "VMDK: an extent that is a device": (
        vmdk_with(descriptor(extents='RW 2048 SPARSE "/dev/sda"')),
        "names a file of the host",
    ),
    "VMDK: a second extent": (
        vmdk_with(descriptor(extents='RW 2048 SPARSE "d.vmdk"\nRW 2048 FLAT "/etc/shadow" 0')),
        "2 extents",
    ),
    "VMDK: no extent": (vmdk_with(descriptor(extents="")), "0 extents"),
    "VMDK: a field that is not known": (
        vmdk_with(descriptor(more='changeTrackPath="/etc/shadow"')),
        "'changetrackpath', which is not known",
    ),
    "VMDK: two types": (vmdk_with(descriptor(more='createType="vmfs"')), "'createtype'"),
    "VMDK: no plain text": (vmdk_with(descriptor(more='x="\xff"')), "no plain text"),
    "VMDK: no capacity": (vmdk_without_capacity, "holds no data itself"),
    "VMDK: a footer that contradicts": (vmdk_whose_footer_contradicts, "holds no data itself|contradicts"),
    "VMDK: 100 TiB": (vmdk_of_100_tib, "100 TiB"),
    "VMDK: a header alone": (vmdk_header_alone, "cut short"),
    "VMDK: cut short": (vmdk_cut_short, "cannot read it|cut short"),
    "VHD: differences": (vhd_of_differences, "differences to another"),
    "VHD: a parent's name": (vhd_with_a_parent_s_name, "names a parent"),
    "VHD: 100 TiB": (vhd_of_100_tib, "100 TiB"),
    "VHD: a table of gigabytes": (vhd_with_a_table_of_gigabytes, "table and its size do not fit"),
    "VHD: a wrong checksum": (vhd_with_a_wrong_checksum, "checksum"),
    "VHD: a block outside": (vhd_with_a_block_outside, "cut short"),
    "VHD: cut short": (vhd_cut_short, "cut short"),
    "VHDX: a parent": (vhdx_with_a_parent, "parent"),
    "VHDX: a parent locator": (vhdx_with_a_parent_locator, "parent locator"),
    "VHDX: not closed": (vhdx_not_closed, "not closed cleanly"),
    "VHDX: 100 TiB": (vhdx_of_100_tib, "100 TiB"),
    "VHDX: cut short": (vhdx_cut_short, "cut short"),
    "VHDX: two region tables that differ": (vhdx_of_two_minds, "metadata"),
    "qcow2: snapshots inside": (qcow2_with_snapshots, "1 snapshots inside"),
    "qcow2: one cluster a million times": (qcow2_of_one_cluster_a_million_times, "cannot read it"),
    "LUKS": (luks, "encrypted disk"),
}
