"""What a friend and a stranger get of an image after each thing that its owner can do with it: every pair of three."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_permission_rules import DONE, NOT_FOUND, STORAGE_DENIED
from tests.system.image_stage import NAMES, RUNS, Stage, answer_of, launch
from tests.system.sharing import account_of, listed, share, snapshot_of, unshare
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A server whose clock can be moved."""
    made = Stage()
    yield made
    made.close()


@dataclass
class Scene:
    """An owner with an image, a friend, and a stranger."""

    stage: Stage
    owner: "EC2Client"
    friend: "EC2Client"
    image_id: str

    @property
    def friend_id(self) -> str:
        return account_of(self.friend)

    def share_snapshot(self, *readers: str) -> None:
        added: Any = [{"Group": "all"} if reader == "all" else {"UserId": reader} for reader in readers]
        snapshot_id = snapshot_of(self.owner, self.image_id)
        self.owner.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Add": added})

    def share(self, *launchers: str) -> None:
        share(self.owner, self.image_id, *launchers)

    def share_whole(self, *accounts: str) -> None:
        self.share_snapshot(*accounts)
        self.share(*accounts)

    def deprecate(self) -> None:
        at = self.stage.clock() + timedelta(hours=1)
        self.owner.enable_image_deprecation(ImageId=self.image_id, DeprecateAt=at)
        self.stage.clock.advance(hours=2)


Act = Callable[[Scene], object]

#: What an account gets: whether lists show the image, and the answers to its id, to a launch, and to a copy.
NOTHING = (False, NOT_FOUND, NOT_FOUND, NOT_FOUND)
EVERYTHING = (True, DONE, DONE, DONE)
LAUNCHES = (True, DONE, DONE, STORAGE_DENIED)

#: What was done, and what a friend and a stranger get then.
CASES: dict[str, tuple[list[Act], tuple[object, ...], tuple[object, ...]]] = {
    "nothing": ([], NOTHING, NOTHING),
    "shared": ([lambda it: it.share(it.friend_id)], LAUNCHES, NOTHING),
    "shared with its snapshot": ([lambda it: it.share_whole(it.friend_id)], EVERYTHING, NOTHING),
    "its snapshot alone shared": ([lambda it: it.share_snapshot(it.friend_id)], NOTHING, NOTHING),
    "public": ([lambda it: it.share("all")], LAUNCHES, LAUNCHES),
    "public, its snapshot shared": (
        [lambda it: it.share("all"), lambda it: it.share_snapshot(it.friend_id)],
        EVERYTHING,
        LAUNCHES,
    ),
    "public with its snapshot": ([lambda it: it.share_whole("all")], EVERYTHING, EVERYTHING),
    "public, then blocked": (
        [
            lambda it: it.share_whole("all"),
            lambda it: it.owner.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing"),
            lambda it: it.owner.enable_snapshot_block_public_access(State="block-new-sharing"),
        ],
        EVERYTHING,
        EVERYTHING,
    ),
    "public, then all snapshots blocked": (
        [
            lambda it: it.share_whole("all"),
            lambda it: it.owner.enable_snapshot_block_public_access(State="block-all-sharing"),
        ],
        LAUNCHES,
        LAUNCHES,
    ),
    "shared and taken back": (
        [lambda it: it.share_whole(it.friend_id), lambda it: unshare(it.owner, it.image_id, it.friend_id)],
        NOTHING,
        NOTHING,
    ),
    "shared and public, then no more public": (
        [
            lambda it: it.share_whole(it.friend_id),
            lambda it: it.share("all"),
            lambda it: unshare(it.owner, it.image_id, "all"),
        ],
        EVERYTHING,
        NOTHING,
    ),
    "shared and public, then reset": (
        [
            lambda it: it.share_whole(it.friend_id, "all"),
            lambda it: it.owner.reset_image_attribute(ImageId=it.image_id, Attribute="launchPermission"),
        ],
        NOTHING,
        NOTHING,
    ),
    "shared and given back": (
        [
            lambda it: it.share_whole(it.friend_id),
            lambda it: it.friend.cancel_image_launch_permission(ImageId=it.image_id),
        ],
        NOTHING,
        NOTHING,
    ),
    "public, then disabled": (
        [lambda it: it.share_whole("all"), lambda it: it.owner.disable_image(ImageId=it.image_id)],
        NOTHING,
        NOTHING,
    ),
    "public, then disabled and enabled": (
        [
            lambda it: it.share_whole("all"),
            lambda it: it.owner.disable_image(ImageId=it.image_id),
            lambda it: it.owner.enable_image(ImageId=it.image_id),
        ],
        NOTHING,
        NOTHING,
    ),
    "shared, then deprecated": (
        [lambda it: it.share_whole(it.friend_id), lambda it: it.deprecate()],
        (False, DONE, DONE, DONE),
        NOTHING,
    ),
    "public, then deregistered": (
        [lambda it: it.share_whole("all"), lambda it: it.owner.deregister_image(ImageId=it.image_id)],
        NOTHING,
        NOTHING,
    ),
    "public, and not allowed by the friend": (
        [
            lambda it: it.share_whole("all"),
            lambda it: it.friend.enable_allowed_images_settings(AllowedImagesSettingsState="enabled"),
        ],
        NOTHING,
        EVERYTHING,
    ),
    "public, and allowed by the friend": (
        [
            lambda it: it.share_whole("all"),
            lambda it: it.friend.replace_image_criteria_in_allowed_images_settings(
                ImageCriteria=[{"ImageProviders": [account_of(it.owner)]}]
            ),
            lambda it: it.friend.enable_allowed_images_settings(AllowedImagesSettingsState="enabled"),
        ],
        EVERYTHING,
        EVERYTHING,
    ),
}


def gets(ec2: "EC2Client", image_id: str) -> tuple[object, ...]:
    """Return what an account gets of an image."""
    return (
        image_id in listed(ec2),
        answer_of(ec2.describe_images, ImageIds=[image_id]),
        launch(ec2, image_id),
        answer_of(ec2.copy_image, Name=f"copy of {image_id}", SourceImageId=image_id, SourceRegion="us-east-1"),
    )


@pytest.mark.parametrize("case", CASES)
def test_friend_and_stranger_get_what_they_are_given_whoever_is_who(stage: Stage, case: str) -> None:
    acts, friends, strangers = CASES[case]
    run = next(RUNS)
    for pair, (owner_name, friend_name, stranger_name) in enumerate(permutations(NAMES)):
        owner, friend, stranger = (
            Shop(stage.running, f"{name} {run} {pair}", stage.disk) for name in (owner_name, friend_name, stranger_name)
        )
        scene = Scene(stage, owner.ec2, friend.ec2, owner.image_id)

        for act in acts:
            act(scene)

        assert gets(friend.ec2, owner.image_id) == friends
        assert gets(stranger.ec2, owner.image_id) == strangers
        if case != "public, then deregistered":
            owner.ec2.disable_image(ImageId=owner.image_id)  # so that no later one finds it


def test_a_copy_is_its_maker_s_alone_and_outlives_its_source(stage: Stage) -> None:
    run = next(RUNS)
    owner, friend, stranger = (Shop(stage.running, f"{name} {run}", stage.disk) for name in NAMES)
    Scene(stage, owner.ec2, friend.ec2, owner.image_id).share_whole("all")
    copy_id = friend.ec2.copy_image(Name="copy", SourceImageId=owner.image_id, SourceRegion="us-east-1")["ImageId"]

    for other in (owner, stranger):
        assert gets(other.ec2, copy_id) == NOTHING
    owner.ec2.deregister_image(ImageId=owner.image_id, DeleteAssociatedSnapshots=True)
    assert gets(friend.ec2, copy_id) == EVERYTHING
