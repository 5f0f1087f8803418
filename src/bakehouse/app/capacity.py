"""Whether there is room for instances that are to run."""

from collections import Counter
from collections.abc import Sequence

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.capacity import Demand, allowed
from bakehouse.domain.errors import invalid_value
from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType


def launch_counts(
    context: AppContext, caller: Caller, instance_type: InstanceType, counts: tuple[int, int], *, spot: bool
) -> tuple[int, int]:
    """Return how many instances a launch has at least and at most, of those that it asks for, or refuse.

    Source: EC2 API Reference, RunInstances, MaxCount: "the largest possible number of instances above the specified
    minimum count"; both are between 1 and the account's quota.
    """
    least, most = counts
    if least < 1:
        raise invalid_value(least, "minCount", "It must be at least 1.")
    if most < least:
        raise invalid_value(most, "maxCount", "It must not be less than minCount.")
    return least, _allowed(context, caller, instance_type, counts, spot=spot)


def check_room_to_start(context: AppContext, caller: Caller, instances: Sequence[Instance]) -> None:
    """Refuse to start stopped instances for which there is no room, all of them."""
    stopped = [it for it in instances if it.state is InstanceState.STOPPED]
    numbers = Counter((it.type, it.spot_request_id is not None) for it in stopped)
    for (name, spot), number in numbers.items():
        _allowed(context, caller, INSTANCE_TYPES[name], (number, number), spot=spot)


def _allowed(
    context: AppContext, caller: Caller, instance_type: InstanceType, counts: tuple[int, int], *, spot: bool
) -> int:
    least, most = counts
    demand = Demand(
        account_id=caller.account_id,
        region=caller.region,
        instance_type=instance_type,
        least=least,
        most=most,
        spot=spot,
    )
    return allowed(context.capacity, demand, context.store.instances.by("kind").counts())
