"""Snapshots that are archived or deleted while something is made of them: refused as if they had been so before."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.unit.storage.baking import refusal, register
from tests.waiting import until
from tests.world import GIB, World

from bakehouse.app.retention_rules import RuleRequest
from bakehouse.app.snapshot_copies import SnapshotCopyRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.ports.volumes import StorageFull

Going = Callable[[World, str], Awaitable[None]]


async def archive(world: World, snapshot_id: str) -> None:
    await world.app.snapshot_tiers.archive(world.caller, snapshot_id)
    await world.sagas.quiet(snapshot_id)


async def delete(world: World, snapshot_id: str) -> None:
    await world.app.snapshots.delete(world.caller, snapshot_id)


async def recycle(world: World, snapshot_id: str) -> None:
    rule = RuleRequest(resource_type=RetainedType.SNAPSHOT, retention_days=7)
    await world.app.retention_rules.create(world.caller, rule)
    await archive(world, snapshot_id)
    await world.app.snapshots.delete(world.caller, snapshot_id)


async def volume_of(world: World, snapshot: Snapshot) -> None:
    request = VolumeRequest(availability_zone="us-east-1a", snapshot_id=snapshot.id)
    await world.app.volumes.create(world.caller, request)


async def copy_of(world: World, snapshot: Snapshot) -> None:
    request = SnapshotCopyRequest(source_snapshot_id=snapshot.id, source_region=snapshot.region)
    await world.app.snapshot_copies.copy(world.caller, request)


async def instance_with(world: World, snapshot: Snapshot) -> None:
    data = BlockDeviceRequest(device_name="/dev/sdf", snapshot_id=snapshot.id)
    await world.launch(block_devices=(data,))


def let_go_first(world: World, method: str, snapshot_id: str, go: Going) -> None:
    """Let a snapshot go when the volume store is called to make something of it, before that is done."""
    make = getattr(world.volumes, method)

    async def late(*arguments: Any, **named: Any) -> None:
        if snapshot_id in (*arguments, *named.values()):
            setattr(world.volumes, method, make)
            await go(world, snapshot_id)
        await make(*arguments, **named)

    setattr(world.volumes, method, late)


@pytest.mark.parametrize(
    ("go", "code"),
    [(archive, "IncorrectState"), (delete, "InvalidSnapshot.NotFound"), (recycle, "InvalidSnapshot.NotFound")],
)
@pytest.mark.parametrize(
    ("make", "method"), [(volume_of, "create"), (copy_of, "copy_snapshot"), (instance_with, "create")]
)
async def test_what_is_made_of_a_snapshot_that_goes_is_refused(
    world: World, make: Callable[[World, Snapshot], Awaitable[None]], method: str, go: Going, code: str
) -> None:
    snapshot = await world.snapshot()
    let_go_first(world, method, snapshot.id, go)

    assert await refusal(make(world, snapshot)) == code
    await world.sagas.settle()
    await world.assert_sound()


async def test_an_instance_with_an_archived_snapshot_is_refused(world: World) -> None:
    snapshot = await world.snapshot()
    await archive(world, snapshot.id)

    assert await refusal(instance_with(world, snapshot)) == "IncorrectState"
    assert len(world.store.instances) == 0


async def test_no_image_relies_on_a_snapshot_that_is_being_archived(world: World) -> None:
    snapshot = await world.snapshot()
    image = await register(world, snapshot)
    await world.app.image_lifecycle.disable(world.caller, image.id)
    world.fragile_archive.hold("put")
    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)

    assert await refusal(world.app.image_lifecycle.enable(world.caller, image.id)) == "IncorrectState"
    assert await refusal(register(world, snapshot, name="another")) == "IncorrectState"


async def test_a_snapshot_deleted_while_others_end_their_days_stays_gone(world: World) -> None:
    first, second = await world.snapshot(), await world.snapshot()
    for snapshot in (first, second):
        await archive(world, snapshot.id)
        await world.app.snapshot_tiers.restore(world.caller, snapshot.id, days=1, permanent=False)
    await world.sagas.settle()
    world.clock.advance(days=1)

    ending = asyncio.ensure_future(world.app.snapshot_tiers.end_restorations())
    deleting = asyncio.ensure_future(world.app.snapshots.delete(world.caller, second.id))
    await asyncio.gather(ending, deleting)
    await world.sagas.settle()

    assert second.id not in world.store.snapshots
    assert world.store.snapshots[first.id].tier is StorageTier.ARCHIVE
    await world.assert_sound()


async def test_a_launch_that_failed_for_one_volume_makes_no_other_afterwards(world: World) -> None:
    image = await world.image()
    make, made = world.volumes.create, asyncio.Event()

    async def create(volume_id: str, *, size_bytes: int, **others: Any) -> None:
        if size_bytes == 8 * GIB:
            raise StorageFull
        with suppress(TimeoutError):  # which is right: nothing is deleted before all have ended
            await until(lambda: "delete" in world.fragile_volumes.calls, deadline_s=0.1)
        await make(volume_id, size_bytes=size_bytes, **others)
        made.set()

    world.fragile_volumes.calls.clear()
    world.fragile_volumes.driver.create = create  # type: ignore[attr-defined]
    data = BlockDeviceRequest(device_name="/dev/sdf", size_gib=1)

    assert await refusal(world.launch(image, block_devices=(data,))) == "InsufficientInstanceCapacity"
    await made.wait()
    await world.assert_sound()
