"""The storage upkeep port of a store without bytes: there is nothing to do, and each volume is one empty layer."""

from collections.abc import Callable, Collection
from typing import Final

from bakehouse.ports.storage_upkeep import CheckReport, Finding, Room, StorageLayout, UpkeepStep
from bakehouse.ports.volumes import NoSuchVolume

_TOTAL_BYTES: Final = 1 << 40


class FakeUpkeep:
    """Fulfils `bakehouse.ports.storage_upkeep.StorageUpkeep`.

    Attributes:
        findings: What the next checks are to have found; a test fills it.
        free_bytes: How much room there is to be.
    """

    def __init__(self, volume_ids: Callable[[], Collection[str]], snapshot_ids: Callable[[], Collection[str]]) -> None:
        self._volume_ids = volume_ids
        self._snapshot_ids = snapshot_ids
        self.findings: list[Finding] = []
        self.free_bytes = _TOTAL_BYTES

    async def tend(self) -> UpkeepStep | None:
        """Do nothing: see the port."""
        return None

    async def flatten(self, volume_id: str) -> int:
        """Do nothing: see the port."""
        if volume_id not in self._volume_ids():
            raise NoSuchVolume(volume_id)
        return 1

    async def room(self) -> Room:
        """Tell what a test wants to be told: see the port."""
        return Room(free_bytes=self.free_bytes, total_bytes=_TOTAL_BYTES)

    async def layout(self) -> StorageLayout:
        """Tell of one layer for each volume and snapshot: see the port."""
        volumes, snapshots = self._volume_ids(), self._snapshot_ids()
        return StorageLayout(
            layers=dict.fromkeys([*volumes, *snapshots], 0),
            volumes={volume_id: (volume_id,) for volume_id in volumes},
            snapshots={snapshot_id: (snapshot_id,) for snapshot_id in snapshots},
        )

    async def check(
        self,
        *,
        repair: bool,  # noqa: ARG002 - nothing can be repaired
        progress: Callable[[float], None] | None = None,
    ) -> CheckReport:
        """Find what a test wants to be found: see the port."""
        if progress is not None:
            progress(1.0)
        layers = len(self._volume_ids()) + len(self._snapshot_ids())
        return CheckReport(layers=layers, bytes_read=0, findings=tuple(self.findings))
