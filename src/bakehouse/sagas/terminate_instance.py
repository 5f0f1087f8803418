"""Terminate an instance: its machine, and the interfaces and the volumes that go with it.

Before it begins the instance is `shutting-down`. Afterwards it is `terminated`, and stays to be seen for an hour; its
interface is gone, the volumes with DeleteOnTermination are gone or in the Recycle Bin, the others `available`. There is
nothing to undo: whoever finds the instance still `shutting-down` without a saga under way begins it again.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import InstanceEvent, InstanceState, next_state
from bakehouse.domain.volume import VolumeState
from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import reroute


@dataclass(frozen=True, slots=True)
class TerminateInstance:
    """Parameters."""

    instance_id: str
    force: bool = False
    """End the machine at once: the guest is not asked, or has shut down by itself."""


async def shut_down(ctx: SagaContext, params: TerminateInstance) -> None:
    """Let the guest shut down, then end the machine."""
    deadline_s = 0 if params.force else ctx.terminate_deadline_s
    await machine.shut_down_machine(ctx, params.instance_id, deadline_s)


async def unplug_interface(ctx: SagaContext, params: TerminateInstance) -> None:
    """Take the interfaces away."""
    await machine.unplug_interfaces(ctx, params.instance_id)


async def delete_volumes(ctx: SagaContext, params: TerminateInstance) -> None:
    """Delete the bytes of the volumes that go with the instance, but for those that the Recycle Bin keeps."""
    await machine.recycle_volumes(ctx, params.instance_id)
    await machine.delete_volumes(ctx, params.instance_id, all_of_them=False)


async def mark_terminated(ctx: SagaContext, params: TerminateInstance) -> None:
    """Remove the records of what is gone, and free what stays; routes to its interfaces lead nowhere."""
    interfaces = machine.interfaces_of(ctx.store, params.instance_id)
    async with ctx.store.transaction() as tx:
        instance = ctx.store.instances[params.instance_id]
        for volume in machine.volumes_of(ctx.store, instance):
            if volume.attachment is not None and volume.attachment.delete_on_termination:
                tx.delete(volume)
            else:
                tx.put(replace(volume, state=VolumeState.AVAILABLE, attachment=None))
        for interface in interfaces:
            machine.let_go(tx, ctx.store, interface, delete=interface.delete_on_termination)
        if instance.state is InstanceState.SHUTTING_DOWN:
            state = next_state(instance, InstanceEvent.MACHINE_GONE)
            well = replace(instance, impaired_since=None, storage_full_since=None)
            tx.put(replace(well, state=state, terminated_at=ctx.now()))
    await reroute(ctx, interfaces)


TERMINATE_INSTANCE: Final = Saga(
    name="terminate_instance",
    params=TerminateInstance,
    steps=(
        Step("shut_down", do=shut_down),
        Step("unplug_interface", do=unplug_interface),
        Step("delete_volumes", do=delete_volumes),
        Step("mark_terminated", do=mark_terminated),
    ),
)
