"""RunInstances on the wire: what a request asks for, as the application takes it."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.launch import LaunchRequest
from bakehouse.app.launch_network import PlaceRequest
from bakehouse.domain.errors import (
    Ec2Error,
    invalid_combination,
    invalid_parameter,
    missing_parameter,
    not_honoured,
)
from bakehouse.domain.placement_group import GroupWish
from bakehouse.domain.region import zone_id, zones
from bakehouse.ec2.block_devices import HONOURED_OF_LAUNCHES, requested_block_devices
from bakehouse.ec2.interface_requests import HONOURED as INTERFACES_HONOURED
from bakehouse.ec2.interface_requests import launched_interfaces, requested_ipv6
from bakehouse.ec2.launch_options import HONOURED as OPTIONS_HONOURED
from bakehouse.ec2.launch_options import launch_options
from bakehouse.ec2.registry import Request, RequestContext
from bakehouse.ec2.spot_market import HONOURED as SPOT_HONOURED
from bakehouse.ec2.spot_market import spot_wish
from bakehouse.ec2.tag_specifications import requested_tags

#: Members of which one value says what is so anyhow, and every other value is refused.
_AS_IT_IS: Final[Mapping[str, Any]] = {
    "EnclaveOptions.Enabled": False,
    "MetadataOptions.HttpProtocolIpv6": "disabled",
    "NetworkInterfaces.InterfaceType": "interface",
    "NetworkInterfaces.NetworkCardIndex": 0,
    "Placement.Tenancy": "default",
}

HONOURED: Final = " ".join(
    (
        "ImageId MinCount MaxCount InstanceType KeyName SecurityGroupIds SecurityGroups SubnetId PrivateIpAddress",
        "Ipv6AddressCount Ipv6Addresses",
        "LaunchTemplate.LaunchTemplateId LaunchTemplate.LaunchTemplateName LaunchTemplate.Version",
        "UserData DisableApiTermination DisableApiStop InstanceInitiatedShutdownBehavior EbsOptimized",
        "TagSpecifications.ResourceType TagSpecifications.Tags",
        "Placement.AvailabilityZone Placement.AvailabilityZoneId Placement.GroupId Placement.GroupName",
        "Placement.PartitionNumber",
        INTERFACES_HONOURED,
        HONOURED_OF_LAUNCHES,
        OPTIONS_HONOURED,
        SPOT_HONOURED,
        *_AS_IT_IS,
    )
)


def launch_request(ctx: RequestContext, request: Request) -> LaunchRequest:
    """Return what a RunInstances request asks for, or refuse it."""
    if "ImageId" not in request:
        raise missing_parameter("ImageId")
    for path, value in _AS_IT_IS.items():
        _refuse_other_than(request, path, value)
    tags = requested_tags(request, "instance", "volume", "network-interface", "spot-instances-request")
    return LaunchRequest(
        image_id=request["ImageId"],
        min_count=request["MinCount"],
        max_count=request["MaxCount"],
        instance_type=request.get("InstanceType"),
        key_name=request.get("KeyName"),
        place=_place(ctx, request),
        user_data=decoded_user_data(request.get("UserData", "")),
        block_devices=requested_block_devices(request),
        tags=tags,
        group=_group(request.get("Placement") or {}),
        spot=spot_wish(request, tags["spot-instances-request"]),
        options=launch_options(request),
        shutdown_behavior=request.get("InstanceInitiatedShutdownBehavior", "stop"),
        termination_protected=request.get("DisableApiTermination", False),
        stop_protected=request.get("DisableApiStop", False),
        ebs_optimized=request.get("EbsOptimized", False),
        client_token=ctx.caller.idempotency.token if ctx.caller.idempotency else None,
    )


def _refuse_other_than(request: Request, path: str, value: object) -> None:
    structure, member = path.split(".")
    given = request.get(structure) or {}
    for entry in given if isinstance(given, list) else (given,):
        if member in entry and entry[member] != value:
            raise not_honoured(f"{path}={entry[member]}")


def _place(ctx: RequestContext, request: Request) -> PlaceRequest:
    interfaces = request.get("NetworkInterfaces") or []
    zone = _zone(ctx, request.get("Placement") or {})
    if not interfaces:
        return PlaceRequest(
            subnet_id=request.get("SubnetId"),
            availability_zone=zone,
            group_ids=tuple(request.get("SecurityGroupIds") or ()),
            group_names=tuple(request.get("SecurityGroups") or ()),
            private_ip=request.get("PrivateIpAddress"),
            ipv6_addresses=requested_ipv6(request),
            ipv6_count=request.get("Ipv6AddressCount"),
        )
    for member, words in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
        ("PrivateIpAddress", "private address"),
        ("Ipv6Addresses", "IPv6 addresses"),
        ("Ipv6AddressCount", "IPv6 address count"),
    ):
        if request.get(member):
            raise invalid_combination(
                f"Network interfaces and an instance-level {words} may not be specified on the same request"
            )
    return PlaceRequest(availability_zone=zone, interfaces=launched_interfaces(interfaces))


def _group(placement: Mapping[str, Any]) -> GroupWish | None:
    wish = GroupWish(
        group_id=placement.get("GroupId"), name=placement.get("GroupName"), partition=placement.get("PartitionNumber")
    )
    if wish.partition is not None and not (wish.group_id or wish.name):
        raise invalid_combination("The parameter PartitionNumber cannot be used without a placement group.")
    return wish if wish.group_id or wish.name else None


def _zone(ctx: RequestContext, placement: Mapping[str, Any]) -> str | None:
    wanted = placement.get("AvailabilityZoneId")
    if wanted is None:
        return placement.get("AvailabilityZone")
    if "AvailabilityZone" in placement:
        raise invalid_combination("AvailabilityZone and AvailabilityZoneId may not be specified on the same request")
    for zone in zones(ctx.caller.region):
        if zone_id(zone) == wanted:
            return zone
    raise invalid_parameter(f"Invalid availability zone-id: [{wanted}]")


def decoded_user_data(text: str) -> bytes:
    """Decode user data, which clients send with or without line breaks."""
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise Ec2Error("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from err
