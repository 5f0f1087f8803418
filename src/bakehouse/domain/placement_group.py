"""Placement groups: which instances are to be near each other, or apart.

Here all instances run on one host, so a group says nothing about hardware; what it says of zones, partitions and
numbers holds. Source: EC2 User Guide, "Placement strategies for your placement groups".
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from bakehouse.domain.errors import (
    Ec2Error,
    insufficient_capacity,
    invalid_combination,
    invalid_parameter,
    invalid_value,
    not_honoured,
)
from bakehouse.domain.instance import Instance, InstanceState, Membership
from bakehouse.domain.instance_type import InstanceType

Strategy = Literal["cluster", "partition", "spread"]

#: Source: EC2 User Guide, "Placement strategies": running instances of a rack spread group in a zone.
SPREAD_MAX: Final = 7
#: Source: EC2 User Guide, "Placement strategies": partitions of a group in a zone.
PARTITIONS_MAX: Final = 7
_PARTITIONS: Final = 2

#: Old families that cannot be in a cluster group.
#: Source: EC2 User Guide, "Placement strategies", which lists the old ones that can: A1, C3, C4, G2, I2, M4, R3, R4.
_NEVER_CLUSTERED: Final = frozenset({"c1", "m1", "m2", "m3", "t1"})

#: Up to 255 ASCII characters. Source: EC2 API Reference, CreatePlacementGroup, GroupName.
_NAME: Final = re.compile(r"[ -~]{1,255}")

_COUNTED: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementGroup:
    """A group; its instances name it in their placement."""

    id: str
    account_id: str
    region: str
    name: str
    strategy: Strategy
    partition_count: int | None = None
    """Of a partition group."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ec2:{self.region}:{self.account_id}:placement-group/{self.name}"

    @property
    def spread_level(self) -> str | None:
        """Where its instances are kept apart, if it is a spread group: each in a rack of its own."""
        return "rack" if self.strategy == "spread" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWish:
    """The group that a launch asks for, by id or by name, and the partition."""

    group_id: str | None = None
    name: str | None = None
    partition: int | None = None


def checked_group(
    *,
    group_id: str,
    account_id: str,
    region: str,
    name: str,
    strategy: str | None,
    partition_count: int | None,
    spread_level: str | None,
    tags: dict[str, str],
) -> PlacementGroup:
    """Return a new group, or refuse what does not go together."""
    if _NAME.fullmatch(name) is None:
        raise invalid_value(name, "groupName", "Expecting up to 255 ASCII characters.")
    chosen = _strategy(strategy, partition_count)
    if partition_count is not None and chosen != "partition":
        raise invalid_combination("The parameter PartitionCount is valid only when the strategy is partition.")
    if spread_level is not None and chosen != "spread":
        raise invalid_combination("The parameter SpreadLevel is valid only when the strategy is spread.")
    if spread_level == "host":
        raise not_honoured("SpreadLevel=host", "It is for Outposts only.")
    if partition_count is not None and not 1 <= partition_count <= PARTITIONS_MAX:
        raise invalid_value(partition_count, "partitionCount", f"Expecting a value between 1 and {PARTITIONS_MAX}.")
    return PlacementGroup(
        id=group_id,
        account_id=account_id,
        region=region,
        name=name,
        strategy=chosen,
        partition_count=(partition_count or _PARTITIONS) if chosen == "partition" else None,
        tags=tags,
    )


def _strategy(asked: str | None, partition_count: int | None) -> Strategy:
    match asked:
        case None:
            return "cluster" if partition_count is None else "partition"
        case "cluster" | "partition" | "spread":
            return asked
        case _:
            raise not_honoured(f"Strategy={asked}")


def check_type(group: PlacementGroup, instance_type: InstanceType) -> None:
    """Refuse an instance type that cannot be in a cluster group: burstable and flexible ones, and most old ones."""
    if group.strategy != "cluster":
        return
    family = instance_type.family
    if instance_type.burstable or "flex" in family or family in _NEVER_CLUSTERED:
        raise invalid_combination(
            f"Cluster placement groups are not supported by the '{instance_type.name}' instance type. Specify a "
            "supported instance type or change the placement group strategy, and try again."
        )


def check_zone(group: PlacementGroup, members: Iterable[Instance], zone: str) -> None:
    """Refuse a zone other than that of the instances that a cluster group has.

    Source: hashicorp/terraform issue 16183 and bcbio/bcbio-nextgen-vm issue 45, as AWS answers it.
    """
    if group.strategy != "cluster":
        return
    for member in members:
        if member.availability_zone != zone:
            raise Ec2Error(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use in another availability zone: "
                f"{member.availability_zone}",
            )


def check_partition(group: PlacementGroup, partition: int | None) -> None:
    """Refuse a partition that the group does not have."""
    if partition is None:
        return
    if group.partition_count is None:
        raise invalid_combination(
            "The parameter PartitionNumber is valid only when the strategy of the placement group is partition."
        )
    if not 1 <= partition <= group.partition_count:
        raise invalid_parameter(
            f"The partition number {partition} is not one of the {group.partition_count} partitions of the placement "
            f"group '{group.name}'."
        )


def room_in_zone(group: PlacementGroup, members: Iterable[Instance], zone: str) -> int | None:
    """Return how many more instances of the group can run in a zone; None is any number."""
    if group.strategy != "spread":
        return None
    running = sum(it.availability_zone == zone and it.state in _COUNTED for it in members)
    return max(0, SPREAD_MAX - running)


def memberships(
    group: PlacementGroup, members: Iterable[Instance], zone: str, wanted: int | None, number: int
) -> tuple[Membership, ...]:
    """Return how so many more instances of a zone are in the group: in the partition asked for, else the emptiest."""
    used = Counter(it.membership.partition for it in members if it.membership and it.availability_zone == zone)
    chosen = []
    for _ in range(number):
        partition = wanted
        if partition is None and group.partition_count is not None:
            partition = min(range(1, group.partition_count + 1), key=lambda it: (used[it], it))
        used[partition] += 1
        chosen.append(Membership(group_id=group.id, group_name=group.name, partition=partition))
    return tuple(chosen)


def cannot_be_placed(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidInstanceState: the instance must be in the stopped state."""
    return Ec2Error("InvalidInstanceState", f"The instance '{instance_id}' is not in the 'stopped' state.")


def group_unknown(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPlacementGroup.Unknown."""
    return Ec2Error("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")


def group_taken(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPlacementGroup.Duplicate."""
    return Ec2Error("InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")


def group_in_use(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPlacementGroup.InUse."""
    return Ec2Error("InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use and may not be deleted.")


def spread_full(name: str, zone: str) -> Ec2Error:
    """Refuse an eighth running instance of a spread group in a zone: there is no capacity for it on other racks."""
    return insufficient_capacity(
        f"The placement group '{name}' has {SPREAD_MAX} running instances in the Availability Zone {zone}, which is as "
        "many as a rack spread placement group can have there."
    )
