"""How volumes are, and the attribute that goes with it."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ZONE = "us-east-1a"
WELL = [{"Name": "io-enabled", "Status": "passed"}, {"Name": "io-performance", "Status": "not-applicable"}]


def volume(ec2: Any, **members: Any) -> str:
    return str(ec2.create_volume(**{"AvailabilityZone": ZONE, "Size": 1, **members})["VolumeId"])


def statuses(ec2: Any, **how: Any) -> list[Any]:
    return list(ec2.describe_volume_status(**how)["VolumeStatuses"])


def status_of(ec2: Any, volume_id: str) -> Any:
    (status,) = statuses(ec2, VolumeIds=[volume_id])
    return status


def found(ec2: Any, name: str, *values: str) -> list[str]:
    return [status["VolumeId"] for status in statuses(ec2, Filters=[{"Name": name, "Values": list(values)}])]


def auto_enables_io(ec2: Any, volume_id: str) -> bool:
    answer = ec2.describe_volume_attribute(VolumeId=volume_id, Attribute="autoEnableIO")
    assert answer["VolumeId"] == volume_id
    return bool(answer["AutoEnableIO"]["Value"])


def test_an_empty_volume_is_well(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    status = status_of(alice, volume_id)

    zones = alice.describe_availability_zones(ZoneNames=[ZONE])["AvailabilityZones"]
    assert status == {
        "VolumeId": volume_id,
        "AvailabilityZone": ZONE,
        "AvailabilityZoneId": zones[0]["ZoneId"],
        "VolumeStatus": {"Status": "ok", "Details": WELL},
        "Actions": [],
        "Events": [],
        "AttachmentStatuses": [],
        "Operator": {"Managed": False},
    }


def test_a_volume_of_a_snapshot_is_initialized_from_the_beginning(alice: "EC2Client") -> None:
    snapshot_id = alice.create_snapshot(VolumeId=volume(alice))["SnapshotId"]

    status = status_of(alice, volume(alice, SnapshotId=snapshot_id))

    assert status["VolumeStatus"]["Details"] == [*WELL, {"Name": "initialization-state", "Status": "completed"}]
    assert status["InitializationStatusDetails"] == {"InitializationType": "default", "Progress": 100}


def test_a_status_names_the_instance_that_a_volume_is_attached_to(shop: Shop) -> None:
    instance = shop.launch()
    (root,) = instance["BlockDeviceMappings"]

    status = status_of(shop.ec2, root["Ebs"]["VolumeId"])

    assert status["AttachmentStatuses"] == [{"InstanceId": instance["InstanceId"]}]
    assert status["VolumeStatus"]["Status"] == "ok"


def test_a_deleted_volume_has_no_status(alice: "EC2Client") -> None:
    volume_id = volume(alice)
    alice.delete_volume(VolumeId=volume_id)

    assert statuses(alice) == []
    with refused("InvalidVolume.NotFound"):
        status_of(alice, volume_id)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("availability-zone", "us-east-1?", 2),
        ("availability-zone", "us-east-1b", 0),
        ("volume-status.status", "ok", 2),
        ("volume-status.status", "impaired", 0),
        ("volume-status.details-name", "io-enabled", 2),
        ("volume-status.details-name", "io-performance", 2),
        ("volume-status.details-name", "initialization-state", 1),
        ("volume-status.details-status", "passed", 2),
        ("volume-status.details-status", "completed", 1),
        ("volume-status.details-status", "failed", 0),
        ("action.code", "*", 0),
        ("action.description", "*", 0),
        ("action.event-id", "*", 0),
        ("event.description", "*", 0),
        ("event.event-id", "*", 0),
        ("event.event-type", "*", 0),
        ("event.not-after", "*", 0),
        ("event.not-before", "*", 0),
    ],
)
def test_statuses_are_filtered(alice: "EC2Client", name: str, value: str, number: int) -> None:
    snapshot_id = alice.create_snapshot(VolumeId=volume(alice))["SnapshotId"]
    volume(alice, SnapshotId=snapshot_id)

    assert len(found(alice, name, value)) == number


def test_an_unknown_filter_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        found(alice, "volume-id", "*")


def test_statuses_come_in_pages(alice: "EC2Client") -> None:
    made = [volume(alice) for _ in range(6)]

    first = alice.describe_volume_status(MaxResults=5)
    rest = alice.describe_volume_status(MaxResults=5, NextToken=first["NextToken"])

    assert [it["VolumeId"] for it in first["VolumeStatuses"] + rest["VolumeStatuses"]] == made
    assert "NextToken" not in rest
    with refused("InvalidParameterValue"):
        alice.describe_volume_status(MaxResults=4)
    assert alice.describe_volume_status(MaxResults=1001)["VolumeStatuses"] == [
        *first["VolumeStatuses"],
        *rest["VolumeStatuses"],
    ]
    with refused("InvalidParameterCombination"):
        alice.describe_volume_status(VolumeIds=made, MaxResults=5)
    with refused("InvalidNextToken"):
        alice.describe_volume_status(NextToken="x")


def test_auto_enable_io_is_off_until_it_is_asked_for(alice: "EC2Client") -> None:
    volume_id = volume(alice)
    assert auto_enables_io(alice, volume_id) is False

    alice.modify_volume_attribute(VolumeId=volume_id, AutoEnableIO={"Value": True})
    assert auto_enables_io(alice, volume_id) is True

    alice.modify_volume_attribute(VolumeId=volume_id, AutoEnableIO={"Value": False})
    assert auto_enables_io(alice, volume_id) is False


def test_a_volume_has_no_product_codes(alice: "EC2Client") -> None:
    volume_id = volume(alice)

    answer = alice.describe_volume_attribute(VolumeId=volume_id, Attribute="productCodes")

    assert (answer["VolumeId"], answer["ProductCodes"]) == (volume_id, [])
    assert "AutoEnableIO" not in answer


def test_io_of_a_volume_is_enabled_again_without_an_effect(alice: "EC2Client", shared: RunningServer) -> None:
    volume_id = volume(alice)
    before = contents(shared)

    alice.enable_volume_io(VolumeId=volume_id)

    assert contents(shared) == before
    assert status_of(alice, volume_id)["VolumeStatus"]["Status"] == "ok"


def test_another_account_s_volume_is_not_found(alice: "EC2Client", bob: "EC2Client", carol: "EC2Client") -> None:
    volume_id = volume(alice)

    for stranger in (bob, carol):
        assert statuses(stranger) == []
        with refused("InvalidVolume.NotFound"):
            status_of(stranger, volume_id)
        with refused("InvalidVolume.NotFound"):
            auto_enables_io(stranger, volume_id)
        with refused("InvalidVolume.NotFound"):
            stranger.modify_volume_attribute(VolumeId=volume_id, AutoEnableIO={"Value": True})
        with refused("InvalidVolume.NotFound"):
            stranger.enable_volume_io(VolumeId=volume_id)
    assert auto_enables_io(alice, volume_id) is False


@pytest.mark.parametrize(
    ("operation", "members", "code"),
    [
        ("modify_volume_attribute", {}, "MissingParameter"),
        ("modify_volume_attribute", {"AutoEnableIO": {}}, "MissingParameter"),
        ("describe_volume_attribute", {"Attribute": "size"}, "InvalidParameterValue"),
        ("describe_volume_attribute", {"VolumeId": "vol-x", "Attribute": "autoEnableIO"}, "InvalidParameterValue"),
        ("enable_volume_io", {"VolumeId": "vol-x"}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    alice: "EC2Client", operation: str, members: dict[str, Any], code: str
) -> None:
    volume_id = volume(alice)

    with refused(code):
        getattr(alice, operation)(**{"VolumeId": volume_id, **members})
