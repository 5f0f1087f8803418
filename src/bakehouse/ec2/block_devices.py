"""Block device mappings on the wire: what a request asks for, and how an image's are shown."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.image import BlockDevice
from bakehouse.ec2.registry import Request

#: What of BlockDeviceMappings is honoured, for `@operation`.
HONOURED: Final = (
    "BlockDeviceMappings.DeviceName BlockDeviceMappings.NoDevice BlockDeviceMappings.VirtualName "
    "BlockDeviceMappings.Ebs.DeleteOnTermination BlockDeviceMappings.Ebs.Encrypted BlockDeviceMappings.Ebs.Iops "
    "BlockDeviceMappings.Ebs.SnapshotId BlockDeviceMappings.Ebs.Throughput BlockDeviceMappings.Ebs.VolumeSize "
    "BlockDeviceMappings.Ebs.VolumeType"
)

#: The same of a launch. Source: EC2 API Reference, EbsBlockDevice, KmsKeyId: for launches only.
HONOURED_OF_LAUNCHES: Final = f"{HONOURED} BlockDeviceMappings.Ebs.KmsKeyId"


def requested_block_devices(request: Request) -> tuple[BlockDeviceRequest, ...]:
    """Return a request's mapping. Refuses an entry without device name."""
    return tuple(_requested(entry) for entry in request.get("BlockDeviceMappings") or ())


def _requested(entry: Mapping[str, Any]) -> BlockDeviceRequest:
    if "DeviceName" not in entry:
        raise missing_parameter("deviceName")
    ebs = entry.get("Ebs") or {}
    return BlockDeviceRequest(
        device_name=entry["DeviceName"],
        # Its value means nothing: clients send it empty, and some send `true`.
        no_device="NoDevice" in entry,
        virtual_name=entry.get("VirtualName"),
        snapshot_id=ebs.get("SnapshotId"),
        size_gib=ebs.get("VolumeSize"),
        volume_type=ebs.get("VolumeType"),
        iops=ebs.get("Iops"),
        throughput_mibps=ebs.get("Throughput"),
        encrypted=ebs.get("Encrypted"),
        kms_key=ebs.get("KmsKeyId"),
        delete_on_termination=ebs.get("DeleteOnTermination"),
    )


def block_device_view(device: BlockDevice) -> Mapping[str, Any]:
    """Return an entry of an image's mapping."""
    if device.virtual_name is not None:
        return {"DeviceName": device.device_name, "VirtualName": device.virtual_name}
    return {
        "DeviceName": device.device_name,
        "Ebs": {
            "DeleteOnTermination": device.delete_on_termination,
            "Iops": device.iops,
            "SnapshotId": device.snapshot_id,
            "VolumeSize": device.size_gib,
            "VolumeType": device.volume_type,
            "Throughput": device.throughput_mibps,
            "Encrypted": device.encrypted,
        },
    }
