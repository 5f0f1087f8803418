"""Accounts and access keys: who may call."""

from bakehouse.app.context import AppContext
from bakehouse.domain.account import AccessKey, Account, account_exists, new_access_key, new_account_id
from bakehouse.domain.default_network import default_network
from bakehouse.domain.errors import invalid_parameter


class Accounts:
    """Use cases on accounts."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, name: str) -> AccessKey:
        """Make an account with its first access key and the default network of the home region.

        Refuses a name that an account has already (EntityAlreadyExists): whoever asks twice gets no second account.
        """
        name = name.strip()
        if not name:
            raise invalid_parameter("An account needs a name.")
        for other in self._context.store.accounts:
            if other.name == name:
                raise account_exists(name, other.id)
        now = self._context.now()
        account = Account(id=new_account_id(), name=name, created_at=now)
        key = new_access_key(account.id, now)
        async with self._context.store.transaction() as tx:
            tx.put(account)
            tx.put(key)
            vpc, parts = default_network(account.id, self._context.home_region)
            for record in (vpc, *parts):
                tx.put(record)
        return key

    def all(self) -> list[tuple[Account, list[AccessKey]]]:
        """Return every account with its access keys, oldest first."""
        keys = self._context.store.access_keys.by("account")
        return [(account, list(keys[account.id].values())) for account in self._context.store.accounts]

    def get(self, account_id: str) -> Account:
        """Return an account that exists."""
        return self._context.store.accounts[account_id]

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """Return an access key, or None when there is none of that id."""
        return self._context.store.access_keys.get(access_key_id)
