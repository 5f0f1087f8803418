"""What an interface has, into the fabric: its groups, its addresses, its check of sources.

The record changes first, in the transaction that enlists the saga; its one step writes what the record says by then, so
that two changes in any order end at the later record. It is a saga of the instance, so that it does not plug what a
stop has just unplugged. An interface of an instance without a machine needs nothing: a start plugs it as the record
says. What the interface loses is reserved until then, and a saga that gives it to another interface follows this one.

There is no way back from a record that a client was told of, so what undoes it is to try again: where the fabric fails,
the saga stays in the journal. Else a group that was taken from an interface would still let its traffic through.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bakehouse.domain.network_interface import InterfaceAttachmentState
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.sagas import machine
from bakehouse.sagas.attach_volume import WITH_MACHINE
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterfaceChange:
    """The interface that changed, the instance that it is attached to, and what must have ended before."""

    interface_id: str
    instance_id: str
    after: tuple[str, ...] = ()
    """Sagas by which other interfaces lose what this one gets."""


async def apply_interface(ctx: SagaContext, change: NetworkInterfaceChange) -> None:
    """Bring the fabric to the record, if the interface is still in that instance and the instance has a machine."""
    interface = ctx.store.network_interfaces.get(change.interface_id)
    if interface is None or interface.instance_id != change.instance_id:
        return
    if ctx.store.instances[change.instance_id].state in WITH_MACHINE:
        try:
            await machine.plug_interface(ctx, interface.id)
        except NetworkUnavailable:
            # Its record may have an address that another one loses by a change whose turn comes later.
            await _apply_others(ctx, change)
            await machine.plug_interface(ctx, interface.id)


async def _apply_others(ctx: SagaContext, change: NetworkInterfaceChange) -> None:
    for other in machine.interfaces_of(ctx.store, change.instance_id):
        if other.id != change.interface_id and other.attachment_state is InterfaceAttachmentState.ATTACHED:
            with suppress(NetworkUnavailable):
                await machine.plug_interface(ctx, other.id)


APPLY_NETWORK_INTERFACE: Final = Saga(
    name="apply_network_interface",
    params=NetworkInterfaceChange,
    steps=(Step("apply_interface", do=apply_interface, undo=apply_interface),),
    follows=lambda change: change.after,
)
