"""Session tokens of IMDSv2: opaque to the guest, good for one instance until they expire.

A token carries its expiry and is signed, so there is no table of them and they outlive a restart of the server.
Form: URL-safe base64 of 8 bytes expiry (milliseconds since the epoch), 8 random bytes, and 32 bytes HMAC-SHA-256 over
both and the instance's id.
"""

import binascii
import hmac
import math
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Final

#: Longest life of a token, 6 h. Source: EC2 User Guide, "How Instance Metadata Service Version 2 works".
TOKEN_TTL_MAX_S: Final = 6 * 60 * 60

_EXPIRY_BYTES: Final = 8
_CLAIM_BYTES: Final = _EXPIRY_BYTES + 8
_TOKEN_BYTES: Final = _CLAIM_BYTES + 32

#: Keeps these signatures apart from others made with the same secret.
_PURPOSE: Final = b"bakehouse imds token\x00"


class Tokens:
    """Issues tokens and checks them."""

    def __init__(self, secret: bytes) -> None:
        """Sign with this secret; tokens live as long as it stays the same."""
        self._secret = secret

    def issue(self, instance_id: str, ttl_s: int, now: datetime) -> str:
        """Return a token for this instance that expires `ttl_s` seconds from now."""
        expiry_ms = round(now.timestamp() * 1000) + ttl_s * 1000
        claim = expiry_ms.to_bytes(_EXPIRY_BYTES, "big") + secrets.token_bytes(_CLAIM_BYTES - _EXPIRY_BYTES)
        return urlsafe_b64encode(claim + self._signature(claim, instance_id)).decode()

    def seconds_left(self, token: str, instance_id: str, now: datetime) -> int | None:
        """Return how long a token of this instance still lives; None when it is expired, another's, or forged."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
        except (UnicodeEncodeError, binascii.Error):
            return None
        if len(raw) != _TOKEN_BYTES:
            return None
        claim, signature = raw[:_CLAIM_BYTES], raw[_CLAIM_BYTES:]
        if not hmac.compare_digest(signature, self._signature(claim, instance_id)):
            return None
        left_ms = int.from_bytes(claim[:_EXPIRY_BYTES], "big") - round(now.timestamp() * 1000)
        return math.ceil(left_ms / 1000) if left_ms > 0 else None

    def _signature(self, claim: bytes, instance_id: str) -> bytes:
        return hmac.digest(self._secret, _PURPOSE + claim + instance_id.encode(), "sha256")
