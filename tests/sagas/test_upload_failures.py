"""A volume store that fails while a snapshot is begun or completed leaves a sound world."""

from contextlib import suppress
from typing import Any

import pytest
from tests.sagas.scenarios import SCENARIOS
from tests.world import World

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.volumes import StorageFull


def failing(world: World, monkeypatch: pytest.MonkeyPatch, call: str, *, after: bool) -> None:
    """Let a call of the port fail once, before it did anything or after it did all of it."""
    blocks: Any = world.volumes.blocks
    once = getattr(blocks, call)

    async def fail(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(blocks, call, once)
        if after:
            await once(*arguments, **named)
        raise StorageFull("injected")

    monkeypatch.setattr(blocks, call, fail)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_snapshot_that_cannot_be_begun_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    scenario = SCENARIOS["start_snapshot"]
    prepared = await scenario.prepare(world)
    failing(world, monkeypatch, "begin", after=after)

    with pytest.raises(Ec2Error, match="ServiceQuotaExceededException"):
        await scenario.act(world, prepared)

    assert [snapshot.id for snapshot in world.store.snapshots] == [prepared]
    await world.assert_sound()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_snapshot_that_cannot_be_completed_can_be_completed_later(
    world: World, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    scenario = SCENARIOS["complete_snapshot"]
    prepared = await scenario.prepare(world)
    failing(world, monkeypatch, "complete", after=after)

    with pytest.raises(Ec2Error, match="ServiceQuotaExceededException"):
        await scenario.act(world, prepared)
    with suppress(Ec2Error):
        await scenario.act(world, prepared)

    assert world.store.snapshots[prepared].state is SnapshotState.COMPLETED
    await world.assert_sound()


async def test_a_snapshot_that_was_sealed_and_not_marked_is_completed_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS["complete_snapshot"]
    prepared = await scenario.prepare(world)
    failing(world, monkeypatch, "complete", after=True)
    with pytest.raises(Ec2Error):
        await scenario.act(world, prepared)

    await world.app.snapshot_blocks.expire()

    assert world.store.snapshots[prepared].state is SnapshotState.COMPLETED
    await world.assert_sound()
