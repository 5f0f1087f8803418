"""What accounts have chosen for themselves in a region."""

from dataclasses import replace
from typing import Any

from bakehouse.app.context import AppContext
from bakehouse.domain.account_settings import AccountSettings, account_settings_id
from bakehouse.domain.caller import Caller


def settings_of(context: AppContext, account_id: str, region: str) -> AccountSettings:
    """Return an account's settings in a region; the defaults where nothing was chosen."""
    settings_id = account_settings_id(account_id, region)
    chosen = context.store.account_settings.get(settings_id)
    return chosen or AccountSettings(id=settings_id, account_id=account_id, region=region)


async def change_settings(context: AppContext, caller: Caller, **changes: Any) -> AccountSettings:  # noqa: ANN401 - fields
    """Change fields of the caller's settings and return them as they are now."""
    changed = replace(settings_of(context, caller.account_id, caller.region), **changes)
    async with context.store.transaction() as tx:
        tx.put(changed)
    return changed
