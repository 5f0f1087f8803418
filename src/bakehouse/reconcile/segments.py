"""Segments: those that instances live in are there and as the records say; those of VPCs that are gone are not."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import structlog

from bakehouse.domain.instance import InstanceState
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.sagas.apply_segment import SegmentChange, apply_segment
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.segment import ensure_segment
from bakehouse.store.store import Store

_log: Final = structlog.get_logger(__name__)

#: States of instances whose segment must be there.
_NEEDS_SEGMENT: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING})


async def tend_segments(ctx: SagaContext) -> None:
    """Make what is needed and is not there, and remove what is there and has no VPC; log what cannot be done.

    What is there and needed is told what it is: a program of it that was killed is missed by its guests, not by us.
    """
    needed = needed_segments(ctx.store)
    left_over = {vpc_id for vpc_id in ctx.segments if vpc_id not in ctx.store.vpcs}
    await restored(
        [
            *(ensure_segment(ctx, vpc_id) for vpc_id in needed - ctx.segments),
            *(apply_segment(ctx, SegmentChange(vpc_id=vpc_id)) for vpc_id in left_over | (needed & ctx.segments)),
        ]
    )


def needed_segments(store: Store) -> frozenset[str]:
    """Return the VPCs in which instances live."""
    return frozenset(instance.vpc_id for instance in store.instances if instance.state in _NEEDS_SEGMENT)


async def restored(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do these side by side. A network that is unavailable lets the server go on, so that its owner can look.

    Raises:
        BaseException: Anything else is a fault of ours.
    """
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, NetworkUnavailable):
            _log.error("a network could not be restored", error=str(outcome))
        elif outcome is not None:
            raise outcome
