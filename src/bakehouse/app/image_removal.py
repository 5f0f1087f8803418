"""Images that leave the catalogue."""

import asyncio
from dataclasses import dataclass

from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.app.snapshots import enlist_deletion, images_using
from bakehouse.domain.caller import Caller
from bakehouse.domain.deregistered_image import deregistered
from bakehouse.domain.image import Image, SnapshotRemoval
from bakehouse.domain.image_lifecycle import check_deregistrable
from bakehouse.domain.snapshot import Snapshot
from bakehouse.sagas import recycle_bin


@dataclass(frozen=True, slots=True)
class RemovedSnapshot:
    """What became of a snapshot when its image was deregistered."""

    snapshot_id: str
    outcome: SnapshotRemoval


class ImageRemoval(ImageCatalogue):
    """Use cases on images that are to go."""

    async def deregister(self, caller: Caller, image_id: str, *, delete_snapshots: bool) -> list[RemovedSnapshot]:
        """Take an image out of the catalogue, or into the Recycle Bin; instances that run from it run on.

        With `delete_snapshots` its snapshots go too, each once, and the answer tells of each: `skipped` if another
        image names it, `missing-permissions` if it is another account's, `client-error` if it is locked. They are gone
        from the records when this returns, whatever becomes of their bytes: the saga stays in the journal until those
        are gone too.
        Refuses an image that is protected, or was until less than a day ago: OperationNotPermitted.
        """
        context = self._context
        image = self.owned(caller, image_id)
        check_deregistrable(image, context.now())
        outcomes = self._outcomes(image) if delete_snapshots else {}
        deleted = [
            context.store.snapshots[snapshot_id]
            for snapshot_id, outcome in outcomes.items()
            if outcome is SnapshotRemoval.SUCCESS
        ]
        async with context.store.transaction() as tx:
            if not recycle_bin.keep(context.store, tx, image, context.now()):
                tx.delete(image)
            tx.put(deregistered(image, context.now()))
            saga_id = enlist_deletion(context, tx, deleted, subject_id=image.id) if deleted else None
        if saga_id is not None:
            await asyncio.wait([context.sagas.begin(saga_id)])
        return [RemovedSnapshot(snapshot_id, outcome) for snapshot_id, outcome in outcomes.items()]

    def _outcomes(self, image: Image) -> dict[str, SnapshotRemoval]:
        """Return for each snapshot of an image what deleting it would come to."""
        users = images_using(self._context, image.region, image.snapshot_ids)
        snapshots = self._context.store.snapshots
        return {
            snapshot_id: self._outcome(image, snapshots[snapshot_id], users[snapshot_id])
            for snapshot_id in image.snapshot_ids
            if snapshot_id in snapshots
        }

    def _outcome(self, image: Image, snapshot: Snapshot, users: list[str]) -> SnapshotRemoval:
        if snapshot.account_id != image.account_id:
            return SnapshotRemoval.MISSING_PERMISSIONS
        if set(users) != {image.id}:
            return SnapshotRemoval.SKIPPED
        return SnapshotRemoval.CLIENT_ERROR if snapshot.is_locked(self._context.now()) else SnapshotRemoval.SUCCESS
