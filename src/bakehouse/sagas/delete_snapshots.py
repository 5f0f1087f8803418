"""Delete snapshots.

Their records went in the transaction that enlisted the saga: from then on nobody can make anything of them. It leaves
the bytes that volumes and other snapshots need. There is no way back, so what undoes it is to try again: a saga that
cannot stays in the journal.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.volumes import all_to_their_ends


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshots:
    """Parameters."""

    snapshot_ids: tuple[str, ...]


async def delete_bytes(ctx: SagaContext, params: DeleteSnapshots) -> None:
    """Forget them in the volume store, and in the archive."""
    await all_to_their_ends(ctx.volumes.delete_snapshot(snapshot_id) for snapshot_id in params.snapshot_ids)
    await all_to_their_ends(ctx.archive.discard(snapshot_id) for snapshot_id in params.snapshot_ids)


DELETE_SNAPSHOTS: Final = Saga(
    name="delete_snapshots",
    params=DeleteSnapshots,
    steps=(Step("delete_bytes", do=delete_bytes, undo=delete_bytes),),
)
