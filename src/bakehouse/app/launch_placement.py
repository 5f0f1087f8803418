"""Which placement group a launch's instances join, and how many of them can."""

from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.app.launch_network import Place
from bakehouse.app.placement_groups import chosen_group, joined, members_of
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import Membership
from bakehouse.domain.instance_type import InstanceType
from bakehouse.domain.placement_group import GroupWish, room_in_zone, spread_full


def in_group(
    context: AppContext, caller: Caller, wish: GroupWish | None, place: Place, instance_type: InstanceType, least: int
) -> tuple[Place, tuple[Membership | None, ...]]:
    """Return a place for as many instances as can join the group, and how each does; all of them without a group.

    Refuses when fewer than `least` can: InsufficientInstanceCapacity.
    """
    if wish is None:
        return place, (None,) * len(place.interfaces)
    group = chosen_group(context.store, caller, wish)
    zone = place.subnet.availability_zone
    room = room_in_zone(group, members_of(context.store, group), zone)
    if room is not None and room < least:
        raise spread_full(group.name, zone)
    place = replace(place, interfaces=place.interfaces[:room])
    number = len(place.interfaces)
    return place, joined(context.store, group, instance_type, zone, wish.partition, number)
