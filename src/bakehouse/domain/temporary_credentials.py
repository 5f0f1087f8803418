"""Temporary credentials: an access key that expires, good together with its session token only.

The token carries what it stands for, and is signed, so there is no table of them and they outlive a restart of the
server. Key id and secret follow from the same claim. Form of a token: URL-safe base64 of 32 bytes HMAC-SHA-256 and the
claim, a JSON array.
"""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_MAC_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Whom credentials stand for, and until when."""

    account_id: str
    arn: str
    """Such as `arn:aws:sts::123456789012:assumed-role/web/i-0f3a9c51e2b47d680`."""
    user_id: str
    """Such as `AROA...:i-0f3a9c51e2b47d680`; the account's number for its root user."""
    role_id: str | None
    expires_at: datetime
    access_key_id: str
    secret: str
    token: str


def issue(
    key: bytes, *, account_id: str, arn: str, user_id: str, role_id: str | None, expires_at: datetime, salt: str
) -> Session:
    """Return the credentials that follow from all of this: with the same salt the same ones."""
    claim = json.dumps([account_id, arn, user_id, role_id, int(expires_at.timestamp()), salt]).encode()
    return _of_claim(key, claim)


def read(key: bytes, access_key_id: str, token: str) -> Session | None:
    """Return what a token stands for; None if it was not issued with this key, or with another key id."""
    try:
        packed = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, claim = packed[:_MAC_BYTES], packed[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _derived(key, "token", claim)):
        return None
    session = _of_claim(key, claim)
    return session if session.access_key_id == access_key_id else None


def _of_claim(key: bytes, claim: bytes) -> Session:
    account_id, arn, user_id, role_id, expires_at, _salt = json.loads(claim)
    return Session(
        account_id=account_id,
        arn=arn,
        user_id=user_id,
        role_id=role_id,
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        # Source: IAM User Guide, "IAM identifiers": temporary key ids begin with ASIA.
        access_key_id="ASIA" + base64.b32encode(_derived(key, "id", claim))[:16].decode(),
        secret=base64.b64encode(_derived(key, "secret", claim))[:40].decode(),
        token=base64.urlsafe_b64encode(_derived(key, "token", claim) + claim).decode(),
    )


def _derived(key: bytes, purpose: str, claim: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + claim, "sha256")
