"""Fast snapshot restores as boto3 sees them: every snapshot here is restored from the beginning, and it is said so."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.sharing import account_of, snapshot_of
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def snapshot_id(shop: Shop) -> str:
    """The snapshot of the shop's image."""
    return snapshot_of(shop.ec2, shop.image_id)


def enabled(ec2: "EC2Client", **members: Any) -> list[tuple[str, str]]:
    """Return what is enabled: snapshots and zones."""
    restores = ec2.describe_fast_snapshot_restores(**members)["FastSnapshotRestores"]
    return [(restore["SnapshotId"], restore["AvailabilityZone"]) for restore in restores]


def test_what_is_enabled_is_so_at_once(shop: Shop, snapshot_id: str) -> None:
    answer = shop.ec2.enable_fast_snapshot_restores(
        SourceSnapshotIds=[snapshot_id], AvailabilityZones=["us-east-1a", "us-east-1b"]
    )

    assert [(it["AvailabilityZone"], it["State"]) for it in answer["Successful"]] == [
        ("us-east-1a", "enabling"),
        ("us-east-1b", "enabling"),
    ]
    assert answer["Unsuccessful"] == []
    first = shop.ec2.describe_fast_snapshot_restores()["FastSnapshotRestores"][0]
    assert (first["SnapshotId"], first["AvailabilityZoneId"]) == (snapshot_id, "use1-az1")
    assert (first["State"], first["OwnerId"]) == ("enabled", shop.account_id)
    assert first["StateTransitionReason"] == "Client.UserInitiated - Lifecycle state transition"
    assert first["EnablingTime"] == first["OptimizingTime"] == first["EnabledTime"]


def test_what_is_disabled_is_shown_no_more(shop: Shop, snapshot_id: str) -> None:
    which: Any = {"SourceSnapshotIds": [snapshot_id]}
    shop.ec2.enable_fast_snapshot_restores(**which, AvailabilityZones=["us-east-1a", "us-east-1b"])

    answer = shop.ec2.disable_fast_snapshot_restores(**which, AvailabilityZoneIds=["use1-az1"])

    assert [(it["AvailabilityZone"], it["State"]) for it in answer["Successful"]] == [("us-east-1a", "disabling")]
    assert enabled(shop.ec2) == [(snapshot_id, "us-east-1b")]


def test_to_enable_twice_changes_nothing(shop: Shop, snapshot_id: str) -> None:
    which: Any = {"SourceSnapshotIds": [snapshot_id], "AvailabilityZones": ["us-east-1a"]}
    shop.ec2.enable_fast_snapshot_restores(**which)
    before = shop.ec2.describe_fast_snapshot_restores()["FastSnapshotRestores"]

    assert len(shop.ec2.enable_fast_snapshot_restores(**which)["Successful"]) == 1

    assert shop.ec2.describe_fast_snapshot_restores()["FastSnapshotRestores"] == before


def test_each_snapshot_and_zone_succeeds_or_fails_by_itself(shop: Shop, snapshot_id: str) -> None:
    missing = "snap-0123456789abcdef0"
    zones = ["us-east-1a", "us-east-1b"]

    answer = shop.ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[missing, snapshot_id], AvailabilityZones=zones)

    assert {it["SnapshotId"] for it in answer["Successful"]} == {snapshot_id}
    (failed,) = answer["Unsuccessful"]
    assert failed["SnapshotId"] == missing
    errors = failed["FastSnapshotRestoreStateErrors"]
    assert [(it["AvailabilityZone"], it["Error"]["Code"]) for it in errors] == [
        (zone, "InvalidSnapshot.NotFound") for zone in zones
    ]


def test_what_is_not_enabled_is_not_disabled(shop: Shop, snapshot_id: str) -> None:
    answer = shop.ec2.disable_fast_snapshot_restores(SourceSnapshotIds=[snapshot_id], AvailabilityZones=["us-east-1a"])

    assert answer["Successful"] == []
    (error,) = answer["Unsuccessful"][0]["FastSnapshotRestoreStateErrors"]
    assert error["Error"]["Code"] == "IncorrectState"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"AvailabilityZones": ["us-east-1a"], "AvailabilityZoneIds": ["use1-az1"]}, "InvalidParameterCombination"),
        ({"AvailabilityZones": ["us-east-1z"]}, "InvalidParameterValue"),
        ({"AvailabilityZones": ["eu-west-1a"]}, "InvalidParameterValue"),
        ({"AvailabilityZoneIds": ["use1-az9"]}, "InvalidParameterValue"),
    ],
)
def test_zones_are_named_in_one_way_and_exist(shop: Shop, snapshot_id: str, members: dict[str, Any], code: str) -> None:
    for ask in (shop.ec2.enable_fast_snapshot_restores, shop.ec2.disable_fast_snapshot_restores):
        with refused(code):
            ask(SourceSnapshotIds=[snapshot_id], **members)


def test_filters_find_what_they_name_and_all_comes_in_pages(shop: Shop, snapshot_id: str) -> None:
    zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
    shop.ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot_id], AvailabilityZones=zones)

    for name, value, expected in [
        ("availability-zone", "us-east-1b", ["us-east-1b"]),
        ("availability-zone-id", "use1-az3", ["us-east-1c"]),
        ("owner-id", shop.account_id, zones),
        ("owner-id", "123456789012", []),
        ("snapshot-id", snapshot_id, zones),
        ("state", "enabled", zones),
        ("state", "disabled", []),
    ]:
        filters: Any = [{"Name": name, "Values": [value]}]
        assert [zone for _, zone in enabled(shop.ec2, Filters=filters)] == expected, name
    pages = shop.ec2.get_paginator("describe_fast_snapshot_restores").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["FastSnapshotRestores"]) for page in pages] == [2, 1]
    with refused("InvalidParameterValue"):
        enabled(shop.ec2, Filters=[{"Name": "zone", "Values": ["a"]}])
    with refused("InvalidParameterValue"):
        enabled(shop.ec2, MaxResults=201)


def test_who_may_read_a_snapshot_enables_them_too(shop: Shop, bob: "EC2Client", snapshot_id: str) -> None:
    which: Any = {"SourceSnapshotIds": [snapshot_id], "AvailabilityZones": ["us-east-1a"]}
    refusal = bob.enable_fast_snapshot_restores(**which)["Unsuccessful"][0]["FastSnapshotRestoreStateErrors"][0]
    assert refusal["Error"]["Code"] == "InvalidSnapshot.NotFound"
    readers: Any = {"UserId": account_of(bob)}
    shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Add": [readers]})

    assert len(bob.enable_fast_snapshot_restores(**which)["Successful"]) == 1

    assert enabled(bob) == [(snapshot_id, "us-east-1a")]
    owners = [it["OwnerId"] for it in shop.ec2.describe_fast_snapshot_restores()["FastSnapshotRestores"]]
    assert owners == [account_of(bob)]
    shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Remove": [readers]})
    assert enabled(bob) == []


def test_they_go_with_their_snapshot(shop: Shop, snapshot_id: str) -> None:
    shop.ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot_id], AvailabilityZones=["us-east-1a"])

    shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    assert enabled(shop.ec2) == []
