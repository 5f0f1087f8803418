"""CopyImage as boto3 sees it: within a region, across regions, across accounts."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal

from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier

EUROPE = "eu-west-1"


class Counter:
    """An account beside the shop's, in two regions."""

    def __init__(self, running: RunningServer, name: str) -> None:
        self.here: Any = running.ec2(name)
        self.europe: Any = running.ec2(name, EUROPE)
        self.account_id = running.access_key(name).account_id

    def copy(self, shop: Shop, client: Any = None, **members: Any) -> str:
        given = {"Name": "copied", "SourceRegion": "us-east-1", "SourceImageId": shop.image_id, **members}
        return str((client or self.here).copy_image(**given)["ImageId"])


@pytest.fixture
def stranger(shared: RunningServer, request: pytest.FixtureRequest) -> Counter:
    return Counter(shared, f"stranger of {request.node.nodeid}")


@pytest.fixture
def owner(shared: RunningServer, request: pytest.FixtureRequest) -> Counter:
    return Counter(shared, request.node.nodeid)


def described(client: Any, image_id: str) -> dict[str, Any]:
    (image,) = client.describe_images(ImageIds=[image_id])["Images"]
    return dict(image)


def snapshot_of(client: Any, image_id: str) -> dict[str, Any]:
    snapshot_id = described(client, image_id)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (snapshot,) = client.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    return dict(snapshot)


def share(shop: Shop, *, image: Any = None, snapshot: Any = None) -> None:
    """Give what the arguments say: `{"UserId": ...}` or `{"Group": "all"}`."""
    snapshot_id = snapshot_of(shop.ec2, shop.image_id)["SnapshotId"]
    if image is not None:
        shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission={"Add": [image]})
    if snapshot is not None:
        shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Add": [snapshot]})


def test_a_copy_is_another_image_with_another_snapshot(shop: Shop, owner: Counter) -> None:
    copy_id = owner.copy(shop, Description="of the first")

    source, copy = described(shop.ec2, shop.image_id), described(shop.ec2, copy_id)
    assert (copy["Name"], copy["Description"], copy["State"]) == ("copied", "of the first", "available")
    assert (copy["SourceImageId"], copy["SourceImageRegion"]) == (shop.image_id, "us-east-1")
    assert "SourceInstanceId" not in copy
    alike = ("Architecture", "RootDeviceName", "EnaSupport", "VirtualizationType", "OwnerId", "PlatformDetails")
    assert [copy[member] for member in alike] == [source[member] for member in alike]
    ours, theirs = snapshot_of(shop.ec2, copy_id), snapshot_of(shop.ec2, shop.image_id)
    assert ours["SnapshotId"] != theirs["SnapshotId"]
    assert (ours["State"], ours["VolumeSize"], ours["TransferType"]) == ("completed", 2, "standard")
    assert f"DestinationAmi {copy_id} from SourceAmi {shop.image_id}" in ours["Description"]


def test_the_waiter_of_a_copy_never_waits(shop: Shop, owner: Counter) -> None:
    copy_id = owner.copy(shop)

    shop.ec2.get_waiter("image_available").wait(ImageIds=[copy_id], WaiterConfig={"MaxAttempts": 1})


def test_a_copy_is_in_the_region_that_was_asked(shop: Shop, owner: Counter) -> None:
    copy_id = owner.copy(shop, owner.europe)

    assert described(owner.europe, copy_id)["SourceImageRegion"] == "us-east-1"
    with pytest.raises(ClientError) as error:
        described(owner.here, copy_id)
    assert refusal(error) == "InvalidAMIID.NotFound"


def test_an_instance_is_launched_from_a_copy_in_its_region(shop: Shop, owner: Counter) -> None:
    copy_id = owner.copy(shop, owner.europe)

    launched = owner.europe.run_instances(ImageId=copy_id, MinCount=1, MaxCount=1)["Instances"]

    assert launched[0]["Placement"]["AvailabilityZone"].startswith(EUROPE)


def test_a_copy_outlives_its_source(shop: Shop, owner: Counter) -> None:
    copy_id = owner.copy(shop)

    shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    shop.ec2.run_instances(ImageId=copy_id, MinCount=1, MaxCount=1)
    assert snapshot_of(shop.ec2, copy_id)["State"] == "completed"


def test_a_name_is_free_in_another_region_and_taken_in_its_own(shop: Shop, owner: Counter) -> None:
    owner.copy(shop, owner.europe, Name="test")

    with pytest.raises(ClientError) as error:
        owner.copy(shop, Name="test")

    assert refusal(error) == "InvalidAMIName.Duplicate"


def test_a_client_token_gives_the_same_copy_again(shop: Shop, owner: Counter) -> None:
    first = owner.copy(shop, ClientToken="once")

    assert owner.copy(shop, ClientToken="once") == first
    with pytest.raises(ClientError) as error:
        owner.copy(shop, ClientToken="once", Name="other")
    assert refusal(error) == "IdempotentParameterMismatch"


def test_tags_go_along_only_when_asked_and_new_ones_win(shop: Shop, owner: Counter) -> None:
    shop.ec2.create_tags(Resources=[shop.image_id], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    new: Any = [
        {"ResourceType": "image", "Tags": [{"Key": "b", "Value": "3"}]},
        {"ResourceType": "snapshot", "Tags": [{"Key": "of", "Value": "snapshot"}]},
    ]

    plain = described(shop.ec2, owner.copy(shop))
    tagged = owner.copy(shop, Name="tagged", CopyImageTags=True, TagSpecifications=new)

    assert plain.get("Tags", []) == []
    assert {tag["Key"]: tag["Value"] for tag in described(shop.ec2, tagged)["Tags"]} == {"a": "1", "b": "3"}
    assert snapshot_of(shop.ec2, tagged)["Tags"] == [{"Key": "of", "Value": "snapshot"}]


def test_tags_that_another_account_gave_do_not_go_along(shop: Shop, stranger: Counter) -> None:
    shop.ec2.create_tags(Resources=[shop.image_id], Tags=[{"Key": "secret", "Value": "1"}])
    share(shop, image={"UserId": stranger.account_id}, snapshot={"UserId": stranger.account_id})

    copy_id = stranger.copy(shop, CopyImageTags=True)

    assert described(stranger.here, copy_id).get("Tags", []) == []


def test_too_many_tags_together_are_refused(shop: Shop, owner: Counter) -> None:
    for letter in "ab":
        tags = [{"Key": f"{letter}{number}", "Value": ""} for number in range(25)]
        shop.ec2.create_tags(Resources=[shop.image_id], Tags=tags)  # type: ignore[arg-type]

    with pytest.raises(ClientError) as error:
        owner.copy(
            shop,
            CopyImageTags=True,
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "one more", "Value": ""}]}],
        )

    assert refusal(error) == "TagLimitExceeded"


def test_launch_permission_stays_behind(shop: Shop, owner: Counter, stranger: Counter) -> None:
    share(shop, image={"UserId": stranger.account_id})

    copy_id = owner.copy(shop)

    with pytest.raises(ClientError) as error:
        described(stranger.here, copy_id)
    assert refusal(error) == "InvalidAMIID.NotFound"


def test_a_private_image_of_another_account_is_not_found(shop: Shop, stranger: Counter) -> None:
    with pytest.raises(ClientError) as error:
        stranger.copy(shop)

    assert refusal(error) == "InvalidAMIID.NotFound"


@pytest.mark.parametrize("public", [False, True])
def test_an_image_is_copied_when_its_snapshots_are_shared_too(shop: Shop, stranger: Counter, public: bool) -> None:  # noqa: FBT001
    to: Any = {"Group": "all"} if public else {"UserId": stranger.account_id}
    share(shop, image=to)

    with pytest.raises(ClientError) as error:
        stranger.copy(shop)
    share(shop, snapshot=to)
    copy_id = stranger.copy(shop, stranger.europe)

    assert error.value.response["Error"] == {
        "Code": "InvalidRequest",
        "Message": "You do not have permission to access the storage of this ami",
    }
    assert described(stranger.europe, copy_id)["OwnerId"] == stranger.account_id
    assert snapshot_of(stranger.europe, copy_id)["OwnerId"] == stranger.account_id


def test_a_copy_stays_when_sharing_ends(shop: Shop, stranger: Counter) -> None:
    share(shop, image={"Group": "all"}, snapshot={"Group": "all"})
    copy_id = stranger.copy(shop)

    shop.ec2.reset_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")

    stranger.here.run_instances(ImageId=copy_id, MinCount=1, MaxCount=1)
    with pytest.raises(ClientError) as error:
        stranger.copy(shop, Name="again")
    assert refusal(error) == "InvalidAMIID.NotFound"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"SourceRegion": "mars-north-1"}, "InvalidParameterValue"),
        ({"SourceImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"SourceImageId": "nonsense"}, "InvalidAMIID.Malformed"),
        ({"SourceRegion": EUROPE}, "InvalidAMIID.NotFound"),
        ({"Name": "a!b"}, "InvalidAMIName.Malformed"),
        ({"KmsKeyId": "alias/mine"}, "InvalidParameterDependency"),
        ({"KmsKeyId": "alias/mine", "Encrypted": True}, "InvalidKMSKey.InvalidState"),
        ({"DestinationOutpostArn": "arn:aws:outposts:us-east-1:1:outpost/op-1"}, "UnsupportedOperation"),
        ({"DestinationAvailabilityZone": "us-east-1a"}, "UnsupportedOperation"),
        ({"DestinationAvailabilityZoneId": "use1-az1"}, "UnsupportedOperation"),
        ({"SnapshotCopyCompletionDurationMinutes": 20}, "InvalidParameterValue"),
        ({"SnapshotCopyCompletionDurationMinutes": 2895}, "InvalidParameterValue"),
        (
            {"TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]},
            "InvalidParameterValue",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused(shop: Shop, owner: Counter, members: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as error:
        owner.copy(shop, **members)

    assert refusal(error) == code
    assert shop.ec2.describe_images(Filters=[{"Name": "name", "Values": ["copied"]}])["Images"] == []


def test_a_time_based_copy_says_so(shop: Shop, owner: Counter) -> None:
    snapshot = snapshot_of(shop.ec2, owner.copy(shop, SnapshotCopyCompletionDurationMinutes=15, Encrypted=False))

    assert (snapshot["TransferType"], snapshot["CompletionDurationMinutes"]) == ("time-based", 15)
    found = shop.ec2.describe_snapshots(Filters=[{"Name": "transfer-type", "Values": ["time-based"]}])["Snapshots"]
    assert [it["SnapshotId"] for it in found] == [snapshot["SnapshotId"]]


def test_a_copy_whose_source_has_lost_its_bytes_is_failed_and_says_why(shop: Shop, owner: Counter) -> None:
    """As it is when the snapshot is deleted between the check and the copy."""
    lost = snapshot_of(shop.ec2, shop.image_id)["SnapshotId"]
    shop.running.call(shop.running.drivers.volumes.delete_snapshot(lost))

    copy = described(shop.ec2, owner.copy(shop))

    assert (copy["State"], copy["BlockDeviceMappings"]) == ("failed", [])
    assert copy["StateReason"]["Code"] == "Client.InvalidSnapshot.NotFound"


def test_an_image_that_is_not_available_is_not_copied(shop: Shop, owner: Counter) -> None:
    lost = snapshot_of(shop.ec2, shop.image_id)["SnapshotId"]
    shop.running.call(shop.running.drivers.volumes.delete_snapshot(lost))
    failed_id = owner.copy(shop)

    with pytest.raises(ClientError) as error:
        owner.copy(shop, Name="again", SourceImageId=failed_id)

    assert refusal(error) == "InvalidAMIID.Unavailable"


@pytest.mark.parametrize("change", [{"state": SnapshotState.PENDING}, {"tier": StorageTier.ARCHIVE}])
def test_an_image_whose_snapshot_cannot_be_read_now_is_not_copied(
    shop: Shop, owner: Counter, change: dict[str, Any]
) -> None:
    store = shop.running.server.context.store
    snapshot = store.snapshots[snapshot_of(shop.ec2, shop.image_id)["SnapshotId"]]

    async def put(record: Snapshot) -> None:
        async with store.transaction() as tx:
            tx.put(record)

    shop.running.call(put(replace(snapshot, **change)))

    with pytest.raises(ClientError) as error:
        owner.copy(shop)

    shop.running.call(put(snapshot))
    assert refusal(error) == "InvalidRequest"
