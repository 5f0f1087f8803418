"""The first bytes of empty disks: enough for an inspection to tell what they are and how large."""

import struct
from typing import Final

from bakehouse.ports.disk_files import ExportFormat

_SECTOR: Final = 512
_QCOW2_CLUSTER: Final = 1 << 16

#: A streamOptimized VMDK: magic, version, flags, capacity, grain, descriptor's offset and size, entries per table, ...
_VMDK: Final = struct.Struct("<4sIIQQQQIQQQ?4sH")
_VMDK_GRAIN_SECTORS: Final = 128
_VMDK_DESCRIPTOR_SECTORS: Final = 20

#: Source: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0, "Hard Disk Footer Format".
_VHD_FOOTER: Final = struct.Struct(">8sIIQI4sI4sQQIII16s?")
_VHD_DYNAMIC_HEADER: Final = struct.Struct(">8sQQIIII")


def start_of(file_format: ExportFormat, size_bytes: int) -> bytes:
    """Return the content of an empty disk of this format; a raw disk is all zeros behind it."""
    return _STARTS[file_format](size_bytes)


def _raw(_: int) -> bytes:
    return b""


def _qcow2(size_bytes: int) -> bytes:
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, size_bytes, 0, 1, 3 << 16, 1 << 16, 1, 0, 0)
    header += struct.pack(">QQQII", 0, 0, 0, 4, 104)
    return header.ljust(4 * _QCOW2_CLUSTER, b"\0")


def _vmdk(size_bytes: int) -> bytes:
    sectors = size_bytes // _SECTOR
    descriptor = (
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        f'createType="streamOptimized"\n\n# Extent description\nRW {sectors} SPARSE "disk.vmdk"\n\n'
        '# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = "4"\nddb.adapterType = "ide"\n'
    )
    header = _VMDK.pack(
        b"KDMV", 3, 0x30001, sectors, _VMDK_GRAIN_SECTORS, 1, _VMDK_DESCRIPTOR_SECTORS, 512, 0, 21, 128,
        False, b"\n \r\n", 1,  # noqa: FBT003 - the field `uncleanShutdown`
    )  # fmt: skip
    return header.ljust(_SECTOR, b"\0") + descriptor.encode().ljust(_VMDK_DESCRIPTOR_SECTORS * _SECTOR, b"\0")


def _vhd(size_bytes: int) -> bytes:
    footer = _VHD_FOOTER.pack(
        b"conectix", 2, 0x10000, _SECTOR, 0, b"bake", 0x10000, b"Wi2k", size_bytes, size_bytes, 0, 3, 0, bytes(16),
        False,  # noqa: FBT003 - the field `Saved State`
    )  # fmt: skip
    blocks = -(-size_bytes // (2 << 20))
    header = _VHD_DYNAMIC_HEADER.pack(b"cxsparse", (1 << 64) - 1, 1536, 0x10000, blocks, 2 << 20, 0)
    start = _with_checksum(footer.ljust(_SECTOR, b"\0"), 64)
    table = b"\xff" * (-(-blocks * 4 // _SECTOR) * _SECTOR)
    return start + _with_checksum(header.ljust(1024, b"\0"), 36) + table + start


def _with_checksum(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack(">I", ~sum(data) & 0xFFFFFFFF) + data[at + 4 :]


_STARTS: Final = {
    ExportFormat.QCOW2: _qcow2,
    ExportFormat.RAW: _raw,
    ExportFormat.VHD: _vhd,
    ExportFormat.VMDK: _vmdk,
}
