"""The folder of baked images, one file per content key, and the place where the next one is baked.

    images/minimal-<key>.raw   finished; never written again
    baking/                    a build at work, or what a killed one left behind
    lock                       held by the one build at work
    apt/ARCHITECTURE/          lists and packages (see `packages.py`)

A file appears in `images/` by rename, complete and on disk, or not at all.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bakehouse.drivers import process
from bakehouse.drivers.images import disk
from bakehouse.drivers.images.recipe import Recipe

#: How often a build that waits for another looks again.
_LOCK_POLL_S: Final = 0.2

_LARGE_TEMPORARY_FILES: Final = Path("/var/tmp")  # noqa: S108 - its folder is made anew each time, or refused


@dataclass(frozen=True, slots=True)
class ImageCache:
    """One cache folder. Several processes may share it."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the cache in a folder, known by its full path, so that it is one cache for every process."""
        return cls(folder.resolve())

    def apt(self, architecture: str) -> Path:
        """Return where an architecture's package lists and packages are kept."""
        return self.folder / "apt" / architecture

    @property
    def scratch(self) -> Path:
        """A folder that every user can reach, for builds in a user namespace.

        The cache itself is usually in a private home. Large, so not in /tmp, which may be in memory.
        """
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return _LARGE_TEMPORARY_FILES / f"bakehouse-{os.geteuid()}-{name}"

    def path_of(self, recipe: Recipe, content_key: str) -> Path:
        """Return where the image with this content is, or would be."""
        return self.folder / "images" / f"{recipe.name}-{content_key[:16]}.raw"

    def has(self, recipe: Recipe, content_key: str) -> bool:
        """Tell whether the image with this content is finished."""
        return self.path_of(recipe, content_key).exists()

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Path]:
        """Give an empty folder to the only build at work; wait while another one has it.

        Whatever an earlier build left behind is removed first, and the folder itself afterwards.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        baking = self.folder / "baking"
        with (self.folder / "lock").open("w") as lock:
            await _lock(lock.fileno())
            await _remove(baking, self.scratch)
            baking.mkdir(mode=0o700)
            # Fails when somebody else made it: then it is not ours to use.
            self.scratch.mkdir(mode=0o755)
            try:
                yield baking
            finally:
                await asyncio.shield(_remove(baking, self.scratch))

    def keep(self, baked: Path, recipe: Recipe, content_key: str) -> Path:
        """Move a finished disk to its place and return that; it is on the host's disk by then."""
        place = self.path_of(recipe, content_key)
        place.parent.mkdir(parents=True, exist_ok=True)
        baked.chmod(0o644)
        disk.flush(baked)
        baked.rename(place)
        disk.flush(place.parent)
        return place


async def _lock(descriptor: int) -> None:
    """Return once the lock is ours. Asked again and again: a thread that waits for a lock cannot be cancelled."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOCK_POLL_S)
        else:
            return


async def _remove(*folders: Path) -> None:
    """Remove folders with everything in them, also files of the users of a user namespace of ours."""
    command: list[str | Path] = ["rm", "-rf", "--one-file-system", *folders]
    done = await process.run(command, check=False)
    if done.returncode != 0 and os.geteuid() != 0:
        await process.run(["mmdebstrap", "--unshare-helper", *command])
