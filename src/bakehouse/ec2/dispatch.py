"""What every operation shares: members that are not honoured, DryRun, and client tokens."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

from bakehouse.domain.caller import Idempotency
from bakehouse.domain.errors import dry_run_succeeded, invalid_parameter, not_honoured
from bakehouse.ec2.registry import Operation, Replay, Request, RequestContext, Response

#: The most ASCII characters of a client token, where an operation limits them and the model does not tell.
#: Source: EC2 API Reference, ClientToken of each.
_TOKEN_LENGTHS: Final = {
    "CreateLaunchTemplate": 128,
    "CreateLaunchTemplateVersion": 128,
    "CreateNatGateway": 64,
    "CreateVolume": 64,
    "ModifyLaunchTemplate": 128,
    "RunInstances": 64,
}


class Dispatcher:
    """Calls handlers."""

    def __init__(self) -> None:
        """Begin with no client token in use."""
        self._in_use: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def call(
        self, ctx: RequestContext, operation: Operation, request: Request, *, token_member: str | None
    ) -> Response:
        """Answer a parsed request.

        `token_member` is the member that the model marks as idempotency token, or None. A token that came before with
        the same parameters is answered from what it made; with others it is refused: IdempotentParameterMismatch.
        """
        token = request.pop(token_member, None) if token_member else None
        dry_run = request.pop("DryRun", False)
        operation.honours.refuse_others(request, operation.reasons)
        if dry_run:
            raise dry_run_succeeded()
        # Not earlier: a request that is refused for what it is leaves nothing behind.
        await ctx.app.networks.ensure_default(ctx.caller)
        if token is None:
            return await operation.handler(ctx, request)
        if operation.replay is None:
            raise not_honoured(token_member or "ClientToken")
        _check_token(operation.name, token)
        return await self._once(ctx, operation, operation.replay, request, token)

    async def _once(
        self, ctx: RequestContext, operation: Operation, replay: Replay, request: Request, token: str
    ) -> Response:
        idempotency = Idempotency(operation=operation.name, token=token, digest=_digest(request))
        ctx = replace(ctx, caller=replace(ctx.caller, idempotency=idempotency))
        key = f"{ctx.caller.account_id}/{ctx.caller.region}/{operation.name}/{token}"
        # Kept alive by those who hold it or wait for it, and by nobody else.
        lock = self._in_use.setdefault(key, asyncio.Lock())
        async with lock:
            made = ctx.app.client_tokens.made_by(ctx.caller)
            return await (operation.handler(ctx, request) if made is None else replay(ctx, made))


def _check_token(operation: str, token: str) -> None:
    longest = _TOKEN_LENGTHS.get(operation)
    if longest is not None and (len(token) > longest or not token.isascii()):
        raise invalid_parameter(f"Invalid client token: it may have up to {longest} ASCII characters.")


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=repr).encode()).hexdigest()
