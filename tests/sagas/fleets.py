"""Fleets for the stories of sagas: from two pools, the second for what the first does not give."""

from typing import Any

from tests.world import World

from bakehouse.app.fleets import FleetOrder
from bakehouse.app.launch import LaunchRequest
from bakehouse.domain.caller import Caller
from bakehouse.domain.fleet import FLEET_TAG, Fleet, Lifecycle, Pool, TargetCapacity

#: Instances of a fleet.
SIZE = 2


async def create(world: World, image: Any, *, caller: Caller | None = None) -> Fleet:
    """Make a fleet of two instances, which may come from either pool."""
    pools = [{"InstanceType": "t3.nano"}, {"InstanceType": "t3.micro"}]
    order = FleetOrder(
        capacity=TargetCapacity(total=SIZE, on_demand=SIZE, spot=0, default="on-demand"),
        configs=({"LaunchTemplateSpecification": {}, "Overrides": pools},),
    )

    def launcher(fleet: Fleet, pool: Pool, _lifecycle: Lifecycle, number: int) -> LaunchRequest:
        return LaunchRequest(
            image_id=image.id,
            min_count=1,
            max_count=number,
            instance_type=pool.override["InstanceType"],
            system_tags={FLEET_TAG: fleet.id},
        )

    return await world.app.fleets.create(caller or world.caller, order, launcher)
