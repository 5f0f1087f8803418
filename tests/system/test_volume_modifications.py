"""Volumes that become larger, and of another type."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ZONE = "us-east-1a"


def volume(ec2: Any, **members: Any) -> str:
    wanted = {"AvailabilityZone": ZONE, "Size": 10, "VolumeType": "gp2", **members}
    return str(ec2.create_volume(**wanted)["VolumeId"])


def modify(ec2: Any, volume_id: str, **members: Any) -> Any:
    return ec2.modify_volume(VolumeId=volume_id, **members)["VolumeModification"]


def modification(ec2: Any, volume_id: str) -> Any:
    (found,) = ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
    return found


def shown(ec2: Any, volume_id: str) -> Any:
    (found,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return found


def found(ec2: Any, name: str, *values: str) -> list[str]:
    filters = [{"Name": name, "Values": list(values)}]
    return [it["VolumeId"] for it in ec2.describe_volumes_modifications(Filters=filters)["VolumesModifications"]]


def test_the_answer_is_that_it_has_begun(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    answer = modify(alice, volume_id, Size=20, VolumeType="io1", Iops=500)

    assert answer.pop("StartTime").microsecond == 0
    assert answer == {
        "VolumeId": volume_id,
        "ModificationState": "modifying",
        "TargetSize": 20,
        "TargetIops": 500,
        "TargetVolumeType": "io1",
        "TargetMultiAttachEnabled": False,
        "OriginalSize": 10,
        "OriginalIops": 100,
        "OriginalVolumeType": "gp2",
        "OriginalMultiAttachEnabled": False,
        "Progress": 0,
        "Operator": {"Managed": False},
    }


def test_it_has_ended_by_the_next_request(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    modify(alice, volume_id, Size=20)

    ended = modification(alice, volume_id)
    assert (ended["ModificationState"], ended["Progress"], "EndTime" in ended) == ("completed", 100, True)


def test_the_volume_is_what_was_asked_for(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    modify(alice, volume_id, Size=20, VolumeType="gp3", Iops=4000, Throughput=200)

    now = shown(alice, volume_id)
    assert (now["Size"], now["VolumeType"], now["Iops"], now["Throughput"]) == (20, "gp3", 4000, 200)


@pytest.mark.parametrize(
    ("before", "change", "iops", "throughput"),
    [
        ({"VolumeType": "gp3", "Iops": 4000, "Throughput": 250}, {"Size": 20}, 4000, 250),
        ({"VolumeType": "gp2"}, {"VolumeType": "gp3"}, 3000, 125),
        ({"VolumeType": "io1", "Iops": 200}, {"Size": 20}, 200, None),
        ({"VolumeType": "io1", "Iops": 200, "Size": 100}, {"VolumeType": "io2"}, 3000, None),
        ({"VolumeType": "gp2"}, {"Size": 100}, 300, None),
    ],
)
def test_figures_that_were_not_asked_for(
    alice: "EC2Client", before: Any, change: Any, iops: int, throughput: int | None
) -> None:
    volume_id = volume(alice, **before)

    modify(alice, volume_id, **change)

    now = shown(alice, volume_id)
    assert (now["Iops"], now.get("Throughput")) == (iops, throughput)


def test_a_volume_that_is_attached_grows(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    volume_id = volume(shop.ec2)
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")

    modify(shop.ec2, volume_id, Size=20)

    assert (shown(shop.ec2, volume_id)["Size"], modification(shop.ec2, volume_id)["ModificationState"]) == (
        20,
        "completed",
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Size": 9}, "InvalidParameterValue"),
        ({"Size": 16_385}, "InvalidParameterValue"),
        ({"VolumeType": "st1"}, "InvalidParameterValue"),
        ({"VolumeType": "gp9"}, "InvalidParameterValue"),
        ({"Iops": 3000}, "InvalidParameterCombination"),
        ({"Throughput": 200}, "InvalidParameterCombination"),
        ({"VolumeType": "io1", "Iops": 50}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
        ({"Size": 20, "MultiAttachEnabled": True}, "UnsupportedOperation"),
    ],
)
def test_what_a_type_does_not_allow_is_refused(alice: "EC2Client", change: Any, code: str) -> None:
    volume_id = volume(alice)

    with refused(code):
        modify(alice, volume_id, **change)

    assert shown(alice, volume_id)["Size"] == 10


def test_no_root_becomes_a_disk_that_nothing_boots_from(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    mine: Any = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    (root,) = shop.ec2.describe_volumes(Filters=mine)["Volumes"]

    with refused("InvalidParameterValue"):
        modify(shop.ec2, root["VolumeId"], Size=125, VolumeType="st1")


def test_a_fifth_time_within_a_day_is_refused(running: RunningServer) -> None:
    ec2 = running.ec2()
    volume_id = volume(ec2)
    for size in (11, 12, 13, 14):
        modify(ec2, volume_id, Size=size)

    with refused("VolumeModificationRateExceeded"):
        modify(ec2, volume_id, Size=15)


def test_a_strangers_volume_is_not_found(alice: "EC2Client", bob: "EC2Client") -> None:
    volume_id = volume(alice)

    with refused("InvalidVolume.NotFound"):
        modify(bob, volume_id, Size=20)
    with refused("InvalidVolume.NotFound"):
        modification(bob, volume_id)


def test_a_volume_that_was_never_modified_has_no_modification(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    with refused("InvalidVolumeModification.NotFound"):
        modification(alice, volume_id)
    assert volume_id not in [it["VolumeId"] for it in alice.describe_volumes_modifications()["VolumesModifications"]]


def test_each_filter_finds_its_modification(carol: "EC2Client") -> None:
    grown, changed = volume(carol), volume(carol, VolumeType="io1", Iops=200, Size=30)
    modify(carol, grown, Size=20)
    modify(carol, changed, VolumeType="io2", Iops=300)
    started = modification(carol, grown)["StartTime"].strftime("%Y-%m-%dT%H:%M:%S.000Z")

    assert set(found(carol, "modification-state", "completed")) == {grown, changed}
    assert found(carol, "modification-state", "modifying", "optimizing", "failed") == []
    assert found(carol, "original-iops", "200") == [changed]
    assert found(carol, "original-size", "10") == [grown]
    assert found(carol, "original-volume-type", "gp2") == [grown]
    assert set(found(carol, "originalMultiAttachEnabled", "false")) == {grown, changed}
    assert grown in found(carol, "start-time", started)
    assert found(carol, "target-iops", "300") == [changed]
    assert found(carol, "target-size", "20") == [grown]
    assert found(carol, "target-volume-type", "io2") == [changed]
    assert found(carol, "targetMultiAttachEnabled", "true") == []
    assert found(carol, "volume-id", grown) == [grown]


def test_pages_hold_every_modification_once(carol: "EC2Client") -> None:
    made = [volume(carol) for _ in range(5)]
    for volume_id in made:
        modify(carol, volume_id, Size=20)

    pages = carol.get_paginator("describe_volumes_modifications").paginate(PaginationConfig={"PageSize": 2})

    assert sorted(it["VolumeId"] for page in pages for it in page["VolumesModifications"]) == sorted(made)


def test_a_snapshot_taken_afterwards_has_the_new_size(alice: "EC2Client") -> None:
    volume_id = volume(alice)
    modify(alice, volume_id, Size=20)

    assert alice.create_snapshot(VolumeId=volume_id)["VolumeSize"] == 20
