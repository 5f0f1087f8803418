"""DHCP options operations."""

from bakehouse.domain.dhcp_options import DhcpOptions
from bakehouse.domain.errors import invalid_parameter
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

OPTIONS_FILTERS: Filters[DhcpOptions] = Filters(
    {
        "dhcp-options-id": lambda options: [options.id],
        "key": lambda options: options.options,
        "owner-id": lambda options: [options.account_id],
        "value": lambda options: [value for values in options.options.values() for value in values],
    },
    tags=lambda options: options.tags,
)


@operation("CreateDhcpOptions", honours="DhcpConfigurations TagSpecifications")
async def create_dhcp_options(ctx: RequestContext, request: Request) -> Response:
    """Make a set of options, which no VPC uses yet."""
    tags = requested_tags(request, "dhcp-options")["dhcp-options"]
    given: dict[str, list[str]] = {}
    for configuration in request["DhcpConfigurations"]:
        name = configuration.get("Key", "")
        if name in given:
            raise invalid_parameter(f"Duplicate DHCP option '{name}' specified.")
        given[name] = configuration.get("Values") or []
    options = await ctx.app.dhcp_options.create(ctx.caller, given, tags)
    return {"DhcpOptions": _options_view(options)}


@operation("DeleteDhcpOptions", honours="DhcpOptionsId")
async def delete_dhcp_options(ctx: RequestContext, request: Request) -> Response:
    """Delete a set that no VPC uses."""
    await ctx.app.dhcp_options.delete(ctx.caller, request["DhcpOptionsId"])
    return {}


@operation("DescribeDhcpOptions", honours="DhcpOptionsIds Filters MaxResults NextToken")
async def describe_dhcp_options(ctx: RequestContext, request: Request) -> Response:
    """List the caller's sets."""
    matches = OPTIONS_FILTERS.compile(request)
    found = [it for it in ctx.app.dhcp_options.describe(ctx.caller, request.get("DhcpOptionsIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda options: options.id, sizes=(5, 1000), ids="DhcpOptionsIds")
    return {"DhcpOptions": [_options_view(options) for options in shown], "NextToken": token}


@operation("AssociateDhcpOptions", honours="DhcpOptionsId VpcId")
async def associate_dhcp_options(ctx: RequestContext, request: Request) -> Response:
    """Give a VPC a set of options, or none."""
    await ctx.app.dhcp_options.associate(ctx.caller, request["DhcpOptionsId"], request["VpcId"])
    return {}


def _options_view(options: DhcpOptions) -> Response:
    return {
        "DhcpOptionsId": options.id,
        "OwnerId": options.account_id,
        "DhcpConfigurations": [
            {"Key": name, "Values": [{"Value": value} for value in values]} for name, values in options.options.items()
        ],
        "Tags": tag_set(options.tags),
    }
