"""Sharing images and snapshots on the wire: accounts and the group `all`, in today's form and in the older flat one."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.image import user_group_unknown
from bakehouse.ec2.registry import Request


class Sharing(NamedTuple):
    """With whom something is shared from now on, and with whom no more: account ids, or `all`."""

    add: list[str]
    remove: list[str]


def requested_sharing(request: Request, *, member: str, groups: str) -> Sharing:
    """Return what a request asks for: in `member`, by OperationType with UserIds and `groups`, or both at once.

    Refuses a request that asks for nothing, and the flat form without OperationType: MissingParameter. Where the flat
    form only repeats what `member` says, as Packer's does, it needs none.
    """
    permission = request.get(member) or {}
    sharing = Sharing(list(_accounts(permission.get("Add"))), list(_accounts(permission.get("Remove"))))
    flat = [*(request.get("UserIds") or ()), *_checked(request.get(groups) or ())]
    if "OperationType" not in request:
        if not {*sharing.add, *sharing.remove}.issuperset(flat):
            raise missing_parameter("operationType")
    else:
        (sharing.add if request["OperationType"] == "add" else sharing.remove).extend(flat)
    if not any(sharing):
        raise missing_parameter(member[0].lower() + member[1:])
    return sharing


def account_view(account: str) -> dict[str, str]:
    """Return one of those that something is shared with."""
    return {"Group": account} if account == "all" else {"UserId": account}


def _accounts(entries: Iterable[Mapping[str, str]] | None) -> Iterable[str]:
    for entry in entries or ():
        if "UserId" in entry:
            yield entry["UserId"]
        if "Group" in entry:
            yield from _checked([entry["Group"]])


def _checked(groups: Iterable[str]) -> Iterable[str]:
    for group in groups:
        if group != "all":
            raise user_group_unknown(group)
        yield group
