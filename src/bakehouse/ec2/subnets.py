"""Subnet operations."""

from typing import Any

from bakehouse.app.subnets import SubnetRequest
from bakehouse.domain.errors import missing_parameter, not_honoured
from bakehouse.domain.network import CidrAssociation, Subnet
from bakehouse.domain.region import zone_id
from bakehouse.domain.vpc import one_attribute_at_a_time
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.requested_zone import requested_zone
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

_Entry = tuple[Subnet, int]

_NO_IPAM = "There is no IPAM here: give the CIDR block."


def _ipv6(subnet: Subnet) -> tuple[CidrAssociation, ...]:
    return () if subnet.ipv6_cidr is None else (subnet.ipv6_cidr,)


_LAUNCH_NAMES = "private-dns-name-options-on-launch"

SUBNET_FILTERS: Filters[_Entry] = Filters(
    {
        "availability-zone": lambda entry: [entry[0].availability_zone],
        "availabilityZone": lambda entry: [entry[0].availability_zone],
        "availability-zone-id": lambda entry: [zone_id(entry[0].availability_zone)],
        "availabilityZoneId": lambda entry: [zone_id(entry[0].availability_zone)],
        "available-ip-address-count": lambda entry: [str(entry[1])],
        "cidr": lambda entry: [entry[0].cidr],
        "cidr-block": lambda entry: [entry[0].cidr],
        "cidrBlock": lambda entry: [entry[0].cidr],
        "customer-owned-ipv4-pool": lambda _entry: [],
        "default-for-az": lambda entry: [flag(entry[0].default_for_az)],
        "defaultForAz": lambda entry: [flag(entry[0].default_for_az)],
        "enable-dns64": lambda _entry: ["false"],
        "enable-lni-at-device-index": lambda _entry: [],
        "ipv6-cidr-block-association.association-id": lambda entry: [it.id for it in _ipv6(entry[0])],
        "ipv6-cidr-block-association.ipv6-cidr-block": lambda entry: [it.cidr for it in _ipv6(entry[0])],
        "ipv6-cidr-block-association.state": lambda entry: ["associated" for _ in _ipv6(entry[0])],
        "ipv6-native": lambda _entry: ["false"],
        "map-customer-owned-ip-on-launch": lambda _entry: ["false"],
        "map-public-ip-on-launch": lambda entry: [flag(entry[0].map_public_ip)],
        "outpost-arn": lambda _entry: [],
        "owner-id": lambda entry: [entry[0].account_id],
        f"{_LAUNCH_NAMES}.hostname-type": lambda entry: [entry[0].hostname_type],
        f"{_LAUNCH_NAMES}.enable-resource-name-dns-a-record": lambda entry: [flag(entry[0].resource_name_a_record)],
        f"{_LAUNCH_NAMES}.enable-resource-name-dns-aaaa-record": lambda entry: [
            flag(entry[0].resource_name_aaaa_record)
        ],
        "state": lambda _entry: ["available"],
        "subnet-arn": lambda entry: [_arn(entry[0])],
        "subnet-id": lambda entry: [entry[0].id],
        "vpc-id": lambda entry: [entry[0].vpc_id],
    },
    tags=lambda entry: entry[0].tags,
)


@operation("DescribeSubnets", honours="SubnetIds Filters MaxResults NextToken")
async def describe_subnets(ctx: RequestContext, request: Request) -> Response:
    """List the caller's subnets with the number of their free addresses."""
    matches = SUBNET_FILTERS.compile(request)
    entries = [entry for entry in ctx.app.subnets.describe(ctx.caller, request.get("SubnetIds")) if matches(entry)]
    shown, token = page(ctx, request, entries, key=lambda entry: entry[0].id, sizes=(5, 1000), ids="SubnetIds")
    return {"Subnets": [_subnet_view(subnet, free) for subnet, free in shown], "NextToken": token}


@operation(
    "CreateSubnet",
    honours="VpcId CidrBlock Ipv6CidrBlock AvailabilityZone AvailabilityZoneId Ipv6Native TagSpecifications",
    reasons={
        "Ipv4IpamPoolId": _NO_IPAM,
        "Ipv4NetmaskLength": _NO_IPAM,
        "Ipv6IpamPoolId": _NO_IPAM,
        "Ipv6NetmaskLength": _NO_IPAM,
        "OutpostArn": "There are no Outposts here.",
    },
)
async def create_subnet(ctx: RequestContext, request: Request) -> Response:
    """Make a subnet. Its answer says `pending`; it is `available` by then."""
    if request.get("Ipv6Native"):
        raise not_honoured("Ipv6Native", "Every subnet has an IPv4 range here.")
    subnet, free = await ctx.app.subnets.create(
        ctx.caller,
        SubnetRequest(
            vpc_id=request["VpcId"],
            cidr=request.get("CidrBlock"),
            ipv6_cidr=request.get("Ipv6CidrBlock"),
            availability_zone=requested_zone(ctx, request),
            tags=requested_tags(request, "subnet")["subnet"],
        ),
    )
    return {"Subnet": _subnet_view(subnet, free, state="pending")}


@operation("CreateDefaultSubnet", honours="AvailabilityZone AvailabilityZoneId Ipv6Native")
async def create_default_subnet(ctx: RequestContext, request: Request) -> Response:
    """Make the default VPC's subnet in a zone again, after it was deleted."""
    if request.get("Ipv6Native"):
        raise not_honoured("Ipv6Native", "Every subnet has an IPv4 range here.")
    zone = requested_zone(ctx, request)
    if zone is None:
        raise missing_parameter("availabilityZone")
    subnet = await ctx.app.networks.create_default_subnet(ctx.caller, zone)
    ((subnet, free),) = ctx.app.subnets.describe(ctx.caller, [subnet.id])
    return {"Subnet": _subnet_view(subnet, free)}


@operation("DeleteSubnet", honours="SubnetId")
async def delete_subnet(ctx: RequestContext, request: Request) -> Response:
    """Delete a subnet in which no interface is."""
    await ctx.app.subnets.delete(ctx.caller, request["SubnetId"])
    return {}


#: member that is true or false -> field.
_FLAGS = {
    "MapPublicIpOnLaunch": "map_public_ip",
    "AssignIpv6AddressOnCreation": "assign_ipv6",
    "EnableResourceNameDnsAAAARecordOnLaunch": "resource_name_aaaa_record",
    "EnableResourceNameDnsARecordOnLaunch": "resource_name_a_record",
}
#: Members that can be declined, and why they are refused otherwise.
_NEVER = {
    "EnableDns64": "The resolver makes no IPv6 addresses for IPv4 hosts here.",
    "MapCustomerOwnedIpOnLaunch": "There are no Outposts here.",
}


@operation(
    "ModifySubnetAttribute",
    honours=f"SubnetId PrivateDnsHostnameTypeOnLaunch {' '.join(_FLAGS)} {' '.join(_NEVER)}",
    reasons={
        "CustomerOwnedIpv4Pool": "There are no Outposts here.",
        "DisableLniAtDeviceIndex": "There are no Outposts here.",
        "EnableLniAtDeviceIndex": "There are no Outposts here.",
    },
)
async def modify_subnet_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change one attribute of a subnet."""
    given = {name: value for name, value in request.items() if name != "SubnetId"}
    if len(given) != 1:
        raise one_attribute_at_a_time() if given else missing_parameter("attribute")
    ((name, value),) = given.items()
    attributes: dict[str, Any] = {}
    if name in _FLAGS:
        attributes[_FLAGS[name]] = value.get("Value", False)
    elif name in _NEVER and value.get("Value"):
        raise not_honoured(name, _NEVER[name])
    elif name == "PrivateDnsHostnameTypeOnLaunch":
        attributes["hostname_type"] = value
    await ctx.app.subnets.modify(ctx.caller, request["SubnetId"], **attributes)
    return {}


@operation(
    "AssociateSubnetCidrBlock",
    honours="SubnetId Ipv6CidrBlock",
    reasons={"Ipv6IpamPoolId": _NO_IPAM, "Ipv6NetmaskLength": _NO_IPAM},
)
async def associate_subnet_cidr_block(ctx: RequestContext, request: Request) -> Response:
    """Give a subnet a part of its VPC's IPv6 range."""
    if "Ipv6CidrBlock" not in request:
        raise missing_parameter("ipv6CidrBlock")
    added = await ctx.app.subnets.add_ipv6_range(ctx.caller, request["SubnetId"], request["Ipv6CidrBlock"])
    return {"SubnetId": request["SubnetId"], "Ipv6CidrBlockAssociation": _ipv6_view(added, "associating")}


@operation("DisassociateSubnetCidrBlock", honours="AssociationId")
async def disassociate_subnet_cidr_block(ctx: RequestContext, request: Request) -> Response:
    """Take its IPv6 range from a subnet."""
    subnet, removed = await ctx.app.subnets.remove_ipv6_range(ctx.caller, request["AssociationId"])
    return {"SubnetId": subnet.id, "Ipv6CidrBlockAssociation": _ipv6_view(removed, "disassociating")}


def _arn(subnet: Subnet) -> str:
    return f"arn:aws:ec2:{subnet.region}:{subnet.account_id}:subnet/{subnet.id}"


def _ipv6_view(association: CidrAssociation, state: str) -> dict[str, Any]:
    return {
        "AssociationId": association.id,
        "Ipv6CidrBlock": association.cidr,
        "Ipv6CidrBlockState": {"State": state},
        "IpSource": "amazon",
        "Ipv6AddressAttribute": "private",
    }


def _subnet_view(subnet: Subnet, free: int, state: str = "available") -> Response:
    return {
        "SubnetId": subnet.id,
        "SubnetArn": _arn(subnet),
        "VpcId": subnet.vpc_id,
        "OwnerId": subnet.account_id,
        "State": state,
        "CidrBlock": subnet.cidr,
        "Ipv6CidrBlockAssociationSet": [_ipv6_view(it, "associated") for it in _ipv6(subnet)],
        "AvailableIpAddressCount": free,
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": zone_id(subnet.availability_zone),
        "DefaultForAz": subnet.default_for_az,
        "MapPublicIpOnLaunch": subnet.map_public_ip,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": subnet.assign_ipv6,
        "Ipv6Native": False,
        "EnableDns64": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": subnet.hostname_type,
            "EnableResourceNameDnsARecord": subnet.resource_name_a_record,
            "EnableResourceNameDnsAAAARecord": subnet.resource_name_aaaa_record,
        },
        "Tags": tag_set(subnet.tags),
    }
