"""Who asks, and where: the account and region that a verified signature names."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from bakehouse.domain.temporary_credentials import Session

#: Source: EC2 API Reference, Ensuring idempotency in Amazon EC2 API requests: up to 64 ASCII characters.
_TOKEN_LENGTH: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A client token, with a digest of the parameters that came with it."""

    operation: str
    token: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request's identity. The region is the one of the credential scope, not of the host."""

    account_id: str
    region: str
    access_key_id: str = field(default="", repr=False)
    idempotency: Idempotency | None = None
    session: Session | None = field(default=None, repr=False)
    """Whom temporary credentials stand for; None with those of the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTokenRecord:
    """What a client token made. `id` is account, region, operation and token, joined by slashes."""

    id: str
    digest: str
    resource_id: str
    created_at: float
    """Seconds since the epoch; tokens are forgotten after a day."""


def client_token_id(caller: Caller, operation: str, token: str) -> str:
    """Return the record id of a token: tokens are unique per account, region and operation.

    One that is longer than EC2 knows them stands by its digest: a key of PostgreSQL holds 2,700 bytes.
    """
    if len(token) > _TOKEN_LENGTH:
        token = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    return f"{caller.account_id}/{caller.region}/{operation}/{token}"
