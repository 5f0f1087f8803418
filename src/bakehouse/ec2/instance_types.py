"""Instance type operations, answered from the catalogue (`domain/instance_type.py`)."""

from dataclasses import dataclass

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.region import zone_id, zones
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.instance_type_views import FILTERS, instance_type_view
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@dataclass(frozen=True, slots=True)
class Offering:
    """A type at a place."""

    instance_type: str
    location: str


OFFERING_FILTERS: Filters[Offering] = Filters(
    {
        "instance-type": lambda offering: [offering.instance_type],
        "location": lambda offering: [offering.location],
    }
)


@operation("DescribeInstanceTypes", honours="InstanceTypes Filters MaxResults NextToken IncludeUnsupportedInRegion")
async def describe_instance_types(ctx: RequestContext, request: Request) -> Response:
    """List the types that instances can have here."""
    matches = FILTERS.compile(request)
    wanted = request.get("InstanceTypes") or list(INSTANCE_TYPES)
    unknown = [name for name in wanted if name not in INSTANCE_TYPES]
    if unknown:
        raise Ec2Error(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        )
    kinds = [INSTANCE_TYPES[name] for name in sorted(set(wanted)) if matches(INSTANCE_TYPES[name])]
    shown, token = page(ctx, request, kinds, key=lambda kind: kind.name, sizes=(5, 100), ids="InstanceTypes")
    return {"InstanceTypes": [instance_type_view(kind) for kind in shown], "NextToken": token}


@operation("DescribeInstanceTypeOfferings", honours="LocationType Filters MaxResults NextToken")
async def describe_instance_type_offerings(ctx: RequestContext, request: Request) -> Response:
    """List where types are offered: everywhere in the caller's region."""
    matches = OFFERING_FILTERS.compile(request)
    location_type = request.get("LocationType", "region")
    locations = {
        "region": (ctx.caller.region,),
        "availability-zone": zones(ctx.caller.region),
        "availability-zone-id": tuple(map(zone_id, zones(ctx.caller.region))),
    }.get(location_type, ())
    offerings = [Offering(name, location) for name in sorted(INSTANCE_TYPES) for location in locations]
    shown, token = page(
        ctx,
        request,
        [offering for offering in offerings if matches(offering)],
        key=lambda offering: f"{offering.instance_type}@{offering.location}",
        sizes=(5, 1000),
    )
    return {
        "InstanceTypeOfferings": [
            {"InstanceType": offering.instance_type, "LocationType": location_type, "Location": offering.location}
            for offering in shown
        ],
        "NextToken": token,
    }
