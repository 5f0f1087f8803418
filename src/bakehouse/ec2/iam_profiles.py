"""IAM's operations on instance profiles, on an account's own policies, and on who asks."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.iam import ManagedPolicy, no_such_entity
from bakehouse.ec2.iam_views import encoded, given_tags, listed, policy_view, profile_view, tag_list
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: A policy's one version.
_VERSION: Final = "v1"


@operation("CreateInstanceProfile", service="iam", honours="InstanceProfileName Path Tags")
async def create_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Make an instance profile without a role."""
    profile = await ctx.app.iam_profiles.create(
        ctx.caller, request["InstanceProfileName"], path=request.get("Path", "/"), tags=given_tags(request)
    )
    return {"InstanceProfile": profile_view(ctx, profile)}


@operation("GetInstanceProfile", service="iam", honours="InstanceProfileName")
async def get_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Show an instance profile."""
    profile = ctx.app.iam_profiles.get(ctx.caller, request["InstanceProfileName"])
    return {"InstanceProfile": profile_view(ctx, profile)}


@operation("ListInstanceProfiles", service="iam", honours="PathPrefix Marker MaxItems")
async def list_instance_profiles(ctx: RequestContext, request: Request) -> Response:
    """List the account's instance profiles by name."""
    profiles = ctx.app.iam_profiles.all_of(ctx.caller, request.get("PathPrefix", "/"))
    return listed(request, "InstanceProfiles", profiles, lambda it: it.name, lambda it: profile_view(ctx, it))


@operation("DeleteInstanceProfile", service="iam", honours="InstanceProfileName")
async def delete_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Remove an instance profile."""
    await ctx.app.iam_profiles.delete(ctx.caller, request["InstanceProfileName"])
    return {}


@operation("AddRoleToInstanceProfile", service="iam", honours="InstanceProfileName RoleName")
async def add_role_to_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Let an instance profile hand out a role."""
    await ctx.app.iam_profiles.add_role(ctx.caller, request["InstanceProfileName"], request["RoleName"])
    return {}


@operation("RemoveRoleFromInstanceProfile", service="iam", honours="InstanceProfileName RoleName")
async def remove_role_from_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Let an instance profile hand out nothing."""
    await ctx.app.iam_profiles.remove_role(ctx.caller, request["InstanceProfileName"], request["RoleName"])
    return {}


@operation("TagInstanceProfile", service="iam", honours="InstanceProfileName Tags")
async def tag_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Write tags on an instance profile."""
    name, tags = request["InstanceProfileName"], given_tags(request)
    await ctx.app.iam_profiles.tag(ctx.caller, name, tags, remove=frozenset())
    return {}


@operation("UntagInstanceProfile", service="iam", honours="InstanceProfileName TagKeys")
async def untag_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Remove tags from an instance profile."""
    name, keys = request["InstanceProfileName"], frozenset(request["TagKeys"])
    await ctx.app.iam_profiles.tag(ctx.caller, name, {}, remove=keys)
    return {}


@operation("ListInstanceProfileTags", service="iam", honours="InstanceProfileName Marker MaxItems")
async def list_instance_profile_tags(ctx: RequestContext, request: Request) -> Response:
    """List an instance profile's tags."""
    tags = tag_list(ctx.app.iam_profiles.get(ctx.caller, request["InstanceProfileName"]).tags)
    return listed(request, "Tags", tags, lambda it: it["Key"], lambda it: it)


@operation("CreatePolicy", service="iam", honours="PolicyName PolicyDocument Path Description Tags")
async def create_policy(ctx: RequestContext, request: Request) -> Response:
    """Make a policy of the account's own. It is kept, not evaluated."""
    policy = await ctx.app.iam_policies.create(
        ctx.caller,
        request["PolicyName"],
        request["PolicyDocument"],
        path=request.get("Path", "/"),
        description=request.get("Description"),
        tags=given_tags(request),
    )
    return {"Policy": policy_view(ctx, policy)}


@operation("GetPolicy", service="iam", honours="PolicyArn")
async def get_policy(ctx: RequestContext, request: Request) -> Response:
    """Show a policy of the account's own."""
    return {"Policy": policy_view(ctx, ctx.app.iam_policies.get(ctx.caller, request["PolicyArn"]))}


@operation("GetPolicyVersion", service="iam", honours="PolicyArn VersionId")
async def get_policy_version(ctx: RequestContext, request: Request) -> Response:
    """Show what a policy says."""
    policy = ctx.app.iam_policies.get(ctx.caller, request["PolicyArn"])
    if request["VersionId"] != _VERSION:
        raise no_such_entity(f"Policy {policy.arn} version {request['VersionId']} does not exist.")
    return {"PolicyVersion": {**_version(policy), "Document": encoded(policy.document)}}


@operation("ListPolicyVersions", service="iam", honours="PolicyArn Marker MaxItems")
async def list_policy_versions(ctx: RequestContext, request: Request) -> Response:
    """List a policy's one version."""
    policy = ctx.app.iam_policies.get(ctx.caller, request["PolicyArn"])
    return listed(request, "Versions", [policy], lambda _it: _VERSION, _version)


@operation("DeletePolicy", service="iam", honours="PolicyArn")
async def delete_policy(ctx: RequestContext, request: Request) -> Response:
    """Remove a policy of the account's own."""
    await ctx.app.iam_policies.delete(ctx.caller, request["PolicyArn"])
    return {}


@operation("GetUser", service="iam", honours="UserName")
async def get_user(ctx: RequestContext, request: Request) -> Response:
    """Show who asks: an account's root user. There are no others."""
    if "UserName" in request:
        raise no_such_entity(f"The user with name {request['UserName']} cannot be found.")
    account = ctx.app.accounts.get(ctx.caller.account_id)
    return {
        "User": {
            "Path": "/",
            "UserName": account.name,
            "UserId": account.id,
            "Arn": f"arn:aws:iam::{account.id}:root",
            "CreateDate": account.created_at,
        }
    }


@operation("ListAccountAliases", service="iam", honours="Marker MaxItems")
async def list_account_aliases(_ctx: RequestContext, request: Request) -> Response:
    """List the account's aliases: none is ever made."""
    return listed(request, "AccountAliases", [], str, str)


def _version(policy: ManagedPolicy) -> Mapping[str, Any]:
    return {"VersionId": _VERSION, "IsDefaultVersion": True, "CreateDate": policy.created_at}
