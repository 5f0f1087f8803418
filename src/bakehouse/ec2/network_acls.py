"""Network ACL operations."""

from collections.abc import Callable, Iterable
from typing import Any

from bakehouse.app.network_acls import NetworkAclDetails
from bakehouse.domain.errors import invalid_combination, missing_parameter
from bakehouse.domain.network_acl import NetworkAclEntry, checked_number, entry_of
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Protocols that filters may name.
_NAMES = {"1": "icmp", "6": "tcp", "17": "udp"}

_Values = Callable[[NetworkAclDetails], Iterable[str | None]]


def _of_entries(value: Callable[[NetworkAclEntry], object]) -> _Values:
    """Return a filter's values: what the ACL's entries have; None is nothing."""

    def values(details: NetworkAclDetails) -> Iterable[str | None]:
        for entry in details.entries:
            shown = value(entry)
            yield None if shown is None else str(shown)

    return values


def _protocols(details: NetworkAclDetails) -> Iterable[str | None]:
    for entry in details.entries:
        yield entry.protocol
        yield _NAMES.get(entry.protocol)


ACL_FILTERS: Filters[NetworkAclDetails] = Filters(
    {
        "association.association-id": lambda details: [it.network_acl_association_id for it in details.subnets],
        "association.network-acl-id": lambda details: [details.acl.id for _ in details.subnets],
        "association.subnet-id": lambda details: [subnet.id for subnet in details.subnets],
        "default": lambda details: [flag(details.acl.is_default)],
        "entry.cidr": _of_entries(lambda entry: None if entry.is_ipv6 else entry.cidr),
        "entry.egress": _of_entries(lambda entry: flag(entry.is_egress)),
        "entry.icmp.code": _of_entries(lambda entry: entry.icmp_code),
        "entry.icmp.type": _of_entries(lambda entry: entry.icmp_type),
        "entry.ipv6-cidr": _of_entries(lambda entry: entry.cidr if entry.is_ipv6 else None),
        "entry.port-range.from": _of_entries(lambda entry: entry.from_port),
        "entry.port-range.to": _of_entries(lambda entry: entry.to_port),
        "entry.protocol": _protocols,
        "entry.rule-action": _of_entries(lambda entry: "allow" if entry.allows else "deny"),
        "entry.rule-number": _of_entries(lambda entry: entry.number),
        "network-acl-id": lambda details: [details.acl.id],
        "owner-id": lambda details: [details.acl.account_id],
        "vpc-id": lambda details: [details.acl.vpc_id],
    },
    tags=lambda details: details.acl.tags,
)

_ENTRY = "NetworkAclId RuleNumber Protocol RuleAction Egress CidrBlock Ipv6CidrBlock IcmpTypeCode PortRange"


async def _repeat_create(ctx: RequestContext, acl_id: str) -> Response:
    (details,) = ctx.app.network_acls.describe(ctx.caller, [acl_id])
    return {"NetworkAcl": _acl_view(details)}


@operation("CreateNetworkAcl", honours="VpcId TagSpecifications", replay=_repeat_create)
async def create_network_acl(ctx: RequestContext, request: Request) -> Response:
    """Make an ACL that denies everything."""
    tags = requested_tags(request, "network-acl")["network-acl"]
    return {"NetworkAcl": _acl_view(await ctx.app.network_acls.create(ctx.caller, request["VpcId"], tags))}


@operation("DeleteNetworkAcl", honours="NetworkAclId")
async def delete_network_acl(ctx: RequestContext, request: Request) -> Response:
    """Delete an ACL that no subnet uses."""
    await ctx.app.network_acls.delete(ctx.caller, request["NetworkAclId"])
    return {}


@operation("DescribeNetworkAcls", honours="NetworkAclIds Filters MaxResults NextToken")
async def describe_network_acls(ctx: RequestContext, request: Request) -> Response:
    """List the caller's ACLs with their entries and the subnets that use them."""
    matches = ACL_FILTERS.compile(request)
    found = [it for it in ctx.app.network_acls.describe(ctx.caller, request.get("NetworkAclIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda details: details.acl.id, sizes=(5, 1000), ids="NetworkAclIds")
    return {"NetworkAcls": [_acl_view(details) for details in shown], "NextToken": token}


@operation("CreateNetworkAclEntry", honours=_ENTRY)
async def create_network_acl_entry(ctx: RequestContext, request: Request) -> Response:
    """Add an entry to an ACL."""
    await ctx.app.network_acls.create_entry(ctx.caller, request["NetworkAclId"], _entry(request))
    return {}


@operation("ReplaceNetworkAclEntry", honours=_ENTRY)
async def replace_network_acl_entry(ctx: RequestContext, request: Request) -> Response:
    """Put an entry in the place of the one with its number."""
    await ctx.app.network_acls.replace_entry(ctx.caller, request["NetworkAclId"], _entry(request))
    return {}


@operation("DeleteNetworkAclEntry", honours="NetworkAclId RuleNumber Egress")
async def delete_network_acl_entry(ctx: RequestContext, request: Request) -> Response:
    """Remove an entry from an ACL."""
    number = checked_number(request["RuleNumber"])
    await ctx.app.network_acls.delete_entry(ctx.caller, request["NetworkAclId"], number, is_egress=request["Egress"])
    return {}


@operation("ReplaceNetworkAclAssociation", honours="AssociationId NetworkAclId")
async def replace_network_acl_association(ctx: RequestContext, request: Request) -> Response:
    """Let a subnet use another ACL."""
    association_id = await ctx.app.network_acls.replace_association(
        ctx.caller, request["AssociationId"], request["NetworkAclId"]
    )
    return {"NewAssociationId": association_id}


def _entry(request: Request) -> NetworkAclEntry:
    cidr, ipv6_cidr = request.get("CidrBlock"), request.get("Ipv6CidrBlock")
    if cidr is not None and ipv6_cidr is not None:
        raise invalid_combination("Only one of cidrBlock and ipv6CidrBlock may be given")
    if cidr is None and ipv6_cidr is None:
        raise missing_parameter("cidrBlock")
    ports, icmp = request.get("PortRange"), request.get("IcmpTypeCode")
    return entry_of(
        number=request["RuleNumber"],
        is_egress=request["Egress"],
        allows=request["RuleAction"] == "allow",
        protocol=request["Protocol"],
        cidr=cidr or ipv6_cidr or "",
        is_ipv6=cidr is None,
        ports=(ports.get("From"), ports.get("To")) if ports else None,
        icmp=(icmp.get("Type"), icmp.get("Code")) if icmp else None,
    )


def _entry_view(entry: NetworkAclEntry) -> dict[str, Any]:
    return {
        "Ipv6CidrBlock" if entry.is_ipv6 else "CidrBlock": entry.cidr,
        "Egress": entry.is_egress,
        "IcmpTypeCode": None if entry.icmp_type is None else {"Type": entry.icmp_type, "Code": entry.icmp_code},
        "PortRange": None if entry.from_port is None else {"From": entry.from_port, "To": entry.to_port},
        "Protocol": entry.protocol,
        "RuleAction": "allow" if entry.allows else "deny",
        "RuleNumber": entry.number,
    }


def _acl_view(details: NetworkAclDetails) -> Response:
    return {
        "NetworkAclId": details.acl.id,
        "VpcId": details.acl.vpc_id,
        "OwnerId": details.acl.account_id,
        "IsDefault": details.acl.is_default,
        "Entries": [_entry_view(entry) for entry in details.entries],
        "Associations": [
            {
                "NetworkAclAssociationId": subnet.network_acl_association_id,
                "NetworkAclId": details.acl.id,
                "SubnetId": subnet.id,
            }
            for subnet in details.subnets
        ],
        "Tags": tag_set(details.acl.tags),
    }
