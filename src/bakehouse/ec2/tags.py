"""Tag operations."""

from typing import Final

from bakehouse.app.tags import TagOfResource
from bakehouse.domain.errors import invalid_parameter, missing_parameter
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

FILTERS: Filters[TagOfResource] = Filters(
    {
        "key": lambda tag: [tag.key],
        "resource-id": lambda tag: [tag.resource_id],
        "resource-type": lambda tag: [tag.resource_type],
        "value": lambda tag: [tag.value],
    },
    tags=lambda tag: {tag.key: tag.value},
    parts=False,
)


#: Source: EC2 API Reference, CreateTags and DeleteTags, ResourceId.
_RESOURCES_MAX: Final = 1000


@operation("CreateTags", honours="Resources Tags")
async def create_tags(ctx: RequestContext, request: Request) -> Response:
    """Write tags on resources."""
    _check_resources(request)
    tags: dict[str, str] = {}
    for tag in request["Tags"]:
        if "Key" not in tag:
            raise missing_parameter("Tag.Key")
        if tag["Key"] in tags:
            raise invalid_parameter(f"Duplicate tag key '{tag['Key']}' specified.")
        tags[tag["Key"]] = tag.get("Value", "")
    await ctx.app.tags.create(ctx.caller, request["Resources"], tags)
    return {}


@operation("DeleteTags", honours="Resources Tags")
async def delete_tags(ctx: RequestContext, request: Request) -> Response:
    """Remove tags: all, by key, or by key and value. Source: EC2 API Reference, DeleteTags."""
    _check_resources(request)
    given = request.get("Tags")
    tags = None if given is None else {tag.get("Key", ""): tag.get("Value") for tag in given}
    await ctx.app.tags.delete(ctx.caller, request["Resources"], tags)
    return {}


def _check_resources(request: Request) -> None:
    if len(request["Resources"]) > _RESOURCES_MAX:
        raise invalid_parameter(f"Up to {_RESOURCES_MAX} resource IDs may be specified in one request.")


@operation("DescribeTags", honours="Filters MaxResults NextToken")
async def describe_tags(ctx: RequestContext, request: Request) -> Response:
    """List tags, one row for each key of each resource."""
    matches = FILTERS.compile(request)
    tags = [tag for tag in ctx.app.tags.describe(ctx.caller) if matches(tag)]
    shown, token = page(ctx, request, tags, key=lambda tag: f"{tag.resource_id}/{tag.key}", sizes=(5, 1000))
    return {
        "Tags": [
            {
                "ResourceId": tag.resource_id,
                "ResourceType": tag.resource_type,
                "Key": tag.key,
                "Value": tag.value,
            }
            for tag in shown
        ],
        "NextToken": token,
    }
