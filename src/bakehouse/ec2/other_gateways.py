"""What else VPCs may be connected by on EC2, and never are here: VPN gateways, ClassicLink. Lists are empty.

Clients that tidy up a VPC, or show one, ask for these.
"""

from typing import Any

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.network import Vpc
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

VPN_GATEWAY_FILTERS: Filters[dict[str, Any]] = Filters(
    {
        name: lambda _gateway: ()
        for name in (
            "amazon-side-asn",
            "attachment.state",
            "attachment.vpc-id",
            "availability-zone",
            "state",
            "type",
            "vpn-gateway-id",
        )
    },
    tags=lambda _gateway: {},
)

CLASSIC_LINK_FILTERS: Filters[Vpc] = Filters(
    {"is-classic-link-enabled": lambda _vpc: ["false"]}, tags=lambda vpc: vpc.tags
)


@operation("DescribeVpnGateways", honours="VpnGatewayIds Filters")
async def describe_vpn_gateways(_ctx: RequestContext, request: Request) -> Response:
    """List no gateway: there is none."""
    VPN_GATEWAY_FILTERS.compile(request)
    for gateway_id in request.get("VpnGatewayIds") or ():
        # Source: EC2 API Reference, Error codes, InvalidVpnGatewayID.NotFound.
        raise Ec2Error("InvalidVpnGatewayID.NotFound", f"The vpnGateway ID '{gateway_id}' does not exist")
    return {"VpnGateways": []}


@operation("DescribeVpcClassicLink", honours="VpcIds Filters")
async def describe_vpc_classic_link(ctx: RequestContext, request: Request) -> Response:
    """Say of every VPC that it is not linked to EC2-Classic, which is no more."""
    matches = CLASSIC_LINK_FILTERS.compile(request)
    vpcs = [vpc for vpc in ctx.app.vpcs.describe(ctx.caller, request.get("VpcIds")) if matches(vpc)]
    return {"Vpcs": [{"VpcId": vpc.id, "ClassicLinkEnabled": False, "Tags": tag_set(vpc.tags)} for vpc in vpcs]}


@operation("DescribeVpcClassicLinkDnsSupport", honours="VpcIds MaxResults NextToken")
async def describe_vpc_classic_link_dns_support(ctx: RequestContext, request: Request) -> Response:
    """Say of every VPC that its names do not resolve in EC2-Classic, which is no more."""
    vpcs = ctx.app.vpcs.describe(ctx.caller, request.get("VpcIds"))
    shown, token = page(ctx, request, vpcs, key=lambda vpc: vpc.id, sizes=(5, 255))
    return {"Vpcs": [{"VpcId": vpc.id, "ClassicLinkDnsSupported": False} for vpc in shown], "NextToken": token}
