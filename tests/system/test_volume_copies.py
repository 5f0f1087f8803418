"""Copies of volumes as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def volume(ec2: Any, **members: Any) -> str:
    return str(
        ec2.create_volume(**{"AvailabilityZone": "us-east-1b", "Size": 4, "VolumeType": "gp3", **members})["VolumeId"]
    )


def copied(ec2: Any, source_id: str, **members: Any) -> Any:
    (answer,) = ec2.copy_volumes(SourceVolumeId=source_id, **members)["Volumes"]
    return answer


def shown(ec2: Any, volume_id: str) -> Any:
    (found,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return found


def tags(**of_volume: str) -> list[Any]:
    return [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in of_volume.items()]}]


def test_a_copy_is_answered_creating_and_shown_available(alice: "EC2Client") -> None:
    source_id = volume(alice, TagSpecifications=tags(of="source"))

    answer = copied(alice, source_id, TagSpecifications=tags(of="copy"), Encrypted=False, MultiAttachEnabled=False)

    found = shown(alice, answer["VolumeId"])
    assert (answer["State"], found["State"]) == ("creating", "available")
    assert (found["SourceVolumeId"], found["SnapshotId"], found["Size"]) == (source_id, "", 4)
    assert found["AvailabilityZone"] == "us-east-1b"
    assert found["Tags"] == [{"Key": "of", "Value": "copy"}]


def test_a_copy_is_gp2_unless_it_says_otherwise(alice: "EC2Client") -> None:
    assert copied(alice, volume(alice))["VolumeType"] == "gp2"


def test_a_copy_has_the_size_type_and_figures_that_it_asks_for(alice: "EC2Client") -> None:
    answer = copied(alice, volume(alice), Size=20, VolumeType="gp3", Iops=4000, Throughput=250)

    found = shown(alice, answer["VolumeId"])
    assert [found[it] for it in ("Size", "VolumeType", "Iops", "Throughput")] == [20, "gp3", 4000, 250]


def test_no_snapshot_is_seen_of_a_copy(alice: "EC2Client") -> None:
    copied(alice, volume(alice))

    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_a_source_is_no_member_of_a_volume_that_is_no_copy(alice: "EC2Client") -> None:
    assert "SourceVolumeId" not in shown(alice, volume(alice))


def test_a_volume_that_is_attached_is_copied_free(shop: Shop) -> None:
    (device,) = shop.launch()["BlockDeviceMappings"]

    answer = copied(shop.ec2, device["Ebs"]["VolumeId"])

    found = shown(shop.ec2, answer["VolumeId"])
    assert (found["State"], found["Attachments"]) == ("available", [])


def test_a_copy_outlives_its_source(alice: "EC2Client") -> None:
    source_id = volume(alice)
    copy_id = copied(alice, source_id)["VolumeId"]

    alice.delete_volume(VolumeId=source_id)

    assert shown(alice, copy_id)["SourceVolumeId"] == source_id
    assert copied(alice, copy_id)["SourceVolumeId"] == copy_id


def test_the_status_tells_of_a_copys_initialization(alice: "EC2Client") -> None:
    copy_id = copied(alice, volume(alice))["VolumeId"]

    (status,) = alice.describe_volume_status(VolumeIds=[copy_id])["VolumeStatuses"]

    assert status["InitializationStatusDetails"] == {"InitializationType": "volume-copy", "Progress": 100}


def test_a_repeated_client_token_copies_once(alice: "EC2Client") -> None:
    source_id = volume(alice)

    first, second = (copied(alice, source_id, ClientToken="once")["VolumeId"] for _ in range(2))

    assert first == second


def test_a_client_token_with_another_source_is_refused(alice: "EC2Client") -> None:
    copied(alice, volume(alice), ClientToken="once")
    other = volume(alice)

    with refused("IdempotentParameterMismatch"):
        copied(alice, other, ClientToken="once")


def test_a_copy_is_not_smaller_than_its_source(alice: "EC2Client") -> None:
    source_id = volume(alice)

    with refused("InvalidParameterValue"):
        copied(alice, source_id, Size=3)


def test_provisioned_iops_must_be_said(alice: "EC2Client") -> None:
    source_id = volume(alice)

    with refused("MissingParameter"):
        copied(alice, source_id, VolumeType="io2")


@pytest.mark.parametrize("members", [{"MultiAttachEnabled": True}])
def test_what_is_not_honoured_is_refused(alice: "EC2Client", members: dict[str, Any]) -> None:
    source_id = volume(alice)

    with refused("UnsupportedOperation"):
        copied(alice, source_id, **members)


def test_another_accounts_volume_is_not_found(alice: "EC2Client", bob: "EC2Client") -> None:
    source_id = volume(alice)

    with refused("InvalidVolume.NotFound"):
        copied(bob, source_id)


def test_tags_of_another_type_are_refused(alice: "EC2Client") -> None:
    source_id = volume(alice)

    with refused("InvalidParameterValue"):
        copied(alice, source_id, TagSpecifications=[{"ResourceType": "snapshot", "Tags": []}])
