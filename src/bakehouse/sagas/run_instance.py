"""Launch one instance.

Before it begins, one transaction has reserved everything: the instance (`pending`), its interfaces with their
addresses, and its volumes (`creating`). Afterwards the machine runs and the instance is `running`; or, when a step
failed, there is no machine, no volume and no interface that was not there before, and the instance is `terminated` with
its reason. A crash between two steps leaves some of these things made; the steps make the rest, or the undos take all
of them away.

An instance that was asked to terminate meanwhile keeps its state: the terminate saga comes next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import LAUNCH_FAILED, InstanceEvent, InstanceState, next_state
from bakehouse.domain.volume import AttachmentState, VolumeState
from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import reroute
from bakehouse.sagas.volumes import all_to_their_ends


@dataclass(frozen=True, slots=True)
class RunInstance:
    """Parameters."""

    instance_id: str
    existing_interface_ids: Sequence[str] = ()
    """Interfaces that were there before, and stay when there is no instance."""


async def prepare(ctx: SagaContext, params: RunInstance) -> None:
    """Make the volumes and the interfaces, side by side: neither needs the other; let routes lead to the latter."""
    await all_to_their_ends(
        [machine.make_volumes(ctx, params.instance_id), machine.plug_interfaces(ctx, params.instance_id)]
    )
    await reroute(ctx, machine.interfaces_of(ctx.store, params.instance_id))


async def give_up(ctx: SagaContext, params: RunInstance) -> None:
    """Take away what was made, then the records: the bytes first, so that none is left without its record."""
    instance = ctx.store.instances[params.instance_id]
    await machine.unplug_interfaces(ctx, instance.id)
    await machine.delete_volumes(ctx, instance.id, all_of_them=True)
    interfaces = machine.interfaces_of(ctx.store, instance.id)
    async with ctx.store.transaction() as tx:
        for volume in machine.volumes_of(ctx.store, instance):
            tx.delete(volume)
        for interface in interfaces:
            is_new = interface.id not in params.existing_interface_ids
            machine.let_go(tx, ctx.store, interface, delete=is_new)
        instance = ctx.store.instances[instance.id]
        if instance.state is InstanceState.PENDING:
            state = next_state(instance, InstanceEvent.LAUNCH_FAILED)
            tx.put(replace(instance, state=state, state_reason=LAUNCH_FAILED, terminated_at=ctx.now()))
    await reroute(ctx, interfaces)


async def start_machine(ctx: SagaContext, params: RunInstance) -> None:
    """Start the machine from the volumes, root first."""
    await machine.start_machine(ctx, params.instance_id)


async def kill_machine(ctx: SagaContext, params: RunInstance) -> None:
    """End the machine, if it started."""
    await machine.kill_machine(ctx, params.instance_id)


async def mark_running(ctx: SagaContext, params: RunInstance) -> None:
    """Write down that the machine runs and holds its volumes."""
    async with ctx.store.transaction() as tx:
        instance = ctx.store.instances[params.instance_id]
        for volume in machine.volumes_of(ctx.store, instance):
            if volume.state is VolumeState.CREATING and volume.attachment is not None:
                attachment = replace(volume.attachment, state=AttachmentState.ATTACHED)
                tx.put(replace(volume, state=VolumeState.IN_USE, attachment=attachment))
        if instance.state is InstanceState.PENDING:
            tx.put(replace(instance, state=next_state(instance, InstanceEvent.MACHINE_STARTED)))


RUN_INSTANCE: Final = Saga(
    name="run_instance",
    params=RunInstance,
    steps=(
        Step("prepare", do=prepare, undo=give_up),
        Step("start_machine", do=start_machine, undo=kill_machine),
        Step("mark_running", do=mark_running),  # last, so it needs no undo
    ),
)
