"""Let a snapshot's bytes follow its record: after a temporary restoration has ended, or was made permanent.

The record changed in the transaction that enlisted the saga. There is no way back, so what undoes it is to try again: a
saga that cannot stays in the journal.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.sagas import snapshot_tiers
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleSnapshot:
    """Parameters."""

    snapshot_id: str


async def settle(ctx: SagaContext, params: SettleSnapshot) -> None:
    """Remove its bytes from the tier that it left."""
    await snapshot_tiers.settle(ctx, params.snapshot_id)


SETTLE_SNAPSHOT: Final = Saga(
    name="settle_snapshot",
    params=SettleSnapshot,
    steps=(Step("settle", do=settle, undo=settle),),
)
