"""Snapshots: of a volume, of an instance, and their end."""

import pytest
from tests.unit.storage.baking import attached, refusal, register, stranger, volume
from tests.world import World

from bakehouse.app.snapshots import InstanceSnapshotsRequest
from bakehouse.domain.snapshot import Snapshot
from bakehouse.ports.volumes import NoSuchVolume, StorageFull, VolumeInUse


async def snapshot_of(world: World, volume_id: str, **members: object) -> Snapshot:
    given = {"description": "", "tags": {}, **members}
    return await world.app.snapshots.create(world.caller, volume_id, **given)  # type: ignore[arg-type] # as given


async def test_a_snapshot_is_answered_pending_and_found_completed(world: World) -> None:
    answered = await snapshot_of(world, (await volume(world)).id, description="before the upgrade")

    found = world.store.snapshots[answered.id]
    assert (answered.state, found.state, found.description) == ("pending", "completed", "before the upgrade")


async def test_a_snapshot_of_an_attached_volume_is_taken_of_its_machine(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    machines: list[str | None] = []
    take = world.volumes.snapshot

    async def snapshot(snapshots: dict[str, str], *, machine_id: str | None) -> None:
        machines.append(machine_id)
        await take(snapshots, machine_id=machine_id)

    world.fragile_volumes.driver.snapshot = snapshot  # type: ignore[attr-defined]
    await snapshot_of(world, data.id)

    assert machines == [instance_id]


async def test_a_full_host_leaves_no_snapshot(world: World) -> None:
    free = await volume(world)
    world.fragile_volumes.fail("snapshot", error=StorageFull())

    assert await refusal(snapshot_of(world, free.id)) == "InsufficientVolumeCapacity"
    assert len(world.store.snapshots) == 0


@pytest.mark.parametrize("failure", [NoSuchVolume(), VolumeInUse()])
async def test_a_volume_that_is_not_there_for_its_snapshot_is_refused(world: World, failure: Exception) -> None:
    free = await volume(world)
    world.fragile_volumes.fail("snapshot", error=failure)

    assert await refusal(snapshot_of(world, free.id)) == "IncorrectState"
    assert len(world.store.snapshots) == 0


async def test_an_overlong_description_is_refused(world: World) -> None:
    free = await volume(world)

    assert await refusal(snapshot_of(world, free.id, description="x" * 256)) == "InvalidParameterValue"


async def test_snapshots_of_an_instance_are_one_call_root_first(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    world.fragile_volumes.calls.clear()

    taken = await world.app.snapshots.create_of_instance(
        world.caller, InstanceSnapshotsRequest(instance_id=instance_id)
    )

    assert [snapshot.volume_id for snapshot in taken][1] == data.id
    assert world.fragile_volumes.calls == ["snapshot"]


@pytest.mark.parametrize("exclude_root", [True, False])
async def test_root_and_data_volumes_can_be_excluded(world: World, *, exclude_root: bool) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    (root,) = world.store.volumes.by("instance")[instance_id].keys() - {data.id}
    request = InstanceSnapshotsRequest(
        instance_id=instance_id, exclude_root=exclude_root, exclude_volume_ids=() if exclude_root else (data.id,)
    )

    taken = await world.app.snapshots.create_of_instance(world.caller, request)

    assert [snapshot.volume_id for snapshot in taken] == [data.id if exclude_root else root]


async def test_to_exclude_everything_is_refused(world: World) -> None:
    request = InstanceSnapshotsRequest(instance_id=await world.running_instance(), exclude_root=True)

    assert await refusal(world.app.snapshots.create_of_instance(world.caller, request)) == "InvalidParameterValue"


async def test_a_root_volume_is_not_excluded_as_a_data_volume(world: World) -> None:
    instance_id = await world.running_instance()
    (root,) = world.store.volumes.by("instance")[instance_id]
    request = InstanceSnapshotsRequest(instance_id=instance_id, exclude_volume_ids=(root,))

    assert await refusal(world.app.snapshots.create_of_instance(world.caller, request)) == "InvalidParameterValue"


async def test_tags_are_copied_from_the_volumes_when_asked_for(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id, tags={"Name": "data", "tier": "cold"})
    request = InstanceSnapshotsRequest(
        instance_id=instance_id, exclude_root=True, tags={"tier": "hot"}, copy_volume_tags=True
    )

    (taken,) = await world.app.snapshots.create_of_instance(world.caller, request)

    assert (taken.volume_id, taken.tags) == (data.id, {"Name": "data", "tier": "hot"})


async def test_a_snapshot_that_an_image_names_stays(world: World) -> None:
    snapshot = await world.snapshot()
    await register(world, snapshot)

    assert await refusal(world.app.snapshots.delete(world.caller, snapshot.id)) == "InvalidSnapshot.InUse"


async def test_a_deleted_snapshot_is_gone_and_what_came_of_it_is_not(world: World) -> None:
    snapshot = await world.snapshot()
    made = await volume(world, snapshot_id=snapshot.id)

    await world.app.snapshots.delete(world.caller, snapshot.id)

    assert await refusal(world.app.snapshots.delete(world.caller, snapshot.id)) == "InvalidSnapshot.NotFound"
    assert world.store.volumes[made.id].state == "available"
    await world.assert_sound()


async def test_a_deletion_that_fails_is_done_again_later(world: World) -> None:
    snapshot = await world.snapshot()
    world.fragile_volumes.fail("delete_snapshot", times=2)

    await world.app.snapshots.delete(world.caller, snapshot.id)
    await world.reconciler.sweep()
    await world.sagas.settle()

    await world.assert_sound()


async def test_a_strangers_snapshot_is_not_found(world: World) -> None:
    snapshot = await world.snapshot()
    other = await stranger(world)

    assert world.app.snapshots.describe(other) == []
    assert await refusal(world.app.snapshots.delete(other, snapshot.id)) == "InvalidSnapshot.NotFound"


async def test_a_shared_snapshot_makes_volumes_for_others_and_is_not_theirs_to_delete(world: World) -> None:
    other = await stranger(world)
    snapshot = await world.snapshot(create_volume_accounts=(other.account_id,))
    world.caller = other

    assert (await volume(world, snapshot_id=snapshot.id)).state == "available"
    assert await refusal(world.app.snapshots.delete(other, snapshot.id)) == "AuthFailure"


@pytest.mark.parametrize(("users", "count"), [(["self"], 2), (["all"], 1), (["111122223333"], 1)])
async def test_snapshots_are_listed_by_who_may_restore_them(world: World, users: list[str], count: int) -> None:
    await world.snapshot()
    await world.snapshot(create_volume_accounts=("111122223333",))
    await world.snapshot(account_id="444455556666", create_volume_accounts=("all",))

    assert len(world.app.snapshots.describe(world.caller, restorable_by=users)) == count
