"""Detach a network interface from an instance.

Before it begins the attachment is `detaching`. Afterwards the interface is free and not on the host; or, when its guest
did not let go of it or a step failed before the machine had given it back, `attached` as before. Like every change of
what is in a machine it is a saga of the instance.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.network_interface import InterfaceAttachmentState, NetworkInterface, detached
from bakehouse.sagas import machine
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import reroute


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachNetworkInterface:
    """Parameters."""

    interface_id: str
    instance_id: str
    force: bool
    """Take it without the guest's consent."""


async def take_out(ctx: SagaContext, params: DetachNetworkInterface) -> None:
    """Ask the guest for the interface. No machine, or one without it: nothing happens."""
    await ctx.hypervisor.detach_interface(params.instance_id, params.interface_id, force=params.force)


async def keep(ctx: SagaContext, params: DetachNetworkInterface) -> None:
    """Write down that the interface is still attached; or, if the failure came too late for that, finish."""
    if not await machine.has_interface(ctx, params.instance_id, params.interface_id):
        await unplug(ctx, params)
        await mark_detached(ctx, params)
        return
    interface = _detaching(ctx, params)
    if interface is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(interface, attachment_state=InterfaceAttachmentState.ATTACHED))


async def unplug(ctx: SagaContext, params: DetachNetworkInterface) -> None:
    """Take the interface off the host."""
    interface = _detaching(ctx, params)
    if interface is not None:
        await ctx.network.unplug(interface.vpc_id, interface.id)


async def mark_detached(ctx: SagaContext, params: DetachNetworkInterface) -> None:
    """Write down that the interface is free; routes to it lead nowhere."""
    interface = _detaching(ctx, params)
    if interface is not None:
        async with ctx.store.transaction() as tx:
            tx.put(detached(interface))
        await reroute(ctx, [interface])


def _detaching(ctx: SagaContext, params: DetachNetworkInterface) -> NetworkInterface | None:
    """Return the interface if its attachment is the one that this saga ends."""
    interface = ctx.store.network_interfaces.get(params.interface_id)
    if interface is None or interface.instance_id != params.instance_id:
        return None
    return interface if interface.attachment_state is InterfaceAttachmentState.DETACHING else None


DETACH_NETWORK_INTERFACE: Final = Saga(
    name="detach_network_interface",
    params=DetachNetworkInterface,
    steps=(
        Step("take_out", do=take_out, undo=keep),
        Step("unplug", do=unplug),
        Step("mark_detached", do=mark_detached),  # last, so it needs no undo
    ),
)
