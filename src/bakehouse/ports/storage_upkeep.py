"""The storage upkeep port: what a volume store does for itself in the background, and what it tells of its inside.

It is apart from the volume port since no request waits for any of it. A store that keeps its bytes with somebody else
(a storage array, Cinder) has little to do here: nothing to tend, one layer per volume.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Tended(StrEnum):
    """What one step of upkeep did."""

    MERGED = "merged"
    """Layers became one."""
    REOPENED = "reopened"
    """A live machine let go of layers that were merged."""
    SUMMED = "summed"
    """A layer got its checksum."""
    FAILED = "failed"
    """Something that will not be tried again before the next start of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepStep:
    """One step of upkeep."""

    did: Tended
    subject: str
    """A layer, or a volume."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much the store can still take in, as its file system says."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLayout:
    """Which layers there are and who reads through them. Bytes are those that a file takes on the host's disk."""

    layers: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By volume id its layers, the writable one first."""
    snapshots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unneeded: Mapping[str, int] = field(default_factory=dict)
    """Files that nobody reads, and that no work in progress needs; the next sweep removes them."""


class Severity(StrEnum):
    """What a finding means."""

    LOST = "lost"
    """Data cannot be read, or is not what was written."""
    WRONG = "wrong"
    """All data is there; something about it is not as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check found."""

    subject: str
    severity: Severity
    problem: str
    """One sentence without a full stop."""
    affects: tuple[str, ...] = ()
    """Ids of volumes and snapshots that read through it."""
    repaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check looked at and found."""

    layers: int
    bytes_read: int
    in_use: tuple[str, ...] = ()
    """Layers that a machine writes to: their structure changes all the time and was not looked at."""
    first_sums: int = 0
    """Layers that had no checksum yet and have one now."""
    findings: tuple[Finding, ...] = ()


class NotFlattened(Exception):
    """The layers of a volume could not be made one. Nothing changed. The text says why."""


class StorageUpkeep(Protocol):
    """Keeps a volume store in order."""

    async def tend(self) -> UpkeepStep | None:
        """Do one step of background work, the most urgent one; None when there is nothing to do.

        It may take minutes, uses what guests leave of the host, and may be cancelled or killed at any point. Never run
        two at a time.
        """
        ...

    async def flatten(self, volume_id: str) -> int:
        """Make all layers of a volume one, but for its top and the disk of an image; return how many files there are.

        Its data are copied, and lie in order afterwards, which makes long reads quicker; what snapshots need stays
        beside that. A machine that has the volume reads the new file from then on. It waits for a `tend` that is at
        work, may take minutes, and may be cancelled or killed at any point.

        Raises:
            NoSuchVolume: There is none.
            StorageFull: Nothing changed.
            NotFlattened: Nothing changed.
        """
        ...

    async def room(self) -> Room:
        """Tell how much more the store can take in."""
        ...

    async def layout(self) -> StorageLayout:
        """Tell which layers there are."""
        ...

    async def check(self, *, repair: bool, progress: Callable[[float], None] | None = None) -> CheckReport:
        """Verify every layer's structure and checksum, and look for files that nothing reaches.

        Volumes and snapshots may be used and made meanwhile. With `repair`, what can be put right without touching
        anybody's data is. `progress` is called with a fraction from 0 to 1.
        """
        ...
