"""Networks that went with the host, as in a reboot, or that somebody took away, and the machines that were in them.

A segment that is made again has new taps. A machine that still runs has its interfaces open in the network that is no
more: nothing it sends arrives. So its guest is asked to shut down, and its instance starts again, with its addresses.

While a server runs, a network goes when all programs that hold it are killed: its agent and its name service. The next
call makes it again, so what tells of machines that are cut off is that nobody has their interfaces open.
"""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.ports.hypervisor import MachineState
from bakehouse.reconcile.segments import needed_segments
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.machine import interfaces_of, shut_down_machine

_log: Final = structlog.get_logger(__name__)

#: A server that starts waits no longer for guests that nobody can reach.
SHUT_DOWN_S: Final = 10.0


async def lost_segments(ctx: SagaContext) -> frozenset[str]:
    """Return the VPCs in which instances live and whose segments are not on the host, before they are made again."""
    fabric = await ctx.network.observe()
    return needed_segments(ctx.store) - fabric.vpc_ids


async def end_stranded(ctx: SagaContext, sagas: SagaEngine, lost: frozenset[str], alive: Collection[str]) -> None:
    """End the machines that are cut off: alive, and in segments that were lost and are there again."""
    stranded = [
        instance.id
        for instance in ctx.store.instances
        if instance.state is InstanceState.RUNNING
        and instance.vpc_id in lost & ctx.segments
        and instance.id in alive
        and not sagas.is_changing(instance.id)
    ]
    for instance_id in stranded:
        _log.warning("the network of a machine was lost; its instance starts again", instance=instance_id)
    deadline_s = min(ctx.stop_deadline_s, SHUT_DOWN_S)
    await asyncio.gather(*(shut_down_machine(ctx, it, deadline_s, keep_local_disks=True) for it in stranded))


async def cut_off(ctx: SagaContext, sagas: SagaEngine) -> list[Instance]:
    """Return the instances whose machines run, and have interfaces that are plugged and that nobody has open."""
    with sagas.noting_changes() as changed:
        machines = await ctx.hypervisor.observe()
        fabric = await ctx.network.observe()
    lost = {it.machine_id: it.interface_ids & fabric.unheld for it in machines if it.state is not MachineState.GONE}
    return [
        instance
        for instance in ctx.store.instances
        if instance.state is InstanceState.RUNNING
        and instance.id not in changed
        # One that was taken by force, and that the guest did not let go of, may be plugged for another machine by now.
        and any(it.id in lost.get(instance.id, ()) for it in interfaces_of(ctx.store, instance.id))
    ]
