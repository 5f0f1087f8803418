"""Instant fleets: made, shown, deleted with their instances.

A fleet comes to be in one transaction with all instances that it launches, `pending`, and a saga that waits for them
(`sagas/create_fleet.py`): a server that goes away leaves a fleet that names whatever it has.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bakehouse.app.context import AppContext, owned
from bakehouse.app.fleet_rounds import Launcher, Round, Taken
from bakehouse.app.instances import Instances
from bakehouse.app.launches import Launches
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.domain import shown_afterwards
from bakehouse.domain.caller import Caller
from bakehouse.domain.fleet import Fleet, TargetCapacity, check_pools, explained, fleet_not_deletable
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.tags import check_tags
from bakehouse.ports.hypervisor import GuestSupport
from bakehouse.sagas.create_fleet import CREATE_FLEET, CreateFleet
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOrder:
    """A fleet to be made."""

    capacity: TargetCapacity
    configs: tuple[dict[str, Any], ...]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    client_token: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


class Fleets:
    """Use cases on fleets."""

    def __init__(self, context: AppContext, instances: Instances, public_addresses: PublicAddresses) -> None:
        """Work on these records."""
        self._context = context
        self._instances = instances
        self._launches = Launches(context, public_addresses)

    async def create(self, caller: Caller, wanted: FleetOrder, launcher: Launcher) -> Fleet:
        """Make a fleet and launch its instances; what could not be launched is told in its errors.

        All is reserved at once. In place of machines that do not start, others are launched from the next pools.
        """
        check_tags(wanted.tags)
        fleet = Fleet(
            id=new_id("fleet"),
            account_id=caller.account_id,
            region=caller.region,
            created_at=self._context.now().replace(microsecond=0),
            capacity=wanted.capacity,
            configs=wanted.configs,
            options=wanted.options,
            client_token=wanted.client_token,
            tags=dict(wanted.tags),
        )
        check_pools(fleet.pools)
        guests = await self._launches.ready(caller)
        async with self._context.store.transaction() as tx:
            tx.put(fleet)
            tx.remember(caller, fleet.id, fleet.created_at.timestamp())
            saga, taken = self._reserve(tx, caller, fleet.id, launcher, guests)
        while saga is not None:
            await self._launch(caller, fleet.id, saga, taken)
            async with self._context.store.transaction() as tx:
                saga, taken = self._reserve(tx, caller, fleet.id, launcher, guests)
        return self.get(caller, fleet.id)

    async def delete(self, caller: Caller, fleet_id: str) -> tuple[Fleet, Fleet]:
        """Terminate a fleet's instances and let it be shown as deleted; return it as it was and as it is.

        Those that are being launched are terminated too, and no more are. Refuses one that is deleted.
        """
        async with self._context.store.transaction() as tx:
            fleet = self.get(caller, fleet_id)
            if fleet.deleted:
                raise fleet_not_deletable(fleet_id)
            sagas = self._instances.enlist_termination(tx, self._living(fleet))
            deleted = replace(fleet, deleted=True, deleted_at=self._context.now())
            tx.put(deleted)
        for saga in sagas:
            self._context.sagas.begin(saga)
        return fleet, deleted

    def get(self, caller: Caller, fleet_id: str) -> Fleet:
        """Return the caller's fleet, or refuse: InvalidFleetId.NotFound."""
        (fleet,) = owned(self._context.store.fleets, caller, "fleet", [fleet_id])
        return fleet

    def state(self, fleet: Fleet) -> str:
        """Return FleetState."""
        if not fleet.deleted:
            return "active"
        return "deleted_terminating" if self._living(fleet) else "deleted"

    async def forget_deleted(self) -> None:
        """Forget those that were deleted two days ago and whose instances are terminated."""
        oldest = self._context.now() - shown_afterwards.FLEET
        async with self._context.store.transaction() as tx:
            for fleet in list(self._context.store.fleets):
                # One that an earlier version deleted does not know when.
                if self.state(fleet) == "deleted" and (fleet.deleted_at or fleet.created_at) < oldest:
                    tx.delete(fleet)

    def _living(self, fleet: Fleet) -> list[Instance]:
        found = [self._context.store.instances.get(instance_id) for instance_id in fleet.instance_ids]
        return [it for it in found if it is not None and it.state is not InstanceState.TERMINATED]

    def _reserve(
        self,
        tx: Transaction,
        caller: Caller,
        fleet_id: str,
        launcher: Launcher,
        guests: Mapping[str, GuestSupport],
    ) -> tuple[str | None, list[Taken]]:
        """Reserve what a fleet lacks; return the saga that launches it, None when there is nothing to launch."""
        fleet = self._context.store.fleets[fleet_id]
        begun = Round(tx=tx, caller=caller, launches=self._launches, launcher=launcher, guests=guests, fleet=fleet)
        begun.fill()
        if begun.fleet != fleet:
            tx.put(begun.fleet)
        if not begun.taken:
            return None, []
        params = CreateFleet(fleet_id, [saga for it in begun.taken for saga in it.sagas])
        return self._context.sagas.enlist(tx, CREATE_FLEET, params, subject_id=fleet_id), begun.taken

    async def _launch(self, caller: Caller, fleet_id: str, saga: str, taken: Iterable[Taken]) -> None:
        """Launch what was reserved, to its end; tell of what did not start more than the saga can."""
        ended = self._context.sagas.begin(saga)
        refusals = {}
        for it in taken:
            outcomes = await asyncio.gather(*map(self._context.sagas.run, it.sagas), return_exceptions=True)
            if failures := [outcome for outcome in outcomes if outcome is not None]:
                refusals[it.pool, it.lifecycle] = self._launches.refusal(caller, failures)
        await asyncio.shield(ended)
        if refusals:
            async with self._context.store.transaction() as tx:
                tx.put(explained(self._context.store.fleets[fleet_id], refusals))
