"""One round of a fleet's launches: instances from pool after pool, reserved in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.launch import LaunchRequest
from bakehouse.app.launches import Launches
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.fleet import Fleet, FleetLaunch, Lifecycle, Pool, error_of, order, shares
from bakehouse.ports.hypervisor import GuestSupport
from bakehouse.store.store import Transaction

#: Returns what asks for at most so many instances of a pool, for a fleet; refuses what the pool cannot ask for.
Launcher = Callable[[Fleet, Pool, Lifecycle, int], LaunchRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was reserved from one pool, and the sagas that launch it."""

    pool: int
    lifecycle: Lifecycle
    sagas: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Round:
    """What a fleet lacks, taken from the pools that have not failed."""

    tx: Transaction
    caller: Caller
    launches: Launches
    launcher: Launcher
    guests: Mapping[str, GuestSupport]
    fleet: Fleet
    """As it is, with what has been taken so far."""
    taken: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Keep the client token out of the launches: it is the fleet's."""
        self.caller = replace(self.caller, idempotency=None)

    def fill(self) -> None:
        """Reserve what there is to reserve; a fleet that is deleted lacks nothing."""
        if not self.fleet.deleted:
            self._fill("on-demand", self.fleet.capacity.on_demand)
            self._fill("spot", self.fleet.capacity.spot)

    def _fill(self, lifecycle: Lifecycle, units: int) -> None:
        options = self.fleet.options.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions", {})
        strategy = options.get("AllocationStrategy")
        places = order(self.fleet.pools, strategy)
        for place, share in shares(self.fleet.pools, places, strategy, units).items():
            self._take(lifecycle, place, min(share, units - self.fleet.fulfilled(lifecycle)))
        for place in places:
            self._take(lifecycle, place, units - self.fleet.fulfilled(lifecycle))

    def _take(self, lifecycle: Lifecycle, place: int, units: float) -> None:
        """Reserve so many units from a pool, or as many as it gives; of one that gives none the refusal is kept."""
        pool = self.fleet.pools[place]
        number = pool.instances_for(units)
        if number == 0 or any((it.pool, it.lifecycle) == (place, lifecycle) for it in self.fleet.errors):
            return
        try:
            request = self.launcher(self.fleet, pool, lifecycle, number)
            reserved = self.launches.reserve(self.tx, self.caller, request, self.guests)
        except Ec2Error as refusal:
            self.fleet = replace(self.fleet, errors=(*self.fleet.errors, error_of(place, lifecycle, refusal)))
            return
        made = FleetLaunch(
            pool=place,
            lifecycle=lifecycle,
            instance_type=reserved.instances[0].type,
            instance_ids=tuple(it.id for it in reserved.instances),
        )
        self.fleet = replace(self.fleet, launches=(*self.fleet.launches, made))
        self.taken.append(Taken(pool=place, lifecycle=lifecycle, sagas=reserved.sagas))
