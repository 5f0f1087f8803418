"""Archives that are made to harm, with what their refusal says."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.contract import foreign_files
from tests.contract.disks import MIB, qemu_img
from tests.contract.foreign_files import disk_element, file_element, ova, ovf, tar, vmdk
from tests.contract.hostile_disks import Make, vmdk_without_capacity


def ova_with(*, file_more: str = "", disk_more: str = "") -> Make:
    def make(path: Path) -> None:
        description = ovf(["d.vmdk"], file_more=file_more, disk_more=disk_more)
        ova(path, {"d.vmdk": plain_vmdk(path)}, description=description)

    return make


def plain_vmdk(path: Path) -> bytes:
    return vmdk(foreign_files.small_raw(path.with_name("plain")))


def ova_described(description: bytes | Callable[[bytes], bytes]) -> Make:
    def make(path: Path) -> None:
        text = description if isinstance(description, bytes) else description(ovf(["d.vmdk"]))
        ova(path, {"d.vmdk": plain_vmdk(path)}, description=text)

    return make


def ova_with_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Make:
    def make(path: Path) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar(path, [("vm.ovf", ovf(["d.vmdk"])), (info, b""), ("d.vmdk", plain_vmdk(path))])

    return make


def ova_of_a_thousand_files(path: Path) -> None:
    tar(path, [("vm.ovf", ovf(["d.vmdk"])), *((f"{number}.txt", b"") for number in range(1000))])


def ova_that_says_terabytes(path: Path) -> None:
    """A file of 1 KiB whose header promises 8 TiB."""
    info = tarfile.TarInfo("d.vmdk")
    info.size = 8 << 40
    header = info.tobuf(tarfile.GNU_FORMAT)
    description = ovf(["d.vmdk"])
    tar(path, [("vm.ovf", description)])
    content = path.read_bytes()
    end = 512 + -(-len(description) // 512) * 512
    path.write_bytes(content[:end] + header + bytes(512))


def ova_with_a_name_of_gigabytes(path: Path) -> None:
    """An extended header that would be read into memory whole: here all of a file of 64 GiB, which takes no room."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 60 << 30
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 64 << 30)


def ova_with_a_size_beside_its_header(path: Path) -> None:
    disk = tarfile.TarInfo("d.vmdk")
    disk.pax_headers = {"size": "1000000000"}
    tar(path, [("vm.ovf", ovf(["d.vmdk"])), (disk, plain_vmdk(path))], form=tarfile.PAX_FORMAT)


def ova_with_a_compressed_disk(path: Path) -> None:
    ova(path, {"d.vmdk": b"\x1f\x8b\x08" + bytes(5000)})


def ova_with_a_hostile_disk(path: Path) -> None:
    vmdk_without_capacity(path.with_name("inner"))
    ova(path, {"d.vmdk": path.with_name("inner").read_bytes()})


def ova_with_a_qcow2_over_a_host_s_file(path: Path) -> None:
    qemu_img("create", "-u", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", path.with_name("inner"), "1M")
    ova(path, {"d.vmdk": path.with_name("inner").read_bytes()})


def ova_with_an_outer_disk(path: Path) -> None:
    tar(path, [("vm.ovf", ovf(["/etc/shadow"]))])


def ova_without_a_description(path: Path) -> None:
    tar(path, [("d.vmdk", plain_vmdk(path))])


def ova_with_two_descriptions(path: Path) -> None:
    tar(path, [("a.ovf", ovf(["d.vmdk"])), ("b.ovf", ovf(["d.vmdk"])), ("d.vmdk", plain_vmdk(path))])


def ova_with_a_file_twice(path: Path) -> None:
    tar(path, [("vm.ovf", ovf(["d.vmdk"])), ("d.vmdk", plain_vmdk(path)), ("./d.vmdk", b"other")])


def ova_packed(path: Path) -> None:
    path.with_name("tar").write_bytes(b"")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(path.with_name("tar"), "vm.ovf")


def ova_cut_short(path: Path) -> None:
    ova(path, {"d.vmdk": plain_vmdk(path)})
    os.truncate(path, 8192)


def laughs(text: bytes) -> bytes:
    entities = b"".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">'.encode() for level in range(1, 10))
    kind = b'<!DOCTYPE Envelope [<!ENTITY l0 "ha">' + entities + b"]>"
    return text.replace(b"?>\n", b"?>\n" + kind, 1).replace(b"A machine", b"&l9;")


def host_file_entity(text: bytes) -> bytes:
    kind = b'<!DOCTYPE Envelope [<!ENTITY x SYSTEM "file:///etc/shadow">]>'
    return text.replace(b"?>\n", b"?>\n" + kind, 1).replace(b"A machine", b"&x;")


def in_utf_16(text: bytes) -> bytes:
    return host_file_entity(text).decode().replace("UTF-8", "UTF-16").encode("utf-16")


SHAPES: dict[str, tuple[Make, str]] = {
    "OVA: no description": (ova_without_a_description, "0 machine descriptions"),
    "OVA: two descriptions": (ova_with_two_descriptions, "2 machine descriptions"),
    "OVA: a compressed disk": (ova_with_a_compressed_disk, "packed by gzip"),
    "OVA: a disk said to be compressed": (ova_with(file_more='ovf:compression="gzip"'), "packed by gzip"),
    "OVA: a disk in pieces": (ova_with(file_more='ovf:chunkSize="1000"'), "cut into pieces"),
    "OVA: a disk of another size than said": (ova_with(file_more='ovf:size="5"'), "another size"),
    "OVA: a size that is no number": (ova_with(file_more='ovf:size="9e99"'), "'9e99'"),
    "OVA: a disk over another": (ova_with(disk_more='ovf:parentRef="vmdisk0"'), "differences to another"),
    "OVA: a disk of the host": (ova_with_an_outer_disk, "'/etc/shadow' is not in the archive"),
    "OVA: a hostile disk": (ova_with_a_hostile_disk, "'d.vmdk': .* holds no data itself"),
    "OVA: a qcow2 over a host's file": (ova_with_a_qcow2_over_a_host_s_file, "backing file"),
    "OVA: a symbolic link": (ova_with_member("x.vmdk", tarfile.SYMTYPE, "/etc/shadow"), "a link"),
    "OVA: a hard link": (ova_with_member("x.vmdk", tarfile.LNKTYPE, "/etc/shadow"), "a link"),
    "OVA: a device": (ova_with_member("x.vmdk", tarfile.BLKTYPE), "no file"),
    "OVA: a pipe": (ova_with_member("x.vmdk", tarfile.FIFOTYPE), "no file"),
    "OVA: a folder": (ova_with_member("x", tarfile.DIRTYPE), "a folder"),
    "OVA: an absolute name": (ova_with_member("/etc/cron.d/x"), "leads out of it"),
    "OVA: a name above": (ova_with_member("../../x"), "leads out of it"),
    "OVA: a sparse file": (ova_with_member("x.vmdk", tarfile.GNUTYPE_SPARSE), "no file|damaged"),
    "OVA: a file twice": (ova_with_a_file_twice, "two files"),
    "OVA: a thousand files": (ova_of_a_thousand_files, "more than 256 files"),
    "OVA: terabytes that are not there": (ova_that_says_terabytes, "cut short"),
    "OVA: a name of gigabytes": (ova_with_a_name_of_gigabytes, "extended headers"),
    "OVA: a size beside the header": (ova_with_a_size_beside_its_header, "extended headers"),
    "OVA: packed": (ova_packed, "packed by gzip"),
    "OVA: cut short": (ova_cut_short, "cut short"),
    "OVA: no XML": (ova_described(b"disk"), "no XML"),
    "OVA: another XML": (ova_described(b"<html/>"), "no OVF"),
    "OVA: no machine": (ova_described(b"<Envelope/>"), "0 machines"),
    "OVA: a description of megabytes": (ova_described(b" " * 2 * MIB), "too long"),
    "OVA: a billion laughs": (ova_described(laughs), "document type"),
    "OVA: an entity that is a host's file": (ova_described(host_file_entity), "document type"),
    "OVA: the same in UTF-16": (ova_described(in_utf_16), "document type"),
    "OVA: a disk without a file": (
        ova_described(lambda text: text.replace(file_element("d.vmdk", number=0).encode(), b"")),
        "without a file",
    ),
    "OVA: a drive without a disk": (
        ova_described(lambda text: text.replace(disk_element(number=0).encode(), b"")),
        "without a disk",
    ),
}
