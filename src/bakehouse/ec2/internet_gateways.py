"""Internet gateway operations, and those of egress-only ones."""

from bakehouse.domain.internet_gateway import EgressOnlyInternetGateway, InternetGateway
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: What EC2 says of an internet gateway's attachment, beside its model, which has `attached`.
_AVAILABLE = "available"

GATEWAY_FILTERS: Filters[InternetGateway] = Filters(
    {
        "attachment.state": lambda gateway: [_AVAILABLE] if gateway.vpc_id else [],
        "attachment.vpc-id": lambda gateway: [gateway.vpc_id],
        "internet-gateway-id": lambda gateway: [gateway.id],
        "owner-id": lambda gateway: [gateway.account_id],
    },
    tags=lambda gateway: gateway.tags,
)

EGRESS_ONLY_FILTERS: Filters[EgressOnlyInternetGateway] = Filters({}, tags=lambda gateway: gateway.tags)


@operation("CreateInternetGateway", honours="TagSpecifications")
async def create_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Make a gateway, attached to nothing."""
    tags = requested_tags(request, "internet-gateway")["internet-gateway"]
    return {"InternetGateway": _gateway_view(await ctx.app.internet_gateways.create(ctx.caller, tags))}


@operation("AttachInternetGateway", honours="InternetGatewayId VpcId")
async def attach_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Attach a gateway to a VPC."""
    await ctx.app.internet_gateways.attach(ctx.caller, request["InternetGatewayId"], request["VpcId"])
    return {}


@operation("DetachInternetGateway", honours="InternetGatewayId VpcId")
async def detach_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Detach a gateway from its VPC."""
    await ctx.app.internet_gateways.detach(ctx.caller, request["InternetGatewayId"], request["VpcId"])
    return {}


@operation("DeleteInternetGateway", honours="InternetGatewayId")
async def delete_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Delete a gateway that is attached to nothing."""
    await ctx.app.internet_gateways.delete(ctx.caller, request["InternetGatewayId"])
    return {}


@operation("DescribeInternetGateways", honours="InternetGatewayIds Filters MaxResults NextToken")
async def describe_internet_gateways(ctx: RequestContext, request: Request) -> Response:
    """List the caller's gateways."""
    matches = GATEWAY_FILTERS.compile(request)
    found = ctx.app.internet_gateways.describe(ctx.caller, request.get("InternetGatewayIds"))
    gateways = [gateway for gateway in found if matches(gateway)]
    shown, token = page(
        ctx, request, gateways, key=lambda gateway: gateway.id, sizes=(5, 1000), ids="InternetGatewayIds"
    )
    return {"InternetGateways": [_gateway_view(gateway) for gateway in shown], "NextToken": token}


async def _repeat_create_egress_only(ctx: RequestContext, gateway_id: str) -> Response:
    (gateway,) = ctx.app.egress_only_gateways.describe(ctx.caller, [gateway_id])
    return {"EgressOnlyInternetGateway": _egress_only_view(gateway)}


@operation("CreateEgressOnlyInternetGateway", honours="VpcId TagSpecifications", replay=_repeat_create_egress_only)
async def create_egress_only_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Make a gateway of a VPC by which IPv6 goes out."""
    tags = requested_tags(request, "egress-only-internet-gateway")["egress-only-internet-gateway"]
    gateway = await ctx.app.egress_only_gateways.create(ctx.caller, request["VpcId"], tags)
    return {"EgressOnlyInternetGateway": _egress_only_view(gateway)}


@operation("DeleteEgressOnlyInternetGateway", honours="EgressOnlyInternetGatewayId")
async def delete_egress_only_internet_gateway(ctx: RequestContext, request: Request) -> Response:
    """Delete a gateway."""
    await ctx.app.egress_only_gateways.delete(ctx.caller, request["EgressOnlyInternetGatewayId"])
    return {"ReturnCode": True}


@operation("DescribeEgressOnlyInternetGateways", honours="EgressOnlyInternetGatewayIds Filters MaxResults NextToken")
async def describe_egress_only_internet_gateways(ctx: RequestContext, request: Request) -> Response:
    """List the caller's egress-only gateways."""
    matches = EGRESS_ONLY_FILTERS.compile(request)
    found = ctx.app.egress_only_gateways.describe(ctx.caller, request.get("EgressOnlyInternetGatewayIds"))
    gateways = [gateway for gateway in found if matches(gateway)]
    shown, token = page(ctx, request, gateways, key=lambda gateway: gateway.id, sizes=(5, 255))
    return {"EgressOnlyInternetGateways": [_egress_only_view(gateway) for gateway in shown], "NextToken": token}


def _gateway_view(gateway: InternetGateway) -> Response:
    return {
        "InternetGatewayId": gateway.id,
        "OwnerId": gateway.account_id,
        "Attachments": [{"State": _AVAILABLE, "VpcId": gateway.vpc_id}] if gateway.vpc_id else [],
        "Tags": tag_set(gateway.tags),
    }


def _egress_only_view(gateway: EgressOnlyInternetGateway) -> Response:
    return {
        "EgressOnlyInternetGatewayId": gateway.id,
        "Attachments": [{"State": "attached", "VpcId": gateway.vpc_id}],
        "Tags": tag_set(gateway.tags),
    }
