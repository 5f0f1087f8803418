"""Who refers to security groups across VPCs: nobody, as there is no peering; and which groups a VPC may use."""

from typing import Any

from bakehouse.domain.security_group import SecurityGroup
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

FILTERS: Filters[SecurityGroup] = Filters(
    {
        "description": lambda group: [group.description],
        "group-id": lambda group: [group.id],
        "group-name": lambda group: [group.name],
        "owner-id": lambda group: [group.account_id],
        "primary-vpc-id": lambda group: [group.vpc_id],
    },
    tags=lambda group: group.tags,
)


@operation("DescribeStaleSecurityGroups", honours="VpcId MaxResults NextToken")
async def describe_stale_security_groups(ctx: RequestContext, request: Request) -> Response:
    """List no group: a rule is stale when it names a group of a VPC that is no longer peered."""
    ctx.app.vpcs.one(ctx.caller, request["VpcId"])
    none: list[str] = []
    shown, token = page(ctx, request, none, key=str, sizes=(5, 255))
    return {"StaleSecurityGroupSet": list(shown), "NextToken": token}


@operation("DescribeSecurityGroupReferences", honours="GroupId")
async def describe_security_group_references(ctx: RequestContext, request: Request) -> Response:
    """List no VPC: only those of peered VPCs would be listed."""
    ctx.app.security_groups.describe(ctx.caller, request["GroupId"])
    return {"SecurityGroupReferenceSet": []}


@operation("GetSecurityGroupsForVpc", honours="VpcId Filters MaxResults NextToken")
async def get_security_groups_for_vpc(ctx: RequestContext, request: Request) -> Response:
    """List the groups that interfaces of a VPC may carry: its own."""
    matches = FILTERS.compile(request)
    vpc = ctx.app.vpcs.one(ctx.caller, request["VpcId"])
    groups = [it for it in ctx.app.security_groups.describe(ctx.caller) if it.vpc_id == vpc.id and matches(it)]
    shown, token = page(ctx, request, groups, key=lambda group: group.id, sizes=(5, 1000))
    return {"SecurityGroupForVpcs": [_view(group) for group in shown], "NextToken": token}


def _view(group: SecurityGroup) -> dict[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account_id,
        "PrimaryVpcId": group.vpc_id,
        "Tags": tag_set(group.tags),
    }
