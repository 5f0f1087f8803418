"""Stop an instance: its volumes and its private address stay, everything else of its machine goes.

Before it begins the instance is `stopping`, with the reason. Afterwards there is no machine and no interface on the
host, and the instance is `stopped`. There is nothing to undo: whoever finds the instance still `stopping` without a
saga under way begins it again.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import InstanceEvent, InstanceState, next_state
from bakehouse.domain.network_interface import without_automatic_address
from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.hibernation import hibernate_machine


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Parameters."""

    instance_id: str
    force: bool = False
    """End the machine at once: the guest is not asked, or has shut down by itself."""
    hibernate: bool = False
    """Save the machine's memory instead of asking the guest. One that cannot be saved is shut down."""


async def shut_down(ctx: SagaContext, params: StopInstance) -> None:
    """Let the guest sleep or shut down, then end the machine."""
    if await hibernate_machine(ctx, params.instance_id, asked=params.hibernate):
        return
    deadline_s = 0 if params.force else ctx.stop_deadline_s
    await machine.shut_down_machine(ctx, params.instance_id, deadline_s)


async def unplug_interface(ctx: SagaContext, params: StopInstance) -> None:
    """Take the interfaces away."""
    await machine.unplug_interfaces(ctx, params.instance_id)


async def mark_stopped(ctx: SagaContext, params: StopInstance) -> None:
    """Write down that the instance is stopped, give its automatic public address back."""
    async with ctx.store.transaction() as tx:
        instance = ctx.store.instances[params.instance_id]
        for interface in machine.interfaces_of(ctx.store, instance.id):
            tx.put(without_automatic_address(interface))
        if instance.state is InstanceState.STOPPING:
            state = next_state(instance, InstanceEvent.MACHINE_GONE)
            tx.put(replace(instance, state=state, impaired_since=None, storage_full_since=None))


STOP_INSTANCE: Final = Saga(
    name="stop_instance",
    params=StopInstance,
    steps=(
        Step("shut_down", do=shut_down),
        Step("unplug_interface", do=unplug_interface),
        Step("mark_stopped", do=mark_stopped),
    ),
)
