"""Instance profiles of instances."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.instance import Instance
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.launch_options import profile_reference
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

FILTERS: Final[Filters[Instance]] = Filters({"instance-id": lambda it: (it.id,), "state": lambda _it: ("associated",)})


@operation("AssociateIamInstanceProfile", honours="InstanceId IamInstanceProfile.Arn IamInstanceProfile.Name")
async def associate_iam_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Give an instance a profile. Its guest reads credentials at once; the answer says `associating`, as EC2's does."""
    instance = await ctx.app.profile_associations.associate(
        ctx.caller, request["InstanceId"], profile_reference(request["IamInstanceProfile"])
    )
    return {"IamInstanceProfileAssociation": _view(instance, "associating")}


@operation("DisassociateIamInstanceProfile", honours="AssociationId")
async def disassociate_iam_instance_profile(ctx: RequestContext, request: Request) -> Response:
    """Take an instance's profile."""
    instance = await ctx.app.profile_associations.disassociate(ctx.caller, request["AssociationId"])
    return {"IamInstanceProfileAssociation": _view(instance, "disassociating")}


@operation(
    "ReplaceIamInstanceProfileAssociation", honours="AssociationId IamInstanceProfile.Arn IamInstanceProfile.Name"
)
async def replace_iam_instance_profile_association(ctx: RequestContext, request: Request) -> Response:
    """Give an instance another profile."""
    instance = await ctx.app.profile_associations.replace(
        ctx.caller, request["AssociationId"], profile_reference(request["IamInstanceProfile"])
    )
    return {"IamInstanceProfileAssociation": _view(instance, "associating")}


@operation("DescribeIamInstanceProfileAssociations", honours="AssociationIds Filters MaxResults NextToken")
async def describe_iam_instance_profile_associations(ctx: RequestContext, request: Request) -> Response:
    """List the instances that have profiles."""
    matches = FILTERS.compile(request)
    found = [
        it for it in ctx.app.profile_associations.describe(ctx.caller, request.get("AssociationIds")) if matches(it)
    ]
    shown, token = page(ctx, request, found, key=lambda it: it.id, sizes=(5, 1000), ids="AssociationIds")
    return {"IamInstanceProfileAssociations": [_view(it, "associated") for it in shown], "NextToken": token}


def _view(instance: Instance, state: str) -> Mapping[str, Any]:
    association = instance.profile
    if association is None:
        return {}
    return {
        "AssociationId": association.id,
        "InstanceId": instance.id,
        "IamInstanceProfile": {"Arn": association.profile_arn, "Id": association.profile_id},
        "State": state,
        "Timestamp": association.associated_at,
    }
