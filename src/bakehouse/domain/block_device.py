"""Block device mappings: what a request changes of an image's, and what a volume may be asked to be."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bakehouse.domain.errors import (
    Ec2Error,
    invalid_combination,
    invalid_parameter,
    invalid_value,
    missing_parameter,
)
from bakehouse.domain.image import BlockDevice
from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.domain.volume import VOLUME_TYPES

#: Source: EC2 User Guide, "Device names for volumes on Amazon EC2 instances".
_DEVICE_NAME: Final = re.compile(r"(/dev/)?(sd[a-z]{1,2}|xvd[a-z]{1,2}|hd[a-z])[0-9]{0,2}|(/dev/)?nvme[0-9]{1,2}n1")

#: Source: EC2 User Guide, "Amazon EBS volume types": the most IOPS per GiB, and MiB/s per IOPS of gp3.
_IOPS_PER_GIB: Final[Mapping[str, int]] = {"gp3": 500, "io1": 50, "io2": 1000}
_GP3_IOPS_PER_MIBPS: Final = 4


#: What a volume is that no image describes. Source: EC2 API Reference, CreateVolume, VolumeType.
_NEW_TYPE: Final = "gp2"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDeviceRequest:
    """One entry of a request's mapping: what is None is left as the image has it. Sizes in GiB, throughput in MiB/s."""

    device_name: str
    no_device: bool = False
    virtual_name: str | None = None
    snapshot_id: str | None = None
    size_gib: int | None = None
    volume_type: str | None = None
    iops: int | None = None
    throughput_mibps: int | None = None
    encrypted: bool | None = None
    kms_key: str | None = None
    delete_on_termination: bool | None = None

    @property
    def describes_volume(self) -> bool:
        """Whether it says anything of an EBS volume."""
        return any(
            value is not None
            for value in (
                self.snapshot_id,
                self.size_gib,
                self.volume_type,
                self.iops,
                self.throughput_mibps,
                self.encrypted,
                self.kms_key,
                self.delete_on_termination,
            )
        )


def check_device_name(name: str) -> None:
    """Refuse what is no device name: InvalidParameterValue."""
    if _DEVICE_NAME.fullmatch(name) is None:
        raise invalid_value(name, "device", f"{name} is not a valid EBS device name.")


def merged(devices: Sequence[BlockDevice], requests: Iterable[BlockDeviceRequest]) -> tuple[BlockDevice, ...]:
    """Return an image's mapping with a request's entries laid over it, device by device.

    Entries for devices that the image does not have are added; `no_device` takes one away. Refused: a device named
    twice or malformed, and a new device that has neither snapshot nor size.
    """
    by_name = {device.device_name: device for device in devices}
    seen: set[str] = set()
    for request in requests:
        name = request.device_name
        check_device_name(name)
        if name in seen:
            raise invalid_mapping(f"The device '{name}' is used in more than one block-device mapping")
        seen.add(name)
        if request.no_device:
            by_name.pop(name, None)
        elif request.virtual_name is not None and not request.describes_volume:
            by_name[name] = BlockDevice(device_name=name, virtual_name=request.virtual_name)
        else:
            by_name[name] = _overlaid(by_name.get(name), request)
    return tuple(by_name.values())


def _overlaid(device: BlockDevice | None, request: BlockDeviceRequest) -> BlockDevice:
    if device is None or device.virtual_name is not None:
        if request.snapshot_id is None and request.size_gib is None:
            raise missing_parameter("size or snapshotId")
        device = BlockDevice(device_name=request.device_name, volume_type=_NEW_TYPE)
    changes_type = request.volume_type is not None and request.volume_type != device.volume_type
    return BlockDevice(
        device_name=request.device_name,
        snapshot_id=request.snapshot_id or device.snapshot_id,
        size_gib=request.size_gib if request.size_gib is not None else device.size_gib,
        volume_type=request.volume_type or device.volume_type,
        # The image's figures belong to the image's type.
        iops=request.iops if request.iops is not None or changes_type else device.iops,
        throughput_mibps=(
            request.throughput_mibps
            if request.throughput_mibps is not None or changes_type
            else device.throughput_mibps
        ),
        encrypted=request.encrypted if request.encrypted is not None else device.encrypted,
        kms_key=request.kms_key,
        delete_on_termination=(
            request.delete_on_termination if request.delete_on_termination is not None else device.delete_on_termination
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePerformance:
    """What a volume shows of its speed: IOPS and MiB/s, None where its type has no such figure."""

    iops: int | None
    throughput_mibps: int | None
    limits: SpeedLimits
    """What of them was asked for."""


def performance(volume_type: str, size_gib: int, iops: int | None, throughput_mibps: int | None) -> VolumePerformance:
    """Return a volume's figures, with the defaults of its type, or refuse what the type does not allow.

    Source: EC2 API Reference, CreateVolume, and EC2 User Guide, "Amazon EBS volume types".
    """
    rules = VOLUME_TYPES.get(volume_type)
    if rules is None:
        raise invalid_value(volume_type, "volumeType")
    smallest, largest = rules.size_gib
    if not smallest <= size_gib <= largest:
        raise invalid_value(
            size_gib, "size", f"Volume size of a {volume_type} volume must be between {smallest} GiB and {largest} GiB."
        )
    if throughput_mibps is not None:
        if rules.throughput_mibps is None:
            raise invalid_combination(f"The parameter throughput is not supported for {volume_type} volumes.")
        _check_range(throughput_mibps, "throughput", rules.throughput_mibps)
    if iops is None and rules.iops_required:
        raise missing_parameter("iops")
    if iops is not None:
        _check_iops(volume_type, size_gib, iops, rules.iops)
    return VolumePerformance(
        iops=_shown_iops(volume_type, size_gib, iops),
        throughput_mibps=_shown_throughput(volume_type, iops, throughput_mibps),
        limits=SpeedLimits(iops=iops, throughput_mibps=throughput_mibps),
    )


def launch_limits(device: BlockDevice, requests: Iterable[BlockDeviceRequest]) -> SpeedLimits:
    """Return what was asked for of a volume to launch with: by the request, or by whoever made the image.

    The mapping of an image that was made of an instance carries each figure of its volumes. One that is the default of
    the volume's type was most likely asked for by nobody.
    """
    request = next((it for it in requests if it.device_name == device.device_name), None)
    rules = VOLUME_TYPES[device.volume_type]
    iops = None if device.iops == rules.default_iops else device.iops
    throughput = None if device.throughput_mibps == rules.default_throughput_mibps else device.throughput_mibps
    if request is not None:
        iops = request.iops or iops
        throughput = request.throughput_mibps or throughput
    return SpeedLimits(iops=iops, throughput_mibps=throughput)


def _check_iops(volume_type: str, size_gib: int, iops: int, allowed: tuple[int, int] | None) -> None:
    if allowed is None:
        raise invalid_combination(f"The parameter iops is not supported for {volume_type} volumes.")
    smallest, largest = allowed
    ratio = _IOPS_PER_GIB[volume_type]
    if iops < smallest:
        raise invalid_parameter(f"Volume iops of {iops} is too low; minimum is {smallest}")
    if volume_type == "io2" and iops > min(largest, ratio * size_gib):
        raise _too_much_of_io2(largest, ratio)
    if iops > largest:
        raise invalid_parameter(f"Volume iops of {iops} is too high; maximum is {largest}")
    default = VOLUME_TYPES[volume_type].default_iops
    if iops != default and iops > ratio * size_gib:
        raise invalid_combination(f"Iops to volume size ratio of {iops / size_gib:f} is too high; maximum is {ratio}.")


def _too_much_of_io2(iops_max: int, ratio: int) -> Ec2Error:
    """Source: EBS CSI driver, which learns limits from this refusal and from that of other types."""
    size_tib = VOLUME_TYPES["io2"].size_gib[1] // 1024
    return invalid_combination(
        f"io2 volumes configured with greater than {size_tib} TiB or {iops_max // 1000}K IOPS or {ratio}:1 IOPS:GB "
        "ratio are not supported"
    )


def _check_range(value: int, parameter: str, allowed: tuple[int, int]) -> None:
    smallest, largest = allowed
    if not smallest <= value <= largest:
        raise invalid_value(value, parameter, f"Expecting a value between {smallest} and {largest}.")


def _shown_iops(volume_type: str, size_gib: int, iops: int | None) -> int | None:
    if iops is None and volume_type == "gp2":
        return min(max(3 * size_gib, 100), 16_000)
    return iops if iops is not None else VOLUME_TYPES[volume_type].default_iops


def _shown_throughput(volume_type: str, iops: int | None, throughput_mibps: int | None) -> int | None:
    rules = VOLUME_TYPES[volume_type]
    if throughput_mibps is None:
        return rules.default_throughput_mibps
    granted = iops or rules.default_iops or 0
    if throughput_mibps * _GP3_IOPS_PER_MIBPS > granted:
        raise invalid_combination(
            f"Throughput (MiBps) to iops ratio of {throughput_mibps / granted:f} is too high; maximum is 0.25."
        )
    return throughput_mibps


def volume_size(device_name: str, size_gib: int | None, snapshot_id: str | None, snapshot_gib: int | None) -> int:
    """Return a volume's size in GiB: as asked for, at least its snapshot's; the snapshot's when nothing was asked."""
    if size_gib is None:
        if snapshot_gib is None:
            raise missing_parameter("size or snapshotId")
        return snapshot_gib
    if snapshot_gib is not None and size_gib < snapshot_gib:
        raise invalid_mapping(
            f"Volume of size {size_gib}GB is smaller than snapshot '{snapshot_id}', expect size >= {snapshot_gib}GB"
            f" (device {device_name})"
        )
    return size_gib


def invalid_mapping(message: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidBlockDeviceMapping."""
    return Ec2Error("InvalidBlockDeviceMapping", message)
