"""Managed prefix list operations."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bakehouse.app.prefix_lists import PrefixListChange, PrefixListRequest
from bakehouse.domain.errors import invalid_parameter, not_found
from bakehouse.domain.prefix_list import AddressFamily, PrefixEntry, PrefixList
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

FILTERS: Final[Filters[PrefixList]] = Filters(
    {
        "owner-id": lambda it: [it.account_id],
        "prefix-list-id": lambda it: [it.id],
        "prefix-list-name": lambda it: [it.name],
    },
    tags=lambda it: it.tags,
)

#: Of the prefix lists of AWS's own services, of which there are none here.
_SERVICE_FILTERS: Final[Filters[PrefixList]] = Filters(
    {"prefix-list-id": lambda it: [it.id], "prefix-list-name": lambda it: [it.name]}
)


async def _create_again(ctx: RequestContext, list_id: str) -> Response:
    return {"PrefixList": _view(ctx.app.prefix_lists.one(ctx.caller, list_id), "create-in-progress")}


@operation(
    "CreateManagedPrefixList",
    honours="PrefixListName Entries MaxEntries TagSpecifications AddressFamily",
    replay=_create_again,
)
async def create_managed_prefix_list(ctx: RequestContext, request: Request) -> Response:
    """Make a list."""
    family = request["AddressFamily"]
    if family not in tuple(AddressFamily):
        raise invalid_parameter(f"Invalid value '{family}' for AddressFamily. Expecting IPv4 or IPv6.")
    wanted = PrefixListRequest(
        name=request["PrefixListName"],
        family=AddressFamily(family),
        max_entries=request["MaxEntries"],
        entries=_entries(request.get("Entries") or ()),
        tags=requested_tags(request, "prefix-list")["prefix-list"],
    )
    return {"PrefixList": _view(await ctx.app.prefix_lists.create(ctx.caller, wanted), "create-in-progress")}


@operation("DescribeManagedPrefixLists", honours="PrefixListIds Filters MaxResults NextToken")
async def describe_managed_prefix_lists(ctx: RequestContext, request: Request) -> Response:
    """List the caller's lists."""
    matches = FILTERS.compile(request)
    found = [it for it in ctx.app.prefix_lists.describe(ctx.caller, request.get("PrefixListIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda it: it.id, sizes=(1, 100))
    return {"PrefixLists": [_view(it, it.state) for it in shown], "NextToken": token}


@operation("DescribePrefixLists", honours="PrefixListIds Filters MaxResults NextToken")
async def describe_prefix_lists(ctx: RequestContext, request: Request) -> Response:
    """List the ranges of AWS's own services: there are none here."""
    _SERVICE_FILTERS.compile(request)
    if request.get("PrefixListIds"):
        raise not_found("prefix-list", request["PrefixListIds"])
    shown, token = page(ctx, request, (), key=str, sizes=(1, 1000))
    return {"PrefixLists": shown, "NextToken": token}


@operation("GetManagedPrefixListEntries", honours="PrefixListId TargetVersion MaxResults NextToken")
async def get_managed_prefix_list_entries(ctx: RequestContext, request: Request) -> Response:
    """List the entries of a version."""
    entries = ctx.app.prefix_lists.entries(ctx.caller, request["PrefixListId"], request.get("TargetVersion"))
    shown, token = page(ctx, request, entries, key=lambda it: it.cidr, sizes=(1, 100))
    return {"Entries": [{"Cidr": it.cidr, "Description": it.description} for it in shown], "NextToken": token}


@operation("GetManagedPrefixListAssociations", honours="PrefixListId MaxResults NextToken")
async def get_managed_prefix_list_associations(ctx: RequestContext, request: Request) -> Response:
    """List what names a list."""
    users = ctx.app.prefix_lists.users(ctx.app.prefix_lists.one(ctx.caller, request["PrefixListId"]))
    shown, token = page(ctx, request, users, key=lambda it: it.id, sizes=(5, 255))
    views = [{"ResourceId": group.id, "ResourceOwner": group.account_id} for group in shown]
    return {"PrefixListAssociations": views, "NextToken": token}


@operation(
    "ModifyManagedPrefixList",
    honours="PrefixListId CurrentVersion PrefixListName AddEntries RemoveEntries MaxEntries",
)
async def modify_managed_prefix_list(ctx: RequestContext, request: Request) -> Response:
    """Change a list."""
    change = PrefixListChange(
        current_version=request.get("CurrentVersion"),
        name=request.get("PrefixListName"),
        max_entries=request.get("MaxEntries"),
        added=_entries(request.get("AddEntries") or ()),
        removed=[entry["Cidr"] for entry in request.get("RemoveEntries") or ()],
    )
    changed = await ctx.app.prefix_lists.modify(ctx.caller, request["PrefixListId"], change)
    return {"PrefixList": _view(changed, "modify-in-progress")}


@operation("RestoreManagedPrefixListVersion", honours="PrefixListId PreviousVersion CurrentVersion")
async def restore_managed_prefix_list_version(ctx: RequestContext, request: Request) -> Response:
    """Make an earlier version count again."""
    changed = await ctx.app.prefix_lists.restore(
        ctx.caller, request["PrefixListId"], request["PreviousVersion"], request["CurrentVersion"]
    )
    return {"PrefixList": _view(changed, "restore-in-progress")}


@operation("DeleteManagedPrefixList", honours="PrefixListId")
async def delete_managed_prefix_list(ctx: RequestContext, request: Request) -> Response:
    """Delete a list that nothing names."""
    deleted = await ctx.app.prefix_lists.delete(ctx.caller, request["PrefixListId"])
    return {"PrefixList": _view(deleted, "delete-in-progress")}


def _entries(given: Iterable[Mapping[str, Any]]) -> list[PrefixEntry]:
    return [PrefixEntry(cidr=entry["Cidr"], description=entry.get("Description")) for entry in given]


def _view(prefix_list: PrefixList, state: str) -> dict[str, Any]:
    return {
        "PrefixListId": prefix_list.id,
        "AddressFamily": prefix_list.family.value,
        "State": state,
        "StateMessage": prefix_list.state_message or None,
        "PrefixListArn": f"arn:aws:ec2:{prefix_list.region}:{prefix_list.account_id}:prefix-list/{prefix_list.id}",
        "PrefixListName": prefix_list.name,
        "MaxEntries": prefix_list.max_entries,
        "Version": prefix_list.version,
        "OwnerId": prefix_list.account_id,
        "Tags": tag_set(prefix_list.tags),
    }
