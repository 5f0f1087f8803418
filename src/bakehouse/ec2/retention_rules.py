"""Operations of the Recycle Bin service: its retention rules."""

from collections.abc import Iterable, Mapping
from typing import Any

from bakehouse.app.retention_rules import RuleChange, RuleRequest, rule_arn
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.retention_rule import (
    LockState,
    ResourceTag,
    RetainedType,
    RetentionRule,
    page_token_invalid,
    rule_invalid,
)
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set


@operation(
    "CreateRule",
    service="rbin",
    honours="RetentionPeriod Description Tags ResourceType ResourceTags LockConfiguration ExcludeResourceTags",
)
async def create_rule(ctx: RequestContext, request: Request) -> Response:
    """Make a retention rule."""
    rule = await ctx.app.retention_rules.create(
        ctx.caller,
        RuleRequest(
            resource_type=RetainedType(request["ResourceType"]),
            retention_days=request["RetentionPeriod"]["RetentionPeriodValue"],
            description=request.get("Description", ""),
            resource_tags=_resource_tags(request.get("ResourceTags")),
            exclude_tags=_resource_tags(request.get("ExcludeResourceTags")),
            unlock_days=_unlock_days(request) if "LockConfiguration" in request else None,
            tags=_tags(request.get("Tags") or ()),
        ),
    )
    return {**_view(ctx, rule), "Tags": tag_set(rule.tags), **_lock_configuration(rule)}


@operation("GetRule", service="rbin", honours="Identifier")
async def get_rule(ctx: RequestContext, request: Request) -> Response:
    """Show a retention rule."""
    rule = ctx.app.retention_rules.get(ctx.caller, request["Identifier"])
    return {**_view(ctx, rule), **_lock_configuration(rule), **_lock_end(ctx, rule)}


@operation(
    "ListRules",
    service="rbin",
    honours="ResourceType ResourceTags ExcludeResourceTags LockState MaxResults NextToken",
)
async def list_rules(ctx: RequestContext, request: Request) -> Response:
    """List the retention rules of one resource type."""
    rules = ctx.app.retention_rules.describe(
        ctx.caller,
        RetainedType(request["ResourceType"]),
        resource_tags=_resource_tags(request.get("ResourceTags")),
        exclude_tags=_resource_tags(request.get("ExcludeResourceTags")),
        lock_state=LockState(request["LockState"]) if "LockState" in request else None,
    )
    shown, token = _page(ctx, request, rules)
    return {"Rules": [_summary(ctx, rule) for rule in shown], "NextToken": token}


@operation(
    "UpdateRule",
    service="rbin",
    honours="Identifier RetentionPeriod Description ResourceType ResourceTags ExcludeResourceTags",
)
async def update_rule(ctx: RequestContext, request: Request) -> Response:
    """Change a retention rule that is not locked."""
    change = RuleChange(
        resource_type=RetainedType(request["ResourceType"]) if "ResourceType" in request else None,
        retention_days=request["RetentionPeriod"]["RetentionPeriodValue"] if "RetentionPeriod" in request else None,
        description=request.get("Description"),
        resource_tags=_resource_tags(request["ResourceTags"]) if "ResourceTags" in request else None,
        exclude_tags=_resource_tags(request["ExcludeResourceTags"]) if "ExcludeResourceTags" in request else None,
    )
    rule = await ctx.app.retention_rules.update(ctx.caller, request["Identifier"], change)
    return {**_view(ctx, rule), **_lock_end(ctx, rule)}


@operation("DeleteRule", service="rbin", honours="Identifier")
async def delete_rule(ctx: RequestContext, request: Request) -> Response:
    """Delete a retention rule that is not locked."""
    await ctx.app.retention_rules.delete(ctx.caller, request["Identifier"])
    return {}


@operation("LockRule", service="rbin", honours="Identifier LockConfiguration")
async def lock_rule(ctx: RequestContext, request: Request) -> Response:
    """Lock a region-level retention rule."""
    rule = await ctx.app.retention_rules.lock(ctx.caller, request["Identifier"], _unlock_days(request))
    return {**_view(ctx, rule), **_lock_configuration(rule)}


@operation("UnlockRule", service="rbin", honours="Identifier")
async def unlock_rule(ctx: RequestContext, request: Request) -> Response:
    """Begin the unlock delay of a locked retention rule."""
    rule = await ctx.app.retention_rules.unlock(ctx.caller, request["Identifier"])
    return {**_view(ctx, rule), **_lock_configuration(rule), **_lock_end(ctx, rule)}


@operation("TagResource", service="rbin", honours="ResourceArn Tags")
async def tag_rule(ctx: RequestContext, request: Request) -> Response:
    """Write tags on a retention rule."""
    await ctx.app.retention_rules.tag(ctx.caller, request["ResourceArn"], _tags(request["Tags"]))
    return {}


@operation("UntagResource", service="rbin", honours="ResourceArn TagKeys")
async def untag_rule(ctx: RequestContext, request: Request) -> Response:
    """Remove tags from a retention rule."""
    await ctx.app.retention_rules.untag(ctx.caller, request["ResourceArn"], request["TagKeys"])
    return {}


@operation("ListTagsForResource", service="rbin", honours="ResourceArn")
async def list_tags_of_rule(ctx: RequestContext, request: Request) -> Response:
    """List the tags of a retention rule."""
    rule = ctx.app.retention_rules.by_arn(ctx.caller, request["ResourceArn"])
    return {"Tags": tag_set(rule.tags)}


def _page(
    ctx: RequestContext, request: Request, rules: list[RetentionRule]
) -> tuple[Iterable[RetentionRule], str | None]:
    """Return one page; this service's tokens are of base64's first alphabet, without `-` and `_`."""
    asked = dict(request)
    if "NextToken" in asked:
        asked["NextToken"] = asked["NextToken"].replace("+", "-").replace("/", "_")
    try:
        shown, token = page(ctx, asked, rules, key=lambda rule: rule.id, sizes=(1, 1000))
    except Ec2Error as err:
        if err.code == "InvalidNextToken":
            raise page_token_invalid() from err
        raise
    return shown, token and token.replace("-", "+").replace("_", "/")


def _resource_tags(given: Iterable[Mapping[str, str]] | None) -> tuple[ResourceTag, ...]:
    return tuple(ResourceTag(tag["ResourceTagKey"], tag.get("ResourceTagValue", "")) for tag in given or ())


def _tags(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in given:
        if tag["Key"] in tags:
            raise rule_invalid(f"The tag key {tag['Key']} is given twice.")
        tags[tag["Key"]] = tag["Value"]
    return tags


def _unlock_days(request: Request) -> int:
    days: int = request["LockConfiguration"]["UnlockDelay"]["UnlockDelayValue"]
    return days


def _resource_tag_views(tags: Iterable[ResourceTag]) -> list[dict[str, str]]:
    return [{"ResourceTagKey": tag.key, "ResourceTagValue": tag.value} for tag in tags]


def _summary(ctx: RequestContext, rule: RetentionRule) -> dict[str, Any]:
    return {
        "Identifier": rule.id,
        "Description": rule.description,
        "RetentionPeriod": {"RetentionPeriodValue": rule.retention_days, "RetentionPeriodUnit": "DAYS"},
        "LockState": ctx.app.retention_rules.lock_state(rule),
        "RuleArn": rule_arn(rule),
    }


def _view(ctx: RequestContext, rule: RetentionRule) -> dict[str, Any]:
    return {
        **_summary(ctx, rule),
        "ResourceType": rule.resource_type,
        "ResourceTags": _resource_tag_views(rule.resource_tags),
        "ExcludeResourceTags": _resource_tag_views(rule.exclude_tags),
        # A rule counts from the moment when it is made.
        "Status": "available",
    }


def _lock_configuration(rule: RetentionRule) -> dict[str, Any]:
    if rule.unlock_days is None:
        return {}
    return {"LockConfiguration": {"UnlockDelay": {"UnlockDelayValue": rule.unlock_days, "UnlockDelayUnit": "DAYS"}}}


def _lock_end(ctx: RequestContext, rule: RetentionRule) -> dict[str, Any]:
    """Return when the unlock delay ends, while it runs."""
    if ctx.app.retention_rules.lock_state(rule) is not LockState.PENDING_UNLOCK:
        return {}
    return {"LockEndTime": rule.unlocks_at}
