"""STS, as far as EC2's clients need it: most of them begin by asking who they are."""

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("GetCallerIdentity", service="sts")
async def get_caller_identity(ctx: RequestContext, _request: Request) -> Response:
    """Answer the account, as its root user. Source: STS API Reference, GetCallerIdentity."""
    account_id = ctx.caller.account_id
    return {"Account": account_id, "UserId": account_id, "Arn": f"arn:aws:iam::{account_id}:root"}
