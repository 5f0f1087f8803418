"""CopySnapshot as boto3 sees it."""

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import refusal

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def source_id(alice: "EC2Client") -> str:
    volume_id = alice.create_volume(AvailabilityZone="us-east-1a", Size=3)["VolumeId"]
    return alice.create_snapshot(VolumeId=volume_id)["SnapshotId"]


def copied(client: "EC2Client", source_id: str, **members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"SourceRegion": "us-east-1", "SourceSnapshotId": source_id, **members}
    snapshot_id = client.copy_snapshot(**given)["SnapshotId"]
    (snapshot,) = client.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    return dict(snapshot)


def test_a_copy_is_another_snapshot_of_the_same_size(alice: "EC2Client", source_id: str) -> None:
    copy = copied(alice, source_id, Description="of the first")

    assert copy["SnapshotId"] != source_id
    assert (copy["State"], copy["Progress"], copy["VolumeSize"]) == ("completed", "100%", 3)
    assert (copy["Description"], copy["VolumeId"], copy["TransferType"]) == ("of the first", "vol-ffffffff", "standard")


def test_a_copy_is_answered_with_its_tags(alice: "EC2Client", source_id: str) -> None:
    tags: Any = [{"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}]

    answer = alice.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source_id, TagSpecifications=tags)

    assert answer["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_copy_is_in_the_region_that_was_asked(
    alice: "EC2Client", shared: RunningServer, request: pytest.FixtureRequest, source_id: str
) -> None:
    europe = shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1")

    copy = copied(europe, source_id)

    volume = europe.create_volume(AvailabilityZone="eu-west-1a", SnapshotId=copy["SnapshotId"])
    assert volume["Size"] == 3
    with pytest.raises(ClientError) as error:
        alice.describe_snapshots(SnapshotIds=[copy["SnapshotId"]])
    assert refusal(error) == "InvalidSnapshot.NotFound"


def test_a_copy_outlives_its_source(alice: "EC2Client", source_id: str) -> None:
    copy = copied(alice, source_id)

    alice.delete_snapshot(SnapshotId=source_id)

    again = copied(alice, copy["SnapshotId"])
    assert alice.create_volume(AvailabilityZone="us-east-1a", SnapshotId=again["SnapshotId"])["Size"] == 3


def test_a_time_based_copy_says_so(alice: "EC2Client", source_id: str) -> None:
    copy = copied(alice, source_id, CompletionDurationMinutes=2880)

    assert (copy["TransferType"], copy["CompletionDurationMinutes"]) == ("time-based", 2880)


def test_a_snapshot_that_is_shared_is_copied_and_one_that_is_not_is_not_found(
    alice: "EC2Client",
    bob: "EC2Client",
    carol: "EC2Client",
    shared: RunningServer,
    request: pytest.FixtureRequest,
    source_id: str,
) -> None:
    account_id = shared.access_key(f"bob of {request.node.nodeid}").account_id
    alice.modify_snapshot_attribute(SnapshotId=source_id, CreateVolumePermission={"Add": [{"UserId": account_id}]})

    copy = copied(bob, source_id)

    assert copy["OwnerId"] == account_id
    with pytest.raises(ClientError) as error:
        copied(carol, source_id)
    assert refusal(error) == "InvalidSnapshot.NotFound"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"SourceRegion": "mars-north-1"}, "InvalidParameterValue"),
        ({"SourceRegion": "eu-west-1"}, "InvalidSnapshot.NotFound"),
        ({"SourceSnapshotId": "snap-00000000000000000"}, "InvalidSnapshot.NotFound"),
        ({"SourceSnapshotId": "nonsense"}, "InvalidParameterValue"),
        ({"Description": "x" * 256}, "InvalidParameterValue"),
        ({"KmsKeyId": "alias/mine"}, "InvalidParameterDependency"),
        ({"KmsKeyId": "alias/mine", "Encrypted": True}, "InvalidKMSKey.InvalidState"),
        ({"CompletionDurationMinutes": 1}, "InvalidParameterValue"),
        ({"CompletionDurationMinutes": 16}, "InvalidParameterValue"),
        ({"DestinationAvailabilityZone": "us-east-1a"}, "UnsupportedOperation"),
        ({"DestinationOutpostArn": "arn:aws:outposts:us-east-1:1:outpost/op-1"}, "UnsupportedOperation"),
        ({"TagSpecifications": [{"ResourceType": "image", "Tags": []}]}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_copied_is_refused(
    alice: "EC2Client", source_id: str, members: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        copied(alice, source_id, **members)

    assert refusal(error) == code
    owned = alice.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in owned] == [source_id]
