"""Opaque tokens that carry where a page ended, signed so that only our own come back.

A token holds no secret (its payload can be read), but it cannot be forged or moved to another key.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

#: 16 of the 32 bytes of the code: 128 bits against forgery keep the token short.
_CODE_BYTES: Final = 16

#: Longer than any token of ours; keeps a hostile one from costing time.
_MAX_TOKEN_CHARACTERS: Final = 4096


class InvalidPageToken(ValueError):
    """A token that was not made with this key, or was changed since."""


def encode(key: bytes, payload: dict[str, Any]) -> str:
    """Return a token of letters, digits, `-` and `_` that `decode` turns back into `payload`.

    Args:
        key: Signs the token; at least 16 random bytes, the same in `decode`.
        payload: JSON values only.
    """
    text = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(_code(key, text) + text).decode().rstrip("=")


def decode(key: bytes, token: str) -> dict[str, Any]:
    """Return the payload of a token.

    Raises:
        InvalidPageToken: Anything that `encode` did not return for this key.
    """
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise InvalidPageToken("the token is too long")
    try:
        padded = token + "=" * (-len(token) % 4)
        raw = urlsafe_b64decode(padded.encode("ascii"))
    except ValueError as err:
        raise InvalidPageToken("the token is not base64") from err
    code, text = raw[:_CODE_BYTES], raw[_CODE_BYTES:]
    # Only one spelling of a token is right: base64 decoding skips characters that it does not know.
    if not hmac.compare_digest(code, _code(key, text)) or urlsafe_b64encode(raw).decode() != padded:
        raise InvalidPageToken("the token was not made here, or was changed")
    payload: dict[str, Any] = json.loads(text)
    return payload


def _code(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, b"page token\0" + text, hashlib.sha256)[:_CODE_BYTES]
