"""How QEMU opens layers of which some are encrypted: every file named with its key, since no header names keys.

In a chain the encrypted layers lie above those that are not, because all that is put above an encrypted layer is
encrypted. A chain without encryption is opened by its uppermost file, whose header names the next; so is the lower part
of another. The upper part is described file by file, at one moment, and whoever opens it does so at another. In between
a layer may be merged with others below it: it holds all that these hold, so it reads the same above them (`merging`).
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.qcow2.data_keys import DataKeyManifest, DataKeys, gone
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, LayerDirectory, data_key_of, format_of
from bakehouse.drivers.volumes.qcow2.manifests import Manifests
from bakehouse.ports.keys import KeyStore
from bakehouse.ports.volumes import FileBelow, LayerKey


class Opening:
    """Describes chains, and knows the keys of layers."""

    def __init__(self, layers: LayerDirectory, data_keys: DataKeys, threads: DiskThreads) -> None:
        self._layers = layers
        self._data_keys = data_keys
        self._threads = threads

    async def chain(self, name: str) -> tuple[FileBelow, ...]:
        """Return a layer and those below it, down to the first that is not encrypted.

        Raises:
            KeyUnavailable: One cannot be opened.
            OSError: One cannot be read.
        """
        names = await self._threads.run(self._layers.chain, name)
        plain = next((number for number, it in enumerate(names) if data_key_of(it) is None), len(names))
        return await self.files(names[: plain + 1])

    async def files(self, names: Sequence[str]) -> tuple[FileBelow, ...]:
        """Return these layers with their keys.

        Raises:
            KeyUnavailable: One cannot be opened.
        """
        keys = await self._data_keys.open_all(map(data_key_of, names))
        return tuple(self._file(name, keys) for name in names)

    async def keys(self, name: str) -> Mapping[str, LayerKey]:
        """Return what opens a layer and those below it, by the ids of the data keys.

        Raises:
            KeyUnavailable: One is gone.
        """
        return await self._data_keys.open_all(map(data_key_of, await self._threads.run(self._layers.chain, name)))

    async def opened(self, data_key_id: str) -> LayerKey:
        """Return a data key by its id.

        Raises:
            KeyUnavailable: It is gone.
        """
        return await self._data_keys.open(data_key_id)

    def data_key(self, data_key_id: str) -> DataKeyManifest:
        """Return a data key as it lies here, encrypted.

        Raises:
            KeyUnavailable: It is gone.
        """
        return self._data_keys.manifest(data_key_id)

    async def keep_data_key(self, data_key_id: str, manifest: DataKeyManifest) -> None:
        """Take a data key back that was here before."""
        await self._data_keys.keep(data_key_id, manifest)

    async def key(self, name: str) -> LayerKey | None:
        """Return what opens one layer; None if it is not encrypted.

        Raises:
            KeyUnavailable: It is gone.
        """
        data_key_id = data_key_of(name)
        return None if data_key_id is None else await self._data_keys.open(data_key_id)

    async def key_over(self, base: str | None, key_id: str | None) -> LayerKey | None:
        """Return what a new layer over another, or over nothing, is to be encrypted with; None if it is not.

        Of the same key of the key store it is the data key of the layer below, as EBS has it; of another a new one.

        Raises:
            KeyUnavailable: Nothing was made.
        """
        below = None if base is None else data_key_of(base)
        if below is not None and key_id in (None, self._data_keys.key_id(below)):
            return await self._data_keys.open(below)
        return None if key_id is None else await self._data_keys.make(key_id)

    def key_id(self, name: str) -> str | None:
        """Return which key of the key store a layer needs; None if it is not encrypted."""
        return self._data_keys.key_id(data_key_of(name))

    async def forget_unused(self, needed: Iterable[str], names: Iterable[str]) -> None:
        """Remove the data keys that none of these layers has, but those that are needed otherwise, or new."""
        used = {*needed, *(data_key_of(name) for name in names)}
        for data_key_id in self._data_keys.settled() - used:
            await self._data_keys.forget(data_key_id)

    def _file(self, name: str, keys: Mapping[str, LayerKey]) -> FileBelow:
        data_key_id = data_key_of(name)
        key = None if data_key_id is None else keys[data_key_id]
        return FileBelow(path=str(self._layers.path(name)), format=format_of(name), key=key)


def open_with(folder: Path, keys: KeyStore, layers: LayerDirectory, threads: DiskThreads) -> Opening:
    """Open layers with the data keys in a folder, which a key store decrypts. Blocks; for the start of a server.

    Raises:
        RuntimeError: A data key cannot be read.
    """
    manifests = Manifests(folder, DataKeyManifest, threads, missing=gone)
    manifests.load()
    return Opening(layers, DataKeys(manifests, keys), threads)


def image(files: Sequence[FileBelow], **options: Any) -> str:  # noqa: ANN401 - JSON
    """Describe a chain for qemu-img in the place of a file name; `options` are the uppermost's."""
    return "json:" + json.dumps(_node(files, ends=False) | options)


def part(files: Sequence[FileBelow]) -> str:
    """Describe layers, the upper first, as if nothing were below them."""
    return "json:" + json.dumps(_node(files, ends=True))


@contextmanager
def secrets_passed(files: Iterable[FileBelow]) -> Iterator[tuple[list[str], list[int]]]:
    """Give the arguments and descriptors by which a tool of QEMU's gets the keys of these files.

    A passphrase goes through memory that has no name, never through an argument or a file.
    """
    arguments: list[str] = []
    descriptors: list[int] = []
    keys = {file.key.id: file.key for file in files if file.key is not None}
    try:
        for key in keys.values():
            descriptor = os.memfd_create(key.id)
            descriptors.append(descriptor)
            os.write(descriptor, key.passphrase.encode())
            arguments += ["--object", f"secret,id={key.id},file=/dev/fd/{descriptor}"]
        yield arguments, descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _node(files: Sequence[FileBelow], *, ends: bool) -> dict[str, Any]:
    first, below = files[0], files[1:]
    node: dict[str, Any] = {"driver": first.format, "file": {"driver": "file", "filename": first.path}}
    if first.key is not None:
        node["encrypt"] = {"format": "luks", "key-secret": first.key.id}
    if below:
        node["backing"] = _node(below, ends=ends)
    elif first.key is not None or (ends and first.format == QCOW2):
        node["backing"] = None
    return node
