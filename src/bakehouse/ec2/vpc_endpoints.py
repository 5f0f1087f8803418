"""VPC endpoints: there are none, as no AWS service is behind this server to which one could lead."""

from typing import Any

from bakehouse.domain.errors import Ec2Error, malformed_id, not_found
from bakehouse.domain.ids import is_well_formed
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

ENDPOINT_FILTERS: Filters[dict[str, Any]] = Filters(
    {
        name: lambda _endpoint: ()
        for name in (
            "ip-address-type",
            "service-name",
            "service-region",
            "vpc-endpoint-id",
            "vpc-endpoint-state",
            "vpc-endpoint-type",
            "vpc-id",
        )
    },
    tags=lambda _endpoint: {},
)

SERVICE_FILTERS: Filters[dict[str, Any]] = Filters(
    {name: lambda _service: () for name in ("owner", "service-name", "service-region", "service-type")}
    | {"supported-ip-address-types": lambda _service: ()},
    tags=lambda _service: {},
)


async def _repeat_create(_ctx: RequestContext, _endpoint_id: str) -> Response:
    raise _no_endpoints()


@operation(
    "CreateVpcEndpoint",
    honours="VpcId ServiceName VpcEndpointType RouteTableIds SubnetIds SecurityGroupIds PolicyDocument "
    "PrivateDnsEnabled IpAddressType DnsOptions TagSpecifications ServiceRegion SubnetConfigurations",
    replay=_repeat_create,
)
async def create_vpc_endpoint(ctx: RequestContext, request: Request) -> Response:
    """Refuse, of whatever type it is to be."""
    ctx.app.vpcs.one(ctx.caller, request["VpcId"])
    raise _no_endpoints()


@operation("DescribeVpcEndpoints", honours="VpcEndpointIds Filters MaxResults NextToken")
async def describe_vpc_endpoints(ctx: RequestContext, request: Request) -> Response:
    """List no endpoint: there is none."""
    ENDPOINT_FILTERS.compile(request)
    for endpoint_id in request.get("VpcEndpointIds") or ():
        if not is_well_formed(endpoint_id, "vpc-endpoint"):
            raise malformed_id("vpc-endpoint", endpoint_id)
        raise not_found("vpc-endpoint", [endpoint_id])
    none: list[str] = []
    shown, token = page(ctx, request, none, key=str, sizes=(5, 1000), ids="VpcEndpointIds")
    return {"VpcEndpoints": list(shown), "NextToken": token}


@operation("DescribeVpcEndpointServices", honours="ServiceNames ServiceRegions Filters MaxResults NextToken")
async def describe_vpc_endpoint_services(ctx: RequestContext, request: Request) -> Response:
    """List no service: there is none behind this server."""
    SERVICE_FILTERS.compile(request)
    for name in request.get("ServiceNames") or ():
        # Source: EC2 API Reference, Error codes, InvalidServiceName; wording as AWS answers it.
        raise Ec2Error("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")
    none: list[str] = []
    shown, token = page(ctx, request, none, key=str, sizes=(5, 1000))
    return {"ServiceNames": list(shown), "ServiceDetails": [], "NextToken": token}


def _no_endpoints() -> Ec2Error:
    return Ec2Error(
        "UnsupportedOperation",
        "VPC endpoints are not supported by this endpoint: no AWS service is behind it to which one could lead.",
    )
