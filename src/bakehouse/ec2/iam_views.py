"""Roles, instance profiles and policies on the wire, and the pages of IAM's lists."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.iam import InstanceProfile, ManagedPolicy, Role, invalid
from bakehouse.ec2.registry import Request, RequestContext

T = TypeVar("T")

#: Source: IAM API Reference, MaxItems of each list: 100 when it is not given, 1000 at most.
_ITEMS = 100
_ITEMS_MAX = 1000


def encoded(document: str) -> str:
    """Return a policy as IAM answers it: percent-encoded by RFC 3986. Source: IAM API Reference, GetRolePolicy."""
    return quote(document, safe="-_.~")


def given_tags(request: Request) -> dict[str, str]:
    """Return the tags of a request."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}


def tag_list(tags: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return tags as IAM lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def role_view(role: Role, *, whole: bool = True) -> Mapping[str, Any]:
    """Return a Role; lists leave out tags and what it was last used for."""
    view: dict[str, Any] = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": encoded(role.trust_policy),
        "Description": role.description,
        "MaxSessionDuration": role.max_session_s,
    }
    if whole:
        view |= {"Tags": tag_list(role.tags) or None, "RoleLastUsed": {}}
    return view


def profile_view(ctx: RequestContext, profile: InstanceProfile) -> Mapping[str, Any]:
    """Return an InstanceProfile with its role."""
    role = ctx.app.iam_profiles.role_of(profile)
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": profile.arn,
        "CreateDate": profile.created_at,
        "Roles": [] if role is None else [role_view(role, whole=False)],
        "Tags": tag_list(profile.tags) or None,
    }


def policy_view(ctx: RequestContext, policy: ManagedPolicy) -> Mapping[str, Any]:
    """Return a Policy."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": "v1",
        "AttachmentCount": ctx.app.iam_policies.attachments(policy),
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "Description": policy.description,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.created_at,
        "Tags": tag_list(policy.tags),
    }


def listed(
    request: Request, member: str, entries: Iterable[T], key: Callable[[T], str], view: Callable[[T], Any]
) -> dict[str, Any]:
    """Return the page of a list that Marker and MaxItems ask for; it goes on behind the last key shown.

    Refuses a marker that is none (ValidationError), and a number of items outside 1 to 1000.
    """
    size = request.get("MaxItems", _ITEMS)
    if not 1 <= size <= _ITEMS_MAX:
        raise invalid(str(size), "maxItems", f"Member must have value between 1 and {_ITEMS_MAX}")
    found: Sequence[T] = sorted(entries, key=key)
    if "Marker" in request:
        last = _last_shown(request["Marker"])
        found = [entry for entry in found if key(entry) > last]
    shown, more = found[:size], len(found) > size
    marker = urlsafe_b64encode(key(shown[-1]).encode()).decode() if more else None
    return {member: [view(entry) for entry in shown], "IsTruncated": more, "Marker": marker}


def _last_shown(marker: str) -> str:
    try:
        return b64decode(marker, altchars=b"-_", validate=True).decode()
    except ValueError as err:
        raise Ec2Error("ValidationError", f"Invalid Marker: {marker[:100]}") from err
