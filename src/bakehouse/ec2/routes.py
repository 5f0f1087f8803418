"""Route operations."""

from bakehouse.app.routes import TargetRequest
from bakehouse.domain.errors import invalid_combination, missing_parameter
from bakehouse.domain.route_table import destination_of
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: member that names a target -> field.
_TARGETS = {
    "GatewayId": "gateway_id",
    "EgressOnlyInternetGatewayId": "egress_only_gateway_id",
    "NatGatewayId": "nat_gateway_id",
    "NetworkInterfaceId": "network_interface_id",
    "InstanceId": "instance_id",
}
_DESTINATIONS = {"DestinationCidrBlock": 4, "DestinationIpv6CidrBlock": 6}

_HONOURED = f"RouteTableId {' '.join(_TARGETS)} {' '.join(_DESTINATIONS)}"
_REASONS = {
    "CarrierGatewayId": "There are no Wavelength Zones here.",
    "CoreNetworkArn": "There are no core networks here.",
    "DestinationPrefixListId": "Routes lead to ranges here: make one for each entry of the list.",
    "LocalGatewayId": "There are no Outposts here.",
    "OdbNetworkArn": "There are no Oracle networks here.",
    "TransitGatewayId": "There are no transit gateways here.",
    "VpcEndpointId": "There are no Gateway Load Balancer endpoints here.",
    "VpcPeeringConnectionId": "There is no VPC peering here.",
}


@operation("CreateRoute", honours=_HONOURED, reasons=_REASONS)
async def create_route(ctx: RequestContext, request: Request) -> Response:
    """Add a route to a table."""
    await ctx.app.routes.create(ctx.caller, request["RouteTableId"], _destination(request), _target(request))
    return {"Return": True}


@operation(
    "ReplaceRoute",
    honours=_HONOURED,
    reasons={**_REASONS, "LocalTarget": "Routes within a VPC lead there always."},
)
async def replace_route(ctx: RequestContext, request: Request) -> Response:
    """Let a route lead somewhere else."""
    await ctx.app.routes.replace(ctx.caller, request["RouteTableId"], _destination(request), _target(request))
    return {}


@operation(
    "DeleteRoute",
    honours=f"RouteTableId {' '.join(_DESTINATIONS)}",
    reasons={"DestinationPrefixListId": _REASONS["DestinationPrefixListId"]},
)
async def delete_route(ctx: RequestContext, request: Request) -> Response:
    """Remove a route from a table."""
    await ctx.app.routes.delete(ctx.caller, request["RouteTableId"], _destination(request))
    return {}


def _destination(request: Request) -> str:
    given = [member for member in _DESTINATIONS if member in request]
    if len(given) > 1:
        raise invalid_combination("Only one of destinationCidrBlock and destinationIpv6CidrBlock may be given")
    if not given:
        raise missing_parameter("destinationCidrBlock")
    return destination_of(request[given[0]], _DESTINATIONS[given[0]])


def _target(request: Request) -> TargetRequest:
    given = {field: request[member] for member, field in _TARGETS.items() if member in request}
    if len(given) > 1:
        raise invalid_combination(f"Exactly one of {', '.join(_TARGETS)} may be given")
    if not given:
        raise missing_parameter("gatewayId")
    return TargetRequest(**given)
