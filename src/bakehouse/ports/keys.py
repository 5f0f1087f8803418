"""The key store port: keys that encrypt the keys of volumes, and never leave it.

Kept apart from the disks: who has a copy of the disks' folder without the key store has nothing that can be read.
"""

from typing import Protocol


class KeyUnavailable(Exception):
    """The key store has no such key, or another than the one that was used."""


class KeyStore(Protocol):
    """Keeps keys by id. A key once made stays until it is destroyed."""

    async def create(self, key_id: str) -> None:
        """Make a key. There is one already: nothing happens. Afterwards it is on disk."""
        ...

    async def wrap(self, key_id: str, secret: bytes, *, purpose: str) -> bytes:
        """Encrypt a short secret, for this purpose alone.

        Raises:
            KeyUnavailable: There is no such key.
        """
        ...

    async def unwrap(self, key_id: str, wrapped: bytes, *, purpose: str) -> bytes:
        """Return a secret that was wrapped with this key for this purpose.

        Raises:
            KeyUnavailable: There is no such key, or it is not the one that the secret was wrapped with.
        """
        ...

    async def ids(self) -> frozenset[str]:
        """List the keys."""
        ...
