"""How many instances there can be: what the host carries, and what one account may have of it.

What runs on a host shares its memory, so guests together have at most so much. An account's quotas are there because
EC2 has them, and because a slip of the pen (`MaxCount=2147483647`) is not to fill the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from bakehouse.domain.errors import Ec2Error, insufficient_capacity
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType

#: Instances whose machine is there, or is about to be.
_ON_HOST: Final = frozenset(
    {InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN}
)
#: Those that count for quotas. Source: EC2 User Guide, "Amazon EC2 instance type quotas": running instances.
_COUNTED: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING})

#: First letters of the families that have one vCPU quota together.
#: Source: EC2 User Guide, "Amazon EC2 instance type quotas": Running On-Demand Standard (A, C, D, H, I, M, R, T, Z).
_STANDARD: Final = frozenset("acdhimrtz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What there is; None is without limit."""

    guest_memory_mib: int | None = None
    """For all guests of the host together."""
    instances: int = 1000
    """Running instances of an account in a region, as DescribeAccountAttributes has it: `max-instances`."""
    vcpus: int = 4096
    """Virtual processors of an account's running instances in a region: for each group of families, and for instances
    on demand and on the spot market apart."""


class Kind(NamedTuple):
    """What of an instance counts: those of one kind are counted, not looked at one by one."""

    account_id: str
    region: str
    type: str
    state: InstanceState
    spot: bool

    @classmethod
    def of(cls, instance: Instance) -> Self:
        """Return the kind that an instance is of at present."""
        is_spot = instance.spot_request_id is not None
        return cls(instance.account_id, instance.region, instance.type, instance.state, is_spot)


#: How many instances there are of each kind, of all accounts.
Population = Mapping[Kind, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """So many instances of a type at least, and at most, for one account in one region."""

    account_id: str
    region: str
    instance_type: InstanceType
    least: int
    most: int
    spot: bool = False


def allowed(capacity: Capacity, demand: Demand, population: Population) -> int:
    """Return how many instances of a demand there can be now: at least its least number, at most its most.

    Refuses what the account may not have
    at all (InstanceLimitExceeded, VcpuLimitExceeded, MaxSpotInstanceCountExceeded), and what the host does not carry
    (InsufficientInstanceCapacity).
    """
    running = {kind: number for kind, number in population.items() if _counts_for(demand, kind)}
    return min(
        demand.most,
        _by_instances(capacity, demand, running),
        _by_vcpus(capacity, demand, running),
        _by_memory(capacity, demand, population),
    )


def used_memory_mib(population: Population) -> int:
    """Return the memory of the guests that are on the host."""
    return sum(INSTANCE_TYPES[it.type].memory_mib * number for it, number in population.items() if it.state in _ON_HOST)


def _counts_for(demand: Demand, kind: Kind) -> bool:
    return kind.state in _COUNTED and (kind.account_id, kind.region) == (demand.account_id, demand.region)


def _by_instances(capacity: Capacity, demand: Demand, running: Population) -> int:
    room = max(0, capacity.instances - sum(running.values()))
    if demand.least > room or demand.most > capacity.instances:
        raise _instance_limit(room, demand.least if demand.least > room else demand.most)
    return room


def _by_vcpus(capacity: Capacity, demand: Demand, running: Population) -> int:
    group, vcpus = _quota_group(demand.instance_type), demand.instance_type.vcpus
    used = sum(
        INSTANCE_TYPES[it.type].vcpus * number
        for it, number in running.items()
        if it.spot is demand.spot and _quota_group(INSTANCE_TYPES[it.type]) == group
    )
    room = max(0, capacity.vcpus - used) // vcpus
    if demand.least > room or demand.most > capacity.vcpus // vcpus:
        raise _spot_limit() if demand.spot else _vcpu_limit(capacity.vcpus)
    return room


def _by_memory(capacity: Capacity, demand: Demand, population: Population) -> int:
    if capacity.guest_memory_mib is None:
        return demand.most
    left_mib = max(0, capacity.guest_memory_mib - used_memory_mib(population))
    room = left_mib // demand.instance_type.memory_mib
    if demand.least > room:
        raise host_full(demand.instance_type, left_mib, capacity.guest_memory_mib)
    return room


def _quota_group(instance_type: InstanceType) -> str:
    """Return the name of the quota that a type counts for."""
    letter = instance_type.family[0]
    return "standard" if letter in _STANDARD else letter


def host_full(instance_type: InstanceType, left_mib: int, all_mib: int) -> Ec2Error:
    """Refuse what does not fit beside the guests that are there. Wording: as AWS answers it, and what it is here."""
    return insufficient_capacity(
        f"We currently do not have sufficient {instance_type.name} capacity: an instance needs "
        f"{instance_type.memory_mib} MiB of memory, and {left_mib} of the {all_mib} MiB that this host has for guests "
        "are left."
    )


def _instance_limit(room: int, wanted: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InstanceLimitExceeded; wording as AWS answers it."""
    return Ec2Error(
        "InstanceLimitExceeded",
        f"Your quota allows for {room} more running instance(s). You requested at least {wanted}",
    )


def _vcpu_limit(limit: int) -> Ec2Error:
    """Source: xlang-ai/OSWorld issue 366, as AWS answers it, without the address of its support."""
    return Ec2Error(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket "
        "that the specified instance type belongs to.",
    )


def _spot_limit() -> Ec2Error:
    """Source: meadowdata/meadowrun issue 84, as AWS answers it."""
    return Ec2Error("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
