"""What an account has chosen for itself in one region."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """An account's settings in a region. Where nothing was chosen there is no record, and the defaults below hold."""

    id: str
    """`ACCOUNT/REGION`, as `account_settings_id` makes it."""
    account_id: str
    region: str


def account_settings_id(account_id: str, region: str) -> str:
    """Return the id of an account's settings in a region."""
    return f"{account_id}/{region}"
