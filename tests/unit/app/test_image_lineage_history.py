"""Any history of images: each tells of its ancestors, its watermarks and its users what a plain model says."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.world import World

from bakehouse.app.image_catalogue import ImageChange
from bakehouse.app.image_copies import ImageCopyRequest
from bakehouse.app.image_references import EVERY_STATE
from bakehouse.app.image_usage_reports import ReportRequest
from bakehouse.app.images import ImageOfInstance
from bakehouse.app.launch import LaunchRequest
from bakehouse.app.retention_rules import RuleRequest
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import ImageState
from bakehouse.domain.image_usage_report import INSTANCE, ReportedType
from bakehouse.domain.image_watermark import WATERMARKS_PER_IMAGE
from bakehouse.domain.retention_rule import RetainedType

REGIONS = ("us-east-1", "eu-west-1")
MARKS = ("one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Origin:
    """The model of an image, as it is or as it was when it was deregistered."""

    owner: int
    region: str
    source: str | None = None
    marks: tuple[tuple[str, str], ...] = ()
    """Key, and the image that it was first attached to."""
    is_shared: bool = False
    state: str = "available"
    """`available`, `in the bin` or `gone`."""


class LineageHistory(RuleBasedStateMachine):
    """A world of two accounts and two regions beside a model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.world = self.runner.run(World.begin(Path(self.folder.name)))
        self.accounts = [self.world.caller.account_id]
        self.origins: dict[str, Origin] = {}
        self.instances: dict[str, tuple[int, str]] = {}
        """Instance to its account and image."""
        self.names = 0
        self.is_retained = False

    def teardown(self) -> None:
        self.runner.run(self.world.stop_server())
        self.runner.close()
        self.folder.cleanup()

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def caller(self, account: int, region: str) -> Caller:
        return Caller(account_id=self.accounts[account], region=region)

    def name(self) -> str:
        self.names += 1
        return f"image {self.names}"

    def living(self, account: int | None = None) -> list[str]:
        """Return the images that there are, of an account or of anybody."""
        return [
            image_id for image_id, it in self.origins.items() if it.state == "available" and account in (None, it.owner)
        ]

    def pick(self, data: st.DataObject, ids: list[str]) -> str:
        """Choose by place: ids are other ones each time."""
        return ids[data.draw(st.integers(0, len(ids) - 1))]

    @initialize(retained=st.booleans())
    def begin(self, *, retained: bool) -> None:
        key = self.run(self.world.app.accounts.create("stranger"))
        self.accounts.append(key.account_id)
        self.is_retained = retained
        for kind in (RetainedType.IMAGE, RetainedType.SNAPSHOT) if retained else ():
            request = RuleRequest(resource_type=kind, retention_days=365)
            self.run(self.world.app.retention_rules.create(self.caller(0, REGIONS[0]), request))
        self.register(0, REGIONS[0])

    @precondition(lambda self: len(self.living()) < 2)
    @rule(account=st.integers(0, 1), region=st.sampled_from(REGIONS))
    def register(self, account: int, region: str) -> None:
        image = self.run(self._root(account, region))
        self.origins[image] = Origin(account, region)

    async def _root(self, account: int, region: str) -> str:
        """Make an image whose snapshot everybody may read, so that to copy it takes no more than to see it."""
        image = await self.world.image(account_id=self.accounts[account], region=region)
        async with self.world.store.transaction() as tx:
            for snapshot_id in image.snapshot_ids:
                snapshot = self.world.store.snapshots[snapshot_id]
                changed = replace(
                    snapshot, account_id=image.account_id, region=region, create_volume_accounts=tuple(self.accounts)
                )
                tx.put(changed)
        return image.id

    @precondition(lambda self: self.living())
    @rule(data=st.data(), account=st.integers(0, 1))
    def launch(self, data: st.DataObject, account: int) -> None:
        image_id = self.pick(data, self.living())
        origin = self.origins[image_id]
        request = LaunchRequest(image_id=image_id, min_count=1, max_count=1)
        launching = self.world.app.instances.run(self.caller(account, origin.region), request)
        if origin.owner != account and not origin.is_shared:
            with pytest.raises(Ec2Error, match=r"InvalidAMIID\.NotFound"):
                self.run(launching)
            return
        (details,) = self.run(launching)
        self.instances[details.instance.id] = (account, image_id)

    @precondition(lambda self: self.instances)
    @rule(data=st.data())
    def bake(self, data: st.DataObject) -> None:
        instance_id = self.pick(data, list(self.instances))
        account, source = self.instances[instance_id]
        origin = self.origins[source]
        request = ImageOfInstance(instance_id=instance_id, name=self.name(), reboot=False)
        image = self.run(self.world.app.images.create(self.caller(account, origin.region), request))
        self.origins[image.id] = Origin(account, origin.region, source, origin.marks)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), region=st.sampled_from(REGIONS))
    def copy(self, data: st.DataObject, region: str) -> None:
        source = self.pick(data, self.living())
        origin = self.origins[source]
        request = ImageCopyRequest(source_image_id=source, source_region=origin.region, name=self.name())
        image = self.run(self.world.app.images.copy(self.caller(origin.owner, region), request))
        self.origins[image.id] = Origin(origin.owner, region, source, origin.marks)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), shared=st.booleans())
    def share(self, data: st.DataObject, *, shared: bool) -> None:
        image_id = self.pick(data, self.living())
        origin = self.origins[image_id]
        other = (self.accounts[1 - origin.owner],)
        change = ImageChange(add_launchers=other) if shared else ImageChange(remove_launchers=other)
        self.run(self.world.app.images.change(self.caller(origin.owner, origin.region), image_id, change))
        self.origins[image_id] = replace(origin, is_shared=shared)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), mark=st.sampled_from(MARKS))
    def attach(self, data: st.DataObject, mark: str) -> None:
        image_id = self.pick(data, self.living())
        origin = self.origins[image_id]
        key = f"{self.accounts[origin.owner]}:{mark}"
        attaching = self.world.app.image_watermarks.attach(self.caller(origin.owner, origin.region), image_id, mark)
        if key in dict(origin.marks):
            self.run(attaching)
        elif len(origin.marks) == WATERMARKS_PER_IMAGE:
            with pytest.raises(Ec2Error, match="ResourceLimitExceeded"):
                self.run(attaching)
        else:
            assert self.run(attaching) == key
            self.origins[image_id] = replace(origin, marks=(*origin.marks, (key, image_id)))

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        image_id = self.pick(data, self.living())
        origin = self.origins[image_id]
        keys = [key for key, _ in origin.marks] or [f"{self.accounts[0]}:none"]
        key = self.pick(data, keys)
        self.run(self.world.app.image_watermarks.detach(self.caller(origin.owner, origin.region), image_id, key))
        self.origins[image_id] = replace(origin, marks=tuple(pair for pair in origin.marks if pair[0] != key))

    @precondition(lambda self: self.living())
    @rule(data=st.data(), delete_snapshots=st.booleans())
    def deregister(self, data: st.DataObject, *, delete_snapshots: bool) -> None:
        image_id = self.pick(data, self.living())
        origin = self.origins[image_id]
        caller = self.caller(origin.owner, origin.region)
        self.run(self.world.app.images.deregister(caller, image_id, delete_snapshots=delete_snapshots))
        kept = self.is_retained and origin.owner == 0 and origin.region == REGIONS[0]
        self.origins[image_id] = replace(origin, state="in the bin" if kept else "gone")

    @precondition(lambda self: any(it.state == "in the bin" for it in self.origins.values()))
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        image_id = self.pick(data, [it for it, origin in self.origins.items() if origin.state == "in the bin"])
        try:
            self.run(self.world.app.recycle_bin.restore_image(self.caller(0, REGIONS[0]), image_id))
        except Ec2Error as refusal:
            if refusal.code != "InvalidSnapshot.NotFound":  # they went with the image, or with another
                raise
        else:
            self.origins[image_id] = replace(self.origins[image_id], state="available")

    @precondition(lambda self: self.instances)
    @rule(data=st.data())
    def terminate_and_wait(self, data: st.DataObject) -> None:
        instance_id = self.pick(data, list(self.instances))
        account, image_id = self.instances.pop(instance_id)
        caller = self.caller(account, self.origins[image_id].region)
        self.run(self.world.app.instances.terminate(caller, [instance_id]))
        self.run(self.world.sagas.settle())
        self.world.clock.advance(hours=2)
        self.run(self.world.reconciler.sweep())

    @rule()
    def restart(self) -> None:
        self.run(self.world.restart())

    def chain(self, image_id: str) -> list[str]:
        chain = [image_id]
        while (source := self.origins[chain[-1]].source) is not None:
            chain.append(source)
        return chain[:50]

    @invariant()
    def living_images_tell_of_ancestors_and_watermarks(self) -> None:
        app = self.world.app
        self.run(app.image_ancestry.forget_unneeded())
        for image_id in self.living():
            origin = self.origins[image_id]
            caller = self.caller(origin.owner, origin.region)
            assert [it.id for it in app.image_ancestry.of(caller, image_id)] == self.chain(image_id)
            (image,) = app.images.describe(caller, [image_id])
            assert [(it.key, it.source_image_id) for it in image.watermarks] == list(origin.marks)
            for watermark in image.watermarks:
                assert watermark.source_image_region == self.origins[watermark.source_image_id].region

    @invariant()
    def instances_tell_of_their_images(self) -> None:
        app = self.world.app
        shown = {
            it.instance.id: (self.accounts.index(it.instance.account_id), it.image.id if it.image else "", it.image)
            for account in range(len(self.accounts))
            for region in REGIONS
            for it in app.instance_images.describe(self.caller(account, region))
        }
        assert {key: value[:2] for key, value in shown.items()} == self.instances
        for _, image_id, image in shown.values():
            is_there = self.origins[image_id].state == "available"
            assert image is not None
            assert (image.state is ImageState.AVAILABLE) == is_there
            assert [it.key for it in image.watermarks] == [key for key, _ in self.origins[image_id].marks]

    @invariant()
    def images_tell_of_their_users(self) -> None:
        app = self.world.app
        for image_id, origin in self.origins.items():
            used_by = Counter(account for account, of in self.instances.values() if of == image_id)
            for account in range(len(self.accounts)):
                caller = self.caller(account, origin.region)
                assert len(app.image_references.of_instances(caller, [image_id], EVERY_STATE)) == used_by[account]
            if origin.state == "available":
                report = ReportRequest(image_id=image_id, resource_types=(ReportedType(name=INSTANCE),))
                owner = self.caller(origin.owner, origin.region)
                made = self.run(app.image_usage_reports.create(owner, report))
                self.run(app.image_usage_reports.delete(owner, made.id))
                assert {self.accounts.index(it.account_id): it.count for it in made.entries} == dict(used_by)


def test_histories_of_images() -> None:
    run_state_machine_as_test(
        LineageHistory,
        settings=settings(
            max_examples=max(20, settings().max_examples // 20),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
