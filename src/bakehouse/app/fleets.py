"""Instant fleets: made, shown, deleted with their instances.

The record comes first, then the instances pool by pool, each written down as it was launched: after a crash the fleet
has what it had until then, and its instances name it by their tag.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bakehouse.app.context import AppContext, owned
from bakehouse.app.instances import Instances
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.fleet import (
    Fleet,
    FleetError,
    FleetLaunch,
    Lifecycle,
    Pool,
    TargetCapacity,
    check_pools,
    order,
    shares,
)
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.tags import check_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOrder:
    """A fleet to be made."""

    capacity: TargetCapacity
    configs: tuple[dict[str, Any], ...]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    client_token: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What a pool gave."""

    instance_type: str
    instance_ids: tuple[str, ...]


#: Launches at most so many instances of a pool, for a fleet; refuses when there is not even one.
Launcher = Callable[[Fleet, Pool, Lifecycle, int], Awaitable[Launched]]


class Fleets:
    """Use cases on fleets."""

    def __init__(self, context: AppContext, instances: Instances) -> None:
        """Work on these records."""
        self._context = context
        self._instances = instances

    async def create(self, caller: Caller, wanted: FleetOrder, launch: Launcher) -> Fleet:
        """Make a fleet and launch its instances; what could not be launched is told in its errors."""
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
        async with self._context.store.transaction() as tx:
            tx.put(fleet)
            tx.remember(caller, fleet.id, fleet.created_at.timestamp())
        fleet = await self._fill(fleet, launch, "on-demand", wanted.capacity.on_demand)
        return await self._fill(fleet, launch, "spot", wanted.capacity.spot)

    async def delete(self, caller: Caller, fleet_id: str) -> tuple[Fleet, Fleet]:
        """Terminate a fleet's instances and let it be shown as deleted; return it as it was and as it is."""
        fleet = self.get(caller, fleet_id)
        ending = [it.id for it in self._living(fleet)]
        if ending:
            await self._instances.terminate(caller, ending)
        deleted = replace(fleet, deleted=True)
        async with self._context.store.transaction() as tx:
            tx.put(deleted)
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

    def _living(self, fleet: Fleet) -> list[Instance]:
        ids = [instance_id for it in fleet.launches for instance_id in it.instance_ids]
        found = [self._context.store.instances.get(instance_id) for instance_id in ids]
        return [it for it in found if it is not None and it.state is not InstanceState.TERMINATED]

    async def _fill(self, fleet: Fleet, launch: Launcher, lifecycle: Lifecycle, units: int) -> Fleet:
        """Launch so many units of one lifecycle from the pools in turn."""
        strategy = fleet.options.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions", {}).get(
            "AllocationStrategy"
        )
        pools = fleet.pools
        places = order(pools, strategy)
        for place, share in shares(pools, places, strategy, units).items():
            left = units - fleet.fulfilled(lifecycle)
            fleet = await self._take(fleet, launch, lifecycle, place, min(share, left))
        failed = {it.pool for it in fleet.errors if it.lifecycle == lifecycle}
        for place in places:
            if place not in failed:
                fleet = await self._take(fleet, launch, lifecycle, place, units - fleet.fulfilled(lifecycle))
        return fleet

    async def _take(self, fleet: Fleet, launch: Launcher, lifecycle: Lifecycle, place: int, units: float) -> Fleet:
        """Launch so many units from a pool, as many as it gives, and write that down."""
        number = fleet.pools[place].instances_for(units)
        if number == 0:
            return fleet
        try:
            launched = await launch(fleet, fleet.pools[place], lifecycle, number)
        except Ec2Error as refusal:
            error = FleetError(pool=place, lifecycle=lifecycle, code=refusal.code, message=refusal.message)
            changed = replace(fleet, errors=(*fleet.errors, error))
        else:
            made = FleetLaunch(
                pool=place,
                lifecycle=lifecycle,
                instance_type=launched.instance_type,
                instance_ids=launched.instance_ids,
            )
            changed = replace(fleet, launches=(*fleet.launches, made))
        async with self._context.store.transaction() as tx:
            tx.put(changed)
        return changed
