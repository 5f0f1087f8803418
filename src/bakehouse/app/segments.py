"""Changes of what a VPC's network is made from: in the records and, before they are acknowledged, in the fabric."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bakehouse.app.context import AppContext
from bakehouse.app.following import network_follows
from bakehouse.sagas.apply_segment import APPLY_SEGMENT, SegmentChange
from bakehouse.store.store import Transaction


@asynccontextmanager
async def segment_change(context: AppContext, vpc_id: str) -> AsyncIterator[Transaction]:
    """Change records in a transaction, and tell the VPC's segment when the block is left.

    The block must not await. A failure in it changes nothing; one of the fabric (ServiceUnavailable) leaves the records
    as they are then, and the fabric follows with the next change or sweep.
    """
    async with context.store.transaction() as tx:
        yield tx
        saga_id = context.sagas.enlist(tx, APPLY_SEGMENT, SegmentChange(vpc_id=vpc_id), subject_id=vpc_id)
    with network_follows(vpc_id):
        await context.sagas.run(saga_id)
