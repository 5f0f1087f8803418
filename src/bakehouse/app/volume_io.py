"""Whether a volume reads and writes: as its owner wishes, and whether it does."""

from dataclasses import replace

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.volume import Volume


class VolumeIo:
    """Use cases on the input and output of volumes.

    Nothing here ever takes them away from a volume. EC2 does so when a host has failed and a volume's bytes may be
    inconsistent; here what was acknowledged to the guest is on disk, and a file that is damaged is found by
    `bakehouse storage check`.
    """

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def set_auto_enable(self, caller: Caller, volume_id: str, *, enabled: bool) -> None:
        """Keep the owner's wish."""
        volume = self._owned(caller, volume_id)
        async with self._context.store.transaction() as tx:
            tx.put(replace(volume, auto_enables_io=enabled))

    def enable(self, caller: Caller, volume_id: str) -> None:
        """Make sure that a volume reads and writes. It does."""
        self._owned(caller, volume_id)

    def _owned(self, caller: Caller, volume_id: str) -> Volume:
        (volume,) = owned(self._context.store.volumes, caller, "volume", [volume_id])
        return volume
