"""The records below the store's root: one small file per volume and per snapshot, naming its layer.

A file is the truth; what was read at the start is kept in memory, so that a look-up and what follows from it
are one step for everything else in the event loop. Whatever no manifest reaches is garbage.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from bakehouse.drivers.volumes import durable
from bakehouse.drivers.volumes.durable import DiskThreads

_SUFFIX: Final = ".json"

#: Ids become file names: nothing in them may lead out of the directory.
_ID: Final = re.compile(r"[a-z]+-[0-9a-z]+")


class PendingSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot in progress: the top was put on, the layer below is not yet recorded as the snapshot."""

    from_layer: str
    snapshot_id: str


class VolumeManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One volume: the name of its writable top among the layers."""

    top: str
    size_bytes: int
    pending: PendingSwitch | None = None


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One snapshot: the name of its layer. An imported one keeps what the file was."""

    layer: str
    size_bytes: int
    source_format: str | None = None


M = TypeVar("M", bound=msgspec.Struct)


class Manifests(Generic[M]):
    """All manifests of one kind, in one directory."""

    def __init__(
        self, directory: Path, kind: type[M], threads: DiskThreads, *, missing: Callable[[str], Exception]
    ) -> None:
        """Keep them in a directory; `missing` makes what is raised where an id must have one and has none."""
        self._directory = directory
        self._kind = kind
        self._threads = threads
        self._missing = missing
        self._known: dict[str, M] = {}

    def load(self) -> None:
        """Read them all, and remove what writes that a crash cut short left behind. Blocks; for the start only.

        Raises:
            RuntimeError: A manifest cannot be read; the message names the file.
        """
        for unfinished in self._directory.glob("*" + durable.UNFINISHED):
            unfinished.unlink()
        for path in self._directory.glob("*" + _SUFFIX):
            try:
                self._known[path.stem] = msgspec.json.decode(path.read_bytes(), type=self._kind)
            except (OSError, msgspec.DecodeError) as err:
                raise RuntimeError(f"cannot read the record `{path}`") from err

    def get(self, resource_id: str) -> M | None:
        """Return the manifest of this id, None when there is none."""
        return self._known.get(resource_id)

    def require(self, resource_id: str) -> M:
        """Return the manifest of this id.

        Raises:
            Exception: There is none: what `missing` makes.
        """
        manifest = self._known.get(resource_id)
        if manifest is None:
            raise self._missing(resource_id)
        return manifest

    def ids(self) -> frozenset[str]:
        """Return every id that has one."""
        return frozenset(self._known)

    def all(self) -> list[M]:
        """Return every manifest."""
        return list(self._known.values())

    def items(self) -> list[tuple[str, M]]:
        """Return every id with its manifest."""
        return list(self._known.items())

    async def save(self, resource_id: str, manifest: M) -> None:
        """Write a manifest. Afterwards it is on disk, and `get` returns it, also when the caller was cancelled."""
        path = self._path(resource_id)

        def write() -> None:
            durable.write(path, msgspec.json.encode(manifest))
            self._known[resource_id] = manifest

        await self._threads.run(write)

    async def remove(self, resource_id: str) -> None:
        """Remove a manifest, if there is one. Afterwards it is gone from disk too, and `get` returns None."""
        path = self._path(resource_id)

        def remove() -> None:
            durable.remove(path)
            self._known.pop(resource_id, None)

        await self._threads.run(remove)

    def _path(self, resource_id: str) -> Path:
        if not _ID.fullmatch(resource_id):
            raise ValueError(f"{resource_id!r} is no id")
        return self._directory / (resource_id + _SUFFIX)
