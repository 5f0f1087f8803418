"""Security group operations."""

from collections.abc import Iterable
from typing import Any

from bakehouse.domain.errors import invalid_combination, missing_parameter
from bakehouse.domain.security_group import SecurityGroup, SecurityGroupRule
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.permissions import names_permissions, permission_views, requested_permissions
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set


def _of_rules(*, egress: bool, value: str) -> Any:  # noqa: ANN401 - a filter's function
    def values(group: SecurityGroup) -> Iterable[str | None]:
        for rule in group.rules:
            if rule.is_egress is egress:
                shown = getattr(rule, value)
                yield None if shown is None else str(shown)

    return values


_RULE_VALUES = {
    "cidr": "cidr_ipv4",
    "from-port": "from_port",
    "group-id": "referenced_group_id",
    "ipv6-cidr": "cidr_ipv6",
    "prefix-list-id": "prefix_list_id",
    "protocol": "protocol",
    "to-port": "to_port",
}

GROUP_FILTERS: Filters[SecurityGroup] = Filters(
    {
        "description": lambda group: [group.description],
        "group-id": lambda group: [group.id],
        "group-name": lambda group: [group.name],
        "owner-id": lambda group: [group.account_id],
        "vpc-id": lambda group: [group.vpc_id],
    }
    | {f"ip-permission.{name}": _of_rules(egress=False, value=value) for name, value in _RULE_VALUES.items()}
    | {f"egress.ip-permission.{name}": _of_rules(egress=True, value=value) for name, value in _RULE_VALUES.items()},
    tags=lambda group: group.tags,
)

_Entry = tuple[SecurityGroup, SecurityGroupRule]

RULE_FILTERS: Filters[_Entry] = Filters(
    {
        "group-id": lambda entry: [entry[0].id],
        "is-egress": lambda entry: [flag(entry[1].is_egress)],
        "security-group-rule-id": lambda entry: [entry[1].id],
    },
    tags=lambda entry: entry[1].tags,
)

PERMISSIONS = (
    "IpPermissions.IpProtocol IpPermissions.FromPort IpPermissions.ToPort IpPermissions.IpRanges "
    "IpPermissions.Ipv6Ranges IpPermissions.PrefixListIds IpPermissions.UserIdGroupPairs.GroupId "
    "IpPermissions.UserIdGroupPairs.GroupName IpPermissions.UserIdGroupPairs.UserId "
    "IpPermissions.UserIdGroupPairs.VpcId IpPermissions.UserIdGroupPairs.Description"
)
_FLAT = "IpProtocol FromPort ToPort CidrIp"


@operation("CreateSecurityGroup", honours="GroupName Description VpcId TagSpecifications")
async def create_security_group(ctx: RequestContext, request: Request) -> Response:
    """Make a group."""
    group = await ctx.app.security_groups.create(
        ctx.caller,
        name=request["GroupName"],
        description=request["Description"],
        vpc_id=request.get("VpcId"),
        tags=requested_tags(request, "security-group")["security-group"],
    )
    return {"GroupId": group.id, "Tags": tag_set(group.tags), "SecurityGroupArn": _arn(group)}


@operation("DescribeSecurityGroups", honours="GroupIds GroupNames Filters MaxResults NextToken")
async def describe_security_groups(ctx: RequestContext, request: Request) -> Response:
    """List groups with their rules."""
    matches = GROUP_FILTERS.compile(request)
    groups = ctx.app.security_groups.describe(ctx.caller, request.get("GroupIds"), request.get("GroupNames"))
    matching = [group for group in groups if matches(group)]
    shown, token = page(ctx, request, matching, key=lambda group: group.id, sizes=(5, 1000), ids="GroupIds")
    return {"SecurityGroups": [_group_view(group) for group in shown], "NextToken": token}


@operation("DeleteSecurityGroup", honours="GroupId GroupName")
async def delete_security_group(ctx: RequestContext, request: Request) -> Response:
    """Delete a group that nothing uses."""
    group = requested_group(ctx, request)
    await ctx.app.security_groups.delete(group)
    return {"Return": True, "GroupId": group.id}


@operation(
    "AuthorizeSecurityGroupIngress",
    honours=f"GroupId GroupName {PERMISSIONS} {_FLAT} SourceSecurityGroupName TagSpecifications",
)
async def authorize_security_group_ingress(ctx: RequestContext, request: Request) -> Response:
    """Add rules for what comes in."""
    return await _authorize(ctx, request, egress=False)


@operation("AuthorizeSecurityGroupEgress", honours=f"GroupId {PERMISSIONS} {_FLAT} TagSpecifications")
async def authorize_security_group_egress(ctx: RequestContext, request: Request) -> Response:
    """Add rules for what goes out."""
    return await _authorize(ctx, request, egress=True)


@operation(
    "RevokeSecurityGroupIngress",
    honours=f"GroupId GroupName {PERMISSIONS} {_FLAT} SourceSecurityGroupName SecurityGroupRuleIds",
)
async def revoke_security_group_ingress(ctx: RequestContext, request: Request) -> Response:
    """Remove rules for what comes in."""
    return await _revoke(ctx, request, egress=False)


@operation("RevokeSecurityGroupEgress", honours=f"GroupId {PERMISSIONS} {_FLAT} SecurityGroupRuleIds")
async def revoke_security_group_egress(ctx: RequestContext, request: Request) -> Response:
    """Remove rules for what goes out."""
    return await _revoke(ctx, request, egress=True)


@operation("DescribeSecurityGroupRules", honours="SecurityGroupRuleIds Filters MaxResults NextToken")
async def describe_security_group_rules(ctx: RequestContext, request: Request) -> Response:
    """List rules, one row each."""
    matches = RULE_FILTERS.compile(request)
    rules = ctx.app.security_groups.rules(ctx.caller, request.get("SecurityGroupRuleIds"))
    matching = [entry for entry in rules if matches(entry)]
    shown, token = page(
        ctx, request, matching, key=lambda entry: entry[1].id, sizes=(5, 1000), ids="SecurityGroupRuleIds"
    )
    return {"SecurityGroupRules": [_rule_view(group, rule) for group, rule in shown], "NextToken": token}


async def _authorize(ctx: RequestContext, request: Request, *, egress: bool) -> Response:
    tags = requested_tags(request, "security-group-rule")["security-group-rule"]
    group = requested_group(ctx, request)
    permissions = requested_permissions(ctx, request, group.vpc_id)
    added = await ctx.app.security_groups.authorize(group, permissions, egress=egress, tags=tags)
    return {"Return": True, "SecurityGroupRules": [_rule_view(group, rule) for rule in added]}


async def _revoke(ctx: RequestContext, request: Request, *, egress: bool) -> Response:
    group = requested_group(ctx, request)
    rule_ids = request.get("SecurityGroupRuleIds") or ()
    if rule_ids and names_permissions(request):
        raise invalid_combination("The request cannot have both SecurityGroupRuleIds and permissions")
    permissions = [] if rule_ids else requested_permissions(ctx, request, group.vpc_id)
    removed = await ctx.app.security_groups.revoke(group, egress=egress, permissions=permissions, rule_ids=rule_ids)
    return {"Return": True, "RevokedSecurityGroupRules": [_revoked_view(group, rule) for rule in removed]}


def requested_group(ctx: RequestContext, request: Request) -> SecurityGroup:
    """Return the caller's group that a request names, by its id or by its name in the default VPC."""
    group_id, name = request.get("GroupId"), request.get("GroupName")
    if group_id and name:
        raise invalid_combination("The parameter GroupName cannot be used with the parameter GroupId")
    if group_id:
        return ctx.app.security_groups.describe(ctx.caller, [group_id])[0]
    if name:
        return ctx.app.security_groups.named(ctx.caller, name)
    raise missing_parameter("groupId")


def _arn(group: SecurityGroup) -> str:
    return f"arn:aws:ec2:{group.region}:{group.account_id}:security-group/{group.id}"


def _group_view(group: SecurityGroup) -> Response:
    ingress = [rule for rule in group.rules if not rule.is_egress]
    egress = [rule for rule in group.rules if rule.is_egress]
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account_id,
        "VpcId": group.vpc_id,
        "SecurityGroupArn": _arn(group),
        "IpPermissions": permission_views(ingress, group.account_id),
        "IpPermissionsEgress": permission_views(egress, group.account_id),
        "Tags": tag_set(group.tags),
    }


def _rule_view(group: SecurityGroup, rule: SecurityGroupRule) -> Response:
    return {
        "SecurityGroupRuleId": rule.id,
        "SecurityGroupRuleArn": _arn(group).replace(f"security-group/{group.id}", f"security-group-rule/{rule.id}"),
        "GroupId": group.id,
        "GroupOwnerId": group.account_id,
        "IsEgress": rule.is_egress,
        **_permission_members(rule),
        "ReferencedGroupInfo": {"GroupId": rule.referenced_group_id, "UserId": group.account_id}
        if rule.referenced_group_id
        else None,
        "Tags": tag_set(rule.tags),
    }


def _revoked_view(group: SecurityGroup, rule: SecurityGroupRule) -> Response:
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": group.id,
        "IsEgress": rule.is_egress,
        **_permission_members(rule),
        "ReferencedGroupId": rule.referenced_group_id,
    }


def _permission_members(rule: SecurityGroupRule) -> dict[str, Any]:
    return {
        "IpProtocol": rule.protocol,
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
        "CidrIpv4": rule.cidr_ipv4,
        "CidrIpv6": rule.cidr_ipv6,
        "PrefixListId": rule.prefix_list_id,
        "Description": rule.description,
    }
