"""Placement group operations, and ModifyInstancePlacement."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.placement_groups import GroupOrder, PlacementChange
from bakehouse.domain.errors import missing_parameter, not_honoured
from bakehouse.domain.placement_group import PlacementGroup
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribePlacementGroups, Filters.
FILTERS: Final[Filters[PlacementGroup]] = Filters(
    {
        "group-arn": lambda it: [it.arn],
        "group-name": lambda it: [it.name],
        "spread-level": lambda it: [it.spread_level],
        "state": lambda _it: ["available"],
        "strategy": lambda it: [it.strategy],
    },
    tags=lambda it: it.tags,
)


@operation("CreatePlacementGroup", honours="GroupName Strategy PartitionCount SpreadLevel TagSpecifications")
async def create_placement_group(ctx: RequestContext, request: Request) -> Response:
    """Make a group."""
    if not request.get("GroupName"):
        raise missing_parameter("groupName")
    order = GroupOrder(
        name=request["GroupName"],
        strategy=request.get("Strategy"),
        partition_count=request.get("PartitionCount"),
        spread_level=request.get("SpreadLevel"),
        tags=requested_tags(request, "placement-group")["placement-group"],
    )
    return {"PlacementGroup": _view(await ctx.app.placement_groups.create(ctx.caller, order))}


@operation("DeletePlacementGroup", honours="GroupName")
async def delete_placement_group(ctx: RequestContext, request: Request) -> Response:
    """Remove a group without instances."""
    await ctx.app.placement_groups.delete(ctx.caller, request["GroupName"])
    return {}


@operation("DescribePlacementGroups", honours="GroupNames GroupIds Filters")
async def describe_placement_groups(ctx: RequestContext, request: Request) -> Response:
    """List groups."""
    matches = FILTERS.compile(request)
    groups = ctx.app.placement_groups.describe(ctx.caller, request.get("GroupNames"), request.get("GroupIds"))
    return {"PlacementGroups": [_view(group) for group in groups if matches(group)]}


@operation("ModifyInstancePlacement", honours="InstanceId GroupName GroupId PartitionNumber Tenancy Affinity")
async def modify_instance_placement(ctx: RequestContext, request: Request) -> Response:
    """Move a stopped instance into a group or out of it."""
    for member in ("Tenancy", "Affinity"):
        if request.get(member, "default") != "default":
            raise not_honoured(f"{member}={request[member]}", "There are no Dedicated Hosts.")
    change = PlacementChange(
        group_id=request.get("GroupId"), name=request.get("GroupName"), partition=request.get("PartitionNumber")
    )
    if change == PlacementChange():
        if "Tenancy" not in request and "Affinity" not in request:
            raise missing_parameter("GroupName")
        ctx.app.instances.describe(ctx.caller, [request["InstanceId"]])  # to be refused if it is not there
        return {"Return": True}
    await ctx.app.placement_groups.modify_placement(ctx.caller, request["InstanceId"], change)
    return {"Return": True}


def _view(group: PlacementGroup) -> Mapping[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "GroupArn": group.arn,
        "State": "available",
        "Strategy": group.strategy,
        "PartitionCount": group.partition_count,
        "SpreadLevel": group.spread_level,
        "Tags": tag_set(group.tags) or None,
    }
