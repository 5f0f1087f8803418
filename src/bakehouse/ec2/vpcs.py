"""VPC operations."""

from collections.abc import Iterable
from typing import Any

from bakehouse.app.vpcs import VpcRequest
from bakehouse.domain.errors import invalid_combination, missing_parameter, not_honoured
from bakehouse.domain.network import CidrAssociation, Vpc
from bakehouse.domain.vpc import one_attribute_at_a_time
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

_NO_IPAM = "There is no IPAM here: give the CIDR block."
_NO_POOL = "There are no address pools here: ask for AmazonProvidedIpv6CidrBlock."
_IPAM_REASONS = {
    "Ipv4IpamPoolId": _NO_IPAM,
    "Ipv4NetmaskLength": _NO_IPAM,
    "Ipv6IpamPoolId": _NO_IPAM,
    "Ipv6NetmaskLength": _NO_IPAM,
    "Ipv6Pool": _NO_POOL,
    "Ipv6CidrBlock": _NO_POOL,
}


def _ipv4(vpc: Vpc) -> tuple[CidrAssociation, ...]:
    return (CidrAssociation(id=vpc.cidr_association_id, cidr=vpc.cidr), *vpc.secondary_cidrs)


def _ipv6(vpc: Vpc) -> tuple[CidrAssociation, ...]:
    return () if vpc.ipv6_cidr is None else (vpc.ipv6_cidr,)


def _associated(associations: Iterable[CidrAssociation]) -> list[str]:
    return ["associated" for _ in associations]


VPC_FILTERS: Filters[Vpc] = Filters(
    {
        "cidr": lambda vpc: [vpc.cidr],
        "cidr-block": lambda vpc: [vpc.cidr],
        "cidrBlock": lambda vpc: [vpc.cidr],
        "cidr-block-association.association-id": lambda vpc: [it.id for it in _ipv4(vpc)],
        "cidr-block-association.cidr-block": lambda vpc: vpc.cidrs,
        "cidr-block-association.state": lambda vpc: _associated(_ipv4(vpc)),
        "dhcp-options-id": lambda vpc: [vpc.dhcp_options_id],
        "dhcpOptionsId": lambda vpc: [vpc.dhcp_options_id],
        "ipv6-cidr-block-association.association-id": lambda vpc: [it.id for it in _ipv6(vpc)],
        "ipv6-cidr-block-association.ipv6-cidr-block": lambda vpc: [it.cidr for it in _ipv6(vpc)],
        "ipv6-cidr-block-association.ipv6-pool": lambda vpc: ["Amazon" for _ in _ipv6(vpc)],
        "ipv6-cidr-block-association.state": lambda vpc: _associated(_ipv6(vpc)),
        "is-default": lambda vpc: [flag(vpc.is_default)],
        "isDefault": lambda vpc: [flag(vpc.is_default)],  # Packer, Flintrock and SkyPilot say it so
        "owner-id": lambda vpc: [vpc.account_id],
        "state": lambda _vpc: ["available"],
        "vpc-id": lambda vpc: [vpc.id],
    },
    tags=lambda vpc: vpc.tags,
)


@operation("DescribeVpcs", honours="VpcIds Filters MaxResults NextToken")
async def describe_vpcs(ctx: RequestContext, request: Request) -> Response:
    """List the caller's VPCs."""
    matches = VPC_FILTERS.compile(request)
    vpcs = [vpc for vpc in ctx.app.vpcs.describe(ctx.caller, request.get("VpcIds")) if matches(vpc)]
    shown, token = page(ctx, request, vpcs, key=lambda vpc: vpc.id, sizes=(5, 1000), ids="VpcIds")
    return {"Vpcs": [_vpc_view(vpc) for vpc in shown], "NextToken": token}


@operation(
    "CreateVpc",
    honours="CidrBlock InstanceTenancy AmazonProvidedIpv6CidrBlock TagSpecifications",
    reasons=_IPAM_REASONS,
)
async def create_vpc(ctx: RequestContext, request: Request) -> Response:
    """Make a VPC. Its answer says `pending`; it is `available` by then."""
    if request.get("InstanceTenancy", "default") != "default":
        raise not_honoured("InstanceTenancy", "There is no hardware of one's own here: only default is.")
    vpc = await ctx.app.vpcs.create(
        ctx.caller,
        VpcRequest(
            cidr=request.get("CidrBlock"),
            ipv6=request.get("AmazonProvidedIpv6CidrBlock", False),
            tags=requested_tags(request, "vpc")["vpc"],
        ),
    )
    return {"Vpc": _vpc_view(vpc, state="pending")}


@operation("CreateDefaultVpc")
async def create_default_vpc(ctx: RequestContext, _request: Request) -> Response:
    """Make the region's default VPC again, after it was deleted."""
    return {"Vpc": _vpc_view(await ctx.app.networks.create_default_vpc(ctx.caller), state="pending")}


@operation("DeleteVpc", honours="VpcId")
async def delete_vpc(ctx: RequestContext, request: Request) -> Response:
    """Delete a VPC in which nothing is but what it began with."""
    await ctx.app.vpcs.delete(ctx.caller, request["VpcId"])
    return {}


@operation("ModifyVpcAttribute", honours="VpcId EnableDnsSupport EnableDnsHostnames EnableNetworkAddressUsageMetrics")
async def modify_vpc_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change one attribute of a VPC."""
    vpcs, vpc_id = ctx.app.vpcs, request["VpcId"]
    setters = {
        "EnableDnsSupport": vpcs.set_dns_support,
        "EnableDnsHostnames": vpcs.set_dns_hostnames,
        "EnableNetworkAddressUsageMetrics": vpcs.set_usage_metrics,
    }
    given = [name for name in setters if name in request]
    if len(given) != 1:
        raise one_attribute_at_a_time() if given else missing_parameter("attribute")
    await setters[given[0]](ctx.caller, vpc_id, enabled=request[given[0]].get("Value", False))
    return {}


@operation("DescribeVpcAttribute", honours="VpcId Attribute")
async def describe_vpc_attribute(ctx: RequestContext, request: Request) -> Response:
    """Return one attribute of a VPC."""
    vpc = ctx.app.vpcs.one(ctx.caller, request["VpcId"])
    values = {
        "enableDnsSupport": ("EnableDnsSupport", vpc.dns_support),
        "enableDnsHostnames": ("EnableDnsHostnames", vpc.dns_hostnames),
        "enableNetworkAddressUsageMetrics": ("EnableNetworkAddressUsageMetrics", vpc.usage_metrics),
    }
    member, value = values[request["Attribute"]]
    return {"VpcId": vpc.id, member: {"Value": value}}


@operation("ModifyVpcTenancy", honours="VpcId InstanceTenancy")
async def modify_vpc_tenancy(ctx: RequestContext, request: Request) -> Response:
    """Change a VPC's tenancy to what it is."""
    ctx.app.vpcs.check_tenancy(ctx.caller, request["VpcId"], request["InstanceTenancy"])
    return {"ReturnValue": True}


@operation("AssociateVpcCidrBlock", honours="VpcId CidrBlock AmazonProvidedIpv6CidrBlock", reasons=_IPAM_REASONS)
async def associate_vpc_cidr_block(ctx: RequestContext, request: Request) -> Response:
    """Give a VPC another range: of IPv4, or the one of IPv6 that it is given."""
    vpc_id, cidr = request["VpcId"], request.get("CidrBlock")
    if (cidr is not None) is request.get("AmazonProvidedIpv6CidrBlock", False):
        raise invalid_combination("Exactly one of CidrBlock and AmazonProvidedIpv6CidrBlock must be given")
    if cidr is None:
        ipv6_range = await ctx.app.vpcs.add_ipv6_range(ctx.caller, vpc_id)
        return {"VpcId": vpc_id, "Ipv6CidrBlockAssociation": _ipv6_view(ctx.caller.region, ipv6_range, "associating")}
    added = await ctx.app.vpcs.add_range(ctx.caller, vpc_id, cidr)
    return {"VpcId": vpc_id, "CidrBlockAssociation": _ipv4_view(added, "associating")}


@operation("DisassociateVpcCidrBlock", honours="AssociationId")
async def disassociate_vpc_cidr_block(ctx: RequestContext, request: Request) -> Response:
    """Take a range from its VPC."""
    vpc, removed = await ctx.app.vpcs.remove_range(ctx.caller, request["AssociationId"])
    if removed == vpc.ipv6_cidr:
        return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": _ipv6_view(vpc.region, removed, "disassociating")}
    return {"VpcId": vpc.id, "CidrBlockAssociation": _ipv4_view(removed, "disassociating")}


def _ipv4_view(association: CidrAssociation, state: str) -> dict[str, Any]:
    return {
        "AssociationId": association.id,
        "CidrBlock": association.cidr,
        "CidrBlockState": {"State": state},
    }


def _ipv6_view(region: str, association: CidrAssociation, state: str) -> dict[str, Any]:
    return {
        "AssociationId": association.id,
        "Ipv6CidrBlock": association.cidr,
        "Ipv6CidrBlockState": {"State": state},
        "NetworkBorderGroup": region,
        "Ipv6Pool": "Amazon",
        "IpSource": "amazon",
        "Ipv6AddressAttribute": "private",
    }


def _vpc_view(vpc: Vpc, state: str = "available") -> Response:
    return {
        "VpcId": vpc.id,
        "OwnerId": vpc.account_id,
        "State": state,
        "CidrBlock": vpc.cidr,
        "CidrBlockAssociationSet": [_ipv4_view(it, "associated") for it in _ipv4(vpc)],
        "Ipv6CidrBlockAssociationSet": [_ipv6_view(vpc.region, it, "associated") for it in _ipv6(vpc)],
        "DhcpOptionsId": vpc.dhcp_options_id,
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "Tags": tag_set(vpc.tags),
    }
