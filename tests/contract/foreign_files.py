"""Disk files as other programs make them, and archives of them."""

import io
import struct
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.contract.disks import MIB, qemu_img

VHD_CHECKSUM = 64
VHD_TYPE = 60

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>{files}</References>
  <DiskSection><Info>Disks</Info>{disks}</DiskSection>
  <VirtualSystem ovf:id="vm"><Info>A machine</Info>
    <VirtualHardwareSection><Info>Hardware</Info>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
      {drives}
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def file_element(name: str, *, number: int, more: str = "") -> str:
    return f'<File ovf:href="{name}" ovf:id="file{number}" {more}/>'


def disk_element(*, number: int, more: str = "") -> str:
    return f'<Disk ovf:capacity="1048576" ovf:diskId="vmdisk{number}" ovf:fileRef="file{number}" {more}/>'


def drive_element(*, number: int, address: int | None = None) -> str:
    return (
        f"<Item><rasd:AddressOnParent>{number if address is None else address}</rasd:AddressOnParent>"
        f"<rasd:HostResource>ovf:/disk/vmdisk{number}</rasd:HostResource>"
        f"<rasd:InstanceID>{10 + number}</rasd:InstanceID>"
        "<rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"
    )


def ovf(
    names: Iterable[str], *, file_more: str = "", disk_more: str = "", addresses: Mapping[int, int] | None = None
) -> bytes:
    """Describe a machine with disks in these files."""
    numbered = list(enumerate(names))
    return OVF.format(
        files="".join(file_element(name, number=number, more=file_more) for number, name in numbered),
        disks="".join(disk_element(number=number, more=disk_more) for number, _ in numbered),
        drives="".join(drive_element(number=number, address=(addresses or {}).get(number)) for number, _ in numbered),
    ).encode()


def tar(
    path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]], *, form: int = tarfile.USTAR_FORMAT
) -> None:
    with tarfile.open(path, "w", format=form) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def vmdk(raw: Path, *, subformat: str = "streamOptimized") -> bytes:
    """Return a VMDK of a raw disk."""
    made = raw.with_name(raw.name + ".vmdk")
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={subformat}", raw, made)
    content = made.read_bytes()
    made.unlink()
    return content


def ova(path: Path, disks: Mapping[str, bytes], *, description: bytes | None = None) -> None:
    """Write an OVA with disks, in this order."""
    described = ovf(disks) if description is None else description
    tar(path, [("vm.ovf", described), *disks.items()])


def patched(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def patched_vhd(path: Path, change: Callable[[bytearray], None], *, at: Iterable[int] = (0, -512)) -> None:
    """Change a VHD's footers and make their checksums right again."""
    content = bytearray(path.read_bytes())
    for start in at:
        begin = start % len(content)
        footer = content[begin : begin + 512]
        change(footer)
        content[begin : begin + 512] = with_checksum(footer, VHD_CHECKSUM)
    path.write_bytes(content)


def with_checksum(data: bytes | bytearray, at: int) -> bytes:
    without = bytearray(data)
    without[at : at + 4] = bytes(4)
    without[at : at + 4] = struct.pack(">I", ~sum(without) & 0xFFFFFFFF)
    return bytes(without)


def small_raw(path: Path) -> Path:
    path.write_bytes(b"boot" * 128 + bytes(MIB - 512))
    return path
