"""Client tokens are good for a day."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.world import World

from bakehouse.domain.caller import Caller, Idempotency
from bakehouse.domain.errors import Ec2Error


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    begun = await World.begin(tmp_path)
    yield begun
    await begun.stop_server()


def with_token(caller: Caller, name: str = "once", digest: str = "d") -> Caller:
    return replace(caller, idempotency=Idempotency(operation="RunInstances", token=name, digest=digest))


async def remember(world: World, caller: Caller) -> None:
    async with world.store.transaction() as tx:
        tx.remember(caller, "i-1", world.clock().timestamp())


async def test_a_token_names_what_it_made_for_a_day(world: World) -> None:
    caller = with_token(world.caller)
    await remember(world, caller)

    world.clock.advance(hours=23, minutes=59)
    still = world.app.client_tokens.made_by(caller)
    world.clock.advance(minutes=2)

    assert still == "i-1"
    assert world.app.client_tokens.made_by(caller) is None


async def test_a_token_with_another_digest_is_refused(world: World) -> None:
    await remember(world, with_token(world.caller))

    with pytest.raises(Ec2Error) as refusal:
        world.app.client_tokens.made_by(with_token(world.caller, digest="other"))

    assert refusal.value.code == "IdempotentParameterMismatch"


async def test_a_forgotten_token_is_new(world: World) -> None:
    caller = with_token(world.caller)
    await remember(world, caller)

    async with world.store.transaction() as tx:
        tx.forget(caller)

    assert world.app.client_tokens.made_by(caller) is None


async def test_tokens_older_than_a_day_are_removed_and_younger_ones_kept(world: World) -> None:
    await remember(world, with_token(world.caller, "old"))
    world.clock.advance(hours=20)
    await remember(world, with_token(world.caller, "young"))
    world.clock.advance(hours=5)

    await world.app.client_tokens.forget_old()

    assert [record.id.rpartition("/")[2] for record in world.store.client_tokens] == ["young"]
