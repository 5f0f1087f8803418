"""Client tokens: what an earlier request with the same token made."""

from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller, client_token_id
from bakehouse.domain.errors import idempotent_mismatch
from bakehouse.domain.shown_afterwards import CLIENT_TOKEN

_TOKEN_LIFE_S: Final = CLIENT_TOKEN.total_seconds()


class ClientTokens:
    """Use cases on client tokens."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def made_by(self, caller: Caller) -> str | None:
        """Return the id of what the caller's token made, or None when the token is new or older than a day.

        Refuses a token that came with other parameters: IdempotentParameterMismatch.
        """
        token = caller.idempotency
        if token is None:
            return None
        record = self._context.store.client_tokens.get(client_token_id(caller, token.operation, token.token))
        if record is None or self._context.now().timestamp() - record.created_at > _TOKEN_LIFE_S:
            return None
        if record.digest != token.digest:
            raise idempotent_mismatch(token.token)
        return record.resource_id

    async def forget_old(self) -> None:
        """Remove tokens older than a day."""
        oldest = self._context.now().timestamp() - _TOKEN_LIFE_S
        async with self._context.store.transaction() as tx:
            for record in [token for token in self._context.store.client_tokens if token.created_at < oldest]:
                tx.delete(record)
