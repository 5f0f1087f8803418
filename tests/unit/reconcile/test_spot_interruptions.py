"""Interrupted spot instances end in time, whatever happens to the server meanwhile."""

from datetime import timedelta

import pytest
from tests.world import World

from bakehouse.app.spot_launch import SpotWish
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.shown_afterwards import SPOT_REQUEST
from bakehouse.domain.spot_request import SpotRequest
from bakehouse.reconcile.spot_interruptions import SpotInterruptions


async def spot_instance(world: World) -> str:
    (details,) = await world.launch(spot=SpotWish())
    return details.instance.id


async def look(world: World) -> None:
    await SpotInterruptions(world.saga_context, world.sagas).look()
    await world.sagas.settle()


def request(world: World) -> SpotRequest:
    (only,) = world.store.spot_requests
    return only


async def test_an_instance_runs_until_the_time_of_its_notice(world: World) -> None:
    instance_id = await spot_instance(world)
    await world.app.spot_requests.interrupt(instance_id, timedelta(seconds=120))

    world.clock.advance(seconds=119)
    await look(world)

    assert world.instance(instance_id).state is InstanceState.RUNNING


async def test_an_instance_is_terminated_at_the_time_of_its_notice(world: World) -> None:
    instance_id = await spot_instance(world)
    await world.app.spot_requests.interrupt(instance_id, timedelta(seconds=120))

    world.clock.advance(seconds=120)
    await look(world)

    assert world.instance(instance_id).state is InstanceState.TERMINATED


async def test_a_notice_outlives_the_server(world: World) -> None:
    instance_id = await spot_instance(world)
    await world.app.spot_requests.interrupt(instance_id, timedelta(seconds=120))
    await world.crash()
    world.clock.advance(hours=1)

    await world.restart()
    await look(world)

    assert world.instance(instance_id).state is InstanceState.TERMINATED


async def test_an_instance_on_demand_is_not_interrupted(world: World) -> None:
    instance_id = await world.running_instance()

    with pytest.raises(Ec2Error) as refusal:
        await world.app.spot_requests.interrupt(instance_id, timedelta(0))

    assert refusal.value.code == "UnsupportedOperation"


async def test_a_request_tells_of_its_end_when_its_instance_is_forgotten(world: World) -> None:
    instance_id = await spot_instance(world)
    await world.app.spot_requests.interrupt(instance_id, timedelta(0))
    await look(world)
    await world.app.spot_requests.settle()
    async with world.store.transaction() as tx:
        tx.delete(world.instance(instance_id))

    (details,) = world.app.spot_requests.describe(world.caller)

    assert details.status.code == "instance-terminated-no-capacity"


async def test_a_request_is_forgotten_hours_after_its_end(world: World) -> None:
    await world.app.instances.terminate(world.caller, [await spot_instance(world)], skip_shutdown=True)
    await world.sagas.settle()
    await world.app.spot_requests.settle()
    assert request(world).ended_code == "instance-terminated-by-user"

    world.clock.advance(seconds=SPOT_REQUEST.total_seconds() + 1)
    await world.app.spot_requests.settle()

    assert len(world.store.spot_requests) == 0


async def test_a_spot_instance_that_its_guest_shuts_down_is_terminated(world: World) -> None:
    assert world.instance(await spot_instance(world)).shutdown_behavior == "terminate"
