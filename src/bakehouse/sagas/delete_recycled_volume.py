"""Delete a volume whose time in the Recycle Bin is over.

Its record went in the transaction that enlisted the saga: from then on nobody can restore it. There is no way back, so
what undoes it is to try again: a saga that cannot stays in the journal.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRecycledVolume:
    """Parameters."""

    volume_id: str


async def delete_bytes(ctx: SagaContext, params: DeleteRecycledVolume) -> None:
    """Forget it in the volume store."""
    async with volumes.held(ctx, [params.volume_id]):
        await ctx.volumes.delete(params.volume_id)


DELETE_RECYCLED_VOLUME: Final = Saga(
    name="delete_recycled_volume",
    params=DeleteRecycledVolume,
    steps=(Step("delete_bytes", do=delete_bytes, undo=delete_bytes),),
)
