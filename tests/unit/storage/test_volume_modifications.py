"""Volumes that grow while a machine holds them, and what becomes of a modification that cannot be finished."""

from dataclasses import replace

import pytest
from tests.unit.storage.baking import attached, refusal, volume
from tests.world import World

from bakehouse.app.volume_modifications import ModificationRequest
from bakehouse.domain.volume import Volume
from bakehouse.domain.volume_modification import ModificationState, VolumeModification
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchVolume, StorageFull

GIB = 1 << 30
LARGER = ModificationRequest(size_gib=4)


async def modified(world: World, volume_id: str, request: ModificationRequest = LARGER) -> None:
    await world.app.volume_modifications.modify(world.caller, volume_id, request)


def latest(world: World, volume_id: str) -> VolumeModification:
    modification = world.store.volumes[volume_id].modification
    assert modification is not None
    return modification


async def bytes_of(world: World, volume_id: str) -> int:
    return (await world.volumes.connect(volume_id)).size_bytes


async def waiting(world: World) -> Volume:
    """A volume of a running instance that sees the new size when it is started again."""
    made = await attached(world, await world.running_instance())
    world.volumes.fixed_sizes.add(made.id)
    await modified(world, made.id)
    return world.store.volumes[made.id]


async def test_a_machine_that_cannot_see_a_disk_grow_is_waited_for(world: World) -> None:
    made = await waiting(world)

    state = latest(world, made.id).state
    assert (state, made.size_gib, await bytes_of(world, made.id)) == (ModificationState.OPTIMIZING, 4, GIB)


async def test_while_it_waits_no_other_modification_begins(world: World) -> None:
    made = await waiting(world)

    assert await refusal(modified(world, made.id, ModificationRequest(size_gib=5))) == "IncorrectModificationState"


async def test_a_sweep_does_nothing_while_the_machine_runs(world: World) -> None:
    made = await waiting(world)

    await world.app.volume_modifications.finish()

    assert latest(world, made.id).state is ModificationState.OPTIMIZING


@pytest.mark.parametrize("failure", [KeyUnavailable(), NoSuchVolume()])
async def test_one_that_cannot_be_looked_at_keeps_no_other_waiting(world: World, failure: Exception) -> None:
    made, other = await waiting(world), await waiting(world)
    assert other.attachment is not None
    await world.instances.stop(world.caller, [other.attachment.instance_id], force=True)
    await world.sagas.settle()
    world.volumes.fixed_sizes.discard(other.id)
    world.fragile_volumes.fail("connect", error=failure)

    await world.app.volume_modifications.finish()

    states = [latest(world, it.id).state for it in (made, other)]
    assert states == [ModificationState.OPTIMIZING, ModificationState.COMPLETED]


async def test_the_next_start_adds_the_bytes_and_a_sweep_says_so(world: World) -> None:
    made = await waiting(world)
    assert made.attachment is not None
    await world.instances.stop(world.caller, [made.attachment.instance_id], force=True)
    await world.sagas.settle()
    world.volumes.fixed_sizes.clear()
    await world.instances.start(world.caller, [made.attachment.instance_id])
    await world.sagas.settle()

    await world.app.volume_modifications.finish()

    assert (await bytes_of(world, made.id), latest(world, made.id).state) == (4 * GIB, ModificationState.COMPLETED)


async def test_a_stopped_instance_is_not_waited_for(world: World) -> None:
    made = await waiting(world)
    assert made.attachment is not None
    await world.instances.stop(world.caller, [made.attachment.instance_id], force=True)
    await world.sagas.settle()
    world.volumes.fixed_sizes.clear()

    await world.app.volume_modifications.finish()

    assert (await bytes_of(world, made.id), latest(world, made.id).state) == (4 * GIB, ModificationState.COMPLETED)


async def test_on_a_full_host_the_modification_fails_and_the_volume_is_as_it_was(world: World) -> None:
    made = await volume(world)
    world.fragile_volumes.fail("grow", error=StorageFull("the disk is full"))

    code = await refusal(modified(world, made.id))

    now = world.store.volumes[made.id]
    assert (code, latest(world, made.id).state, replace(now, modification=None)) == (
        "InsufficientVolumeCapacity",
        ModificationState.FAILED,
        made,
    )


async def test_after_a_failure_it_can_be_tried_again(world: World) -> None:
    made = await volume(world)
    world.fragile_volumes.fail("grow", error=StorageFull("the disk is full"))
    await refusal(modified(world, made.id))

    await modified(world, made.id)

    assert world.store.volumes[made.id].size_gib == 4


@pytest.mark.parametrize(("hours", "code"), [(23.9, "VolumeModificationRateExceeded"), (24.1, "")])
async def test_a_day_later_a_volume_can_be_modified_again(world: World, hours: float, code: str) -> None:
    made = await volume(world)
    for size in (2, 3, 4, 5):
        await modified(world, made.id, ModificationRequest(size_gib=size))
    world.clock.advance(hours=hours)

    again = modified(world, made.id, ModificationRequest(size_gib=6))

    if code:
        assert await refusal(again) == code
    else:
        await again
        assert world.store.volumes[made.id].size_gib == 6
