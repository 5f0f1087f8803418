"""What a VPC's network is made from, into the fabric: ranges, subnets, routes, ACLs, gateways, options.

The record changes first, in the transaction that enlists the saga; its one step tells the fabric what the records say
by then, so that changes in any order end at the later record, and a VPC without a record any more loses its segment. A
crash between leaves the saga in the journal. A VPC without a segment on this host needs nothing: `ensure_segment` makes
it from the records.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import follow_records


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentChange:
    """The VPC whose network changed."""

    vpc_id: str


async def apply_segment(ctx: SagaContext, change: SegmentChange) -> None:
    """Bring the segment to the records, or remove it when its VPC has none any more."""
    vpc_id = change.vpc_id
    async with ctx.segment_turns.setdefault(vpc_id, asyncio.Lock()):
        if vpc_id not in ctx.store.vpcs:
            ctx.segments.add(vpc_id)
            await ctx.metadata.close(vpc_id)
            await ctx.network.delete_segment(vpc_id)
            ctx.segments.discard(vpc_id)
        else:
            await follow_records(ctx, vpc_id)


APPLY_SEGMENT: Final = Saga(
    name="apply_segment",
    params=SegmentChange,
    steps=(Step("apply_segment", do=apply_segment),),
)
