"""What the store asks of whoever runs the machines: to move a running machine's writes to new tops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TopSwitch:
    """One volume of a live machine: from `new_path` on it writes there, and `old_path` is never written again.

    The new top exists, is empty, and its header names the old one as its backing file.
    """

    volume_id: str
    old_path: Path
    new_path: Path
    size_bytes: int


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


class NoLiveDisks:
    """For a store without machines: tests, and tools that run while the server is down."""

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:  # noqa: ARG002 - the protocol's shape
        """Return none: no machine is live."""
        return {}

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        """Refuse, since nothing is live."""
        raise RuntimeError(f"no machine is live here, {machine_id} neither; asked to switch {switches}")
