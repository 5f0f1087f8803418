"""The snapshot archive port: whole snapshots, compressed, out of the volume store's way.

Snapshots have the volume store's ids here too. Every method may be repeated and then changes nothing. What it
acknowledges is on disk.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

Progress = Callable[[float], None]
"""Called in the event loop with a fraction from 0 to 1, never less than before."""


class NoSuchArchive(Exception):
    """There is nothing archived under this snapshot id."""


class ArchiveDamaged(Exception):
    """What is archived is not what was archived. The text says what was found."""


class SnapshotArchive(Protocol):
    """Keeps compressed copies of snapshots that need no other snapshot."""

    async def put(self, snapshot_id: str, progress: Progress) -> None:
        """Archive a copy of a snapshot, which stays where it is.

        Raises:
            NoSuchSnapshot: The volume store has none; nothing was archived.
            StorageFull: Nothing was archived.
        """
        ...

    async def take_out(self, snapshot_id: str, progress: Progress) -> None:
        """Make the snapshot in the volume store again; the archived copy stays.

        Raises:
            NoSuchArchive: Nothing was made.
            ArchiveDamaged: Nothing was made.
            StorageFull: Nothing was made.
        """
        ...

    async def discard(self, snapshot_id: str) -> None:
        """Remove the archived copy, if there is one."""
        ...

    async def verify(self, snapshot_id: str) -> None:
        """Look whether an archived copy is what was archived; takes as long as reading it.

        Raises:
            NoSuchArchive: There is none.
            ArchiveDamaged: It is not.
        """
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Return what each archived copy takes on the disk, in bytes."""
        ...

    async def ids(self) -> frozenset[str]:
        """List what is archived."""
        ...
