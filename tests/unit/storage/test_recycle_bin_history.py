"""Any history of rules, deletions, restorations and days leaves in the bin what a plain model says."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.world import World

from bakehouse.app.retention_rules import RULES_PER_TAG, RuleChange, RuleRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import Image
from bakehouse.domain.retention_rule import ResourceTag, RetainedType

IMAGE, SNAPSHOT, VOLUME = RetainedType.IMAGE, RetainedType.SNAPSHOT, RetainedType.VOLUME

types = st.sampled_from([IMAGE, SNAPSHOT, VOLUME])
tag_sets = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x"]), max_size=2)
days_of_rules = st.integers(1, 7)
hours = st.integers(1, 100)


@dataclass(frozen=True)
class Rule:
    """The model of a rule: its type, its days, and the tags that it wants or does not want."""

    type: RetainedType
    days: int
    wanted: tuple[tuple[str, str], ...]
    unwanted: tuple[tuple[str, str], ...]

    def keeps(self, tags: dict[str, str]) -> bool:
        if self.wanted:
            return any(pair in tags.items() for pair in self.wanted)
        return not any(pair in tags.items() for pair in self.unwanted)


@dataclass(frozen=True)
class Thing:
    """The model of an image, snapshot or volume: alive, or in the bin until an hour of the model's clock."""

    type: RetainedType
    tags: tuple[tuple[str, str], ...]
    leaves_at: int | None = None
    root_id: str | None = None
    """An image's snapshot."""


class RecycleBinHistory(RuleBasedStateMachine):
    """A world beside a model whose clock counts hours."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.world = self.runner.run(World.begin(Path(self.folder.name)))
        self.hour = 0
        self.retaining: dict[str, Rule] = {}
        self.things: dict[str, Thing] = {}

    def teardown(self) -> None:
        self.runner.run(self.world.stop_server())
        self.runner.close()
        self.folder.cleanup()

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def pick(self, data: st.DataObject, things: list[str]) -> str:
        # By place: ids are random, and a history that is tried again must be the same.
        return things[data.draw(st.integers(0, len(things) - 1))]

    def alive(self) -> list[str]:
        return [thing_id for thing_id, thing in self.things.items() if thing.leaves_at is None]

    def binned(self) -> list[str]:
        return [thing_id for thing_id, thing in self.things.items() if thing.leaves_at is not None]

    def naming(self, pair: tuple[str, str]) -> int:
        """Return how many rules want a tag."""
        return sum(pair in it.wanted for it in self.retaining.values())

    @rule(kind=types, days=days_of_rules, tags=tag_sets, excluding=st.booleans())
    def make_rule(self, kind: RetainedType, days: int, tags: dict[str, str], *, excluding: bool) -> None:
        named = tuple(ResourceTag(key, value) for key, value in tags.items())
        request = RuleRequest(
            resource_type=kind,
            retention_days=days,
            resource_tags=() if excluding else named,
            exclude_tags=named if excluding else (),
        )
        pairs = tuple(tags.items())
        create = self.world.app.retention_rules.create(self.world.caller, request)
        if not excluding and any(self.naming(pair) == RULES_PER_TAG for pair in pairs):
            with pytest.raises(Ec2Error, match="ServiceQuotaExceededException"):
                self.run(create)
            return
        made = self.run(create)
        self.retaining[made.id] = Rule(kind, days, () if excluding else pairs, pairs if excluding else ())

    @precondition(lambda self: self.retaining)
    @rule(data=st.data(), days=days_of_rules)
    def change_rule(self, data: st.DataObject, days: int) -> None:
        rule_id = self.pick(data, list(self.retaining))
        change = RuleChange(retention_days=days)
        self.run(self.world.app.retention_rules.update(self.world.caller, rule_id, change))
        self.retaining[rule_id] = replace(self.retaining[rule_id], days=days)

    @precondition(lambda self: self.retaining)
    @rule(data=st.data())
    def delete_rule(self, data: st.DataObject) -> None:
        rule_id = self.pick(data, list(self.retaining))
        self.run(self.world.app.retention_rules.delete(self.world.caller, rule_id))
        del self.retaining[rule_id]

    @rule(kind=types, tags=tag_sets)
    def make_thing(self, kind: RetainedType, tags: dict[str, str]) -> None:
        root_id = None
        if kind is IMAGE:
            made = self.run(self.world.image(tags=tags))
            (root_id,) = made.snapshot_ids
            self.things[root_id] = Thing(SNAPSHOT, ())
        elif kind is SNAPSHOT:
            made = self.run(self.world.snapshot(tags=tags))
        else:
            request = VolumeRequest(availability_zone="us-east-1a", size_gib=1, tags=tags)
            made = self.run(self.world.app.volumes.create(self.world.caller, request))
        self.things[made.id] = Thing(kind, tuple(tags.items()), root_id=root_id)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), with_snapshots=st.booleans())
    def delete_thing(self, data: st.DataObject, *, with_snapshots: bool) -> None:
        thing_id = self.pick(data, self.alive())
        thing = self.things[thing_id]
        app, caller = self.world.app, self.world.caller
        if any(it.root_id == thing_id and it.leaves_at is None for it in self.things.values()):
            with pytest.raises(Ec2Error, match="InvalidSnapshot"):
                self.run(app.snapshots.delete(caller, thing_id))
            return
        if thing.type is IMAGE:
            self.run(app.images.deregister(caller, thing_id, delete_snapshots=with_snapshots))
        else:
            self.run((app.snapshots if thing.type is SNAPSHOT else app.volumes).delete(caller, thing_id))
        self.deleted(thing_id)
        if with_snapshots and thing.root_id in self.alive():
            self.deleted(thing.root_id)

    def deleted(self, thing_id: str) -> None:
        """Let the model delete a thing."""
        thing = self.things.pop(thing_id)
        keeping = [it.days for it in self.retaining.values() if it.type is thing.type and it.keeps(dict(thing.tags))]
        if keeping:
            self.things[thing_id] = replace(thing, leaves_at=self.hour + 24 * max(keeping))

    @precondition(lambda self: self.binned())
    @rule(data=st.data())
    def restore_thing(self, data: st.DataObject) -> None:
        thing_id = self.pick(data, self.binned())
        thing = self.things[thing_id]
        app, caller = self.world.app, self.world.caller
        bin_ = app.recycle_bin
        restore: Any = {IMAGE: bin_.restore_image, SNAPSHOT: bin_.restore_snapshot, VOLUME: bin_.restore_volume}
        restoring = restore[thing.type](caller, thing_id)
        assert thing.leaves_at is not None
        if thing.leaves_at <= self.hour or (thing.root_id is not None and thing.root_id not in self.alive()):
            with pytest.raises(Ec2Error, match="NotFound"):
                self.run(restoring)
        else:
            self.run(restoring)
            self.things[thing_id] = replace(thing, leaves_at=None)

    @precondition(lambda self: self.things)
    @rule(data=st.data(), tags=tag_sets)
    def tag_thing(self, data: st.DataObject, tags: dict[str, str]) -> None:
        thing_id = self.pick(data, list(self.things))
        self.run(self.world.app.tags.create(self.world.caller, [thing_id], tags))
        thing = self.things[thing_id]
        self.things[thing_id] = replace(thing, tags=tuple({**dict(thing.tags), **tags}.items()))

    @rule(by=hours)
    def let_time_pass(self, by: int) -> None:
        self.world.clock.advance(hours=by)
        self.hour += by

    @rule()
    def delete_due(self) -> None:
        self.run(self.world.app.recycle_bin.delete_due())
        self.things = {
            thing_id: thing
            for thing_id, thing in self.things.items()
            if thing.leaves_at is None or thing.leaves_at > self.hour
        }

    @rule()
    def restart(self) -> None:
        self.run(self.world.restart())

    @rule()
    def crash(self) -> None:
        self.run(self.world.crash())

    @invariant()
    def agree(self) -> None:
        world = self.world
        self.run(world.assert_sound())
        now = world.clock()
        shown = {
            it.id: Thing(
                it.type,
                tuple(it.tags.items()),
                self.hour + round((it.exits_at - now) / timedelta(hours=1)),
                _root(it.resource),
            )
            for kind in (IMAGE, SNAPSHOT, VOLUME)
            for it in world.app.recycle_bin.describe(world.caller, kind)
        }
        app, caller = world.app, world.caller
        alive = {
            it.id: Thing(kind, tuple(it.tags.items()), root_id=_root(it))
            for kind, things in (
                (IMAGE, app.images.describe(caller)),
                (SNAPSHOT, app.snapshots.describe(caller)),
                (VOLUME, app.volumes.describe(caller)),
            )
            for it in things
        }
        assert shown | alive == self.things
        assert not shown.keys() & alive.keys()


def _root(resource: object) -> str | None:
    return resource.snapshot_ids[0] if isinstance(resource, Image) else None


def test_the_bin_holds_what_a_model_says() -> None:
    run_state_machine_as_test(
        RecycleBinHistory,
        settings=settings(
            max_examples=settings().max_examples * 3 // 10,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
