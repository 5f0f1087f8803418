"""The snapshot blocks port: the bytes of snapshots by blocks of 512 KiB, read one by one and written into new ones.

It is apart from the volume port since no machine needs it: it is what the EBS direct APIs are made of. A store whose
engine keeps no map of blocks (a plain LUN) lists all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

#: Source: EBS direct APIs, StartSnapshot, BlockSize.
BLOCK_BYTES: Final = 512 << 10


class NoSuchUpload(Exception):
    """No snapshot of this id is being written."""


class UnrelatedSnapshots(Exception):
    """The snapshots have no ancestor in common."""


class BlocksUnreadable(Exception):
    """The bytes are there, but not in a form of which single blocks can be read. The text says why."""


class WrongBlocks(Exception):
    """What was written is not what the caller says it was. Nothing changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBlocks:
    """What was written into an upload so far."""

    count: int
    """Of different blocks."""
    digest: bytes
    """SHA-256 over the SHA-256 digests of the blocks, in the order of their indexes."""
    last_written_at: float
    """Seconds since 1970; when it was begun, if nothing was written yet."""


class SnapshotBlocks(Protocol):
    """Reads and writes blocks of snapshots. An *upload* is a snapshot that is being written; nobody else sees it."""

    async def blocks(self, snapshot_id: str) -> Sequence[int]:
        """Return the indexes of the blocks that have data, ascending. All others read as zeros.

        Raises:
            NoSuchSnapshot: There is none.
            BlocksUnreadable: See there.
        """
        ...

    async def changed_blocks(self, first_id: str, second_id: str) -> Sequence[int]:
        """Return the indexes of the blocks that were written since the snapshots were one, ascending.

        Every block in which they differ is among them; one that was written with what it had may be, too.

        Raises:
            NoSuchSnapshot: There is no such snapshot.
            UnrelatedSnapshots: See there.
            BlocksUnreadable: See there.
        """
        ...

    async def read(self, snapshot_id: str, index: int) -> tuple[bytes, bytes]:
        """Return a block, with zeros behind the end of the disk, and its SHA-256 digest.

        Raises:
            NoSuchSnapshot: There is none.
            BlocksUnreadable: See there.
        """
        ...

    async def begin(
        self, snapshot_id: str, *, size_bytes: int, parent_id: str | None, key_id: str | None = None
    ) -> None:
        """Begin an upload: what is not written reads as the parent, or as zeros. No byte is copied.

        What is written is encrypted with the key, if one is given, or as the parent is.

        Raises:
            NoSuchSnapshot: There is no such parent; nothing was begun.
            StorageFull: Nothing was begun.
        """
        ...

    async def write(self, snapshot_id: str, index: int, data: bytes, *, digest: bytes) -> None:
        """Write a block, also over one that was written before. It outlives the server, but not a power cut.

        Raises:
            NoSuchUpload: There is none.
            WrongBlocks: The data has another SHA-256 digest. Nothing was written.
            StorageFull: Nothing was written.
        """
        ...

    async def written(self, snapshot_id: str) -> WrittenBlocks:
        """Tell what was written so far.

        Raises:
            NoSuchUpload: There is none.
        """
        ...

    async def complete(self, snapshot_id: str) -> None:
        """Make an upload a snapshot like any other, on disk. One that is a snapshot already stays one.

        Raises:
            NoSuchUpload: There is none.
            StorageFull: The upload is as it was.
        """
        ...

    async def cancel(self, snapshot_id: str) -> None:
        """Forget an upload with all that was written. None of that id: nothing happens."""
        ...

    async def uploads(self) -> frozenset[str]:
        """Return the ids of all uploads."""
        ...
