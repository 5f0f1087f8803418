"""An instance as a launch template: what launches such another one.

Left out is what only one instance can have (its interface's id and addresses), and what is not honoured in a launch.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.instance_details import InstanceDetails
from bakehouse.domain.launch_template import ID_TAG, VERSION_TAG
from bakehouse.domain.volume import Volume
from bakehouse.ec2.instance_views import reservation_views
from bakehouse.ec2.launch_request import HONOURED
from bakehouse.ec2.registry import Members, members

#: Members that an instance and a template have alike.
_ALIKE: Final = (
    "CapacityReservationSpecification",
    "CpuOptions",
    "EbsOptimized",
    "EnclaveOptions",
    "HibernationOptions",
    "ImageId",
    "InstanceType",
    "KeyName",
    "MaintenanceOptions",
    "MetadataOptions",
    "Placement",
    "PrivateDnsNameOptions",
)

_HONOURED: Final = members(HONOURED)


def template_of(details: InstanceDetails) -> Mapping[str, Any]:
    """Return an instance's ResponseLaunchTemplateData."""
    instance = details.instance
    view = reservation_views([details])[0]["Instances"][0]
    data = {name: view[name] for name in _ALIKE if view.get(name) is not None}
    data["Placement"] = {**view["Placement"], "AvailabilityZoneId": None, "GroupId": None}  # a launch takes one of two
    data |= {
        "BlockDeviceMappings": [_block_device(volume) for volume in details.volumes],
        "DisableApiStop": instance.stop_protected,
        "DisableApiTermination": instance.termination_protected,
        "InstanceInitiatedShutdownBehavior": instance.shutdown_behavior,
        "Monitoring": {"Enabled": view["Monitoring"]["State"] == "enabled"},
        "NetworkInterfaces": [_interface(it) for it in view["NetworkInterfaces"]],
        "UserData": b64encode(instance.user_data).decode() or None,
    }
    tags = [{"Key": key, "Value": value} for key, value in instance.tags.items() if key not in (ID_TAG, VERSION_TAG)]
    if tags:
        data["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags}]
    return _honoured(data, _HONOURED)


def _block_device(volume: Volume) -> Mapping[str, Any]:
    attachment = volume.attachment
    if attachment is None:
        return {}
    return {
        "DeviceName": attachment.device_name,
        "Ebs": {
            "DeleteOnTermination": attachment.delete_on_termination,
            "SnapshotId": volume.snapshot_id,
            "VolumeSize": volume.size_gib,
            "VolumeType": volume.type,
        },
    }


def _interface(view: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "AssociatePublicIpAddress": view.get("Association") is not None,
        "DeleteOnTermination": view["Attachment"]["DeleteOnTermination"],
        "Description": view["Description"],
        "DeviceIndex": view["Attachment"]["DeviceIndex"],
        "Groups": [group["GroupId"] for group in view["Groups"]],
        "SubnetId": view["SubnetId"],
    }


def _honoured(data: Mapping[str, Any], tree: Members) -> dict[str, Any]:
    """Return what of a document a launch honours, without what is empty."""
    left = {}
    for name, value in data.items():
        if value in (None, "", []) or name not in tree.tree:
            continue
        inner = tree.tree[name]
        if inner.tree and isinstance(value, Mapping):
            value = _honoured(value, inner)  # noqa: PLW2901 - the same, less what is in the way
        elif inner.tree:
            value = [_honoured(entry, inner) for entry in value]  # noqa: PLW2901 - as above
        left[name] = value
    return left
