"""Block public access for images and for snapshots, as boto3 sees it."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.sharing import account_of, listed, share, snapshot_of, unshare
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


# Images


def image_access(ec2: "EC2Client") -> tuple[str, str]:
    answer = ec2.get_image_block_public_access_state()
    return answer["ImageBlockPublicAccessState"], answer["ManagedBy"]


def block_images(ec2: "EC2Client") -> None:
    answer = ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
    assert answer["ImageBlockPublicAccessState"] == "block-new-sharing"


def test_images_may_be_public_until_that_is_blocked(alice: "EC2Client") -> None:
    assert image_access(alice) == ("unblocked", "account")

    block_images(alice)
    assert image_access(alice) == ("block-new-sharing", "account")

    assert alice.disable_image_block_public_access()["ImageBlockPublicAccessState"] == "unblocked"
    assert image_access(alice) == ("unblocked", "account")


def test_no_image_becomes_public_while_that_is_blocked(shop: Shop, bob: "EC2Client") -> None:
    block_images(shop.ec2)

    with refused("OperationNotPermitted"):
        share(shop.ec2, shop.image_id, "all")
    with refused("OperationNotPermitted"):
        shop.ec2.modify_image_attribute(
            ImageId=shop.image_id, Attribute="launchPermission", OperationType="add", UserGroups=["all"]
        )

    assert shop.image_id not in listed(bob)
    shop.ec2.disable_image_block_public_access()
    share(shop.ec2, shop.image_id, "all")
    assert shop.image_id in listed(bob)


def test_images_are_shared_with_accounts_though_public_access_is_blocked(shop: Shop, bob: "EC2Client") -> None:
    block_images(shop.ec2)

    share(shop.ec2, shop.image_id, account_of(bob))

    assert shop.image_id in listed(bob)


def test_nobody_is_added_when_everybody_among_them_is_refused(shop: Shop, bob: "EC2Client") -> None:
    block_images(shop.ec2)

    with refused("OperationNotPermitted"):
        share(shop.ec2, shop.image_id, account_of(bob), "all")

    assert shop.image_id not in listed(bob)


def test_what_is_public_stays_public_until_it_is_taken_back(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, "all")
    block_images(shop.ec2)
    assert shop.image_id in listed(bob)

    unshare(shop.ec2, shop.image_id, "all")

    assert shop.image_id not in listed(bob)
    with refused("OperationNotPermitted"):
        share(shop.ec2, shop.image_id, "all")


def test_an_image_with_a_watermark_does_not_become_public(shop: Shop, bob: "EC2Client") -> None:
    shop.ec2.attach_image_watermark(ImageId=shop.image_id, WatermarkName="approved")

    with refused("OperationNotPermitted"):
        share(shop.ec2, shop.image_id, "all")
    share(shop.ec2, shop.image_id, account_of(bob))


def test_an_image_access_that_is_none_is_refused(alice: "EC2Client") -> None:
    for wrong in ("unblocked", "block-all-sharing"):
        with refused("InvalidParameterValue"):
            alice.enable_image_block_public_access(ImageBlockPublicAccessState=wrong)  # type: ignore[arg-type]


# Snapshots


def snapshot_access(ec2: "EC2Client") -> tuple[str, str]:
    answer = ec2.get_snapshot_block_public_access_state()
    return answer["State"], answer["ManagedBy"]


def block_snapshots(ec2: "EC2Client", state: Any) -> None:
    assert ec2.enable_snapshot_block_public_access(State=state)["State"] == state


def publish(ec2: "EC2Client", snapshot_id: str) -> None:
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"]
    )


def seen(ec2: "EC2Client", snapshot_id: str) -> bool:
    """Tell whether a snapshot is there for a client, however it asks."""
    everything = ec2.describe_snapshots()["Snapshots"]
    found = snapshot_id in {snapshot["SnapshotId"] for snapshot in everything}
    if found:
        ec2.describe_snapshots(SnapshotIds=[snapshot_id])
        ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    else:
        with refused("InvalidSnapshot.NotFound"):
            ec2.describe_snapshots(SnapshotIds=[snapshot_id])
        with refused("InvalidSnapshot.NotFound"):
            ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    return found


@pytest.fixture
def snapshot_id(shop: Shop) -> str:
    """The snapshot of the shop's image."""
    return snapshot_of(shop.ec2, shop.image_id)


@pytest.mark.parametrize("state", ["block-new-sharing", "block-all-sharing"])
def test_snapshots_may_be_public_until_that_is_blocked(alice: "EC2Client", state: str) -> None:
    assert snapshot_access(alice) == ("unblocked", "account")

    block_snapshots(alice, state)
    assert snapshot_access(alice) == (state, "account")

    assert alice.disable_snapshot_block_public_access()["State"] == "unblocked"
    assert snapshot_access(alice) == ("unblocked", "account")


def test_to_enable_no_block_at_all_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        alice.enable_snapshot_block_public_access(State="unblocked")


@pytest.mark.parametrize("state", ["block-new-sharing", "block-all-sharing"])
def test_no_snapshot_becomes_public_while_that_is_blocked(
    shop: Shop, bob: "EC2Client", snapshot_id: str, state: str
) -> None:
    block_snapshots(shop.ec2, state)

    with refused("OperationNotPermitted"):
        publish(shop.ec2, snapshot_id)
    with refused("OperationNotPermitted"):
        shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"Group": "all"}]})

    assert not seen(bob, snapshot_id)


@pytest.mark.parametrize("state", ["block-new-sharing", "block-all-sharing"])
def test_a_snapshot_is_shared_with_an_account_though_public_access_is_blocked(
    shop: Shop, bob: "EC2Client", carol: "EC2Client", snapshot_id: str, state: str
) -> None:
    block_snapshots(shop.ec2, state)

    shop.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"UserId": account_of(bob)}]}
    )

    assert seen(bob, snapshot_id)
    assert not seen(carol, snapshot_id)


def test_a_public_snapshot_stays_public_while_new_sharing_is_blocked(
    shop: Shop, bob: "EC2Client", snapshot_id: str
) -> None:
    publish(shop.ec2, snapshot_id)

    block_snapshots(shop.ec2, "block-new-sharing")

    assert seen(bob, snapshot_id)


def test_a_public_snapshot_is_private_while_all_sharing_is_blocked(
    shop: Shop, bob: "EC2Client", snapshot_id: str
) -> None:
    publish(shop.ec2, snapshot_id)
    assert seen(bob, snapshot_id)

    block_snapshots(shop.ec2, "block-all-sharing")

    assert not seen(bob, snapshot_id)
    public = shop.ec2.describe_snapshots(RestorableByUserIds=["all"], OwnerIds=["self"])["Snapshots"]
    assert public == []
    attribute = shop.ec2.describe_snapshot_attribute(SnapshotId=snapshot_id, Attribute="createVolumePermission")
    assert attribute["CreateVolumePermissions"] == [{"Group": "all"}]

    shop.ec2.disable_snapshot_block_public_access()
    assert seen(bob, snapshot_id)


def test_a_launch_does_not_take_a_snapshot_that_is_public_no_more(
    shop: Shop, bob: "EC2Client", snapshot_id: str
) -> None:
    publish(shop.ec2, snapshot_id)
    share(shop.ec2, shop.image_id, account_of(bob))
    data: Any = [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot_id}}]
    own_id = bob.copy_image(Name="own", SourceImageId=shop.image_id, SourceRegion="us-east-1")["ImageId"]
    bob.run_instances(ImageId=own_id, MinCount=1, MaxCount=1, BlockDeviceMappings=data)

    block_snapshots(shop.ec2, "block-all-sharing")

    with refused("InvalidSnapshot.NotFound"):
        bob.run_instances(ImageId=own_id, MinCount=1, MaxCount=1, BlockDeviceMappings=data)


# Apart


def test_settings_of_accounts_and_regions_are_apart(
    shop: Shop, bob: "EC2Client", shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    elsewhere = shared.ec2(request.node.nodeid, "eu-west-1")

    block_images(shop.ec2)
    block_snapshots(shop.ec2, "block-all-sharing")

    for other in (bob, elsewhere):
        assert (image_access(other)[0], snapshot_access(other)[0]) == ("unblocked", "unblocked")


def test_settings_survive_a_restart(shared: RunningServer, shop: Shop) -> None:
    block_images(shop.ec2)
    block_snapshots(shop.ec2, "block-all-sharing")

    shared.server.context.store._read()

    assert image_access(shop.ec2)[0] == "block-new-sharing"
    assert snapshot_access(shop.ec2)[0] == "block-all-sharing"
