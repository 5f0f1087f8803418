"""Spot request operations."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from bakehouse.app.spot_requests import SpotDetails
from bakehouse.domain.errors import invalid_value, missing_parameter
from bakehouse.domain.region import zone_id
from bakehouse.domain.spot_request import SpotVolume, pending_evaluation
from bakehouse.ec2.filters import Filters, Values, flag
from bakehouse.ec2.instance_filters import moment
from bakehouse.ec2.launch_request import launch_request
from bakehouse.ec2.launch_template_data import check_launchable
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.spot_market import check_one_time, checked_price
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

_PRODUCT: Final = "Linux/UNIX"


def _volumes(value: Callable[[SpotVolume], str | None]) -> Values[SpotDetails]:
    return lambda it: [value(volume) for volume in it.request.launch.volumes]


def _nothing(_details: SpotDetails) -> Iterable[str]:
    return ()


#: Names of what requests here never have.
_NEVER: Final = (
    "availability-zone-group",
    "fault-code",
    "fault-message",
    "launch-group",
    "launch.kernel-id",
    "launch.ramdisk-id",
    "network-interface.addresses.primary",
    "network-interface.delete-on-termination",
    "network-interface.description",
    "network-interface.device-index",
    "network-interface.group-id",
    "network-interface.network-interface-id",
    "network-interface.private-ip-address",
    "network-interface.subnet-id",
)

#: Source: EC2 API Reference, DescribeSpotInstanceRequests, Filters.
FILTERS: Final[Filters[SpotDetails]] = Filters(
    {
        "create-time": lambda it: [moment(it.request.created_at)],
        "instance-id": lambda it: [it.request.instance_id],
        "launch.block-device-mapping.delete-on-termination": _volumes(lambda it: flag(it.delete_on_termination)),
        "launch.block-device-mapping.device-name": _volumes(lambda it: it.device_name),
        "launch.block-device-mapping.snapshot-id": _volumes(lambda it: it.snapshot_id),
        "launch.block-device-mapping.volume-size": _volumes(lambda it: str(it.size_gib)),
        "launch.block-device-mapping.volume-type": _volumes(lambda it: it.type),
        "launch.group-id": lambda it: [group_id for group_id, _ in it.request.launch.groups],
        "launch.group-name": lambda it: [name for _, name in it.request.launch.groups],
        "launch.image-id": lambda it: [it.request.launch.image_id],
        "launch.instance-type": lambda it: [it.request.launch.instance_type],
        "launch.key-name": lambda it: [it.request.launch.key_name],
        "launch.monitoring-enabled": lambda it: [flag(it.request.launch.monitoring)],
        "launched-availability-zone": lambda it: [it.request.launch.availability_zone],
        "launched-availability-zone-id": lambda it: [zone_id(it.request.launch.availability_zone)],
        "product-description": lambda _it: [_PRODUCT],
        "spot-instance-request-id": lambda it: [it.request.id],
        "spot-price": lambda it: [it.request.max_price],
        "state": lambda it: [it.status.state.value],
        "status-code": lambda it: [it.status.code],
        "status-message": lambda it: [it.status.message],
        "type": lambda _it: ["one-time"],
        "valid-from": lambda it: [moment(it.request.created_at)],
        "valid-until": lambda it: [moment(it.request.valid_until)],
        **dict.fromkeys(_NEVER, _nothing),
    },
    tags=lambda it: it.request.tags,
)


async def repeat_request(ctx: RequestContext, reservation_id: str) -> Response:
    """Answer a client token that came before with the requests that it made."""
    return _requested(ctx, [it.instance.id for it in ctx.app.instances.reservation(ctx.caller, reservation_id)])


@operation(
    "RequestSpotInstances",
    honours="SpotPrice InstanceCount Type ValidUntil InstanceInterruptionBehavior LaunchSpecification "
    "TagSpecifications",
    replay=repeat_request,
)
async def request_spot_instances(ctx: RequestContext, request: Request) -> Response:
    """Make requests; their instances run when this answers, though the answer says `open`, as EC2's does."""
    check_one_time(request.get("Type"), request.get("InstanceInterruptionBehavior"))
    tags = requested_tags(request, "spot-instances-request")["spot-instances-request"]
    wanted = launch_request(ctx, _launch(request))
    if wanted.spot is None:
        raise missing_parameter("LaunchSpecification")
    price = checked_price(request.get("SpotPrice"), "spotPrice")
    wish = replace(wanted.spot, max_price=price, valid_until=request.get("ValidUntil"), tags=tags)
    launched = await ctx.app.instances.run(ctx.caller, replace(wanted, spot=wish))
    return _requested(ctx, [it.instance.id for it in launched])


@operation("DescribeSpotInstanceRequests", honours="SpotInstanceRequestIds Filters MaxResults NextToken")
async def describe_spot_instance_requests(ctx: RequestContext, request: Request) -> Response:
    """List requests, those that have ended for four hours."""
    matches = FILTERS.compile(request)
    found = ctx.app.spot_requests.describe(ctx.caller, request.get("SpotInstanceRequestIds"))
    details = [it for it in found if matches(it)]
    shown, token = page(
        ctx, request, details, key=lambda it: it.request.id, sizes=(5, 1000), ids="SpotInstanceRequestIds"
    )
    return {"SpotInstanceRequests": [_view(it) for it in shown], "NextToken": token}


@operation("CancelSpotInstanceRequests", honours="SpotInstanceRequestIds")
async def cancel_spot_instance_requests(ctx: RequestContext, request: Request) -> Response:
    """Cancel requests; their instances run on."""
    cancelled = await ctx.app.spot_requests.cancel(ctx.caller, request["SpotInstanceRequestIds"])
    return {
        "CancelledSpotInstanceRequests": [
            {"SpotInstanceRequestId": it.request.id, "State": it.status.state.value} for it in cancelled
        ]
    }


def _launch(request: Request) -> Request:
    """Return the request to launch that a request for spot instances is."""
    specification = request.get("LaunchSpecification")
    if not specification:
        raise missing_parameter("LaunchSpecification")
    count = request.get("InstanceCount", 1)
    if count < 1:
        raise invalid_value(count, "instanceCount", "It must be at least 1.")
    launch = {
        **specification,
        "MinCount": count,
        "MaxCount": count,
        "InstanceMarketOptions": {"MarketType": "spot"},
    }
    check_launchable(launch)
    return launch


def _requested(ctx: RequestContext, instance_ids: Iterable[str]) -> Response:
    found = [ctx.app.spot_requests.of_instance(instance_id) for instance_id in instance_ids]
    made = [replace(it, status=pending_evaluation(it.request)) for it in found if it is not None]
    return {"SpotInstanceRequests": [{**_view(it), "InstanceId": None} for it in made]}


def _view(it: SpotDetails) -> Mapping[str, Any]:
    request, launch = it.request, it.request.launch
    return {
        "SpotInstanceRequestId": request.id,
        "SpotPrice": request.max_price,
        "Type": "one-time",
        "State": it.status.state.value,
        "Status": {"Code": it.status.code, "Message": it.status.message, "UpdateTime": it.status.at},
        "LaunchSpecification": {
            "ImageId": launch.image_id,
            "InstanceType": launch.instance_type,
            "KeyName": launch.key_name,
            "SecurityGroups": [{"GroupId": group_id, "GroupName": name} for group_id, name in launch.groups],
            "SubnetId": launch.subnet_id,
            "EbsOptimized": launch.ebs_optimized,
            "Monitoring": {"Enabled": launch.monitoring},
            "Placement": {"AvailabilityZone": launch.availability_zone},
            "BlockDeviceMappings": [_volume_view(volume) for volume in launch.volumes],
        },
        "InstanceId": request.instance_id,
        "CreateTime": request.created_at,
        "ValidUntil": request.valid_until,
        "ProductDescription": _PRODUCT,
        "LaunchedAvailabilityZone": launch.availability_zone,
        "LaunchedAvailabilityZoneId": zone_id(launch.availability_zone),
        "InstanceInterruptionBehavior": "terminate",
        "Tags": tag_set(request.tags) or None,
    }


def _volume_view(volume: SpotVolume) -> Mapping[str, Any]:
    return {
        "DeviceName": volume.device_name,
        "Ebs": {
            "DeleteOnTermination": volume.delete_on_termination,
            "SnapshotId": volume.snapshot_id,
            "VolumeSize": volume.size_gib,
            "VolumeType": volume.type,
        },
    }
