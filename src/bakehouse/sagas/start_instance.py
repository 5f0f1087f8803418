"""Start a stopped instance again.

Before it begins the instance is `pending` and its interface has a public address again if it wants one. Afterwards it
is `running`; or, when a step failed, `stopped` with its reason, its volumes untouched, its public address given back.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import LAUNCH_FAILED, InstanceEvent, InstanceState, next_state
from bakehouse.domain.network_interface import without_automatic_address
from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Parameters."""

    instance_id: str


async def plug_interface(ctx: SagaContext, params: StartInstance) -> None:
    """Make the interfaces ready."""
    await machine.plug_interfaces(ctx, params.instance_id)


async def give_up(ctx: SagaContext, params: StartInstance) -> None:
    """Take the interfaces away and write down that the instance did not start."""
    await machine.unplug_interfaces(ctx, params.instance_id)
    async with ctx.store.transaction() as tx:
        instance = ctx.store.instances[params.instance_id]
        for interface in machine.interfaces_of(ctx.store, instance.id):
            tx.put(without_automatic_address(interface))
        if instance.state is InstanceState.PENDING:
            state = next_state(instance, InstanceEvent.START_FAILED)
            tx.put(replace(instance, state=state, state_reason=LAUNCH_FAILED))


async def start_machine(ctx: SagaContext, params: StartInstance) -> None:
    """Start the machine from its volumes, root first."""
    await machine.start_machine(ctx, params.instance_id)


async def kill_machine(ctx: SagaContext, params: StartInstance) -> None:
    """End the machine, if it started."""
    await machine.kill_machine(ctx, params.instance_id)


async def mark_running(ctx: SagaContext, params: StartInstance) -> None:
    """Write down that the machine runs."""
    async with ctx.store.transaction() as tx:
        instance = ctx.store.instances[params.instance_id]
        if instance.state is InstanceState.PENDING:
            tx.put(replace(instance, state=next_state(instance, InstanceEvent.MACHINE_STARTED), hibernated=False))


START_INSTANCE: Final = Saga(
    name="start_instance",
    params=StartInstance,
    steps=(
        Step("plug_interface", do=plug_interface, undo=give_up),
        Step("start_machine", do=start_machine, undo=kill_machine),
        Step("mark_running", do=mark_running),  # last, so it needs no undo
    ),
)
