"""NAT gateway operations."""

from typing import Any, Final

from bakehouse.app.nat_gateways import NatGatewayRequest
from bakehouse.domain.errors import invalid_parameter, missing_parameter
from bakehouse.domain.nat_gateway import NatGateway, NatGatewayState
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

FILTERS: Final[Filters[NatGateway]] = Filters(
    {
        "nat-gateway-id": lambda gateway: [gateway.id],
        "state": lambda gateway: [gateway.state.value],
        "subnet-id": lambda gateway: [gateway.subnet_id],
        "vpc-id": lambda gateway: [gateway.vpc_id],
    },
    tags=lambda gateway: gateway.tags,
)


async def _create_again(ctx: RequestContext, gateway_id: str) -> Response:
    (gateway,) = ctx.app.nat_gateways.describe(ctx.caller, [gateway_id])
    return _created(ctx, gateway)


@operation(
    "CreateNatGateway",
    honours="SubnetId AllocationId ConnectivityType PrivateIpAddress AvailabilityMode TagSpecifications",
    replay=_create_again,
)
async def create_nat_gateway(ctx: RequestContext, request: Request) -> Response:
    """Make a NAT gateway; it is available when this is answered."""
    if request.get("AvailabilityMode", "zonal") != "zonal":
        raise invalid_parameter("Invalid value 'regional' for availabilityMode: NAT gateways here are zonal.")
    if "SubnetId" not in request:
        raise missing_parameter("SubnetId")
    gateway = await ctx.app.nat_gateways.create(
        ctx.caller,
        NatGatewayRequest(
            subnet_id=request["SubnetId"],
            is_public=request.get("ConnectivityType", "public") == "public",
            allocation_id=request.get("AllocationId"),
            private_ip=request.get("PrivateIpAddress"),
            tags=requested_tags(request, "natgateway")["natgateway"],
        ),
    )
    return _created(ctx, gateway)


@operation("DescribeNatGateways", honours="NatGatewayIds Filter MaxResults NextToken")
async def describe_nat_gateways(ctx: RequestContext, request: Request) -> Response:
    """List NAT gateways."""
    matches = FILTERS.compile({"Filters": request.get("Filter")})
    found = [it for it in ctx.app.nat_gateways.describe(ctx.caller, request.get("NatGatewayIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda it: it.id, sizes=(5, 1000), ids="NatGatewayIds")
    return {"NatGateways": [_view(gateway, gateway.state) for gateway in shown], "NextToken": token}


@operation("DeleteNatGateway", honours="NatGatewayId")
async def delete_nat_gateway(ctx: RequestContext, request: Request) -> Response:
    """Delete a NAT gateway."""
    await ctx.app.nat_gateways.delete(ctx.caller, request["NatGatewayId"])
    return {"NatGatewayId": request["NatGatewayId"]}


def _created(ctx: RequestContext, gateway: NatGateway) -> Response:
    token = ctx.caller.idempotency.token if ctx.caller.idempotency else None
    return {"NatGateway": _view(gateway, NatGatewayState.PENDING), "ClientToken": token}


def _view(gateway: NatGateway, state: NatGatewayState) -> dict[str, Any]:
    address = {
        "NetworkInterfaceId": gateway.network_interface_id,
        "PrivateIp": gateway.private_ip,
        "PublicIp": gateway.public_ip,
        "AllocationId": gateway.allocation_id,
        "AssociationId": gateway.association_id,
        "IsPrimary": True,
        "Status": "succeeded",
    }
    return {
        "NatGatewayId": gateway.id,
        "VpcId": gateway.vpc_id,
        "SubnetId": gateway.subnet_id,
        "State": state.value,
        "ConnectivityType": "public" if gateway.is_public else "private",
        "AvailabilityMode": "zonal",
        "CreateTime": gateway.created_at,
        "DeleteTime": gateway.deleted_at,
        "NatGatewayAddresses": [address],
        "Tags": tag_set(gateway.tags),
    }
