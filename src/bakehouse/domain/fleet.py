"""EC2 fleets of the type `instant`: several kinds of instances from launch templates, by one request.

Every pool (a template with an override) costs the same here and has the same capacity, so that each allocation strategy
but `diversified` takes the pools in their order. Source: EC2 User Guide, "Use allocation strategies".
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from bakehouse.domain.errors import Ec2Error, insufficient_capacity, invalid_parameter, not_honoured

Lifecycle = Literal["on-demand", "spot"]

#: Tag of an instance that a fleet launched. Source: EC2 User Guide, "Tag an EC2 Fleet".
FLEET_TAG: Final = "aws:ec2:fleet-id"

#: Source: EC2 API Reference, DeleteFleetError.
NOT_DELETABLE: Final = "fleetNotInDeletableState"

#: What is told of instances that did not start, where nobody remembers more.
NOT_LAUNCHED: Final = insufficient_capacity(
    "We currently do not have sufficient capacity for the instances you requested."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A launch template with one override, in EC2's own words."""

    template: Mapping[str, Any]
    """FleetLaunchTemplateSpecification."""
    override: Mapping[str, Any]
    """FleetLaunchTemplateOverrides; empty for the template alone."""

    @property
    def weight(self) -> float:
        """How many units of capacity one instance is."""
        return float(self.override.get("WeightedCapacity", 1))

    @property
    def priority(self) -> float:
        """Where it stands among others; those without stand last."""
        return float(self.override.get("Priority", math.inf))

    def instances_for(self, units: float) -> int:
        """Return how many instances fill so many units."""
        return max(0, math.ceil(units / self.weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLaunch:
    """Instances that were launched from one pool."""

    pool: int
    """Its place in the fleet's pools."""
    lifecycle: Lifecycle
    instance_type: str
    instance_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetError:
    """Why a pool gave nothing."""

    pool: int
    lifecycle: Lifecycle
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCapacity:
    """How many units of capacity are wanted."""

    total: int
    on_demand: int
    spot: int
    default: Lifecycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet, which launched its instances when it was made and does nothing since."""

    id: str
    account_id: str
    region: str
    created_at: datetime
    capacity: TargetCapacity
    configs: tuple[dict[str, Any], ...]
    """LaunchTemplateConfigs, as they were given."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """SpotOptions and OnDemandOptions, as they were given."""
    client_token: str | None = None
    launches: tuple[FleetLaunch, ...] = ()
    errors: tuple[FleetError, ...] = ()
    deleted: bool = False
    deleted_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Each template with each of its overrides, in their order."""
        return tuple(
            Pool(template=config["LaunchTemplateSpecification"], override=override)
            for config in self.configs
            for override in config.get("Overrides") or [{}]
        )

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """Those that it launched, or is launching."""
        return tuple(instance_id for it in self.launches for instance_id in it.instance_ids)

    def fulfilled(self, *lifecycles: Lifecycle) -> float:
        """Return the units of capacity that were launched."""
        pools = self.pools
        return sum(len(it.instance_ids) * pools[it.pool].weight for it in self.launches if it.lifecycle in lifecycles)


def settled(fleet: Fleet, failed: Collection[str], refusal: Ec2Error) -> Fleet:
    """Return a fleet without instances that were not launched, and with what is told of each pool that has some."""
    launches, errors = [], list(fleet.errors)
    for launch in fleet.launches:
        left = tuple(it for it in launch.instance_ids if it not in failed)
        if left:
            launches.append(replace(launch, instance_ids=left))
        if left != launch.instance_ids:
            errors.append(error_of(launch.pool, launch.lifecycle, refusal))
    return replace(fleet, launches=tuple(launches), errors=tuple(errors))


def explained(fleet: Fleet, refusals: Mapping[tuple[int, Lifecycle], Ec2Error]) -> Fleet:
    """Return a fleet whose errors tell why instances did not start, where that is known, by pool and lifecycle."""
    untold = (NOT_LAUNCHED.code, NOT_LAUNCHED.message)
    errors = (
        error_of(it.pool, it.lifecycle, refusals.get((it.pool, it.lifecycle), NOT_LAUNCHED))
        if (it.code, it.message) == untold
        else it
        for it in fleet.errors
    )
    return replace(fleet, errors=tuple(errors))


def error_of(pool: int, lifecycle: Lifecycle, refusal: Ec2Error) -> FleetError:
    """Return what is told of a pool that gave nothing."""
    return FleetError(pool=pool, lifecycle=lifecycle, code=refusal.code, message=refusal.message)


def target_capacity(given: Mapping[str, Any]) -> TargetCapacity:
    """Return what TargetCapacitySpecification asks for, or refuse it."""
    total, default = given["TotalTargetCapacity"], given.get("DefaultTargetCapacityType", "on-demand")
    if default not in ("on-demand", "spot"):
        raise not_honoured(f"TargetCapacitySpecification.DefaultTargetCapacityType={default}")
    on_demand, spot = given.get("OnDemandTargetCapacity", 0), given.get("SpotTargetCapacity", 0)
    if total < 1 or on_demand < 0 or spot < 0 or on_demand + spot > total:
        raise Ec2Error(
            "InvalidTargetCapacitySpecification",
            "The total target capacity must be at least 1, and not less than the On-Demand and Spot capacity together.",
        )
    rest = total - on_demand - spot
    if default == "spot":
        return TargetCapacity(total=total, on_demand=on_demand, spot=spot + rest, default="spot")
    return TargetCapacity(total=total, on_demand=on_demand + rest, spot=spot, default="on-demand")


def order(pools: Sequence[Pool], strategy: str | None) -> list[int]:
    """Return the places of pools in the order in which they are tried."""
    places = range(len(pools))
    if strategy in ("prioritized", "capacity-optimized-prioritized"):
        return sorted(places, key=lambda it: pools[it].priority)
    return list(places)


def shares(pools: Sequence[Pool], places: Iterable[int], strategy: str | None, units: float) -> dict[int, float]:
    """Return how many units each pool is to give at first, if they are diversified: as many as every other."""
    tried = list(places)
    if strategy != "diversified" or not tried:
        return {}
    each = units / len(tried)
    return {place: each for place in tried if pools[place].weight > 0}


def check_pools(pools: Sequence[Pool]) -> None:
    """Refuse weights that are none."""
    for pool in pools:
        if not pool.weight > 0:
            raise invalid_parameter(f"The weighted capacity {pool.weight} is not greater than 0.")


def fleet_not_deletable(fleet_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteFleetError: a code of its own."""
    return Ec2Error(NOT_DELETABLE, f"The fleet '{fleet_id}' is deleted already.")
