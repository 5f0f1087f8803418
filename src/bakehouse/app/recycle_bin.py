"""The Recycle Bin: what is in it, how it comes back, and how it goes for good."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from heapq import heapify, heappop
from typing import Final, TypeVar

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id, not_found
from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.image import Image, ImageState, image_name_taken
from bakehouse.domain.recycle_bin import RecycledResource, snapshots_not_restored
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.volume import Volume
from bakehouse.sagas.delete_recycled_volume import DELETE_RECYCLED_VOLUME, DeleteRecycledVolume
from bakehouse.sagas.delete_snapshots import DELETE_SNAPSHOTS, DeleteSnapshots
from bakehouse.store.store import Transaction

R = TypeVar("R", Image, Snapshot, Volume)

_ID_TYPE: Final = {
    RetainedType.IMAGE: "image",
    RetainedType.SNAPSHOT: "snapshot",
    RetainedType.VOLUME: "volume",
}
#: How many resources leave the bin at once, so that a thousand of one minute do not keep requests waiting.
_GROUP: Final = 64


class RecycleBin:
    """Use cases on resources in the bin. Into it they come by their own deletion (`sagas/recycle_bin.py`)."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context
        self._deadlines: list[tuple[datetime, str]] = []
        """A heap of what is in the bin, as it was at the version beside it."""
        self._deadlines_version = -1

    def describe(
        self, caller: Caller, resource_type: RetainedType, resource_ids: Iterable[str] | None = None
    ) -> list[RecycledResource]:
        """Return what the caller has in the bin of a type, all or these, by the time of its coming.

        An id that is not in the caller's bin is refused: not found. What is due is seen until it is gone.
        """
        mine = self._context.store.recycle_bin.by("kind")[caller.account_id, caller.region, resource_type]
        if resource_ids is None:
            return list(mine.values())
        wanted = list(dict.fromkeys(resource_ids))
        id_type = _ID_TYPE[resource_type]
        for resource_id in wanted:
            if not is_well_formed(resource_id, id_type):
                raise malformed_id(id_type, resource_id)
        missing = [resource_id for resource_id in wanted if resource_id not in mine]
        if missing:
            raise not_found(id_type, missing)
        return [mine[resource_id] for resource_id in wanted]

    async def restore_image(self, caller: Caller, image_id: str) -> Image:
        """Bring an image back as it was, with its launch permissions.

        Refuses one whose snapshots are not all there and complete (InvalidSnapshot.NotFound), whose name was taken
        meanwhile (InvalidAMIName.Duplicate), and what is not in the bin any more (InvalidAMIID.NotFound).
        """
        store = self._context.store
        recycled = self._restorable(caller, RetainedType.IMAGE, image_id)
        image = _of_kind(recycled, Image)
        snapshot_ids = [device.snapshot_id for device in image.block_devices if device.snapshot_id is not None]
        missing = [it for it in dict.fromkeys(snapshot_ids) if not self._is_there(it, image)]
        if missing:
            raise snapshots_not_restored(image_id, missing)
        for other in store.images.by("name")[image.account_id, image.region, image.name].values():
            raise image_name_taken(image.name, other.id)
        async with store.transaction() as tx:
            tx.delete(recycled)
            tx.put(image)
            known = store.deregistered_images.get(image_id)
            if known is not None:
                tx.delete(known)
        return image

    async def restore_snapshot(self, caller: Caller, snapshot_id: str) -> Snapshot:
        """Bring a snapshot back as it was, shared with whom it was shared: InvalidSnapshot.NotFound if it is gone."""
        return await self._restore(self._restorable(caller, RetainedType.SNAPSHOT, snapshot_id), Snapshot)

    async def restore_volume(self, caller: Caller, volume_id: str) -> Volume:
        """Bring a volume back, `available` and attached to nothing: InvalidVolume.NotFound if it is gone."""
        return await self._restore(self._restorable(caller, RetainedType.VOLUME, volume_id), Volume)

    async def delete_due(self) -> None:
        """Delete for good what has been in the bin for its time. A failure leaves it to the next call."""
        now = self._context.now()
        while due := self._due(now, _GROUP):
            async with self._context.store.transaction() as tx:
                sagas = [saga_id for recycled in due if (saga_id := self._enlist_deletion(tx, recycled)) is not None]
            if sagas:
                await asyncio.wait([self._context.sagas.begin(saga_id) for saga_id in sagas])

    def _due(self, now: datetime, most: int) -> list[RecycledResource]:
        """Return what is due, the longest waiting first. Looks at all there is only if the bin has changed."""
        recycle_bin = self._context.store.recycle_bin
        if self._deadlines_version != recycle_bin.version:
            self._deadlines = [(recycled.exits_at, recycled.id) for recycled in recycle_bin]
            heapify(self._deadlines)
            self._deadlines_version = recycle_bin.version
        due: list[RecycledResource] = []
        while self._deadlines and self._deadlines[0][0] <= now and len(due) < most:
            due.append(recycle_bin[heappop(self._deadlines)[1]])
        if due:
            self._deadlines_version = -1  # whatever becomes of them, the heap has lost them
        return due

    def _enlist_deletion(self, tx: Transaction, recycled: RecycledResource) -> str | None:
        """Take a resource out of the bin; return the saga that deletes its bytes, if it has any."""
        tx.delete(recycled)
        sagas = self._context.sagas
        match recycled.type:
            case RetainedType.IMAGE:
                return None
            case RetainedType.SNAPSHOT:
                snapshots = DeleteSnapshots(snapshot_ids=(recycled.id,))
                return sagas.enlist(tx, DELETE_SNAPSHOTS, snapshots, subject_id=recycled.id)
            case RetainedType.VOLUME:
                volume = DeleteRecycledVolume(volume_id=recycled.id)
                return sagas.enlist(tx, DELETE_RECYCLED_VOLUME, volume, subject_id=recycled.id)

    def _restorable(self, caller: Caller, resource_type: RetainedType, resource_id: str) -> RecycledResource:
        (recycled,) = self.describe(caller, resource_type, [resource_id])
        if recycled.is_due(self._context.now()):
            raise not_found(_ID_TYPE[resource_type], [resource_id])
        return recycled

    async def _restore(self, recycled: RecycledResource, kind: type[R]) -> R:
        resource = _of_kind(recycled, kind)
        async with self._context.store.transaction() as tx:
            tx.delete(recycled)
            tx.put(resource)
        return resource

    def _is_there(self, snapshot_id: str, image: Image) -> bool:
        """Tell whether an image can have a snapshot back; only a disabled one can have one that is archived."""
        snapshot = self._context.store.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.state is not SnapshotState.COMPLETED:
            return False
        return not (snapshot.is_archived or snapshot.is_leaving) or image.state is ImageState.DISABLED


def _of_kind(recycled: RecycledResource, kind: type[R]) -> R:
    resource = recycled.resource
    if not isinstance(resource, kind):
        raise TypeError(f"{recycled.id} is in the bin as {recycled.type}")
    return resource
