"""The keys of layers: each a random passphrase, itself encrypted with a key of the key store, in a small file.

A layer's name says which opens it (`layers.new_name`): a volume's first layer gets a new one, and all that is put above
has the same, as EBS has one data key for a volume and its snapshots. Whatever no layer names is garbage.
"""

import secrets
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from bakehouse.drivers.volumes.qcow2.manifests import Manifests
from bakehouse.ports.keys import KeyStore, KeyUnavailable
from bakehouse.ports.volumes import LayerKey

#: A layer is made within milliseconds of its key. On a host a thousand times slower the key is there all the same.
SETTLE_S: Final = 60.0

#: As many random bits as the longest key has.
_PASSPHRASE_BYTES: Final = 32


class DataKeyManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One data key, as it lies beside the layers."""

    key_id: str
    """The key of the key store that it is encrypted with."""
    wrapped: bytes


def gone(data_key_id: str) -> KeyUnavailable:
    """Say that a data key is not here."""
    return KeyUnavailable(f"the data key {data_key_id} is gone")


class NoKeys:
    """A key store without keys, for tools that open nothing that is encrypted. Fulfils `ports.keys.KeyStore`."""

    async def create(self, key_id: str) -> None:
        """Refuse: see the port."""
        raise KeyUnavailable(f"there is no key store for the key {key_id}")

    async def wrap(self, key_id: str, secret: bytes, *, purpose: str) -> bytes:  # noqa: ARG002 - the port's shape
        """Refuse: see the port."""
        raise KeyUnavailable(f"there is no key store for the key {key_id}")

    async def unwrap(self, key_id: str, wrapped: bytes, *, purpose: str) -> bytes:  # noqa: ARG002 - the port's shape
        """Refuse: see the port."""
        raise KeyUnavailable(f"there is no key store for the key {key_id}")

    async def ids(self) -> frozenset[str]:
        """List none."""
        return frozenset()


class DataKeys:
    """Makes and opens data keys."""

    def __init__(self, manifests: Manifests[DataKeyManifest], keys: KeyStore) -> None:
        self._manifests = manifests
        self._keys = keys
        self._made_at: dict[str, float] = {}

    def key_id(self, data_key_id: str | None) -> str | None:
        """Return which key of the key store a data key is encrypted with; None when it is not known."""
        manifest = None if data_key_id is None else self._manifests.get(data_key_id)
        return None if manifest is None else manifest.key_id

    def manifest(self, data_key_id: str) -> DataKeyManifest:
        """Return a data key as it lies here.

        Raises:
            KeyUnavailable: It is gone.
        """
        return self._manifests.require(data_key_id)

    async def keep(self, data_key_id: str, manifest: DataKeyManifest) -> None:
        """Take a data key back that was here before. It is here still: nothing happens."""
        if self._manifests.get(data_key_id) is None:
            await self._manifests.save(data_key_id, manifest)

    async def make(self, key_id: str) -> LayerKey:
        """Make a data key. Afterwards it is on disk, encrypted.

        Raises:
            KeyUnavailable: Nothing was made.
        """
        made = LayerKey(id=f"dk-{secrets.token_hex(8)}", passphrase=secrets.token_hex(_PASSPHRASE_BYTES))
        wrapped = await self._keys.wrap(key_id, made.passphrase.encode(), purpose=made.id)
        self._made_at[made.id] = time.monotonic()
        await self._manifests.save(made.id, DataKeyManifest(key_id=key_id, wrapped=wrapped))
        return made

    async def open(self, data_key_id: str) -> LayerKey:
        """Return a data key.

        Raises:
            KeyUnavailable: It, or the key that it is encrypted with, is gone.
        """
        manifest = self.manifest(data_key_id)
        passphrase = await self._keys.unwrap(manifest.key_id, manifest.wrapped, purpose=data_key_id)
        return LayerKey(id=data_key_id, passphrase=passphrase.decode())

    async def open_all(self, data_key_ids: Iterable[str | None]) -> dict[str, LayerKey]:
        """Return data keys by their ids. None stands for none.

        Raises:
            KeyUnavailable: One is gone.
        """
        return {it: await self.open(it) for it in dict.fromkeys(data_key_ids) if it is not None}

    def settled(self) -> frozenset[str]:
        """List those that were not made a moment ago: the layer of one that was may be on its way."""
        now = time.monotonic()
        self._made_at = {it: made_at for it, made_at in self._made_at.items() if made_at + SETTLE_S > now}
        return self._manifests.ids() - self._made_at.keys()

    async def forget(self, data_key_id: str) -> None:
        """Remove a data key that no layer needs."""
        await self._manifests.remove(data_key_id)
