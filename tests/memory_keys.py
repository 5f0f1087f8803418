"""The key store port in memory."""

from bakehouse.drivers.keys import wrapping
from bakehouse.ports.keys import KeyUnavailable


class MemoryKeys:
    """Keeps keys for as long as it lives. Fulfils `bakehouse.ports.keys.KeyStore`.

    Attributes:
        keys: Every key by its id; a test may take one away.
    """

    def __init__(self) -> None:
        """Begin without keys."""
        self.keys: dict[str, bytes] = {}

    async def create(self, key_id: str) -> None:
        """Make a key: see the port."""
        self.keys.setdefault(key_id, wrapping.new_key())

    async def wrap(self, key_id: str, secret: bytes, *, purpose: str) -> bytes:
        """Encrypt a secret: see the port."""
        return wrapping.wrap(self._key(key_id), secret, purpose)

    async def unwrap(self, key_id: str, wrapped: bytes, *, purpose: str) -> bytes:
        """Return a wrapped secret: see the port."""
        return wrapping.unwrap(self._key(key_id), wrapped, purpose)

    async def ids(self) -> frozenset[str]:
        """List the keys: see the port."""
        return frozenset(self.keys)

    def _key(self, key_id: str) -> bytes:
        try:
            return self.keys[key_id]
        except KeyError as err:
            raise KeyUnavailable(f"the key {key_id} is not in the key store") from err
