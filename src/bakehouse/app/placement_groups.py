"""Placement groups, and the instances in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, malformed_id, missing_parameter
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.instance import Instance, InstanceState, Membership
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType
from bakehouse.domain.placement_group import (
    GroupWish,
    PlacementGroup,
    cannot_be_placed,
    check_partition,
    check_type,
    check_zone,
    checked_group,
    group_in_use,
    group_taken,
    group_unknown,
    memberships,
    room_in_zone,
    spread_full,
)
from bakehouse.domain.tags import check_tags
from bakehouse.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOrder:
    """A group to be made; what is None is chosen."""

    name: str
    strategy: str | None = None
    partition_count: int | None = None
    spread_level: str | None = None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementChange:
    """What ModifyInstancePlacement changes. An empty name takes the instance out of its group."""

    group_id: str | None = None
    name: str | None = None
    partition: int | None = None


class PlacementGroups:
    """Use cases on placement groups."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, order: GroupOrder) -> PlacementGroup:
        """Make a group. Refuses a name that the account has in the region: InvalidPlacementGroup.Duplicate."""
        check_tags(order.tags)
        group = checked_group(
            group_id=new_id("placement-group"),
            account_id=caller.account_id,
            region=caller.region,
            name=order.name,
            strategy=order.strategy,
            partition_count=order.partition_count,
            spread_level=order.spread_level,
            tags=dict(order.tags),
        )
        if any(it.name == group.name for it in scope(self._context.store.placement_groups, caller)):
            raise group_taken(group.name)
        async with self._context.store.transaction() as tx:
            tx.put(group)
        return group

    async def delete(self, caller: Caller, name: str) -> None:
        """Remove a group, which may be named by its id too; refuse one with instances: InvalidPlacementGroup.InUse."""
        wish = GroupWish(group_id=name) if is_well_formed(name, "placement-group") else GroupWish(name=name)
        group = chosen_group(self._context.store, caller, wish)
        if members_of(self._context.store, group):
            raise group_in_use(group.name)
        async with self._context.store.transaction() as tx:
            tx.delete(group)

    def describe(
        self, caller: Caller, names: Sequence[str] | None = None, group_ids: Sequence[str] | None = None
    ) -> list[PlacementGroup]:
        """Return the caller's groups, all or those with these names and ids; refuse those that are not there."""
        if not names and not group_ids:
            return scope(self._context.store.placement_groups, caller)
        wishes = [GroupWish(name=it) for it in names or ()] + [GroupWish(group_id=it) for it in group_ids or ()]
        found = [chosen_group(self._context.store, caller, wish) for wish in wishes]
        return list({group.id: group for group in found}.values())

    async def modify_placement(self, caller: Caller, instance_id: str, change: PlacementChange) -> None:
        """Move a stopped instance into a group, to a partition, or out of its group.

        Refuses one that is not stopped: InvalidInstanceState.
        """
        store = self._context.store
        (instance,) = owned(store.instances, caller, "instance", [instance_id])
        if instance.state is not InstanceState.STOPPED:
            raise cannot_be_placed(instance.id)
        async with store.transaction() as tx:
            tx.put(self._moved(caller, instance, change))

    def _moved(self, caller: Caller, instance: Instance, change: PlacementChange) -> Instance:
        if change.name == "" and change.group_id is None:
            if change.partition is not None:
                raise invalid_combination("The parameter PartitionNumber cannot be used without a placement group.")
            return replace(instance, membership=None)
        wish = GroupWish(group_id=change.group_id, name=change.name, partition=change.partition)
        if wish.group_id is None and wish.name is None:
            if instance.membership is None:
                raise missing_parameter("GroupName")
            wish = replace(wish, group_id=instance.membership.group_id)
        group = chosen_group(self._context.store, caller, wish)
        instance_type, zone = INSTANCE_TYPES[instance.type], instance.availability_zone
        (membership,) = joined(self._context.store, group, instance_type, zone, wish.partition, 1, besides=instance.id)
        return replace(instance, membership=membership)


def chosen_group(store: Store, caller: Caller, wish: GroupWish) -> PlacementGroup:
    """Return the caller's group that a wish names, or refuse: InvalidPlacementGroup.Unknown."""
    if wish.group_id and wish.name:
        raise invalid_combination("A placement group can be named by its ID or by its name, not by both.")
    if wish.group_id and not is_well_formed(wish.group_id, "placement-group"):
        raise malformed_id("placement-group", wish.group_id)
    for group in scope(store.placement_groups, caller):
        if wish.group_id == group.id or (not wish.group_id and wish.name == group.name):
            return group
    raise group_unknown(wish.group_id or wish.name or "")


def members_of(store: Store, group: PlacementGroup) -> list[Instance]:
    """Return the instances in a group, but for those that are terminated."""
    members = store.instances.by("placement")[group.id].values()
    return [instance for instance in members if instance.state is not InstanceState.TERMINATED]


def joined(
    store: Store,
    group: PlacementGroup,
    instance_type: InstanceType,
    zone: str,
    partition: int | None,
    number: int,
    *,
    besides: str = "",
) -> tuple[Membership, ...]:
    """Return how so many instances of a type and a zone join a group, or refuse what the group does not allow.

    `besides` is the id of an instance that does not count as a member yet.
    """
    others = [member for member in members_of(store, group) if member.id != besides]
    check_type(group, instance_type)
    check_zone(group, others, zone)
    check_partition(group, partition)
    return memberships(group, others, zone, partition, number)


def check_start(store: Store, instances: Sequence[Instance]) -> None:
    """Refuse to start stopped instances of a spread group beyond what runs in a zone: InsufficientInstanceCapacity."""
    wanted: dict[tuple[str, str], int] = {}
    for instance in instances:
        if instance.membership is None or instance.state is not InstanceState.STOPPED:
            continue
        place = instance.membership.group_id, instance.availability_zone
        wanted[place] = wanted.get(place, 0) + 1
    for (group_id, zone), number in wanted.items():
        group = store.placement_groups[group_id]
        room = room_in_zone(group, members_of(store, group), zone)
        if room is not None and number > room:
            raise spread_full(group.name, zone)
