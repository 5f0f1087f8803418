"""Reboot an instance: the guest shuts down, its machine begins again at the firmware with the same devices.

The instance is `running` all the time. A guest that does not shut down in time is reset in the middle. A crash may
reboot it twice; it never stays off: whoever finds the machine powered off and the instance `running` has this saga
under way and leaves it alone.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True)
class RebootInstance:
    """Parameters."""

    instance_id: str


async def shut_down(ctx: SagaContext, params: RebootInstance) -> None:
    """Let the guest shut down."""
    await machine.shut_down_guest(ctx, params.instance_id, ctx.stop_deadline_s)


async def reset(ctx: SagaContext, params: RebootInstance) -> None:
    """Begin again at the firmware, whether the guest shut down or not."""
    await ctx.hypervisor.reset(params.instance_id)


async def mark_unimpaired(ctx: SagaContext, params: RebootInstance) -> None:
    """Forget an earlier panic."""
    instance = ctx.store.instances[params.instance_id]
    if instance.impaired_since is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(ctx.store.instances[params.instance_id], impaired_since=None))


REBOOT_INSTANCE: Final = Saga(
    name="reboot_instance",
    params=RebootInstance,
    steps=(
        Step("shut_down", do=shut_down),
        Step("reset", do=reset),
        Step("mark_unimpaired", do=mark_unimpaired),
    ),
)
