"""Instance store: local disks that come with an instance type, empty at first and gone when the instance stops.

Source of the rules: EC2 User Guide, "Instance store temporary block storage for EC2 instances".
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final

from bakehouse.domain.image import BlockDevice
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType

#: AWS's GB of a local disk are powers of ten: the 475 GB of an i3.large are 442.4 GiB.
GB: Final = 10**9

_VIRTUAL_NAME: Final = re.compile(r"ephemeral([0-9]{1,2})")
#: Xen types whose disks are NVMe. Source: EC2 User Guide, "SSD instance store volumes".
_NVME_ON_XEN: Final = frozenset({"i3"})
#: What fits into an NVMe serial number behind `AWS`.
_SERIAL_DIGITS: Final = 17


def has_nvme(kind: InstanceType) -> bool:
    """Tell whether a type's local disks are NVMe: then all are attached, whatever the block device mapping says."""
    return kind.hypervisor == "nitro" or kind.family in _NVME_ON_XEN


def ephemeral_devices(devices: Iterable[BlockDevice]) -> tuple[tuple[str, str], ...]:
    """Return what a mapping says of instance store: pairs of virtual name (`ephemeral0`) and device name."""
    named = ((it.virtual_name, it.device_name) for it in devices if it.virtual_name is not None)
    return tuple(sorted((name, device) for name, device in named if _VIRTUAL_NAME.fullmatch(name)))


def local_disks(instance: Instance) -> Iterator[tuple[str, int]]:
    """Yield serial number and size in bytes of each local disk that an instance starts with.

    Disks that are not NVMe must be in the mapping; what it has beyond those of the type is ignored.
    """
    kind = INSTANCE_TYPES[instance.type]
    if kind.local_disks is None:
        return
    mapped = {name for name, _ in instance.ephemeral_devices}
    for number in range(kind.local_disks.count):
        if has_nvme(kind) or f"ephemeral{number}" in mapped:
            yield _serial(instance.id, number), kind.local_disks.size_gb * GB


def _serial(instance_id: str, number: int) -> str:
    """Return a serial number as EC2's NVMe instance store shows it, such as `AWS2E5F4A5B6C7D8E9F0`."""
    digest = sha256(f"{instance_id} {number}".encode()).hexdigest()
    return f"AWS{digest[:_SERIAL_DIGITS].upper()}"
