"""Route table operations. Routes are in `ec2/routes.py`."""

from collections.abc import Callable, Iterable
from typing import Any

from bakehouse.app.route_tables import RouteDetails, RouteTableDetails, TableAssociation
from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.route_table import RouteTarget
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: What a route's target is called on the wire.
_TARGET_MEMBERS = {
    RouteTarget.INTERNET_GATEWAY: "GatewayId",
    RouteTarget.EGRESS_ONLY_GATEWAY: "EgressOnlyInternetGatewayId",
    RouteTarget.NAT_GATEWAY: "NatGatewayId",
    RouteTarget.NETWORK_INTERFACE: "NetworkInterfaceId",
}


def _of_routes(member: str) -> Callable[[RouteTableDetails], Iterable[str | None]]:
    """Return a filter's values: what the table's routes have under this name."""
    return lambda details: [route.get(member) for route in _route_views(details)]


def _of_associations(
    value: Callable[[TableAssociation], str | None],
) -> Callable[[RouteTableDetails], Iterable[str | None]]:
    return lambda details: [value(association) for association in details.associations]


TABLE_FILTERS: Filters[RouteTableDetails] = Filters(
    {
        "association.gateway-id": lambda _details: [],
        "association.main": _of_associations(lambda association: flag(association.subnet_id is None)),
        "association.route-table-association-id": _of_associations(lambda association: association.id),
        "association.route-table-id": lambda details: [details.table.id for _ in details.associations],
        "association.subnet-id": _of_associations(lambda association: association.subnet_id),
        "owner-id": lambda details: [details.table.account_id],
        "route-table-id": lambda details: [details.table.id],
        "route.destination-cidr-block": _of_routes("DestinationCidrBlock"),
        "route.destination-ipv6-cidr-block": _of_routes("DestinationIpv6CidrBlock"),
        "route.destination-prefix-list-id": lambda _details: [],
        "route.egress-only-internet-gateway-id": _of_routes("EgressOnlyInternetGatewayId"),
        "route.gateway-id": _of_routes("GatewayId"),
        "route.instance-id": _of_routes("InstanceId"),
        "route.nat-gateway-id": _of_routes("NatGatewayId"),
        "route.network-interface-id": _of_routes("NetworkInterfaceId"),
        "route.origin": _of_routes("Origin"),
        "route.state": _of_routes("State"),
        "route.transit-gateway-id": lambda _details: [],
        "route.vpc-peering-connection-id": lambda _details: [],
        "vpc-id": lambda details: [details.table.vpc_id],
    },
    tags=lambda details: details.table.tags,
)


async def _repeat_create(ctx: RequestContext, table_id: str) -> Response:
    (details,) = ctx.app.route_tables.describe(ctx.caller, [table_id])
    return {"RouteTable": _table_view(details)}


@operation("CreateRouteTable", honours="VpcId TagSpecifications", replay=_repeat_create)
async def create_route_table(ctx: RequestContext, request: Request) -> Response:
    """Make a table that leads nowhere but within its VPC."""
    tags = requested_tags(request, "route-table")["route-table"]
    return {"RouteTable": _table_view(await ctx.app.route_tables.create(ctx.caller, request["VpcId"], tags))}


@operation("DeleteRouteTable", honours="RouteTableId")
async def delete_route_table(ctx: RequestContext, request: Request) -> Response:
    """Delete a table that nothing uses."""
    await ctx.app.route_tables.delete(ctx.caller, request["RouteTableId"])
    return {}


@operation("DescribeRouteTables", honours="RouteTableIds Filters MaxResults NextToken")
async def describe_route_tables(ctx: RequestContext, request: Request) -> Response:
    """List the caller's tables with their routes and associations."""
    matches = TABLE_FILTERS.compile(request)
    found = [it for it in ctx.app.route_tables.describe(ctx.caller, request.get("RouteTableIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda details: details.table.id, sizes=(5, 100), ids="RouteTableIds")
    return {"RouteTables": [_table_view(details) for details in shown], "NextToken": token}


@operation(
    "AssociateRouteTable",
    honours="RouteTableId SubnetId",
    reasons={
        "GatewayId": "Only subnets use route tables here.",
        "PublicIpv4Pool": "There are no address pools here.",
    },
)
async def associate_route_table(ctx: RequestContext, request: Request) -> Response:
    """Let a subnet use a table."""
    if "SubnetId" not in request:
        raise missing_parameter("subnetId")
    association_id = await ctx.app.route_tables.associate(ctx.caller, request["RouteTableId"], request["SubnetId"])
    return {"AssociationId": association_id, "AssociationState": {"State": "associated"}}


@operation("DisassociateRouteTable", honours="AssociationId")
async def disassociate_route_table(ctx: RequestContext, request: Request) -> Response:
    """Let a subnet use the VPC's main table again."""
    await ctx.app.route_tables.disassociate(ctx.caller, request["AssociationId"])
    return {}


@operation("ReplaceRouteTableAssociation", honours="AssociationId RouteTableId")
async def replace_route_table_association(ctx: RequestContext, request: Request) -> Response:
    """Let a subnet use another table, or make another one the main table."""
    association_id, _ = await ctx.app.route_tables.replace_association(
        ctx.caller, request["AssociationId"], request["RouteTableId"]
    )
    return {"NewAssociationId": association_id, "AssociationState": {"State": "associated"}}


def _destination_member(destination: str) -> str:
    return "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"


def _local_view(destination: str) -> dict[str, Any]:
    return {
        _destination_member(destination): destination,
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    }


def _route_view(details: RouteDetails) -> dict[str, Any]:
    return {
        _destination_member(details.route.destination): details.route.destination,
        _TARGET_MEMBERS[details.route.target]: details.route.target_id,
        "InstanceId": details.instance_id,
        "InstanceOwnerId": details.instance_owner_id,
        "Origin": "CreateRoute",
        "State": "active" if details.is_active else "blackhole",
    }


def _route_views(details: RouteTableDetails) -> list[dict[str, Any]]:
    """Return the routes of a table as the API lists them: those within its VPC first."""
    return [*map(_local_view, details.local_destinations), *map(_route_view, details.routes)]


def _association_view(table_id: str, association: TableAssociation) -> dict[str, Any]:
    return {
        "Main": association.subnet_id is None,
        "RouteTableAssociationId": association.id,
        "RouteTableId": table_id,
        "SubnetId": association.subnet_id,
        "AssociationState": {"State": "associated"},
    }


def _table_view(details: RouteTableDetails) -> Response:
    return {
        "RouteTableId": details.table.id,
        "VpcId": details.table.vpc_id,
        "OwnerId": details.table.account_id,
        "Associations": [_association_view(details.table.id, it) for it in details.associations],
        "PropagatingVgws": [],
        "Routes": _route_views(details),
        "Tags": tag_set(details.table.tags),
    }
