"""Snapshots of several volumes at one point in time, live or not.

The story, for every volume of the call at once; N is its top before, N+1 the new one:

1. N+1 is made, empty, over N.
2. The volume's manifest names N+1, and remembers that this is for a snapshot of N.
   From here on a machine that starts opens N+1. That is right whether or not step 3 happened: N+1 is empty.
3. A live machine switches from N to N+1, all its volumes in one transaction. **This is the point in time.**
4. N is frozen and brought to disk.
5. The snapshot's manifest names N.
6. The volume's manifest forgets.

A crash between any two steps leaves volumes that work; the same call goes on from where it was. A call for
*other* snapshots first settles the unfinished one: its N becomes an ordinary layer of the chain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bakehouse.drivers.volumes.durable import at_once
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, data_key_of
from bakehouse.drivers.volumes.qcow2.live import LiveDisks, TopSwitch
from bakehouse.drivers.volumes.qcow2.manifests import PendingSwitch, SnapshotManifest, VolumeManifest
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.volumes import VolumeInUse


class MachineWritesElsewhere(Exception):
    """A machine writes a volume to a file that the store does not know as its top. Nothing was touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taking:
    """One volume's part of a call."""

    volume_id: str
    snapshot_id: str
    old: str
    new: str
    size_bytes: int


class PointInTime:
    """Takes snapshots. The caller holds the locks of all volumes of a call."""

    def __init__(self, stock: Stock, *, live: LiveDisks) -> None:
        self._volumes = stock.volumes
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._opening = stock.opening
        self._live = live

    async def take(self, wanted: Mapping[str, str], machine_id: str | None) -> None:
        """Take what of `wanted` (volume id to snapshot id) is not taken yet.

        Raises:
            NoSuchVolume: Nothing was taken.
            VolumeInUse: A process holds a volume that is not among those of the machine; nothing was taken.
            MachineWritesElsewhere: Nothing was taken.
            Exception: What stopped it; no snapshot exists that did not before. Repeating the call is safe.
        """
        missing = {v: s for v, s in wanted.items() if self._snapshots.get(s) is None}
        for volume_id in missing:
            self._volumes.require(volume_id)
        if missing:
            tops = await self._active_tops(machine_id)
            await at_once(self._settle_other(v, s, tops) for v, s in missing.items())
            await at_once(self._require_quiet(v) for v in missing if v not in tops)
            await self._take(missing, machine_id, tops)
        await at_once(self._forget_pending(v, s) for v, s in wanted.items())

    async def settle(self, volume_id: str, machine_id: str | None) -> bool:
        """Come to an end with an unfinished snapshot of a volume; return whether a live machine writes to the volume.

        Raises:
            MachineWritesElsewhere: Nothing changed.
        """
        tops = await self._active_tops(machine_id)
        await self._settle_other(volume_id, "", tops)
        return volume_id in tops

    async def _take(self, missing: Mapping[str, str], machine_id: str | None, tops: Mapping[str, str]) -> None:
        takings = await self._put_on_new_tops(missing)
        live = [taking for taking in takings if taking.volume_id in tops]
        await self._switch(machine_id, live, takings)
        await at_once(self._threads.run(self._layers.freeze, taking.old) for taking in takings)
        try:
            await at_once(
                self._snapshots.save(t.snapshot_id, SnapshotManifest(layer=t.old, size_bytes=t.size_bytes))
                for t in takings
            )
        except Exception:
            await at_once(self._snapshots.remove(taking.snapshot_id) for taking in takings)
            raise

    async def _put_on_new_tops(self, missing: Mapping[str, str]) -> list[_Taking]:
        """Steps 1 and 2; what an earlier call of the same did of them is kept."""
        fresh = [volume_id for volume_id in missing if self._volumes.require(volume_id).pending is None]
        names = await at_once(
            self._threads.run(
                self._layers.new_name, volume_id, QCOW2, data_key_of(self._volumes.require(volume_id).top)
            )
            for volume_id in fresh
        )
        new_tops = dict(zip(fresh, names, strict=True))
        with self._pins.hold(*names):
            takings = [self._taking(v, s, new_tops.get(v)) for v, s in missing.items()]
            made = [taking for taking in takings if taking.volume_id in new_tops]
            try:
                await at_once(self._make_top(taking) for taking in made)
                await at_once(self._name_new_top(taking) for taking in made)
            except Exception:
                await self._take_back(made)
                raise
        return takings

    def _taking(self, volume_id: str, snapshot_id: str, new_top: str | None) -> _Taking:
        volume = self._volumes.require(volume_id)
        old, new = volume.top, new_top
        if volume.pending is not None:
            old, new = volume.pending.from_layer, volume.top
        if new is None:
            raise RuntimeError(f"no new top was named for {volume_id}")
        return _Taking(volume_id=volume_id, snapshot_id=snapshot_id, old=old, new=new, size_bytes=volume.size_bytes)

    async def _make_top(self, taking: _Taking) -> None:
        key = await self._opening.key(taking.new)
        # The data of N goes to disk while the guest still runs on it, so that little is left for the switch,
        # which waits for it with the guest's I/O held.
        await at_once(
            (
                self._layers.create_top(taking.new, backing=taking.old, size_bytes=taking.size_bytes, key=key),
                self._threads.run(self._layers.sync, taking.old),
            )
        )

    async def _name_new_top(self, taking: _Taking) -> None:
        pending = PendingSwitch(from_layer=taking.old, snapshot_id=taking.snapshot_id)
        await self._volumes.save(
            taking.volume_id, VolumeManifest(top=taking.new, size_bytes=taking.size_bytes, pending=pending)
        )

    async def _take_back(self, takings: Iterable[_Taking]) -> None:
        """Undo steps 1 and 2. Only for tops that surely no machine has switched to."""
        for taking in takings:
            await self._volumes.save(taking.volume_id, VolumeManifest(top=taking.old, size_bytes=taking.size_bytes))
        await self._threads.run(self._layers.discard, [taking.new for taking in takings])

    async def _switch(self, machine_id: str | None, live: list[_Taking], takings: list[_Taking]) -> None:
        """Step 3. When it fails, and surely nothing was switched, all is as before the call."""
        if machine_id is None or not live:
            return
        switches = [
            TopSwitch(
                volume_id=taking.volume_id,
                old_path=self._layers.path(taking.old),
                new_path=self._layers.path(taking.new),
                size_bytes=taking.size_bytes,
                key=await self._opening.key(taking.new),
            )
            for taking in live
        ]
        try:
            await self._live.switch_tops(machine_id, switches)
        except Exception:
            # A machine that is gone by now may have switched before and written to N+1: then nothing is undone.
            # Asking fails too when its monitor is lost; that error goes on instead, with this one as its context.
            tops = await self._active_tops(machine_id)
            if all(tops.get(taking.volume_id) == taking.old for taking in live):
                await self._take_back(takings)
            raise

    async def _settle_other(self, volume_id: str, snapshot_id: str, tops: Mapping[str, str]) -> None:
        """Come to an end with an unfinished snapshot other than this one, and check where a machine writes to."""
        volume = self._volumes.require(volume_id)
        pending = volume.pending
        known = {volume.top} | ({pending.from_layer} if pending else set())
        if tops.get(volume_id, volume.top) not in known:
            raise MachineWritesElsewhere(f"{volume_id} is written to {tops[volume_id]}, not to {volume.top}")
        if pending is None or pending.snapshot_id == snapshot_id:
            return
        if tops.get(volume_id) == pending.from_layer:
            settled = VolumeManifest(top=pending.from_layer, size_bytes=volume.size_bytes)
        else:
            await self._threads.run(self._layers.freeze, pending.from_layer)
            settled = VolumeManifest(top=volume.top, size_bytes=volume.size_bytes)
        await self._volumes.save(volume_id, settled)

    async def _require_quiet(self, volume_id: str) -> None:
        """Refuse to seal a layer under a process that we could not make switch."""
        volume = self._volumes.require(volume_id)
        for name in {volume.top, volume.pending.from_layer if volume.pending else volume.top}:
            if await self._threads.run(self._layers.is_held, name):
                raise VolumeInUse(f"a process holds {volume_id}, and it is not a volume of the given machine")

    async def _forget_pending(self, volume_id: str, snapshot_id: str) -> None:
        volume = self._volumes.get(volume_id)
        if volume is None or volume.pending is None or volume.pending.snapshot_id != snapshot_id:
            return
        await self._volumes.save(volume_id, VolumeManifest(top=volume.top, size_bytes=volume.size_bytes))

    async def _active_tops(self, machine_id: str | None) -> Mapping[str, str]:
        """Return the names of the layers that a machine writes to."""
        if machine_id is None:
            return {}
        active = await self._live.active_tops(machine_id)
        return {volume_id: Path(path).name for volume_id, path in active.items()}
