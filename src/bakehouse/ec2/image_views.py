"""Images on the wire: filters and views."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bakehouse.domain.image import BlockDevice, Image
from bakehouse.ec2.block_devices import block_device_view
from bakehouse.ec2.filters import Filters, Values, flag
from bakehouse.ec2.image_instance_types import INSTANCE_TYPE_FILTERS, specification_view
from bakehouse.ec2.image_watermarks import WATERMARK_FILTERS, watermark_view
from bakehouse.ec2.registry import Request, Response
from bakehouse.ec2.rendered import View, Views
from bakehouse.ec2.tag_specifications import tag_set


def _of_volumes(value: Callable[[BlockDevice], str | None]) -> Callable[[Image], Iterable[str | None]]:
    return lambda image: [value(device) for device in image.block_devices if device.virtual_name is None]


def _nothing(_image: Image) -> Iterable[str | None]:
    return ()


#: Source: EC2 API Reference, DescribeImages. What no image here has (products, kernels) matches nothing.
_VALUES: Final[Mapping[str, Callable[[Image], Iterable[str | None]]]] = {
    "architecture": lambda image: (image.architecture,),
    "block-device-mapping.delete-on-termination": _of_volumes(lambda device: flag(device.delete_on_termination)),
    "block-device-mapping.device-name": lambda image: [device.device_name for device in image.block_devices],
    "block-device-mapping.encrypted": _of_volumes(lambda device: flag(device.encrypted)),
    "block-device-mapping.snapshot-id": _of_volumes(lambda device: device.snapshot_id),
    "block-device-mapping.volume-size": _of_volumes(lambda device: str(device.size_gib)),
    "block-device-mapping.volume-type": _of_volumes(lambda device: device.volume_type),
    "boot-mode": lambda image: (image.boot_mode,),
    "creation-date": lambda image: (moment(image.created_at),),
    "description": lambda image: (image.description,),
    "ena-support": lambda image: (flag(image.ena_support),),
    "free-tier-eligible": lambda _image: ("false",),
    "hypervisor": lambda _image: ("xen",),
    "image-allowed": lambda _image: ("true",),  # where nobody asks for more: see `image_test`
    "image-id": lambda image: (image.id,),
    "image-type": lambda _image: ("machine",),
    "is-public": lambda image: (flag(image.is_public),),
    "kernel-id": _nothing,
    "manifest-location": lambda image: (_location(image),),
    "name": lambda image: (image.name,),
    "owner-alias": _nothing,
    "owner-id": lambda image: (image.account_id,),
    "platform": _nothing,
    "platform-details": lambda image: (image.platform_details,),
    "product-code": _nothing,
    "product-code.type": _nothing,
    "public-ssm-parameter-name": lambda image: (image.public_parameter,),
    "ramdisk-id": _nothing,
    "root-device-name": lambda image: (image.root_device_name,),
    "root-device-type": lambda _image: ("ebs",),
    "source-image-id": lambda image: (image.source_image_id,),
    "source-image-region": lambda image: (image.source_image_region,),
    "source-instance-id": lambda image: (image.source_instance_id,),
    "sriov-net-support": lambda image: (image.sriov_net_support,),
    "state": lambda image: (image.state,),
    "state-reason-code": lambda image: (_reason(image).get("Code"),),
    "state-reason-message": lambda image: (_reason(image).get("Message"),),
    "usage-operation": lambda _image: (_USAGE,),
    "virtualization-type": lambda image: (image.virtualization_type,),
    **WATERMARK_FILTERS,
    **INSTANCE_TYPE_FILTERS,
}

FILTERS: Final[Filters[Image]] = Filters(_VALUES, tags=lambda image: image.tags)

#: Source: EC2 User Guide, "AMI billing information fields": of Linux.
_USAGE: Final = "RunInstances"


def moment(at: datetime) -> str:
    """Return a time where the model has text: `2026-11-23T06:18:09.000Z`."""
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def image_test(
    request: Request,
    account_id: str,
    allowed: Callable[[Image], bool] | None = None,
    parameters: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[Image], bool]:
    """Return the test that a request's filters make, for what an account sees of each image.

    `allowed` tells which images meet the account's criteria for Allowed AMIs; None: all do. `parameters` are the public
    parameters that ever named an image, by its id.
    """
    values: dict[str, Values[Image]] = {}
    if allowed is not None:
        values["image-allowed"] = lambda image: (flag(allowed(image)),)
    if parameters:
        values["public-ssm-parameter-name"] = lambda image: parameters.get(image.id, ())
    # Nobody learns of the tags that another account gave an image.
    return FILTERS.with_tags(lambda image: image.tags_for(account_id), values).compile(request)


def image_view(image: Image, account_id: str) -> View:
    """Return an image as an account sees it: with the tags that this account gave it."""
    if image.account_id == account_id:
        return _OWN.of(image)
    view, tags = _OTHERS.of(image), image.tags_for(account_id)
    return View({**view, "Tags": tag_set(tags)}) if tags else view


def protection_view(image: Image, *, cools_down: bool) -> str:
    """Return how an image is protected from deregistration, in EC2's words, as clients of it have read them."""
    if cools_down and image.protected_until is not None:
        return f"disabled after {moment(image.protected_until)}"
    return image.deregistration_protection


def _own_view(image: Image) -> Response:
    """Return an image as its owner sees it.

    Source: EC2 User Guide, "Check when an Amazon EC2 AMI was last used": the owner alone is told of it.
    """
    last = image.last_launched_at
    return {**_shared_view(image), "Tags": tag_set(image.tags), "LastLaunchedTime": moment(last) if last else None}


def _shared_view(image: Image) -> Response:
    return {
        "ImageId": image.id,
        "ImageLocation": _location(image),
        "State": image.state,
        "OwnerId": image.account_id,
        "CreationDate": moment(image.created_at),
        "Public": image.is_public,
        "ProductCodes": [],
        "Architecture": image.architecture,
        "ImageType": "machine",
        "PlatformDetails": image.platform_details,
        "UsageOperation": _USAGE,
        "BlockDeviceMappings": [block_device_view(device) for device in image.block_devices],
        "Description": image.description or None,
        "EnaSupport": image.ena_support,
        "Hypervisor": "xen",
        "Name": image.name,
        "RootDeviceName": image.root_device_name,
        "RootDeviceType": "ebs",
        "StateReason": _reason(image) or None,
        "VirtualizationType": image.virtualization_type,
        "BootMode": image.boot_mode,
        "TpmSupport": image.tpm_support,
        "PublicSsmParameterName": image.public_parameter,
        "SriovNetSupport": image.sriov_net_support,
        "FreeTierEligible": False,
        "ImdsSupport": image.imds_support,
        "SourceInstanceId": image.source_instance_id,
        "SourceImageId": image.source_image_id,
        "SourceImageRegion": image.source_image_region,
        "DeprecationTime": moment(image.deprecation_time) if image.deprecation_time else None,
        "DeregistrationProtection": image.deregistration_protection,
        "ImageWatermarks": [watermark_view(watermark) for watermark in image.watermarks],
        "InstanceTypeSpecification": specification_view(image.instance_type_specification),
    }


_OWN: Final[Views[Image]] = Views(lambda image: image.id, _own_view)
_OTHERS: Final[Views[Image]] = Views(lambda image: image.id, _shared_view)


def _location(image: Image) -> str:
    return f"{image.account_id}/{image.name}"


def _reason(image: Image) -> Mapping[str, Any]:
    if image.state_reason is None:
        return {}
    return {"Code": image.state_reason.partition(":")[0], "Message": image.state_reason}
