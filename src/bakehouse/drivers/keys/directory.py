"""The key store port: a folder with one small file for each key, readable by the server's user alone."""

import asyncio
import re
from pathlib import Path
from typing import Final

from bakehouse.drivers.keys import wrapping
from bakehouse.drivers.volumes import durable
from bakehouse.ports.keys import KeyUnavailable

FOLDER_MODE: Final = 0o700

_SUFFIX: Final = ".key"

#: Ids become file names: nothing in them may lead out of the folder.
_ID: Final = re.compile(r"[0-9a-f-]+")


class KeyDirectory:
    """Keeps keys in files. Fulfils `bakehouse.ports.keys.KeyStore`.

    A key is read from its file whenever it is used, so that a folder that was taken away (a removable disk, an
    encrypted home that was closed) makes the volumes unreadable at once.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, and make it where it is missing. Blocks for a moment."""
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        self._folder = folder
        self._making = asyncio.Lock()

    async def create(self, key_id: str) -> None:
        """Make a key: see the port."""
        path = self._path(key_id)
        async with self._making:
            if not await asyncio.to_thread(path.exists):
                await asyncio.to_thread(durable.write, path, wrapping.new_key())

    async def wrap(self, key_id: str, secret: bytes, *, purpose: str) -> bytes:
        """Encrypt a secret: see the port."""
        return wrapping.wrap(await self._key(key_id), secret, purpose)

    async def unwrap(self, key_id: str, wrapped: bytes, *, purpose: str) -> bytes:
        """Return a wrapped secret: see the port."""
        return wrapping.unwrap(await self._key(key_id), wrapped, purpose)

    async def ids(self) -> frozenset[str]:
        """List the keys: see the port."""
        paths = await asyncio.to_thread(lambda: list(self._folder.glob("*" + _SUFFIX)))
        return frozenset(path.stem for path in paths)

    async def _key(self, key_id: str) -> bytes:
        try:
            key = await asyncio.to_thread(self._path(key_id).read_bytes)
        except OSError as err:
            raise KeyUnavailable(f"the key {key_id} is not in the key store {self._folder}: {err.strerror}") from err
        if len(key) != wrapping.KEY_BYTES:
            raise KeyUnavailable(f"the key {key_id} in the key store {self._folder} is damaged")
        return key

    def _path(self, key_id: str) -> Path:
        if not _ID.fullmatch(key_id):
            raise ValueError(f"{key_id!r} is no key id")
        return self._folder / (key_id + _SUFFIX)
