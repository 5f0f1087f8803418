"""Image usage reports: which accounts use an image, counted for its owner."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.image_making import account_id, copy, launch, share
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

INSTANCES: list[Any] = [{"ResourceType": "ec2:Instance"}]
TEMPLATES: list[Any] = [{"ResourceType": "ec2:LaunchTemplate"}]


def depth(*values: str) -> list[Any]:
    options = [{"OptionName": "version-depth", "OptionValues": list(values)}]
    return [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": options}]


def report_on(ec2: Any, image_id: str, types: list[Any] = INSTANCES, **members: Any) -> str:
    return str(ec2.create_image_usage_report(ImageId=image_id, ResourceTypes=types, **members)["ReportId"])


def reports(ec2: Any, **how: Any) -> list[Any]:
    return list(ec2.describe_image_usage_reports(**how)["ImageUsageReports"])


def entries(ec2: Any, **how: Any) -> list[Any]:
    return list(ec2.describe_image_usage_report_entries(**how)["ImageUsageReportEntries"])


def counts(ec2: Any, report_id: str) -> dict[str, int]:
    return {entry["AccountId"]: entry["UsageCount"] for entry in entries(ec2, ReportIds=[report_id])}


def where(name: str, *values: str) -> Any:
    return [{"Name": name, "Values": list(values)}]


@pytest.fixture
def busy(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> Shop:
    """A shop whose image is used by three accounts: one, two and three times."""
    launch(shop.ec2, shop.image_id)
    for number, stranger in ((2, bob), (3, carol)):
        share(shop.ec2, shop.image_id, account_id(stranger))
        stranger.run_instances(ImageId=shop.image_id, MinCount=number, MaxCount=number)
    return shop


def test_a_report_counts_the_instances_of_every_account(busy: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    report_id = report_on(busy.ec2, busy.image_id)

    assert counts(busy.ec2, report_id) == {busy.account_id: 1, account_id(bob): 2, account_id(carol): 3}


def test_an_entry_says_what_was_counted_and_when(busy: Shop, bob: "EC2Client") -> None:
    report_id = report_on(busy.ec2, busy.image_id, AccountIds=[account_id(bob)])
    (report,) = reports(busy.ec2, ReportIds=[report_id])

    assert entries(busy.ec2, ReportIds=[report_id]) == [
        {
            "ResourceType": "ec2:Instance",
            "ReportId": report_id,
            "UsageCount": 2,
            "AccountId": account_id(bob),
            "ImageId": busy.image_id,
            "ReportCreationTime": report["CreationTime"],
        }
    ]


def test_a_report_is_available_at_once_and_says_what_was_asked_for(shop: Shop, bob: "EC2Client") -> None:
    before = datetime.now(UTC)
    tags = [{"ResourceType": "image-usage-report", "Tags": [{"Key": "why", "Value": "audit"}]}]

    report_id = report_on(
        shop.ec2, shop.image_id, INSTANCES + depth("5"), AccountIds=[account_id(bob)], TagSpecifications=tags
    )

    (report,) = reports(shop.ec2, ReportIds=[report_id])
    assert (report["ReportId"], report["ImageId"], report["State"]) == (report_id, shop.image_id, "available")
    assert report["ResourceTypes"] == [*INSTANCES, *depth("5")]
    assert report["AccountIds"] == [account_id(bob)]
    assert abs((report["CreationTime"] - before).total_seconds()) < 60
    assert report["ExpirationTime"] - report["CreationTime"] == timedelta(days=30)
    assert report["Tags"] == [{"Key": "why", "Value": "audit"}]
    assert "StateReason" not in report


def test_twenty_versions_of_launch_templates_are_the_default(shop: Shop) -> None:
    report_id = report_on(shop.ec2, shop.image_id, TEMPLATES)

    (report,) = reports(shop.ec2, ReportIds=[report_id])
    assert report["ResourceTypes"] == depth("20")
    assert counts(shop.ec2, report_id) == {}


def test_a_report_stays_as_it_was_counted(shop: Shop) -> None:
    launch(shop.ec2, shop.image_id)
    report_id = report_on(shop.ec2, shop.image_id)
    launch(shop.ec2, shop.image_id)

    shop.ec2.deregister_image(ImageId=shop.image_id)

    assert counts(shop.ec2, report_id) == {shop.account_id: 1}


def test_an_image_that_nobody_uses_has_a_report_without_entries(shop: Shop) -> None:
    assert counts(shop.ec2, report_on(shop.ec2, shop.image_id)) == {}


def test_reports_are_found_by_image(shop: Shop) -> None:
    other = copy(shop.ec2, shop.image_id, "other")
    launch(shop.ec2, shop.image_id)
    launch(shop.ec2, other)
    first, second = report_on(shop.ec2, shop.image_id), report_on(shop.ec2, other)

    assert [it["ReportId"] for it in reports(shop.ec2, ImageIds=[other])] == [second]
    assert [it["ReportId"] for it in entries(shop.ec2, ImageIds=[shop.image_id])] == [first]
    assert reports(shop.ec2, ImageIds=[other], ReportIds=[first]) == []
    assert reports(shop.ec2, ImageIds=["ami-0123456789abcdef0"]) == []
    with refused("InvalidAMIID.Malformed"):
        reports(shop.ec2, ImageIds=["ami-x"])


@pytest.mark.parametrize(
    ("name", "value", "is_found"),
    [
        ("state", "available", True),
        ("state", "pending", False),
        ("creation-time", "20*Z", True),
        ("creation-time", "1999-*", False),
        ("tag:why", "audit", True),
        ("tag:why", "fun", False),
        ("tag-key", "why", True),
        ("tag-key", "who", False),
    ],
)
def test_reports_are_filtered(shop: Shop, name: str, value: str, is_found: bool) -> None:  # noqa: FBT001
    tags = [{"ResourceType": "image-usage-report", "Tags": [{"Key": "why", "Value": "audit"}]}]
    report_on(shop.ec2, shop.image_id, TagSpecifications=tags)

    assert len(reports(shop.ec2, Filters=where(name, value))) == int(is_found)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("account-id", "{bob}", 1),
        ("account-id", "123456789012", 0),
        ("creation-time", "20*Z", 3),
        ("creation-time", "1999-*", 0),
        ("resource-type", "ec2:Instance", 3),
        ("resource-type", "ec2:LaunchTemplate", 0),
    ],
)
def test_entries_are_filtered(busy: Shop, bob: "EC2Client", name: str, value: str, number: int) -> None:
    report_on(busy.ec2, busy.image_id, INSTANCES + TEMPLATES)

    assert len(entries(busy.ec2, Filters=where(name, value.format(bob=account_id(bob))))) == number


@pytest.mark.parametrize("list_them", [reports, entries])
def test_an_unknown_filter_is_refused(alice: "EC2Client", list_them: Any) -> None:
    with refused("InvalidParameterValue"):
        list_them(alice, Filters=where("image-id", "ami-0123456789abcdef0"))


def test_reports_and_entries_come_in_pages(shop: Shop) -> None:
    launch(shop.ec2, shop.image_id)
    made = [report_on(shop.ec2, shop.image_id) for _ in range(3)]
    client: Any = shop.ec2

    for operation, key in (
        ("describe_image_usage_reports", "ImageUsageReports"),
        ("describe_image_usage_report_entries", "ImageUsageReportEntries"),
    ):
        pages = list(client.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1}))
        assert [[it["ReportId"] for it in page[key]] for page in pages] == [[report_id] for report_id in made]
        with refused("InvalidParameterValue"):
            getattr(client, operation)(MaxResults=1001)
        with refused("InvalidNextToken"):
            getattr(client, operation)(NextToken="x")


def test_the_waiter_of_a_report_never_waits(shop: Shop) -> None:
    report_id = report_on(shop.ec2, shop.image_id)
    client: Any = shop.ec2

    client.get_waiter("image_usage_report_available").wait(
        ReportIds=[report_id], WaiterConfig={"Delay": 1, "MaxAttempts": 1}
    )


def test_a_report_is_tagged_later_and_listed_among_the_tags(shop: Shop) -> None:
    report_id = report_on(shop.ec2, shop.image_id)

    shop.ec2.create_tags(Resources=[report_id], Tags=[{"Key": "late", "Value": "yes"}])

    (tag,) = shop.ec2.describe_tags(Filters=where("resource-type", "image-usage-report"))["Tags"]
    assert (tag["ResourceId"], tag["Key"], tag["Value"]) == (report_id, "late", "yes")
    assert [it["ReportId"] for it in reports(shop.ec2, Filters=where("tag:late", "yes"))] == [report_id]


def test_a_deleted_report_is_gone(shop: Shop) -> None:
    report_id = report_on(shop.ec2, shop.image_id)

    assert shop.ec2.delete_image_usage_report(ReportId=report_id)["Return"] is True

    assert reports(shop.ec2) == []
    for list_them in (reports, entries):
        with refused("InvalidImageUsageReportId.NotFound"):
            list_them(shop.ec2, ReportIds=[report_id])
    with refused("InvalidImageUsageReportId.NotFound"):
        shop.ec2.delete_image_usage_report(ReportId=report_id)
    with refused("InvalidImageUsageReportId.Malformed"):
        shop.ec2.delete_image_usage_report(ReportId="report")


def test_a_report_is_its_maker_s_alone(busy: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    report_id = report_on(busy.ec2, busy.image_id)

    for stranger in (bob, carol):
        assert reports(stranger) == entries(stranger) == []
        with refused("InvalidImageUsageReportId.NotFound"):
            reports(stranger, ReportIds=[report_id])
        with refused("InvalidImageUsageReportId.NotFound"):
            stranger.delete_image_usage_report(ReportId=report_id)
        with refused("InvalidImageUsageReportId.NotFound"):
            stranger.create_tags(Resources=[report_id], Tags=[{"Key": "a", "Value": "b"}])
    assert reports(busy.running.ec2(busy.name, "us-west-2")) == []
    assert len(reports(busy.ec2)) == 1


def test_only_the_owner_of_an_image_gets_a_report(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))

    with refused("AuthFailure", status=403):
        report_on(bob, shop.image_id)
    with refused("InvalidAMIID.NotFound"):
        report_on(carol, shop.image_id)
    with refused("InvalidAMIID.Malformed"):
        report_on(shop.ec2, "ami-x")


@pytest.mark.parametrize(
    ("types", "members", "code"),
    [
        ([], {}, "MissingParameter"),
        ([{}], {}, "MissingParameter"),
        ([{"ResourceType": "ec2:Volume"}], {}, "InvalidParameterValue"),
        (INSTANCES * 2, {}, "InvalidParameterValue"),
        ([{**INSTANCES[0], "ResourceTypeOptions": depth("1")[0]["ResourceTypeOptions"]}], {},
         "InvalidParameterCombination"),
        (depth("0"), {}, "InvalidParameterValue"),
        (depth("10001"), {}, "InvalidParameterValue"),
        (depth("many"), {}, "InvalidParameterValue"),
        (depth("1", "2"), {}, "InvalidParameterValue"),
        ([{**TEMPLATES[0], "ResourceTypeOptions": [{"OptionName": "version-depth"}]}], {}, "MissingParameter"),
        ([{**TEMPLATES[0], "ResourceTypeOptions": [{"OptionName": "depth", "OptionValues": ["1"]}]}], {},
         "InvalidParameterValue"),
        (INSTANCES, {"AccountIds": ["bob"]}, "InvalidUserID.Malformed"),
        (INSTANCES, {"TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}]},
         "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_refused(
    shop: Shop, shared: RunningServer, types: list[Any], members: dict[str, Any], code: str
) -> None:
    before = contents(shared)

    with refused(code):
        report_on(shop.ec2, shop.image_id, types, **members)

    assert contents(shared) == before


def test_a_repeated_token_makes_no_second_report(shop: Shop) -> None:
    first = report_on(shop.ec2, shop.image_id, ClientToken="once")
    again = report_on(shop.ec2, shop.image_id, ClientToken="once")

    assert first == again
    assert len(reports(shop.ec2)) == 1
    with refused("IdempotentParameterMismatch"):
        report_on(shop.ec2, shop.image_id, TEMPLATES, ClientToken="once")
