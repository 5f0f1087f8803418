"""Enlarging a volume: its top, never a layer below, and the manifest last.

A crash in between leaves a top that is larger than its manifest says. That does no harm: guests see what they saw
before or the new size, and the same call comes to the same end.
"""

from bakehouse.drivers.volumes.qcow2 import opening, tools
from bakehouse.drivers.volumes.qcow2.layers import QCOW2
from bakehouse.drivers.volumes.qcow2.live import LiveDisks
from bakehouse.drivers.volumes.qcow2.manifests import VolumeManifest
from bakehouse.drivers.volumes.qcow2.point_in_time import PointInTime
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.volumes import FileBelow, VolumeInUse


class Growing:
    """Enlarges volumes. The caller holds the volume's lock and has checked the size."""

    def __init__(self, stock: Stock, *, live: LiveDisks, settle: PointInTime) -> None:
        self._volumes = stock.volumes
        self._layers = stock.layers
        self._threads = stock.threads
        self._opening = stock.opening
        self._live = live
        self._settle = settle

    async def grow(self, volume_id: str, size_bytes: int, machine_id: str | None) -> None:
        """Enlarge a volume, live or not: see the port.

        Raises:
            VolumeInUse: A process holds it that cannot be made to see another size.
            ProcessFailed: qemu-img could not.
            KeyUnavailable: It is encrypted, and its key is gone.
        """
        is_live = await self._settle.settle(volume_id, machine_id)
        volume = self._volumes.require(volume_id)
        if is_live and machine_id is not None:
            if not await self._live.resize_disk(machine_id, volume_id, size_bytes):
                raise VolumeInUse(f"{machine_id} cannot see another size of {volume_id} before it starts again")
        else:
            if await self._threads.run(self._layers.is_held, volume.top):
                raise VolumeInUse(f"a process holds {volume_id}, and it is not a volume of the given machine")
            await self._resize(volume.top, size_bytes)
        await self._threads.run(self._layers.sync, volume.top)
        await self._volumes.save(volume_id, VolumeManifest(top=volume.top, size_bytes=size_bytes))

    async def _resize(self, top: str, size_bytes: int) -> None:
        path, key = self._layers.path(top), await self._opening.key(top)
        if key is None:
            await tools.qemu_img("resize", "-q", "-f", QCOW2, path, str(size_bytes))
            return
        file = FileBelow(path=str(path), format=QCOW2, key=key)
        with opening.secrets_passed([file]) as (secrets, descriptors):
            await tools.qemu_img(
                *("resize", "-q", *secrets, opening.part([file]), str(size_bytes)), pass_fds=descriptors
            )
