"""Regions, zones and account attributes: what an account may use."""

from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter
from bakehouse.domain.region import REGIONS, zone_id, zones
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

REGION_FILTERS: Filters[str] = Filters(
    {
        "endpoint": lambda region: [_endpoint(region)],
        "opt-in-status": lambda _region: ["opt-in-not-required"],
        "region-name": lambda region: [region],
    }
)

ZONE_FILTERS: Filters[str] = Filters(
    {
        "group-name": lambda zone: [_zone_group(zone)],
        "message": lambda _zone: [],
        "opt-in-status": lambda _zone: ["opt-in-not-required"],
        "parent-zone-id": lambda _zone: [],
        "parent-zone-name": lambda _zone: [],
        "region-name": lambda zone: [zone[:-1]],
        "state": lambda _zone: ["available"],
        "zone-id": lambda zone: [zone_id(zone)],
        "zone-name": lambda zone: [zone],
        "zone-type": lambda _zone: ["availability-zone"],
    }
)

#: Source: EC2 API Reference, DescribeAccountAttributes; the values are those of a new account.
_ATTRIBUTES: Final = {
    "supported-platforms": "VPC",
    "vpc-max-security-groups-per-interface": "5",
    "max-elastic-ips": "5",
    "vpc-max-elastic-ips": "5",
}


@operation("DescribeRegions", honours="RegionNames AllRegions Filters")
async def describe_regions(_ctx: RequestContext, request: Request) -> Response:
    """List the regions; every one is enabled for every account."""
    matches = REGION_FILTERS.compile(request)
    wanted = request.get("RegionNames")
    for name in wanted or ():
        if name not in REGIONS:
            raise invalid_parameter(f"Invalid region provided: {name}")
    regions = [region for region in REGIONS if (not wanted or region in wanted) and matches(region)]
    return {
        "Regions": [
            {
                "RegionName": region,
                "Endpoint": _endpoint(region),
                "OptInStatus": "opt-in-not-required",
                "Geography": [{"Name": REGIONS[region]}],
            }
            for region in regions
        ]
    }


@operation("DescribeAvailabilityZones", honours="ZoneNames ZoneIds AllAvailabilityZones Filters")
async def describe_availability_zones(ctx: RequestContext, request: Request) -> Response:
    """List the zones of the caller's region."""
    matches = ZONE_FILTERS.compile(request)
    known = zones(ctx.caller.region)
    names, ids = request.get("ZoneNames"), request.get("ZoneIds")
    for name in names or ():
        if name not in known:
            raise invalid_parameter(f"Invalid availability zone: [{name}]")
    for wanted in ids or ():
        if wanted not in map(zone_id, known):
            raise invalid_parameter(f"Invalid availability zone-id: [{wanted}]")
    return {
        "AvailabilityZones": [
            _zone_view(zone)
            for zone in known
            if (not names or zone in names) and (not ids or zone_id(zone) in ids) and matches(zone)
        ]
    }


@operation("DescribeAccountAttributes", honours="AttributeNames")
async def describe_account_attributes(ctx: RequestContext, request: Request) -> Response:
    """List the account's attributes, all or those named."""
    default_vpc = ctx.app.networks.default_vpc(ctx.caller)
    values = {
        **_ATTRIBUTES,
        "default-vpc": default_vpc.id if default_vpc else "none",
        "max-instances": str(ctx.app.host.instance_limit),
    }
    for name in request.get("AttributeNames") or ():
        if name not in values:
            raise Ec2Error("InvalidParameterValue", f"Value ({name}) for parameter attributeName is invalid.")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": value}]}
            for name, value in values.items()
            if name in (request.get("AttributeNames") or values)
        ]
    }


def _endpoint(region: str) -> str:
    return f"ec2.{region}.amazonaws.com"


def _zone_group(zone: str) -> str:
    return f"{zone[:-1]}-zg-1"


def _zone_view(zone: str) -> Response:
    return {
        "ZoneName": zone,
        "ZoneId": zone_id(zone),
        "RegionName": zone[:-1],
        "State": "available",
        "OptInStatus": "opt-in-not-required",
        "Messages": [],
        "GroupName": _zone_group(zone),
        "NetworkBorderGroup": zone[:-1],
        "ZoneType": "availability-zone",
    }
