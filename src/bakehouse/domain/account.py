"""Accounts and their access keys."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bakehouse.domain.errors import Ec2Error

#: An access key id: `AKIA` and 16 characters of base 32. Source: IAM User Guide, unique identifiers.
_ACCESS_KEY_ALPHABET: Final = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer. `id` is the 12-digit account number."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key pair for signing requests. `id` is the access key id."""

    id: str
    account_id: str
    secret: str
    created_at: datetime


def new_account_id() -> str:
    """Return 12 random digits that do not begin with 0, so that no tool drops a digit."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def new_access_key(account_id: str, now: datetime) -> AccessKey:
    """Return a fresh access key: an id of 20 characters and a secret of 40."""
    key_id = "AKIA" + "".join(secrets.choice(_ACCESS_KEY_ALPHABET) for _ in range(16))
    return AccessKey(id=key_id, account_id=account_id, secret=secrets.token_urlsafe(30), created_at=now)


def account_exists(name: str, account_id: str) -> Ec2Error:
    """Refuse a second account of a name. Source: IAM API Reference, CreateAccountAlias, EntityAlreadyExists."""
    return Ec2Error(
        "EntityAlreadyExists",
        f"There is an account `{name}` already: {account_id}. Choose another name; `bakehouse account list` shows its "
        "access key.",
        409,
    )
