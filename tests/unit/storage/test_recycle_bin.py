"""The Recycle Bin: what goes into it, comes back, and goes for good."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.storage.baking import attached, refusal, stranger, volume
from tests.world import World

from bakehouse.app.retention_rules import RuleChange, RuleRequest
from bakehouse.domain.recycle_bin import RecycledResource
from bakehouse.domain.retention_rule import ResourceTag, RetainedType, RetentionRule
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.domain.volume import VolumeState
from bakehouse.ports.volumes import VolumeInUse

SNAPSHOT, IMAGE, VOLUME = RetainedType.SNAPSHOT, RetainedType.IMAGE, RetainedType.VOLUME


async def rule(world: World, resource_type: RetainedType, days: int = 7, **members: Any) -> RetentionRule:
    request = RuleRequest(resource_type=resource_type, retention_days=days, **members)
    return await world.app.retention_rules.create(world.caller, request)


def in_bin(world: World, resource_type: RetainedType) -> list[RecycledResource]:
    return world.app.recycle_bin.describe(world.caller, resource_type)


async def deleted_snapshot(world: World, **members: Any) -> str:
    snapshot = await world.snapshot(**members)
    await world.app.snapshots.delete(world.caller, snapshot.id)
    return snapshot.id


async def test_a_snapshot_that_a_rule_keeps_is_hidden_and_keeps_its_bytes(world: World) -> None:
    await rule(world, SNAPSHOT, 7)
    snapshot_id = await deleted_snapshot(world)

    (recycled,) = in_bin(world, SNAPSHOT)
    assert (recycled.id, recycled.entered_at) == (snapshot_id, world.clock())
    assert recycled.exits_at == world.clock() + timedelta(days=7)
    assert world.app.snapshots.describe(world.caller) == []
    assert (await world.volumes.inventory()).snapshot_ids == {snapshot_id}
    await world.assert_sound()


async def test_without_a_rule_nothing_is_kept(world: World) -> None:
    await rule(world, IMAGE)
    await rule(world, SNAPSHOT, resource_tags=(ResourceTag("keep", "yes"),))
    await deleted_snapshot(world)

    assert len(world.store.recycle_bin) == 0
    assert (await world.volumes.inventory()).snapshot_ids == set()


async def test_of_several_rules_the_longest_counts(world: World) -> None:
    await rule(world, SNAPSHOT, 3)
    await rule(world, SNAPSHOT, 30, resource_tags=(ResourceTag("keep", "yes"),))
    await rule(world, SNAPSHOT, 365, resource_tags=(ResourceTag("keep", "no"),))
    await deleted_snapshot(world, tags={"keep": "yes"})

    assert in_bin(world, SNAPSHOT)[0].exits_at == world.clock() + timedelta(days=30)


async def test_a_rule_of_another_account_keeps_nothing_here(world: World) -> None:
    request = RuleRequest(resource_type=SNAPSHOT, retention_days=7)
    await world.app.retention_rules.create(await stranger(world), request)
    await deleted_snapshot(world)

    assert len(world.store.recycle_bin) == 0


async def test_a_changed_or_deleted_rule_changes_nothing_in_the_bin(world: World) -> None:
    made = await rule(world, SNAPSHOT, 7)
    await deleted_snapshot(world)
    before = in_bin(world, SNAPSHOT)

    await world.app.retention_rules.update(world.caller, made.id, RuleChange(retention_days=1))
    await world.app.retention_rules.delete(world.caller, made.id)

    assert in_bin(world, SNAPSHOT) == before


async def test_a_restored_snapshot_is_as_it_was(world: World) -> None:
    await rule(world, SNAPSHOT)
    snapshot = await world.snapshot(tags={"a": "b"}, create_volume_accounts=("all",))
    await world.app.snapshots.delete(world.caller, snapshot.id)

    await world.app.recycle_bin.restore_snapshot(world.caller, snapshot.id)

    assert world.store.snapshots[snapshot.id] == snapshot
    assert in_bin(world, SNAPSHOT) == []
    await world.assert_sound()


async def test_a_deregistered_image_comes_back_with_its_launch_permissions(world: World) -> None:
    await rule(world, IMAGE, 30)
    image = await world.image(launch_accounts=("all",))
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)
    assert [recycled.id for recycled in in_bin(world, IMAGE)] == [image.id]

    await world.app.recycle_bin.restore_image(world.caller, image.id)

    assert world.store.images[image.id] == image
    await world.launch(image)


async def test_an_image_comes_back_after_its_snapshots_only(world: World) -> None:
    await rule(world, IMAGE)
    await rule(world, SNAPSHOT)
    image = await world.image()
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)
    (recycled,) = in_bin(world, SNAPSHOT)

    assert await refusal(world.app.recycle_bin.restore_image(world.caller, image.id)) == "InvalidSnapshot.NotFound"
    await world.app.recycle_bin.restore_snapshot(world.caller, recycled.id)
    await world.app.recycle_bin.restore_image(world.caller, image.id)

    await world.launch(image)
    await world.assert_sound()


async def test_an_image_whose_snapshot_is_gone_for_good_does_not_come_back(world: World) -> None:
    await rule(world, IMAGE)
    image = await world.image()
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)

    assert await refusal(world.app.recycle_bin.restore_image(world.caller, image.id)) == "InvalidSnapshot.NotFound"


async def test_an_image_whose_snapshot_was_archived_meanwhile_comes_back_after_it(world: World) -> None:
    await rule(world, IMAGE)
    image = await world.image()
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)
    (snapshot_id,) = image.snapshot_ids
    await world.app.snapshot_tiers.archive(world.caller, snapshot_id)
    await world.sagas.settle()
    assert await refusal(world.app.recycle_bin.restore_image(world.caller, image.id)) == "InvalidSnapshot.NotFound"
    await world.app.snapshot_tiers.restore(world.caller, snapshot_id, days=None, permanent=True)
    await world.sagas.settle()

    await world.app.recycle_bin.restore_image(world.caller, image.id)

    await world.launch(image)


async def test_an_image_whose_name_was_taken_does_not_come_back(world: World) -> None:
    await rule(world, IMAGE)
    image = await world.image(name="web")
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)
    await world.image(name="web")

    assert await refusal(world.app.recycle_bin.restore_image(world.caller, image.id)) == "InvalidAMIName.Duplicate"


async def test_a_volume_that_a_rule_keeps_comes_back_available(world: World) -> None:
    await rule(world, VOLUME)
    free = await volume(world)
    await world.app.volumes.delete(world.caller, free.id)
    assert world.app.volumes.describe(world.caller) == []
    assert (await world.volumes.inventory()).volume_ids == {free.id}

    restored = await world.app.recycle_bin.restore_volume(world.caller, free.id)

    assert restored.state is VolumeState.AVAILABLE
    assert world.app.volumes.describe(world.caller, [free.id]) == [restored]
    await world.assert_sound()


async def test_a_volume_that_goes_with_its_instance_is_kept(world: World) -> None:
    await rule(world, VOLUME)
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    (root_id,) = {it.id for it in world.store.volumes} - {data.id}

    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    (recycled,) = in_bin(world, VOLUME)
    assert recycled.id == root_id
    assert [it.id for it in world.store.volumes] == [data.id]
    restored = await world.app.recycle_bin.restore_volume(world.caller, root_id)
    assert (restored.state, restored.attachment) == (VolumeState.AVAILABLE, None)
    await world.assert_sound()


async def test_the_volumes_of_a_failed_launch_are_not_kept(world: World) -> None:
    await rule(world, VOLUME)
    image = await world.image()
    world.fragile_hypervisor.fail("start")

    await refusal(world.launch(image))
    await world.sagas.settle()

    assert len(world.store.recycle_bin) == 0
    await world.assert_sound()


async def test_an_unfinished_snapshot_is_not_kept(world: World) -> None:
    await rule(world, SNAPSHOT)
    await deleted_snapshot(world, state=SnapshotState.PENDING)

    assert len(world.store.recycle_bin) == 0


async def test_what_is_due_goes_for_good(world: World) -> None:
    await rule(world, SNAPSHOT, 2)
    await rule(world, VOLUME, 3)
    await rule(world, IMAGE, 1)
    image = await world.image()
    free = await volume(world)
    await world.app.volumes.delete(world.caller, free.id)
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)

    for left in ({SNAPSHOT, VOLUME}, {VOLUME}, set[RetainedType]()):
        world.clock.advance(days=1)
        await world.app.recycle_bin.delete_due()
        assert {recycled.type for recycled in world.store.recycle_bin} == left
        await world.assert_sound()
    inventory = await world.volumes.inventory()
    assert not inventory.volume_ids | inventory.snapshot_ids


async def test_what_is_due_is_seen_until_it_is_gone_but_does_not_come_back(world: World) -> None:
    await rule(world, VOLUME, 1)
    free = await volume(world)
    await world.app.volumes.delete(world.caller, free.id)
    world.clock.advance(days=1)

    assert await refusal(world.app.recycle_bin.restore_volume(world.caller, free.id)) == "InvalidVolume.NotFound"
    assert [recycled.id for recycled in in_bin(world, VOLUME)] == [free.id]


async def test_more_than_one_group_that_is_due_goes_at_once(world: World) -> None:
    await rule(world, SNAPSHOT, 1)
    for _ in range(150):
        await deleted_snapshot(world)
    world.clock.advance(days=1)

    await world.app.recycle_bin.delete_due()

    assert len(world.store.recycle_bin) == 0
    await world.assert_sound()


async def test_a_restarted_server_still_knows_what_is_due(world: World) -> None:
    await rule(world, SNAPSHOT, 1)
    await deleted_snapshot(world)
    await world.restart()
    await world.app.recycle_bin.delete_due()
    assert len(world.store.recycle_bin) == 1
    world.clock.advance(days=1)

    await world.app.recycle_bin.delete_due()

    assert len(world.store.recycle_bin) == 0


async def test_a_volume_that_a_process_holds_goes_when_it_lets_go(world: World) -> None:
    await rule(world, VOLUME, 1)
    free = await volume(world)
    await world.app.volumes.delete(world.caller, free.id)
    world.clock.advance(days=1)
    world.fragile_volumes.fail("delete", error=VolumeInUse(), times=2)

    await world.app.recycle_bin.delete_due()
    assert (await world.volumes.inventory()).volume_ids == {free.id}
    await world.reconciler.sweep()
    await world.sagas.settle()

    await world.assert_sound()


@pytest.mark.parametrize("resource_type", list(RetainedType))
async def test_a_stranger_sees_and_restores_nothing(world: World, resource_type: RetainedType) -> None:
    await rule(world, resource_type)
    image, free, snapshot = await world.image(), await volume(world), await world.snapshot()
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)
    await world.app.volumes.delete(world.caller, free.id)
    await world.app.snapshots.delete(world.caller, snapshot.id)
    (recycled,) = in_bin(world, resource_type)
    other, recycle_bin = await stranger(world), world.app.recycle_bin
    restore = {IMAGE: recycle_bin.restore_image, SNAPSHOT: recycle_bin.restore_snapshot}
    assert recycle_bin.describe(other, resource_type) == []

    code = await refusal(restore.get(resource_type, recycle_bin.restore_volume)(other, recycled.id))

    assert code.endswith(".NotFound")
