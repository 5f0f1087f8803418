"""What has ended is shown for a while, and forgotten then."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.sagas import fleets
from tests.world import World

from bakehouse.domain import shown_afterwards

MINUTE = timedelta(minutes=1)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def wait(world: World, how_long: timedelta) -> None:
    world.clock.advance(seconds=how_long.total_seconds())


async def test_a_deleted_fleet_is_forgotten_after_two_days(world: World) -> None:
    fleet = await fleets.create(world, await world.image())
    wait(world, 2 * shown_afterwards.FLEET)  # since when it is there does not count
    await world.app.fleets.delete(world.caller, fleet.id)
    await world.sagas.settle()

    wait(world, shown_afterwards.FLEET - MINUTE)
    await world.app.fleets.forget_deleted()
    assert world.app.fleets.state(world.store.fleets[fleet.id]) == "deleted"
    wait(world, 2 * MINUTE)
    await world.app.fleets.forget_deleted()

    assert fleet.id not in world.store.fleets


async def test_a_deleted_fleet_with_an_instance_that_still_ends_is_not_forgotten(world: World) -> None:
    fleet = await fleets.create(world, await world.image())
    gate = world.fragile_hypervisor.hold("kill")
    await world.app.fleets.delete(world.caller, fleet.id)

    wait(world, 2 * shown_afterwards.FLEET)
    await world.app.fleets.forget_deleted()

    assert world.app.fleets.state(world.store.fleets[fleet.id]) == "deleted_terminating"
    gate.set()
    await world.sagas.settle()


async def test_a_fleet_that_was_deleted_before_its_time_was_written_down_is_forgotten(world: World) -> None:
    fleet = await fleets.create(world, await world.image())
    await world.app.fleets.delete(world.caller, fleet.id)
    await world.sagas.settle()
    async with world.store.transaction() as tx:
        tx.put(replace(world.store.fleets[fleet.id], deleted_at=None))

    wait(world, shown_afterwards.FLEET + MINUTE)
    await world.app.fleets.forget_deleted()

    assert fleet.id not in world.store.fleets


async def test_an_active_fleet_is_never_forgotten(world: World) -> None:
    fleet = await fleets.create(world, await world.image())

    wait(world, 10 * shown_afterwards.FLEET)
    await world.app.fleets.forget_deleted()

    assert world.app.fleets.state(world.store.fleets[fleet.id]) == "active"


async def test_a_terminated_instance_is_forgotten_after_an_hour(world: World) -> None:
    instance_id = await world.running_instance()
    await world.instances.terminate(world.caller, [instance_id], skip_shutdown=True)
    await world.sagas.settle()

    wait(world, shown_afterwards.INSTANCE - MINUTE)
    await world.reconciler.sweep()
    assert world.instance(instance_id).state == "terminated"
    wait(world, 2 * MINUTE)
    await world.reconciler.sweep()

    assert instance_id not in world.store.instances


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_an_event_that_is_over_is_forgotten_after_a_week(world: World, *, is_cancelled: bool) -> None:
    instance_id = await world.running_instance()
    events = world.app.instance_events
    later = await events.schedule(instance_id, "instance-reboot", timedelta(days=30))
    event = await events.schedule(instance_id, "system-maintenance", timedelta(hours=1))
    if is_cancelled:
        await events.cancel(instance_id, event.id)
    else:
        wait(world, timedelta(hours=2))
        await events.carry_out_due()

    wait(world, shown_afterwards.INSTANCE_EVENT - MINUTE)
    await events.forget_ended()
    assert [it.id for it in world.instance(instance_id).events] == [later.id, event.id]
    wait(world, 2 * MINUTE)
    await events.forget_ended()

    assert [it.id for it in world.instance(instance_id).events] == [later.id]


async def test_a_key_that_no_guest_asks_for_is_forgotten_after_a_minute(world: World) -> None:
    first, second = await world.running_instance(), await world.running_instance()
    keys = world.app.login_keys

    def send(instance_id: str) -> None:
        keys.send(world.caller, instance_id, "admin", KEY, zone=None, request_id="a request")

    send(first)
    wait(world, 2 * MINUTE)
    send(second)

    assert list(keys._by_instance) == [second]


async def test_details_of_gone_instances_are_forgotten_by_who_asks_by_ids(world: World) -> None:
    for _ in range(4):
        instance_id = await world.running_instance()
        world.instances.describe(world.caller, [instance_id])
        async with world.store.transaction() as tx:
            tx.delete(world.instance(instance_id))
    last = await world.running_instance()

    world.instances.describe(world.caller, [last])

    assert len(world.instances._details._known) <= 2
