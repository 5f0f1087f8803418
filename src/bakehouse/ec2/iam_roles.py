"""IAM's operations on roles and on the policies in them."""

from bakehouse.ec2.iam_views import encoded, given_tags, listed, profile_view, role_view, tag_list
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation(
    "CreateRole",
    service="iam",
    honours="RoleName AssumeRolePolicyDocument Path Description MaxSessionDuration Tags",
)
async def create_role(ctx: RequestContext, request: Request) -> Response:
    """Make a role."""
    role = await ctx.app.iam_roles.create(
        ctx.caller,
        request["RoleName"],
        request["AssumeRolePolicyDocument"],
        path=request.get("Path", "/"),
        description=request.get("Description"),
        max_session_s=request.get("MaxSessionDuration", 3600),
        tags=given_tags(request),
    )
    return {"Role": role_view(role)}


@operation("GetRole", service="iam", honours="RoleName")
async def get_role(ctx: RequestContext, request: Request) -> Response:
    """Show a role."""
    return {"Role": role_view(ctx.app.iam_roles.get(ctx.caller, request["RoleName"]))}


@operation("ListRoles", service="iam", honours="PathPrefix Marker MaxItems")
async def list_roles(ctx: RequestContext, request: Request) -> Response:
    """List the account's roles by name."""
    roles = ctx.app.iam_roles.all_of(ctx.caller, request.get("PathPrefix", "/"))
    return listed(request, "Roles", roles, lambda it: it.name, lambda it: role_view(it, whole=False))


@operation("UpdateRole", service="iam", honours="RoleName Description MaxSessionDuration")
async def update_role(ctx: RequestContext, request: Request) -> Response:
    """Change what is told of a role."""
    await ctx.app.iam_roles.update(
        ctx.caller,
        request["RoleName"],
        description=request.get("Description"),
        max_session_s=request.get("MaxSessionDuration"),
    )
    return {}


@operation("UpdateAssumeRolePolicy", service="iam", honours="RoleName PolicyDocument")
async def update_assume_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Change who may assume a role. It is kept, not evaluated."""
    await ctx.app.iam_roles.trust(ctx.caller, request["RoleName"], request["PolicyDocument"])
    return {}


@operation("DeleteRole", service="iam", honours="RoleName")
async def delete_role(ctx: RequestContext, request: Request) -> Response:
    """Remove a role; credentials for it are no longer good."""
    await ctx.app.iam_roles.delete(ctx.caller, request["RoleName"])
    return {}


@operation("TagRole", service="iam", honours="RoleName Tags")
async def tag_role(ctx: RequestContext, request: Request) -> Response:
    """Write tags on a role."""
    await ctx.app.iam_roles.tag(ctx.caller, request["RoleName"], given_tags(request), remove=frozenset())
    return {}


@operation("UntagRole", service="iam", honours="RoleName TagKeys")
async def untag_role(ctx: RequestContext, request: Request) -> Response:
    """Remove tags from a role."""
    await ctx.app.iam_roles.tag(ctx.caller, request["RoleName"], {}, remove=frozenset(request["TagKeys"]))
    return {}


@operation("ListRoleTags", service="iam", honours="RoleName Marker MaxItems")
async def list_role_tags(ctx: RequestContext, request: Request) -> Response:
    """List a role's tags."""
    tags = tag_list(ctx.app.iam_roles.get(ctx.caller, request["RoleName"]).tags)
    return listed(request, "Tags", tags, lambda it: it["Key"], lambda it: it)


@operation("ListInstanceProfilesForRole", service="iam", honours="RoleName Marker MaxItems")
async def list_instance_profiles_for_role(ctx: RequestContext, request: Request) -> Response:
    """List what hands out a role."""
    profiles = ctx.app.iam_roles.profiles_of(ctx.caller, request["RoleName"])
    return listed(request, "InstanceProfiles", profiles, lambda it: it.name, lambda it: profile_view(ctx, it))


@operation("PutRolePolicy", service="iam", honours="RoleName PolicyName PolicyDocument")
async def put_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Write a policy into a role."""
    await ctx.app.iam_roles.put_policy(
        ctx.caller, request["RoleName"], request["PolicyName"], request["PolicyDocument"]
    )
    return {}


@operation("GetRolePolicy", service="iam", honours="RoleName PolicyName")
async def get_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Show a policy in a role."""
    document = ctx.app.iam_roles.policy(ctx.caller, request["RoleName"], request["PolicyName"])
    return {
        "RoleName": request["RoleName"],
        "PolicyName": request["PolicyName"],
        "PolicyDocument": encoded(document),
    }


@operation("DeleteRolePolicy", service="iam", honours="RoleName PolicyName")
async def delete_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Remove a policy from a role."""
    await ctx.app.iam_roles.delete_policy(ctx.caller, request["RoleName"], request["PolicyName"])
    return {}


@operation("ListRolePolicies", service="iam", honours="RoleName Marker MaxItems")
async def list_role_policies(ctx: RequestContext, request: Request) -> Response:
    """List the names of the policies in a role."""
    names = ctx.app.iam_roles.get(ctx.caller, request["RoleName"]).inline_policies
    return listed(request, "PolicyNames", names, lambda it: it, lambda it: it)


@operation("AttachRolePolicy", service="iam", honours="RoleName PolicyArn")
async def attach_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Attach a policy to a role."""
    await ctx.app.iam_roles.attach_policy(ctx.caller, request["RoleName"], request["PolicyArn"])
    return {}


@operation("DetachRolePolicy", service="iam", honours="RoleName PolicyArn")
async def detach_role_policy(ctx: RequestContext, request: Request) -> Response:
    """Detach a policy from a role."""
    await ctx.app.iam_roles.detach_policy(ctx.caller, request["RoleName"], request["PolicyArn"])
    return {}


@operation("ListAttachedRolePolicies", service="iam", honours="RoleName PathPrefix Marker MaxItems")
async def list_attached_role_policies(ctx: RequestContext, request: Request) -> Response:
    """List the policies attached to a role."""
    prefix = request.get("PathPrefix", "/")
    arns = ctx.app.iam_roles.get(ctx.caller, request["RoleName"]).attached_policies
    found = [arn for arn in arns if arn.partition(":policy")[2].startswith(prefix)]
    return listed(
        request,
        "AttachedPolicies",
        found,
        lambda arn: arn,
        lambda arn: {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn},
    )
