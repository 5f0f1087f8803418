"""The engine: order, failure, undoing, and what survives."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.world import World

from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, SagaEngine, SagaFailed, Step


@dataclass(frozen=True, slots=True)
class Named:
    name: str


@dataclass(frozen=True, slots=True)
class Feast:
    name: str
    cakes: Sequence[str]


class Kitchen:
    """Sagas that write down what they do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[str] = []
        self.failing: set[str] = set()
        steps = tuple(Step(name, do=self._do(name), undo=self._do(f"undo {name}")) for name in ("mix", "bake"))
        self.saga = Saga(name="cake", params=Named, steps=steps)
        self.feast = Saga(
            name="feast",
            params=Feast,
            steps=(Step("serve", do=self._do("serve")),),
            follows=lambda params: params.cakes,
        )
        self.engine = SagaEngine(world.saga_context, {"cake": self.saga, "feast": self.feast})

    def _do(self, what: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - a step's function
        async def step(_ctx: SagaContext, params: Named | Feast) -> None:
            await asyncio.sleep(0)
            self.done.append(f"{what} {params.name}")
            if what in self.failing:
                msg = f"{what} failed"
                raise RuntimeError(msg)

        return step

    async def enlist(self, name: str, subject: str = "kitchen") -> str:
        async with self.world.store.transaction() as tx:
            return self.engine.enlist(tx, self.saga, Named(name), subject_id=subject)

    async def enlist_feast(self, *cakes: str) -> str:
        async with self.world.store.transaction() as tx:
            return self.engine.enlist(tx, self.feast, Feast("all", cakes), subject_id="table")


@pytest.fixture
def kitchen(world: World) -> Kitchen:
    return Kitchen(world)


async def test_steps_run_in_order_and_the_journal_is_empty_afterwards(kitchen: Kitchen) -> None:
    await kitchen.engine.run(await kitchen.enlist("a"))

    assert kitchen.done == ["mix a", "bake a"]
    assert len(kitchen.world.store.sagas) == 0


async def test_a_failed_step_is_undone_with_those_before_it(kitchen: Kitchen) -> None:
    kitchen.failing = {"bake"}

    with pytest.raises(RuntimeError, match="bake failed"):
        await kitchen.engine.run(await kitchen.enlist("a"))

    assert kitchen.done == ["mix a", "bake a", "undo bake a", "undo mix a"]
    assert len(kitchen.world.store.sagas) == 0


async def test_an_undo_that_fails_is_taken_up_again(kitchen: Kitchen) -> None:
    kitchen.failing = {"bake", "undo bake"}
    with pytest.raises(RuntimeError):
        await kitchen.engine.run(await kitchen.enlist("a"))
    kitchen.failing = set()
    kitchen.done.clear()

    await kitchen.engine.resume()

    assert kitchen.done == ["undo bake a", "undo mix a"]
    assert len(kitchen.world.store.sagas) == 0


async def test_sagas_of_one_subject_take_turns(kitchen: Kitchen) -> None:
    first, second = await kitchen.enlist("a"), await kitchen.enlist("b")

    await asyncio.gather(kitchen.engine.run(first), kitchen.engine.run(second))

    assert kitchen.done == ["mix a", "bake a", "mix b", "bake b"]


async def test_a_saga_starts_those_that_were_journaled_before_it(kitchen: Kitchen) -> None:
    await kitchen.enlist("a")

    await kitchen.engine.run(await kitchen.enlist("b"))

    assert kitchen.done == ["mix a", "bake a", "mix b", "bake b"]


async def test_sagas_of_different_subjects_run_side_by_side(kitchen: Kitchen) -> None:
    first, second = await kitchen.enlist("a", "oven"), await kitchen.enlist("b", "table")

    await asyncio.gather(kitchen.engine.run(first), kitchen.engine.run(second))

    assert kitchen.done == ["mix a", "mix b", "bake a", "bake b"]


async def test_a_failure_does_not_hold_up_the_next_saga_of_the_subject(kitchen: Kitchen) -> None:
    first, second = await kitchen.enlist("a"), await kitchen.enlist("b")
    kitchen.failing = {"mix"}

    outcomes = await asyncio.gather(kitchen.engine.run(first), kitchen.engine.run(second), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError]
    assert kitchen.done == ["mix a", "undo mix a", "mix b", "undo mix b"]


async def test_a_cancelled_caller_does_not_stop_its_saga(kitchen: Kitchen) -> None:
    saga_id = await kitchen.enlist("a")
    caller = asyncio.create_task(kitchen.engine.run(saga_id))
    await asyncio.sleep(0)

    caller.cancel()
    await kitchen.engine.settle()

    assert kitchen.done == ["mix a", "bake a"]


async def test_a_saga_begins_those_it_follows_and_waits_for_them(kitchen: Kitchen) -> None:
    feast = await kitchen.enlist_feast(await kitchen.enlist("a", "oven"), await kitchen.enlist("b", "pan"))

    await kitchen.engine.run(feast)

    assert kitchen.done == ["mix a", "mix b", "bake a", "bake b", "serve all"]


async def test_a_saga_follows_one_that_failed(kitchen: Kitchen) -> None:
    kitchen.failing = {"mix"}

    await kitchen.engine.run(await kitchen.enlist_feast(await kitchen.enlist("a")))

    assert kitchen.done == ["mix a", "undo mix a", "serve all"]
    assert len(kitchen.world.store.sagas) == 0


async def test_a_saga_stays_in_the_journal_with_one_that_it_follows(kitchen: Kitchen) -> None:
    kitchen.failing = {"mix", "undo mix"}
    feast = await kitchen.enlist_feast(await kitchen.enlist("a"))
    with pytest.raises(SagaFailed):
        await kitchen.engine.run(feast)
    kitchen.failing = set()
    kitchen.done.clear()

    await kitchen.engine.resume()

    assert kitchen.done == ["undo mix a", "serve all"]
    assert len(kitchen.world.store.sagas) == 0


async def test_a_saga_follows_one_that_has_ended(kitchen: Kitchen) -> None:
    cake = await kitchen.enlist("a")
    feast = await kitchen.enlist_feast(cake)
    await kitchen.engine.run(cake)

    await kitchen.engine.run(feast)

    assert kitchen.done == ["mix a", "bake a", "serve all"]
