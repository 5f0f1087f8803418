"""Attach a network interface to an instance: plugged into a machine that runs, written down for one that does not.

Before it begins the interface names the instance and its attachment is `attaching`. Afterwards it is `attached`; or,
when a step failed, the interface is free again, in no machine and not on the host. It is a saga of the instance, so no
start or stop of the machine runs beside it; an instance that is `pending` by the time of its turn starts with the
interface.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.network_interface import InterfaceAttachmentState, NetworkInterface, detached
from bakehouse.ports.hypervisor import MachineInterface
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.sagas import machine
from bakehouse.sagas.attach_volume import WITH_MACHINE
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.segment import reroute


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachNetworkInterface:
    """Parameters."""

    interface_id: str
    instance_id: str


async def plug(ctx: SagaContext, params: AttachNetworkInterface) -> None:
    """Make the interface ready and plug it into the machine, if there is one."""
    if ctx.store.instances[params.instance_id].state not in WITH_MACHINE:
        return
    await machine.plug_interface(ctx, params.interface_id)
    try:
        connection = await ctx.network.connect(params.interface_id)
    except NetworkUnavailable:
        # A crash may have come right after it was plugged: then the machine itself has it open.
        if await machine.has_interface(ctx, params.instance_id, params.interface_id):
            return
        raise
    mac = ctx.store.network_interfaces[params.interface_id].mac
    interface = MachineInterface(interface_id=params.interface_id, mac=mac, connection=connection)
    await ctx.hypervisor.attach_interface(params.instance_id, interface)


async def unplug(ctx: SagaContext, params: AttachNetworkInterface) -> None:
    """Take the interface out whatever the guest does with it, and write down that it is free."""
    await ctx.hypervisor.detach_interface(params.instance_id, params.interface_id, force=True)
    interface = _attaching(ctx, params)
    if interface is not None:
        await ctx.network.unplug(interface.vpc_id, interface.id)
        async with ctx.store.transaction() as tx:
            tx.put(detached(ctx.store.network_interfaces[interface.id]))
        await reroute(ctx, [interface])


async def mark_attached(ctx: SagaContext, params: AttachNetworkInterface) -> None:
    """Write down that the interface is in the instance, and let routes lead to it."""
    interface = _attaching(ctx, params)
    if interface is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(interface, attachment_state=InterfaceAttachmentState.ATTACHED))
        await reroute(ctx, [interface])


def _attaching(ctx: SagaContext, params: AttachNetworkInterface) -> NetworkInterface | None:
    """Return the interface if its attachment is the one that this saga makes."""
    interface = ctx.store.network_interfaces.get(params.interface_id)
    if interface is None or interface.instance_id != params.instance_id:
        return None
    return interface if interface.attachment_state is InterfaceAttachmentState.ATTACHING else None


ATTACH_NETWORK_INTERFACE: Final = Saga(
    name="attach_network_interface",
    params=AttachNetworkInterface,
    steps=(
        Step("plug", do=plug, undo=unplug),
        Step("mark_attached", do=mark_attached),  # last, so it needs no undo
    ),
)
