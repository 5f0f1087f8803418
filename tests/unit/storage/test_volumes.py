"""Volumes: made by the rules of their types; attached, detached, deleted."""

import asyncio

import pytest
from tests.unit.storage.baking import attached, refusal, stranger, volume
from tests.world import World

from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.caller import Idempotency
from bakehouse.ports.hypervisor import DeviceBusy, MonitorLost
from bakehouse.ports.volumes import StorageFull


async def held(world: World, instance_id: str) -> frozenset[str]:
    """Return the volumes that an instance's machine holds."""
    return next(status.volume_ids for status in await world.hypervisor.observe() if status.machine_id == instance_id)


async def test_a_volume_is_answered_creating_and_found_available(world: World) -> None:
    request = VolumeRequest(availability_zone="us-east-1b", size_gib=2)

    answered = await world.app.volumes.create(world.caller, request)

    assert (answered.state, world.store.volumes[answered.id].state) == ("creating", "available")


async def test_a_volume_from_a_snapshot_has_its_size(world: World) -> None:
    snapshot = await world.snapshot(size_gib=7)

    made = await volume(world, size_gib=None, snapshot_id=snapshot.id)

    assert made.size_gib == 7


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"size_gib": None}, "MissingParameter"),
        ({"size_gib": 0}, "InvalidParameterValue"),
        ({"availability_zone": "us-east-1x"}, "InvalidZone.NotFound"),
        ({"availability_zone": "eu-west-1a"}, "InvalidZone.NotFound"),
        ({"type": "io1", "size_gib": 4}, "MissingParameter"),
        ({"type": "io1", "size_gib": 4, "iops": 5000}, "InvalidParameterCombination"),
        ({"type": "gp2", "iops": 3000}, "InvalidParameterCombination"),
        ({"type": "st1", "size_gib": 100}, "InvalidParameterValue"),
        ({"throughput_mibps": 2500}, "InvalidParameterValue"),
        ({"snapshot_id": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound"),
        ({"snapshot_id": "vol-0123456789abcdef0"}, "InvalidParameterValue"),
    ],
)
async def test_a_volume_that_cannot_be_is_refused(world: World, wrong: dict[str, object], code: str) -> None:
    assert await refusal(volume(world, **wrong)) == code
    assert len(world.store.volumes) == 0


async def test_a_volume_smaller_than_its_snapshot_is_refused(world: World) -> None:
    snapshot = await world.snapshot(size_gib=7)

    assert await refusal(volume(world, size_gib=6, snapshot_id=snapshot.id)) == "InvalidParameterValue"


async def test_a_full_host_makes_no_volume_and_forgets_the_token(world: World) -> None:
    world.fragile_volumes.fail("create", error=StorageFull())
    world.caller = world.caller.__class__(
        account_id=world.caller.account_id,
        region=world.caller.region,
        idempotency=Idempotency(operation="CreateVolume", token="t", digest="d"),
    )

    assert await refusal(volume(world)) == "InsufficientVolumeCapacity"

    assert (len(world.store.volumes), len(world.store.client_tokens)) == (0, 0)


async def test_a_volume_attached_to_a_running_instance_is_in_its_machine(world: World) -> None:
    instance_id = await world.running_instance()

    data = await attached(world, instance_id)

    assert (data.state, data.attachment and data.attachment.state) == ("in-use", "attached")
    assert data.id in await held(world, instance_id)


async def test_a_volume_attached_to_a_stopped_instance_is_there_when_it_starts(world: World) -> None:
    instance_id = await world.stopped_instance()
    data = await attached(world, instance_id)

    await world.instances.start(world.caller, [instance_id])

    assert data.id in await held(world, instance_id)


async def test_an_attached_volume_outlives_its_instance(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)

    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    assert world.store.volumes[data.id].state == "available"


async def test_a_volume_that_is_attached_cannot_be_attached_again(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)

    assert await refusal(world.app.volumes.attach(world.caller, data.id, instance_id, "/dev/sdg")) == "VolumeInUse"


async def test_a_device_name_in_use_is_refused(world: World) -> None:
    instance_id = await world.running_instance()
    await attached(world, instance_id)

    assert await refusal(attached(world, instance_id)) == "InvalidParameterValue"


async def test_a_device_name_of_the_wrong_form_is_refused(world: World) -> None:
    assert await refusal(attached(world, await world.running_instance(), "first")) == "InvalidParameterValue"


async def test_a_volume_of_another_zone_is_refused(world: World) -> None:
    instance_id = await world.running_instance()

    code = await refusal(attached(world, instance_id, availability_zone="us-east-1c"))

    assert code == "InvalidVolume.ZoneMismatch"


async def test_a_terminated_instance_takes_no_volume(world: World) -> None:
    instance_id = await world.running_instance()
    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    assert await refusal(attached(world, instance_id)) == "IncorrectState"


async def test_an_instance_takes_as_many_volumes_as_its_type_allows(world: World) -> None:
    instance_id = await world.stopped_instance()
    for letter in "bcdefghijklmnopqrstu":
        await attached(world, instance_id, f"/dev/sd{letter}")

    assert await refusal(attached(world, instance_id, "/dev/sdz")) == "AttachmentLimitExceeded"


@pytest.mark.parametrize(
    ("failure", "code"), [(DeviceBusy(), "AttachmentLimitExceeded"), (MonitorLost(), "IncorrectState")]
)
async def test_a_volume_that_the_machine_does_not_take_is_free_again(
    world: World, failure: Exception, code: str
) -> None:
    instance_id = await world.running_instance()
    free = await volume(world)
    world.fragile_hypervisor.fail("attach_disk", error=failure)

    assert await refusal(world.app.volumes.attach(world.caller, free.id, instance_id, "/dev/sdf")) == code

    assert world.store.volumes[free.id].state == "available"


async def test_a_detached_volume_is_out_of_its_machine_and_available(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)

    answered = await world.app.volumes.detach(world.caller, data.id)

    assert answered.attachment is not None
    assert (answered.attachment.state, world.store.volumes[data.id].state) == ("detaching", "available")
    assert data.id not in await held(world, instance_id)


async def test_a_volume_that_the_guest_keeps_is_busy_until_it_is_forced(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    world.hypervisor.clinging_guests.add(instance_id)

    answered = await world.app.volumes.detach(world.caller, data.id)
    assert answered.attachment is not None
    assert answered.attachment.state == "busy"

    await world.app.volumes.detach(world.caller, data.id, force=True)
    assert world.store.volumes[data.id].state == "available"


async def test_the_root_of_a_running_instance_stays(world: World) -> None:
    instance_id = await world.running_instance()
    (root,) = world.store.volumes.by("instance")[instance_id]

    assert await refusal(world.app.volumes.detach(world.caller, root)) == "OperationNotPermitted"


async def test_the_root_of_a_stopped_instance_can_go_and_come_back(world: World) -> None:
    instance_id = await world.stopped_instance()
    (root,) = world.store.volumes.by("instance")[instance_id]

    await world.app.volumes.detach(world.caller, root)
    await world.app.volumes.attach(world.caller, root, instance_id, "/dev/xvda")
    await world.instances.start(world.caller, [instance_id])

    assert root in await held(world, instance_id)


async def test_an_instance_without_root_does_not_start(world: World) -> None:
    instance_id = await world.stopped_instance()
    (root,) = world.store.volumes.by("instance")[instance_id]
    await world.app.volumes.detach(world.caller, root)

    assert await refusal(world.instances.start(world.caller, [instance_id])) == "InvalidParameterValue"


async def test_a_free_volume_cannot_be_detached(world: World) -> None:
    free = await volume(world)

    assert await refusal(world.app.volumes.detach(world.caller, free.id)) == "IncorrectState"


async def test_a_volume_is_not_detached_from_where_it_is_not(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)

    code = await refusal(world.app.volumes.detach(world.caller, data.id, device_name="/dev/sdg"))

    assert code == "InvalidAttachment.NotFound"


async def test_a_volume_in_use_cannot_be_deleted(world: World) -> None:
    data = await attached(world, await world.running_instance())

    assert await refusal(world.app.volumes.delete(world.caller, data.id)) == "VolumeInUse"


async def test_a_volume_that_a_process_holds_stays_available(world: World) -> None:
    free = await volume(world)
    world.volumes.in_use.add(free.id)

    assert await refusal(world.app.volumes.delete(world.caller, free.id)) == "VolumeInUse"

    assert world.store.volumes[free.id].state == "available"


async def test_a_deleted_volume_is_not_found(world: World) -> None:
    free = await volume(world)
    await world.app.volumes.delete(world.caller, free.id)

    assert await refusal(world.app.volumes.delete(world.caller, free.id)) == "InvalidVolume.NotFound"


async def test_a_strangers_volume_is_not_found(world: World) -> None:
    free = await volume(world)
    other = await stranger(world)

    assert world.app.volumes.describe(other) == []
    assert await refusal(world.app.volumes.delete(other, free.id)) == "InvalidVolume.NotFound"


async def test_a_snapshot_and_an_attachment_at_once_leave_a_sound_world(world: World) -> None:
    instance_id = await world.running_instance()
    free = await volume(world)

    await asyncio.gather(
        world.app.snapshots.create(world.caller, free.id, description="", tags={}),
        world.app.volumes.attach(world.caller, free.id, instance_id, "/dev/sdf"),
    )

    await world.assert_sound()
