"""Three accounts, every pair of them: a stranger sees, launches and copies what the permissions say, at every moment.

The rules stand in `image_permission_rules.py`. A state machine does what accounts may do with images in any order, by
boto3 against a server over fakes, and compares every answer with them. Cases with a name: `test_image_sharing.py`.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
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
from tests.system.image_permission_rules import DONE, NOT_FOUND, AccountModel, ImageModel, Rules, SnapshotModel
from tests.system.image_stage import NAMES, RUNS, Stage, answer_of, launch
from tests.system.sharing import registered, share, snapshot_of, unshare
from tests.system.shop import Shop

#: An account, which is half the time the owner of the image, and an image, counted around those there are.
PAIRS = st.tuples(st.sampled_from(["owner", "owner", "owner", 0, 1, 2]), st.integers(0, 11))
READERS: st.SearchStrategy[Any] = st.sampled_from([0, 1, 2, "all", "all"])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A server whose clock can be moved."""
    made = Stage()
    yield made
    made.close()


class Sharing(RuleBasedStateMachine):
    """What three accounts do with their images."""

    stage: Stage

    @initialize(shared=st.lists(READERS, min_size=6, max_size=6))
    def open_accounts(self, shared: list[Any]) -> None:
        run = next(RUNS)
        self.shops = [Shop(self.stage.running, f"{name} {run}", self.stage.disk) for name in NAMES]
        self.ids = [shop.account_id for shop in self.shops]
        self.clients = {shop.account_id: shop.ec2 for shop in self.shops}
        self.model = Rules({account: AccountModel() for account in self.ids})
        self.known: list[str] = []
        self.owners: dict[str, str] = {}
        self.names = count()
        self.snapshots: dict[str, str] = {}
        for shop in self.shops:
            snapshot = SnapshotModel(shop.account_id)
            self._know(shop.image_id, ImageModel(shop.account_id, "test", snapshot))
            self.snapshots[shop.image_id] = snapshot_of(shop.ec2, shop.image_id)
        for who in range(3):
            self.register(who, "golden")
        for which, with_whom in enumerate(shared):
            self.share(("owner", which), with_whom)

    def _know(self, image_id: str, image: ImageModel) -> None:
        self.model.images[image_id] = image
        self.owners[image_id] = image.owner
        self.known.append(image_id)

    def _pair(self, pair: tuple[Any, int]) -> tuple[str, str]:
        """Return an account and an image that may be gone; the account is the owner's where it is said so."""
        who, which = pair
        image_id = self.known[which % len(self.known)]
        owner = self.owners[image_id]
        return (owner if who == "owner" else self.ids[who]), image_id

    # Images come

    @rule(who=st.integers(0, 2), prefix=st.sampled_from(["golden", "plain"]))
    def register(self, who: int, prefix: str) -> None:
        shop = self.shops[who]
        first = self.model.images.get(shop.image_id)
        if first is None or first.disabled or len(self.known) > 10:
            return
        name = f"{prefix}-{next(self.names)}"
        image_id = registered(shop.ec2, shop.image_id, name)
        self.snapshots[image_id] = self.snapshots[shop.image_id]
        self._know(image_id, ImageModel(shop.account_id, name, first.snapshot))

    @rule(pair=PAIRS, prefix=st.sampled_from(["golden", "plain"]))
    def copy(self, pair: tuple[Any, int], prefix: str) -> None:
        account, image_id = self._pair(pair)
        name = f"{prefix}-{next(self.names)}"
        expected = self.model.copy(account, image_id)
        copied: list[str] = []

        def ask() -> None:
            answer = self.clients[account].copy_image(Name=name, SourceImageId=image_id, SourceRegion="us-east-1")
            copied.append(answer["ImageId"])

        assert answer_of(ask) == expected
        if not copied:
            return
        self.snapshots[copied[0]] = snapshot_of(self.clients[account], copied[0])
        self._know(copied[0], ImageModel(account, name, SnapshotModel(account)))

    # Images are used

    @rule(pair=PAIRS)
    def launch(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)

        assert launch(self.clients[account], image_id) == self.model.launch(account, image_id)

    # Images are shared, and no more

    @rule(pair=PAIRS, with_whom=READERS)
    def share(self, pair: tuple[Any, int], with_whom: Any) -> None:
        account, image_id = self._pair(pair)
        launcher = with_whom if with_whom == "all" else self.ids[with_whom]
        expected = self.model.share(account, image_id, launcher)

        assert answer_of(lambda: share(self.clients[account], image_id, launcher)) == expected

        if expected == DONE:
            image = self.model.images[image_id]
            image.launchers.add(launcher)
            if image.public and image.deprecation is None:
                image.deprecation = self.stage.clock() + timedelta(days=700)  # never comes in a test

    @rule(pair=PAIRS, with_whom=READERS)
    def unshare(self, pair: tuple[Any, int], with_whom: Any) -> None:
        account, image_id = self._pair(pair)
        launcher = with_whom if with_whom == "all" else self.ids[with_whom]
        expected = self.model.change(account, image_id)

        assert answer_of(lambda: unshare(self.clients[account], image_id, launcher)) == expected

        if expected == DONE:
            self.model.images[image_id].launchers.discard(launcher)

    @rule(pair=PAIRS)
    def make_private(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.change(account, image_id)

        reset = self.clients[account].reset_image_attribute
        assert answer_of(reset, ImageId=image_id, Attribute="launchPermission") == expected

        if expected == DONE:
            self.model.images[image_id].launchers.clear()

    @rule(pair=PAIRS)
    def give_up(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.give_up(account, image_id)

        assert answer_of(self.clients[account].cancel_image_launch_permission, ImageId=image_id) == expected

        if expected == DONE:
            self.model.images[image_id].launchers.discard(account)

    @rule(which=st.integers(0, 11), with_whom=READERS)
    def share_snapshot(self, which: int, with_whom: Any) -> None:
        image_id = self.known[which % len(self.known)]
        image = self.model.images.get(image_id)
        if image is None:
            return
        reader = with_whom if with_whom == "all" else self.ids[with_whom]
        expected = self.model.share_snapshot(image.owner, reader)
        added = [{"Group": "all"}] if reader == "all" else [{"UserId": reader}]

        ask = self.clients[image.owner].modify_snapshot_attribute
        permission = {"Add": added}
        assert answer_of(ask, SnapshotId=self.snapshots[image_id], CreateVolumePermission=permission) == expected

        if expected == DONE:
            image.snapshot.readers.add(reader)

    # What becomes of images

    @rule(pair=PAIRS, enabled=st.booleans())
    def disable(self, pair: tuple[Any, int], *, enabled: bool) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.change(account, image_id)

        ec2 = self.clients[account]
        assert answer_of(ec2.enable_image if enabled else ec2.disable_image, ImageId=image_id) == expected

        if expected == DONE:
            image = self.model.images[image_id]
            image.disabled = not enabled
            if not enabled:
                image.launchers.clear()

    @rule(pair=PAIRS)
    def deprecate(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        at = (self.stage.clock() + timedelta(hours=1)).replace(second=0, microsecond=0)
        expected = self.model.change(account, image_id)

        ask = self.clients[account].enable_image_deprecation
        assert answer_of(ask, ImageId=image_id, DeprecateAt=at) == expected

        if expected == DONE:
            self.model.images[image_id].deprecation = at

    @rule(pair=PAIRS)
    def cancel_deprecation(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.change(account, image_id)
        if expected == DONE and self.model.images[image_id].public:
            expected = "OperationNotPermitted"

        assert answer_of(self.clients[account].disable_image_deprecation, ImageId=image_id) == expected

        if expected == DONE:
            self.model.images[image_id].deprecation = None

    @rule(hours=st.sampled_from([2, 25]))
    def wait(self, hours: int) -> None:
        self.stage.clock.advance(hours=hours)

    @rule(pair=PAIRS, cooldown=st.booleans())
    def protect(self, pair: tuple[Any, int], *, cooldown: bool) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.change(account, image_id)

        ask = self.clients[account].enable_image_deregistration_protection
        assert answer_of(ask, ImageId=image_id, WithCooldown=cooldown) == expected

        if expected == DONE:
            image = self.model.images[image_id]
            image.protected, image.cooldown, image.protected_until = True, cooldown, None

    @rule(pair=PAIRS)
    def unprotect(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.change(account, image_id)

        assert answer_of(self.clients[account].disable_image_deregistration_protection, ImageId=image_id) == expected

        if expected == DONE:
            image = self.model.images[image_id]
            if image.protected and image.cooldown:
                image.protected_until = self.stage.clock() + timedelta(days=1)
            image.protected = image.cooldown = False

    @precondition(lambda self: len(self.model.images) > 4)
    @rule(pair=PAIRS)
    def deregister(self, pair: tuple[Any, int]) -> None:
        account, image_id = self._pair(pair)
        expected = self.model.deregister(account, image_id, self.stage.clock())

        assert answer_of(self.clients[account].deregister_image, ImageId=image_id) == expected

        if expected == DONE:
            del self.model.images[image_id]

    # What accounts choose

    @rule(who=st.integers(0, 2), blocked=st.booleans())
    def block_public_images(self, who: int, *, blocked: bool) -> None:
        ec2 = self.clients[self.ids[who]]
        if blocked:
            ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
        else:
            ec2.disable_image_block_public_access()
        self.model.accounts[self.ids[who]].images_blocked = blocked

    @rule(who=st.integers(0, 2), state=st.sampled_from(["unblocked", "block-new-sharing", "block-all-sharing"]))
    def block_public_snapshots(self, who: int, state: Any) -> None:
        ec2 = self.clients[self.ids[who]]
        if state == "unblocked":
            ec2.disable_snapshot_block_public_access()
        else:
            ec2.enable_snapshot_block_public_access(State=state)
        self.model.accounts[self.ids[who]].snapshots_blocked = state

    @rule(
        who=st.integers(0, 2),
        state=st.sampled_from(["disabled", "audit-mode", "enabled"]),
        providers=st.sets(st.integers(0, 2), max_size=2),
        name=st.sampled_from([None, "golden"]),
    )
    def allow_images(self, who: int, state: Any, providers: set[int], name: str | None) -> None:
        account = self.ids[who]
        chosen = self.model.accounts[account]
        chosen.allowed_state, chosen.allowed_name = state, name
        chosen.allowed_providers = {self.ids[provider] for provider in providers}
        criteria: list[Any] = []
        if chosen.allowed_providers:
            criteria.append({"ImageProviders": sorted(chosen.allowed_providers)})
        if name is not None:
            criteria.append({"ImageNames": [f"{name}*"]})
        ec2 = self.clients[account]
        ec2.replace_image_criteria_in_allowed_images_settings(ImageCriteria=criteria)
        if state == "disabled":
            ec2.disable_allowed_images_settings()
        else:
            ec2.enable_allowed_images_settings(AllowedImagesSettingsState=state)

    # What must hold

    @invariant()
    def everybody_finds_what_the_rules_say(self) -> None:
        now, known = self.stage.clock(), set(self.known)
        for account, ec2 in self.clients.items():
            for every in (False, True):
                found = ec2.describe_images(IncludeDeprecated=every, IncludeDisabled=every)["Images"]
                shown = {image["ImageId"]: image for image in found if image["ImageId"] in known}
                assert set(shown) == self.model.listed(account, now, deprecated=every, disabled=every)
                self._check_members(account, shown)

    def _check_members(self, account: str, shown: dict[str, Any]) -> None:
        audited = self.model.accounts[account].allowed_state != "disabled"
        for image_id, image in shown.items():
            model = self.model.images[image_id]
            assert image["Public"] is model.public
            assert image["State"] == ("disabled" if model.disabled else "available")
            assert image.get("ImageAllowed") == (self.model.allowed(account, model) if audited else None)

    def teardown(self) -> None:
        """Ask of every pair once more, and leave nothing that a later run would find."""
        if not hasattr(self, "model"):
            return
        for account, ec2 in self.clients.items():
            for image_id in self.known:
                there = DONE if self.model.there(account, image_id) else NOT_FOUND
                assert answer_of(ec2.describe_images, ImageIds=[image_id]) == there
                assert launch(ec2, image_id) == self.model.launch(account, image_id)
        for image_id, image in self.model.images.items():
            ec2 = self.clients[image.owner]
            ec2.reset_image_attribute(ImageId=image_id, Attribute="launchPermission")


def check_rules(stage: Stage, *, runs: int) -> None:
    class SharingOnStage(Sharing):
        pass

    SharingOnStage.stage = stage
    run_state_machine_as_test(
        SharingOnStage,
        settings=settings(
            max_examples=runs,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_answers_are_what_the_rules_say_whatever_was_done_before(stage: Stage) -> None:
    check_rules(stage, runs=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_answers_are_what_the_rules_say_in_many_more_runs(stage: Stage) -> None:
    check_rules(stage, runs=25)
