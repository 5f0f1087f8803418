"""Tags on what another account shares. Source: EC2 User Guide, "Tag restrictions".

You can tag public or shared resources, but the tags you assign are available only to your account.
"""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

MINE: Any = [{"Key": "stage", "Value": "bob's"}]
THEIRS: Any = [{"Key": "stage", "Value": "the owner's"}, {"Key": "secret", "Value": "x"}]


class Shared:
    """An image and its snapshot, shared with one account."""

    def __init__(self, shop: Shop, receiver_id: str) -> None:
        self.shop = shop
        self.image_id = shop.image_id
        (image,) = shop.ec2.describe_images(ImageIds=[self.image_id])["Images"]
        self.snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        self.receivers: Any = [{"UserId": receiver_id}]
        self.share("Add")
        shop.ec2.create_tags(Resources=self.ids, Tags=THEIRS)

    @property
    def ids(self) -> list[str]:
        return [self.image_id, self.snapshot_id]

    def share(self, change: str) -> None:
        permission: Any = {change: self.receivers}
        self.shop.ec2.modify_image_attribute(ImageId=self.image_id, LaunchPermission=permission)
        self.shop.ec2.modify_snapshot_attribute(SnapshotId=self.snapshot_id, CreateVolumePermission=permission)

    def seen_by(self, client: "EC2Client") -> list[Any]:
        """Return the tags of the image and of the snapshot as an account sees them."""
        (image,) = client.describe_images(ImageIds=[self.image_id])["Images"]
        (snapshot,) = client.describe_snapshots(SnapshotIds=[self.snapshot_id])["Snapshots"]
        return [image.get("Tags", []), snapshot.get("Tags", [])]


@pytest.fixture
def shared_things(shop: Shop, shared: RunningServer, request: pytest.FixtureRequest) -> Shared:
    return Shared(shop, shared.access_key(f"bob of {request.node.nodeid}").account_id)


def rows(client: "EC2Client", *resource_ids: str) -> set[tuple[str, str, str]]:
    found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": list(resource_ids)}])["Tags"]
    return {(tag["ResourceId"], tag["Key"], tag["Value"]) for tag in found}


def test_each_account_sees_its_own_tags_alone(shared_things: Shared, bob: "EC2Client") -> None:
    assert shared_things.seen_by(bob) == [[], []]

    bob.create_tags(Resources=shared_things.ids, Tags=MINE)

    assert shared_things.seen_by(bob) == [MINE, MINE]
    assert all(len(tags) == 2 for tags in shared_things.seen_by(shared_things.shop.ec2))
    assert rows(bob, *shared_things.ids) == {(it, "stage", "bob's") for it in shared_things.ids}
    assert len(rows(shared_things.shop.ec2, *shared_things.ids)) == 4


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"Name": "tag:stage", "Values": ["bob*"]}, True),
        ({"Name": "tag-key", "Values": ["stage"]}, True),
        ({"Name": "tag:stage", "Values": ["the owner's"]}, False),
        ({"Name": "tag-key", "Values": ["secret"]}, False),
    ],
)
def test_filters_find_by_the_tags_of_who_asks(
    shared_things: Shared, bob: "EC2Client", wanted: Any, *, found: bool
) -> None:
    bob.create_tags(Resources=shared_things.ids, Tags=MINE)

    images = bob.describe_images(Filters=[wanted], ImageIds=[shared_things.image_id])["Images"]
    snapshots = bob.describe_snapshots(Filters=[wanted], SnapshotIds=[shared_things.snapshot_id])["Snapshots"]

    assert (len(images), len(snapshots)) == ((1, 1) if found else (0, 0))


def test_tags_are_taken_away_by_who_gave_them(shared_things: Shared, bob: "EC2Client") -> None:
    bob.create_tags(Resources=shared_things.ids, Tags=MINE)
    bob.delete_tags(Resources=shared_things.ids, Tags=[{"Key": "secret"}])
    kept = rows(bob, *shared_things.ids)

    bob.delete_tags(Resources=shared_things.ids)

    assert len(kept) == 2
    assert rows(bob, *shared_things.ids) == set()
    assert len(rows(shared_things.shop.ec2, *shared_things.ids)) == 4


def test_tags_are_out_of_sight_with_what_they_are_on(shared_things: Shared, bob: "EC2Client") -> None:
    bob.create_tags(Resources=shared_things.ids, Tags=MINE)

    shared_things.share("Remove")

    assert rows(bob, *shared_things.ids) == set()
    with refused("InvalidAMIID.NotFound"):
        bob.create_tags(Resources=[shared_things.image_id], Tags=MINE)
    with refused("InvalidSnapshot.NotFound"):
        bob.delete_tags(Resources=[shared_things.snapshot_id])


def test_a_third_account_tags_nothing_that_is_not_shared_with_it(shared_things: Shared, carol: "EC2Client") -> None:
    for resource_id, code in zip(shared_things.ids, ["InvalidAMIID.NotFound", "InvalidSnapshot.NotFound"], strict=True):
        with refused(code):
            carol.create_tags(Resources=[resource_id], Tags=MINE)


def test_no_other_resource_of_another_account_can_be_tagged(shop: Shop, bob: "EC2Client") -> None:
    with refused("InvalidInstanceID.NotFound"):
        bob.create_tags(Resources=[shop.launch()["InstanceId"]], Tags=MINE)


def test_fifty_tags_are_the_most_of_each_account(shared_things: Shared, bob: "EC2Client") -> None:
    fifty: Any = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    bob.create_tags(Resources=[shared_things.image_id], Tags=fifty)

    with refused("TagLimitExceeded"):
        bob.create_tags(Resources=[shared_things.image_id], Tags=MINE)


def test_a_copy_takes_over_the_tags_of_who_copies(shared_things: Shared, bob: "EC2Client") -> None:
    """Source: EC2 User Guide, "Copy an AMI", Tags."""
    bob.create_tags(Resources=[shared_things.image_id], Tags=MINE)

    copy_id = bob.copy_image(
        Name="copied", SourceImageId=shared_things.image_id, SourceRegion="us-east-1", CopyImageTags=True
    )["ImageId"]

    (copy,) = bob.describe_images(ImageIds=[copy_id])["Images"]
    assert copy["Tags"] == MINE
