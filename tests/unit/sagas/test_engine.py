"""The saga engine, with a saga of three steps that switch lights on.

A light stands for a change of the host: it outlives the server that made it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.store.disk import SqliteDisk
from tests.waiting import until

from bakehouse.domain.saga import Direction
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, SagaEngine, SagaFailed, Step
from bakehouse.store.store import Store, StoreUnavailable

LIGHTS = ["red", "green", "blue"]


@dataclass(frozen=True)
class House:
    """The saga's parameters."""

    name: str


class Crash(BaseException):
    """The server is gone: nothing catches this."""


class Failure(Exception):
    """A step cannot be done."""


@dataclass
class Host:
    """What is there whatever becomes of servers, and how it behaves."""

    disk: SqliteDisk
    lights: dict[str, set[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    gate: asyncio.Event | None = None
    crash_at: str | None = None
    crashed: bool = False

    def step(self, light: str) -> Step[House]:
        async def do(_context: SagaContext, house: House) -> None:
            self.log.append(f"{house.name}: {light} on")
            if self.gate is not None:
                await self.gate.wait()
            if f"{light} on" in self.failing:
                raise Failure(light)
            self.lights.setdefault(house.name, set()).add(light)

        async def undo(_context: SagaContext, house: House) -> None:
            self.log.append(f"{house.name}: {light} off")
            if f"{light} off" in self.failing:
                raise Failure(light)
            self.lights.setdefault(house.name, set()).discard(light)

        return Step(light, do=do, undo=undo)

    def checkpoint(self, name: str) -> None:
        if not self.crashed and name == self.crash_at:
            self.crashed = True
            raise Crash


class Server:
    """One life of a server."""

    def __init__(self, host: Host) -> None:
        self.store: Store = host.disk.store()
        nothing = cast("Any", None)
        context = SagaContext(self.store, *[nothing] * 8)
        self.saga = Saga(name="light", params=House, steps=tuple(host.step(light) for light in LIGHTS))
        self.engine = SagaEngine(context, {"light": self.saga}, host.checkpoint)

    async def enlist(self, house: str = "home") -> str:
        async with self.store.transaction() as tx:
            return self.engine.enlist(tx, self.saga, House(house), subject_id=house)

    async def run(self, house: str = "home") -> None:
        await self.engine.run(await self.enlist(house))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    disk = SqliteDisk(tmp_path / "state.db")
    yield Host(disk)
    disk.close()


async def crashes(server: Server) -> None:
    """Run a saga until its server crashes, and take the server away."""
    saga_id = await server.enlist()
    task = server.engine.begin(saga_id)
    await asyncio.wait([task])
    with pytest.raises(Crash):
        task.result()
    server.store.close()


async def test_the_steps_run_in_order_and_the_journal_forgets(host: Host) -> None:
    server = Server(host)

    await server.run()

    assert host.log == ["home: red on", "home: green on", "home: blue on"]
    assert len(server.store.sagas) == 0
    assert host.disk.on_disk()["sagas"] == []


async def test_a_failed_step_and_those_before_it_are_undone_last_first(host: Host) -> None:
    server = Server(host)
    host.failing = {"green on"}

    with pytest.raises(Failure):
        await server.run()

    assert host.log == ["home: red on", "home: green on", "home: green off", "home: red off"]
    assert host.lights["home"] == set()
    assert host.disk.on_disk()["sagas"] == []


@pytest.mark.parametrize(("light", "moment"), list(product(LIGHTS, ["before", "after"])))
@pytest.mark.parametrize("position_is_lost", [False, True])
async def test_a_crash_anywhere_on_the_way_forward_is_completed_by_the_next_server(
    host: Host, light: str, moment: str, *, position_is_lost: bool
) -> None:
    server = Server(host)
    if position_is_lost:
        server.store.write_behind = lambda record: None  # type: ignore[method-assign]  # noqa: ARG005
    host.crash_at = f"light:{light}:{moment}"
    await crashes(server)

    failed = await Server(host).engine.resume()

    assert failed == {}
    assert host.lights["home"] == set(LIGHTS)
    assert host.disk.on_disk()["sagas"] == []


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("position_is_lost", [False, True])
async def test_a_crash_anywhere_on_the_way_back_is_completed_by_the_next_server(
    host: Host, light: str, *, position_is_lost: bool
) -> None:
    server = Server(host)
    if position_is_lost:
        server.store.write_behind = lambda record: None  # type: ignore[method-assign]  # noqa: ARG005
    host.failing = {"blue on"}
    host.crash_at = f"light:{light}:undone"
    await crashes(server)

    (failure,) = (await Server(host).engine.resume()).values()

    assert isinstance(failure, SagaFailed)
    assert "blue" in str(failure)
    assert host.lights["home"] == set()
    assert host.disk.on_disk()["sagas"] == []


async def test_a_direction_is_on_disk_before_the_first_undo(host: Host) -> None:
    server = Server(host)
    host.failing = {"green on"}
    host.crash_at = "light:green:undone"

    await crashes(server)

    (record,) = host.disk.on_disk()["sagas"]
    assert record.direction is Direction.BACKWARD
    assert record.error == "green: green"


async def test_a_saga_whose_undo_fails_stays_in_the_journal_until_it_succeeds(host: Host) -> None:
    server = Server(host)
    host.failing = {"green on", "red off"}
    with pytest.raises(Failure):
        await server.run()
    assert len(server.store.sagas) == 1

    still = await server.engine.resume()
    host.failing = set()
    done = await server.engine.resume()

    assert [type(error) for error in still.values()] == [Failure]
    assert [type(error) for error in done.values()] == [SagaFailed]
    assert len(server.store.sagas) == 0
    assert host.lights["home"] == set()


async def test_a_caller_who_goes_away_does_not_stop_a_saga(host: Host) -> None:
    server = Server(host)
    host.gate = asyncio.Event()
    calling = asyncio.create_task(server.run())
    await until(lambda: host.log != [])

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    host.gate.set()
    await server.engine.settle()

    assert host.lights["home"] == set(LIGHTS)


async def test_a_saga_that_runs_is_not_begun_again(host: Host) -> None:
    server = Server(host)
    saga_id = await server.enlist()

    first, second = server.engine.begin(saga_id), server.engine.begin(saga_id)
    await server.engine.resume()
    await first

    assert first is second
    assert len(host.log) == 3


async def test_sagas_of_one_subject_take_turns_and_others_do_not_wait(host: Host) -> None:
    server = Server(host)
    host.gate = asyncio.Event()
    for house in ("home", "home", "shed"):
        server.engine.begin(await server.enlist(house))

    await until(lambda: len(host.log) == 2)
    begun = list(host.log)
    host.gate.set()
    await server.engine.settle()

    assert begun == ["home: red on", "shed: red on"]
    assert [line for line in host.log if line.startswith("home")] == [f"home: {light} on" for light in LIGHTS] * 2


async def test_a_saga_takes_its_turn_after_one_that_failed(host: Host) -> None:
    server = Server(host)
    host.failing = {"red on"}
    first = server.engine.begin(await server.enlist())
    second = server.engine.begin(await server.enlist())

    await asyncio.wait([first])
    host.failing = set()
    await second

    assert host.log[:2] == ["home: red on", "home: red off"]
    assert host.lights["home"] == set(LIGHTS)


async def test_a_subject_is_being_changed_until_its_saga_ends(host: Host) -> None:
    server = Server(host)
    saga_id = await server.enlist()

    before = server.engine.is_changing("home")
    await server.engine.run(saga_id)

    assert before
    assert not server.engine.is_changing("home")
    assert not server.engine.is_changing("shed")


async def test_what_several_servers_left_is_resumed_in_the_order_of_its_beginning(host: Host) -> None:
    server = Server(host)
    for house in ("home", "home", "shed"):
        await server.enlist(house)
    server.store.close()

    failed = await Server(host).engine.resume()

    assert failed == {}
    assert len(host.log) == 9
    assert host.disk.on_disk()["sagas"] == []


async def test_a_disk_that_fails_in_the_middle_leaves_a_saga_to_be_resumed(host: Host) -> None:
    server = Server(host)
    saga_id = await server.enlist()
    host.gate = asyncio.Event()
    running = server.engine.begin(saga_id)
    await until(lambda: host.log != [])
    host.disk.broken = True
    host.gate.set()
    with pytest.raises(StoreUnavailable):
        await running
    host.disk.broken = False

    failed = await server.engine.resume()

    assert failed == {}
    assert host.lights["home"] == set(LIGHTS)
    assert host.disk.on_disk()["sagas"] == []


async def test_a_saga_enlisted_just_now_is_left_to_who_enlisted_it(host: Host) -> None:
    server = Server(host)
    saga_id = await server.enlist()

    resumed = await server.engine.resume()

    assert (resumed, host.log) == ({}, [])
    await server.engine.run(saga_id)


async def test_who_comes_late_to_run_a_saga_still_hears_of_its_end(host: Host) -> None:
    server = Server(host)
    host.failing = {"red on"}
    first, second = await server.enlist(), await server.enlist()

    await asyncio.wait([server.engine.begin(second)])

    with pytest.raises(Failure):
        await server.engine.run(first)
