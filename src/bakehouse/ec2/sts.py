"""STS, as far as EC2's clients need it: most of them begin by asking who they are."""

import re
from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.iam import invalid
from bakehouse.domain.temporary_credentials import Session
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: Source: STS API Reference, AssumeRole, GetSessionToken, DurationSeconds: default, smallest, largest.
_ROLE_LIFE_S: Final = (3600, 900, 43_200)
_TOKEN_LIFE_S: Final = (43_200, 900, 129_600)
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


@operation("GetCallerIdentity", service="sts")
async def get_caller_identity(ctx: RequestContext, _request: Request) -> Response:
    """Answer the account, as its root user or the role that temporary credentials stand for."""
    account_id, session = ctx.caller.account_id, ctx.caller.session
    if session is not None:
        return {"Account": account_id, "UserId": session.user_id, "Arn": session.arn}
    return {"Account": account_id, "UserId": account_id, "Arn": f"arn:aws:iam::{account_id}:root"}


@operation("AssumeRole", service="sts", honours="RoleArn RoleSessionName DurationSeconds")
async def assume_role(ctx: RequestContext, request: Request) -> Response:
    """Answer credentials for a role of the caller's account. Trust policies are not evaluated."""
    name = request["RoleSessionName"]
    if not _SESSION_NAME.fullmatch(name):
        raise invalid(name, "roleSessionName", r"Member must satisfy regular expression pattern: [\w+=,.@-]*")
    session, role = ctx.app.role_sessions.assume(ctx.caller, request["RoleArn"], name, _life(request, _ROLE_LIFE_S))
    return {
        "Credentials": _credentials(session),
        "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{name}", "Arn": session.arn},
    }


@operation("GetSessionToken", service="sts", honours="DurationSeconds")
async def get_session_token(ctx: RequestContext, request: Request) -> Response:
    """Answer credentials that stand for the account itself."""
    return {"Credentials": _credentials(ctx.app.role_sessions.of_caller(ctx.caller, _life(request, _TOKEN_LIFE_S)))}


def _life(request: Request, limits: tuple[int, int, int]) -> int:
    usual, shortest, longest = limits
    seconds: int = request.get("DurationSeconds", usual)
    if not shortest <= seconds <= longest:
        bound = f"greater than or equal to {shortest}" if seconds < shortest else f"less than or equal to {longest}"
        raise invalid(str(seconds), "durationSeconds", f"Member must have value {bound}")
    return seconds


def _credentials(session: Session) -> Mapping[str, Any]:
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.expires_at,
    }
