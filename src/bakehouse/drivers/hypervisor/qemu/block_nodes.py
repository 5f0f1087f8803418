"""Names and options of block nodes: the one place that the command line and the live operations share.

Each volume has one node per file that it wrote to while the machine runs: `vol-0123....0` at the start,
`vol-0123....1` after the first live snapshot, and so on. The highest number is the top. The node of the
file below is named likewise with an `f` behind. What lies below a top and was opened anew while the machine runs
(`chains.py`) is `vol-0123....b1` and so on. QEMU takes names of up to 31 characters; ours have 21 + 2 + digits + 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bakehouse.ports.hypervisor import DiskBus

_NODE: Final = re.compile(r"(?P<volume_id>vol-[0-9a-f]+)\.(?P<number>\d+)")
_DEVICE: Final = re.compile(r"(?:disk|nic)(?P<port>\d+)-(?P<serial>vol[0-9a-f]+|AWS[0-9A-F]+|eni-[0-9a-f]+)")


@dataclass(frozen=True, slots=True, order=True)
class NodeName:
    """The name of a volume's node."""

    volume_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.volume_id}.{self.number}"

    @property
    def file(self) -> str:
        """The name of the node of the file below."""
        return f"{self}f"


def node_name(text: str) -> NodeName | None:
    """Read a node's name; None when it is not one of a volume."""
    form = _NODE.fullmatch(text)
    return NodeName(form["volume_id"], int(form["number"])) if form else None


def below_node(volume_id: str, number: int) -> str:
    """Return the name of a node that was opened anew below a volume's top."""
    return f"{volume_id}.b{number}"


def below_number(node: str) -> tuple[str, int] | None:
    """Return the volume and the number of such a node; None when it is another."""
    form = re.fullmatch(r"(vol-[0-9a-f]+)\.b(\d+)", node)
    return (form[1], int(form[2])) if form else None


def device_id(port: int, volume_id: str) -> str:
    """Return the id of the disk in a hot-plug port. A port holds one disk, so no id occurs twice."""
    return f"disk{port}-{serial(volume_id)}"


def port_of(device: str) -> int | None:
    """Return the port that a disk is plugged into; None when the id is not one of a disk."""
    form = _DEVICE.fullmatch(device)
    return int(form["port"]) if form else None


def occupant_of(device: str) -> str | None:
    """Return whose device it is: a volume's id, a local disk's serial or an interface's id; None when it is another."""
    form = _DEVICE.fullmatch(device)
    return form["serial"].replace("vol", "vol-") if form else None


def port_id(port: int) -> str:
    """Return the id of a hot-plug port."""
    return f"port{port}"


def void_node(port: int) -> str:
    """Return the name of the node of nothing that takes the place of a disk taken by force."""
    return f"{port_id(port)}.void"


def port_of_void(node: str) -> int | None:
    """Return the port that a node of nothing belongs to; None when it is another node."""
    form = re.fullmatch(r"port(\d+)\.void", node)
    return int(form[1]) if form else None


def serial(volume_id: str) -> str:
    """Return a disk's serial number as EC2's NVMe volumes show it: the volume's id without its hyphen.

    Source: EC2 User Guide, "Map NVMe devices to volumes".
    """
    return volume_id.replace("-", "")


def node_options(name: NodeName, path: str | Path, image_format: str, *, flush: bool) -> dict[str, Any]:
    """Return what `-blockdev` and `blockdev-add` need to open a file.

    The guest's trims free space. Its flushes reach the disk unless `flush` is off, which only a host crash
    could tell. Files that a qcow2 header names as backing files are opened with it.
    """
    cache = {"direct": False, "no-flush": not flush}
    return {
        "driver": image_format,
        "node-name": str(name),
        "discard": "unmap",
        "cache": cache,
        "file": {
            "driver": "file",
            "node-name": name.file,
            "filename": str(path),
            "discard": "unmap",
            "cache": cache,
        },
    }


def frozen_options(node: str, path: str | Path, image_format: str, *, flush: bool) -> dict[str, Any]:
    """Return what `blockdev-add` needs to open a layer that nobody writes to, with all that is below it."""
    cache = {"direct": False, "no-flush": not flush}
    file = {"driver": "file", "node-name": f"{node}f", "filename": str(path), "cache": cache}
    return {"driver": image_format, "node-name": node, "read-only": True, "cache": cache, "file": file}


#: QEMU's device for each bus. A write that finds no room on the host stops a guest with a virtio disk; the NVMe device
#: has no such choice. Source: `qemu-system-x86_64 -device virtio-blk-pci,help`, `-device nvme,help` (QEMU 7.2).
#:
#: The NVMe device says that it has a write cache, and ignores the bit by which a guest asks for a write to pass it
#: (FUA; `hw/nvme/ctrl.c`, `nvme_do_write` hands no flags on). File systems commit their journals with it: what a guest
#: had synchronised was lost with a killed QEMU. Without the cache every write is on the disk when it is answered:
#: 1.4 ms for 4 KiB instead of 0.2 ms, the same for large writes and for `fsync` after each (measured).
_DEVICES: Final[Mapping[DiskBus, Mapping[str, str]]] = {
    DiskBus.NVME: {"driver": "nvme", "write-cache": "off"},
    DiskBus.VIRTIO: {"driver": "virtio-blk-pci", "werror": "enospc"},
}


def disk_options(port: int, name: NodeName, bus: DiskBus = DiskBus.NVME) -> dict[str, Any]:
    """Return what `-device` and `device_add` need to plug a volume's node into a port."""
    return {
        **_DEVICES[bus],
        "id": device_id(port, name.volume_id),
        "serial": serial(name.volume_id),
        "drive": str(name),
        "bus": port_id(port),
    }


def local_disk_options(port: int, node: str, serial_number: str, bus: DiskBus = DiskBus.NVME) -> dict[str, Any]:
    """Return what `-device` needs to plug the node of a local disk into a port."""
    return {
        **_DEVICES[bus],
        "id": f"disk{port}-{serial_number}",
        "serial": serial_number,
        "drive": node,
        "bus": port_id(port),
    }
