"""What every launch does, whoever asks for it: a request of its own, or a fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakehouse.app.context import AppContext
from bakehouse.app.encryption import prepare_default_key
from bakehouse.app.launch import LaunchRequest, plan, reserve
from bakehouse.app.networks import Networks
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.app.snapshots import snapshot_gone
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, insufficient_capacity
from bakehouse.domain.image_boot import host_unable
from bakehouse.domain.instance import Instance
from bakehouse.ports.hypervisor import GuestSupport, MachineUnsupported
from bakehouse.ports.volumes import NoSuchSnapshot
from bakehouse.sagas.run_instance import RUN_INSTANCE, RunInstance
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Instances that are `pending`, each with the saga that launches it."""

    instances: tuple[Instance, ...]
    sagas: tuple[str, ...]


class Launches:
    """Reserves instances and tells why they did not start."""

    def __init__(self, context: AppContext, public_addresses: PublicAddresses) -> None:
        """Work on these records."""
        self._context = context
        self._public_addresses = public_addresses

    async def ready(self, caller: Caller) -> Mapping[str, GuestSupport]:
        """Make sure of what a launch takes for granted, and return what this host can run, by architecture."""
        await Networks(self._context).ensure_default(caller)
        await prepare_default_key(self._context, caller)
        return (await self._context.hypervisor.capabilities()).guests

    def reserve(
        self, tx: Transaction, caller: Caller, request: LaunchRequest, guests: Mapping[str, GuestSupport]
    ) -> Reserved:
        """Put all records of a launch and journal the sagas that launch it; a request that is refused puts nothing."""
        planned = plan(self._context, caller, request, self._public_addresses, guests)
        instances = reserve(tx, planned, caller, self._context.now())
        sagas = [
            self._context.sagas.enlist(
                tx, RUN_INSTANCE, RunInstance(instance.id, planned.place.existing_ids(n)), subject_id=instance.id
            )
            for n, instance in enumerate(instances)
        ]
        return Reserved(instances=tuple(instances), sagas=tuple(sagas))

    def refusal(self, caller: Caller, failures: Sequence[BaseException]) -> Ec2Error:
        """Return what the requester hears of sagas that failed: InsufficientInstanceCapacity, or what is true of all.

        That is: this host cannot run such a machine, or a snapshot was archived or deleted in the meantime.
        """
        match failures[0]:
            case NoSuchSnapshot():
                return snapshot_gone(self._context, caller, str(failures[0]))
            case MachineUnsupported():
                return host_unable(str(failures[0]))
            case first:
                return insufficient_capacity(
                    f"We currently do not have sufficient capacity for the instances you requested: {first}"
                )
