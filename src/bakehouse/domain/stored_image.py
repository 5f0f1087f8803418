"""What is said of an image in the object that stores it, and an image made of that again.

The object may come from another server, or from a stranger: what it says is checked like a request.
Source of what is kept: EC2 User Guide, "How AMI store and restore works": name, description, block device mapping and
the tags of image and snapshots; who may launch it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from bakehouse.domain.block_device import check_device_name, performance, volume_size
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import BlockDevice, Image, check_image_name
from bakehouse.domain.image_boot import check_boot_members
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification, checked_specification
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState
from bakehouse.domain.tags import check_tags

#: How many devices an image can have here.
DEVICES_MAX: Final = 100

_VERSION: Final = 1
_GIB: Final = 1024**3
_TEXT_MAX: Final = 255
_UEFI_DATA_MAX: Final = 64 * 1024
_ARCHITECTURES: Final = ("i386", "x86_64", "arm64")

T = TypeVar("T")


class BadDescription(ValueError):
    """An object does not describe an image. The text says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredImage:
    """An image with its snapshots, all `pending`: they have no bytes yet, in the order of the object's disks."""

    image: Image
    snapshots: tuple[Snapshot, ...]


def described(image: Image, snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """Return what a stored object says of an image; `snapshots` are those of its mapping, in its order."""
    places = {snapshot.id: place for place, snapshot in enumerate(snapshots)}
    specification = image.instance_type_specification or InstanceTypeSpecification()
    return {
        "version": _VERSION,
        "image": {
            "id": image.id,
            "region": image.region,
            "account_id": image.account_id,
            "created_at": image.created_at.isoformat(),
            "name": image.name,
            "description": image.description,
            "architecture": image.architecture,
            "root_device_name": image.root_device_name,
            "boot_mode": image.boot_mode,
            "tpm_support": image.tpm_support,
            "uefi_data": image.uefi_data,
            "imds_support": image.imds_support,
            "ena_support": image.ena_support,
            "supported_instance_types": list(specification.supported),
            "unsupported_instance_types": list(specification.unsupported),
            "tags": image.tags,
        },
        "devices": [_device_described(device, places) for device in image.block_devices],
        "snapshots": [
            {"id": snapshot.id, "description": snapshot.description, "tags": snapshot.tags} for snapshot in snapshots
        ],
    }


def _device_described(device: BlockDevice, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "device_name": device.device_name,
        "disk": None if device.snapshot_id is None else places[device.snapshot_id],
        "size_gib": device.size_gib,
        "volume_type": device.volume_type,
        "iops": device.iops,
        "throughput_mibps": device.throughput_mibps,
        "delete_on_termination": device.delete_on_termination,
        "virtual_name": device.virtual_name,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """The image to be, and what it gets beside what the object says."""

    pending: Image
    """With the tags that it has so far, which go over those that it was stored with."""
    name: str | None
    """None for the name that it was stored with."""
    snapshot_tags: Mapping[str, str]
    snapshot_ids: Sequence[str]
    """One for each disk of the object."""
    disk_sizes_bytes: Sequence[int]


def restored(document: Mapping[str, Any], wanted: Restoration) -> RestoredImage:
    """Return the image that an object describes.

    Raises:
        BadDescription: It does not describe an image that there can be.
    """
    try:
        return _restored(document, wanted)
    except Ec2Error as err:
        raise BadDescription(err.message) from err


def _restored(document: Mapping[str, Any], wanted: Restoration) -> RestoredImage:
    if document.get("version") != _VERSION:
        raise BadDescription(f"its description is of version {document.get('version')!r}, not {_VERSION}")
    said = _member(document, "image", dict)
    snapshots = _snapshots(document, wanted)
    devices = _devices(document, snapshots)
    root = _text(said, "root_device_name")
    if not any(device.device_name == root and device.snapshot_id is not None for device in devices):
        raise BadDescription(f"its root device {root} is no disk of it")
    tags = {**_tags(said), **wanted.pending.tags}
    check_tags(tags)
    name = wanted.name or _text(said, "name")
    check_image_name(name)
    architecture = _text(said, "architecture")
    if architecture not in _ARCHITECTURES:
        raise BadDescription(f"its architecture is {architecture}")
    boot = {member: _optional_text(said, member) for member in ("boot_mode", "tpm_support")}
    uefi_data = _optional_text(said, "uefi_data", _UEFI_DATA_MAX)
    check_boot_members(boot_mode=boot["boot_mode"], tpm_support=boot["tpm_support"], uefi_data=uefi_data)
    image = replace(
        wanted.pending,
        name=name,
        description=_text(said, "description"),
        architecture=architecture,
        root_device_name=root,
        block_devices=devices,
        boot_mode=boot["boot_mode"],
        tpm_support=boot["tpm_support"],
        uefi_data=uefi_data,
        imds_support="v2.0" if _optional_text(said, "imds_support") == "v2.0" else None,
        ena_support=_member(said, "ena_support", bool),
        instance_type_specification=_specification(said),
        source_image_id=_text(said, "id"),
        source_image_region=_text(said, "region"),
        tags=tags,
    )
    return RestoredImage(image=image, snapshots=snapshots)


def _snapshots(document: Mapping[str, Any], wanted: Restoration) -> tuple[Snapshot, ...]:
    said = _members(document, "snapshots")
    if not len(said) == len(wanted.snapshot_ids) == len(wanted.disk_sizes_bytes):
        raise BadDescription(f"it describes {len(said)} snapshots and holds {len(wanted.disk_sizes_bytes)} disks")
    made = []
    for one, snapshot_id, size_bytes in zip(said, wanted.snapshot_ids, wanted.disk_sizes_bytes, strict=True):
        tags = {**_tags(one), **wanted.snapshot_tags}
        check_tags(tags)
        snapshot = Snapshot(
            id=snapshot_id,
            account_id=wanted.pending.account_id,
            region=wanted.pending.region,
            volume_id=NO_VOLUME,
            volume_size_gib=-(-size_bytes // _GIB),
            description=_text(one, "description"),
            state=SnapshotState.PENDING,
            started_at=wanted.pending.created_at,
            tags=tags,
        )
        made.append(snapshot)
    return tuple(made)


def _devices(document: Mapping[str, Any], snapshots: Sequence[Snapshot]) -> tuple[BlockDevice, ...]:
    said = _members(document, "devices")
    devices = tuple(_device(one, snapshots) for one in said)
    if len({device.device_name for device in devices}) < len(devices):
        raise BadDescription("it names a device twice")
    named = tuple(dict.fromkeys(device.snapshot_id for device in devices if device.snapshot_id is not None))
    # The order of the disks is found again by that of the mapping.
    if named != tuple(snapshot.id for snapshot in snapshots):
        raise BadDescription("its devices and its disks do not belong together")
    return devices


def _device(said: Mapping[str, Any], snapshots: Sequence[Snapshot]) -> BlockDevice:
    name = _text(said, "device_name")
    check_device_name(name)
    virtual_name = _optional_text(said, "virtual_name")
    if virtual_name is not None:
        return BlockDevice(device_name=name, virtual_name=virtual_name)
    place = _optional(said, "disk", int)
    if place is not None and not 0 <= place < len(snapshots):
        raise BadDescription(f"its device {name} is its disk {place}, which it does not have")
    snapshot = None if place is None else snapshots[place]
    least = None if snapshot is None else snapshot.volume_size_gib
    size_gib = volume_size(name, _optional(said, "size_gib", int), snapshot.id if snapshot else None, least)
    iops, throughput = _optional(said, "iops", int), _optional(said, "throughput_mibps", int)
    volume_type = _text(said, "volume_type")
    performance(volume_type, size_gib, iops, throughput)
    return BlockDevice(
        device_name=name,
        snapshot_id=snapshot.id if snapshot else None,
        size_gib=size_gib,
        volume_type=volume_type,
        iops=iops,
        throughput_mibps=throughput,
        delete_on_termination=_member(said, "delete_on_termination", bool),
    )


def _specification(said: Mapping[str, Any]) -> InstanceTypeSpecification | None:
    patterns = [_texts(said, member) for member in ("supported_instance_types", "unsupported_instance_types")]
    return checked_specification(*patterns) if any(patterns) else None


def _members(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = _member(said, name, list)
    if len(value) > DEVICES_MAX or not all(isinstance(one, dict) for one in value):
        raise BadDescription(f"its {name} are not described")
    return value


def _texts(said: Mapping[str, Any], name: str) -> list[str]:
    value = _member(said, name, list)
    if not all(isinstance(one, str) for one in value):
        raise BadDescription(f"its {name} are not described")
    return value


def _tags(said: Mapping[str, Any]) -> dict[str, str]:
    tags = _member(said, "tags", dict)
    if not all(isinstance(value, str) for value in tags.values()):
        raise BadDescription("its tags are not described")
    return tags


def _text(said: Mapping[str, Any], name: str) -> str:
    value = _member(said, name, str)
    if len(value) > _TEXT_MAX:
        raise BadDescription(f"its {name} is too long")
    return value


def _optional_text(said: Mapping[str, Any], name: str, longest: int = _TEXT_MAX) -> str | None:
    value = _optional(said, name, str)
    if value is not None and len(value) > longest:
        raise BadDescription(f"its {name} is too long")
    return value


def _optional(said: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    return None if said.get(name) is None else _member(said, name, kind)


def _member(said: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = said.get(name)
    # A bool is an int to Python, not to a description.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadDescription(f"its {name} is missing or malformed")
    return value
