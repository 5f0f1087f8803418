"""How a key encrypts a secret: AES-256-GCM, the purpose bound to it. Source: NIST SP 800-38D."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bakehouse.ports.keys import KeyUnavailable

KEY_BYTES: Final = 32

_NONCE_BYTES: Final = 12


def new_key() -> bytes:
    """Return a key that nobody has."""
    return AESGCM.generate_key(8 * KEY_BYTES)


def wrap(key: bytes, secret: bytes, purpose: str) -> bytes:
    """Encrypt a secret."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, purpose.encode())


def unwrap(key: bytes, wrapped: bytes, purpose: str) -> bytes:
    """Return a secret that was wrapped with this key.

    Raises:
        KeyUnavailable: It was wrapped with another, or for another purpose.
    """
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError) as err:
        raise KeyUnavailable(f"the key is not the one that {purpose} was encrypted with") from err
