"""What the store asks of whoever runs the machines: to move a running machine's writes to new tops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakehouse.ports.volumes import FileBelow, LayerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TopSwitch:
    """One volume of a live machine: from `new_path` on it writes there, and `old_path` is never written again.

    The new top exists, is empty, and its header names the old one as its backing file.
    """

    volume_id: str
    old_path: Path
    new_path: Path
    size_bytes: int
    key: LayerKey | None = None
    """What opens the new top, of a volume that is encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """What lies below a volume's top on disk, at present."""

    volume_id: str
    top_path: Path
    path: Path
    format: str
    files: tuple[FileBelow, ...] = ()
    """All of them, the upper first, where any is encrypted; else the first alone."""
    key: LayerKey | None = None
    """What opens the top, of a volume that is encrypted."""


class LiveDisks(Protocol):
    """The disks of running machines. The hypervisor driver fulfils this."""

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:
        """Return the file that each volume of a machine is written to at present, by volume id.

        A machine that is gone has none. One that is powered off, its process still there, has.
        """
        ...

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        """Switch all these volumes at one point in time: all of them or, with an exception, none.

        After an exception the store asks `active_tops` and believes that, so one which leaves the outcome
        unknown (a lost monitor) is safe. A volume that already writes to its new path is left as it is.
        """
        ...

    async def chain_depths(self) -> Mapping[str, int]:
        """Return how many files each volume of a live machine is read through, by volume id."""
        ...

    async def resize_disk(self, machine_id: str, volume_id: str, size_bytes: int) -> bool:
        """Enlarge the top that a live machine writes a volume to; its guest sees that at once.

        False when the kind of its device cannot change its size: nothing happened.
        """
        ...

    async def reopen_chain(self, below: Below) -> bool:
        """Let the machine that writes to a volume's top open the layers below it anew, and let go of the former ones.

        They read the same. False when no machine writes to that top.
        """
        ...


class NoLiveDisks:
    """For a store without machines: tests, and tools that run while the server is down."""

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:  # noqa: ARG002 - the protocol's shape
        """Return none: no machine is live."""
        return {}

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        """Refuse, since nothing is live."""
        raise RuntimeError(f"no machine is live here, {machine_id} neither; asked to switch {switches}")

    async def chain_depths(self) -> Mapping[str, int]:
        """Return none: no machine is live."""
        return {}

    async def resize_disk(self, machine_id: str, volume_id: str, size_bytes: int) -> bool:
        """Refuse, since nothing is live."""
        asked = f"to resize {volume_id} to {size_bytes}"
        raise RuntimeError(f"no machine is live here, {machine_id} neither; asked {asked}")

    async def reopen_chain(self, below: Below) -> bool:  # noqa: ARG002 - the protocol's shape
        """Do nothing: no machine is live."""
        return False
