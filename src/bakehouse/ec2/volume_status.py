"""How volumes are: their status, the attribute that goes with it, and EnableVolumeIO."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.region import zone_id
from bakehouse.domain.volume import Volume, VolumeState
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def _status(volume: Volume) -> str:
    """Return the outcome of the checks: nothing is known of a volume that is not made yet, every other one is well."""
    return "insufficient-data" if volume.state is VolumeState.CREATING else "ok"


def _details(volume: Volume) -> Iterator[tuple[str, str]]:
    """Yield the checks with their outcomes.

    Performance is measured of no volume here. A volume of a snapshot, or of another volume, has all of its bytes from
    the beginning; of an empty one EC2 does not say. Source: EBS User Guide, "Amazon EBS volume status checks" and
    "Initialize volumes".
    """
    is_made = volume.state is not VolumeState.CREATING
    yield "io-enabled", "passed" if is_made else "insufficient-data"
    yield "io-performance", "not-applicable"
    if is_made and _initialization(volume) is not None:
        yield "initialization-state", "completed"


def _initialization(volume: Volume) -> str | None:
    """Return how it came to its first bytes; None of a volume that began empty. Source: InitializationType."""
    if volume.source_volume_id is not None:
        return "volume-copy"
    return None if volume.snapshot_id is None else "default"


def _nothing(_volume: Volume) -> Iterable[str]:
    return ()


#: Source: EC2 API Reference, DescribeVolumeStatus. There are no events, and no actions to take.
FILTERS: Final[Filters[Volume]] = Filters(
    {
        **dict.fromkeys(
            (
                "action.code",
                "action.description",
                "action.event-id",
                "event.description",
                "event.event-id",
                "event.event-type",
                "event.not-after",
                "event.not-before",
            ),
            _nothing,
        ),
        "availability-zone": lambda volume: (volume.availability_zone,),
        "volume-status.details-name": lambda volume: [name for name, _ in _details(volume)],
        "volume-status.details-status": lambda volume: [status for _, status in _details(volume)],
        "volume-status.status": lambda volume: (_status(volume),),
    }
)


@operation(
    "DescribeVolumeStatus",
    # There are no managed volumes, so that to include them changes nothing.
    honours="VolumeIds Filters IncludeManagedResources MaxResults NextToken",
)
async def describe_volume_status(ctx: RequestContext, request: Request) -> Response:
    """List how the caller's volumes are."""
    matches = FILTERS.compile(request)
    volumes = [volume for volume in ctx.app.volumes.describe(ctx.caller, request.get("VolumeIds")) if matches(volume)]
    shown, token = page(ctx, request, volumes, key=lambda volume: volume.id, sizes=(5, 1000), ids="VolumeIds")
    return {"VolumeStatuses": [_view(volume) for volume in shown], "NextToken": token}


@operation("DescribeVolumeAttribute", honours="VolumeId Attribute")
async def describe_volume_attribute(ctx: RequestContext, request: Request) -> Response:
    """Show one attribute of a volume of the caller's. None here has a product code."""
    (volume,) = ctx.app.volumes.describe(ctx.caller, [request["VolumeId"]])
    if request["Attribute"] == "productCodes":
        return {"VolumeId": volume.id, "ProductCodes": []}
    return {"VolumeId": volume.id, "AutoEnableIO": {"Value": volume.auto_enables_io}}


@operation("ModifyVolumeAttribute", honours="VolumeId AutoEnableIO.Value")
async def modify_volume_attribute(ctx: RequestContext, request: Request) -> Response:
    """Say whether a volume is to read and write on when its bytes may be inconsistent."""
    enabled = (request.get("AutoEnableIO") or {}).get("Value")
    if enabled is None:
        raise missing_parameter("autoEnableIO")
    await ctx.app.volume_io.set_auto_enable(ctx.caller, request["VolumeId"], enabled=enabled)
    return {}


@operation("EnableVolumeIO", honours="VolumeId")
async def enable_volume_io(ctx: RequestContext, request: Request) -> Response:
    """Make sure that a volume of the caller's reads and writes."""
    ctx.app.volume_io.enable(ctx.caller, request["VolumeId"])
    return {}


def _view(volume: Volume) -> dict[str, Any]:
    details = [{"Name": name, "Status": status} for name, status in _details(volume)]
    is_initialized = any(detail["Name"] == "initialization-state" for detail in details)
    return {
        "VolumeId": volume.id,
        "AvailabilityZone": volume.availability_zone,
        "AvailabilityZoneId": zone_id(volume.availability_zone),
        "VolumeStatus": {"Status": _status(volume), "Details": details},
        "Actions": [],
        "Events": [],
        "AttachmentStatuses": [{"InstanceId": volume.attachment.instance_id}] if volume.attachment else [],
        "InitializationStatusDetails": {"InitializationType": _initialization(volume), "Progress": 100}
        if is_initialized
        else None,
        "Operator": {"Managed": False},
    }
