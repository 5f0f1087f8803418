"""Launch the instances of a fleet.

Before it begins, one transaction has reserved everything: the fleet, which names its instances, and each of them with
the saga that launches it (`run_instance`). This one begins when all of those have ended, either way. Afterwards the
fleet names the instances that were launched, and has an error for each pool of which one was not. There is nothing to
undo: an instant fleet of which less was launched than asked for is a fleet, with errors. Source: EC2 User Guide,
"Configure an EC2 Fleet of type instant".

A crash before it begins leaves a fleet that names all that was reserved: its launches are taken up, then this. What a
server would have launched from other pools in place of what failed is launched no more: nobody waits for the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bakehouse.domain.fleet import NOT_LAUNCHED, settled
from bakehouse.domain.instance import LAUNCH_FAILED, InstanceState
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True)
class CreateFleet:
    """Parameters."""

    fleet_id: str
    launches: Sequence[str]
    """Sagas that launch its instances."""


async def settle(ctx: SagaContext, params: CreateFleet) -> None:
    """Write down which instances were not launched."""
    async with ctx.store.transaction() as tx:
        fleet = ctx.store.fleets[params.fleet_id]
        failed = {instance_id for instance_id in fleet.instance_ids if _has_failed(ctx, instance_id)}
        if failed:
            tx.put(settled(fleet, failed, NOT_LAUNCHED))


def _has_failed(ctx: SagaContext, instance_id: str) -> bool:
    instance = ctx.store.instances.get(instance_id)
    if instance is None:
        return False  # it was launched, terminated, and an hour later forgotten
    return instance.state is InstanceState.TERMINATED and instance.state_reason == LAUNCH_FAILED


CREATE_FLEET: Final = Saga(
    name="create_fleet",
    params=CreateFleet,
    steps=(Step("settle", do=settle),),
    follows=lambda params: params.launches,
)
