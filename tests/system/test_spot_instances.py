"""Spot instances as boto3 sees them: their requests, their price, and their interruption."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

SPOT: Any = {"MarketType": "spot"}
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)
LATER = datetime(2020, 1, 2, tzinfo=UTC)


def options(**members: Any) -> Any:
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": members}}


def launch(shop: Shop, **members: Any) -> Any:
    return shop.launch(**{"InstanceMarketOptions": SPOT, **members})


def requests(client: "EC2Client", **how: Any) -> list[Any]:
    found: list[Any] = client.describe_spot_instance_requests(**how)["SpotInstanceRequests"]
    return found


def request_of(shop: Shop, instance: Any) -> Any:
    (request,) = requests(shop.ec2, SpotInstanceRequestIds=[instance["SpotInstanceRequestId"]])
    return request


def standing(request: Any) -> tuple[str, str]:
    return request["State"], request["Status"]["Code"]


def interrupt(shop: Shop, instance: Any, **after: float) -> datetime:
    use_cases = shop.running.server.app.spot_requests
    return shop.running.call(use_cases.interrupt(instance["InstanceId"], timedelta(**after))).at


def test_a_spot_instance_fulfils_a_request(shop: Shop) -> None:
    instance = launch(shop, InstanceType="t3.nano")

    request = request_of(shop, instance)
    assert instance["InstanceLifecycle"] == "spot"
    assert standing(request) == ("active", "fulfilled")
    assert (request["InstanceId"], request["Type"]) == (instance["InstanceId"], "one-time")
    assert request["LaunchSpecification"]["InstanceType"] == "t3.nano"
    assert request["LaunchSpecification"]["ImageId"] == shop.image_id


def test_each_instance_has_a_request_of_its_own(shop: Shop) -> None:
    made = shop.launch_ids(MinCount=3, MaxCount=3, InstanceMarketOptions=SPOT)

    assert sorted(it["InstanceId"] for it in requests(shop.ec2)) == sorted(made)


def test_an_instance_on_demand_has_no_lifecycle(shop: Shop) -> None:
    instance = shop.launch()

    assert "InstanceLifecycle" not in instance
    assert shop.found(("instance-lifecycle", "spot")) == []


def test_spot_instances_are_found_among_instances(shop: Shop) -> None:
    shop.launch()
    instance = launch(shop)

    assert shop.found(("instance-lifecycle", "spot")) == [instance["InstanceId"]]
    wanted = ("spot-instance-request-id", instance["SpotInstanceRequestId"])
    assert shop.found(wanted) == [instance["InstanceId"]]


def test_a_request_is_tagged_at_launch_and_later(shop: Shop) -> None:
    tags: Any = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]

    instance = launch(shop, TagSpecifications=tags)
    shop.ec2.create_tags(Resources=[instance["SpotInstanceRequestId"]], Tags=[{"Key": "c", "Value": "d"}])

    assert {tag["Key"] for tag in request_of(shop, instance)["Tags"]} == {"a", "c"}
    with refused("InvalidParameterValue"):
        shop.launch(TagSpecifications=tags)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"SpotInstanceType": "persistent"}, "UnsupportedOperation"),
        ({"InstanceInterruptionBehavior": "stop"}, "InvalidParameterCombination"),
        ({"InstanceInterruptionBehavior": "hibernate"}, "InvalidParameterCombination"),
        ({"ValidUntil": datetime(2030, 1, 1, tzinfo=UTC)}, "InvalidParameterCombination"),
        ({"MaxPrice": "cheap"}, "InvalidParameterValue"),
        ({"MaxPrice": "0"}, "SpotMaxPriceTooLow"),
        ({"BlockDurationMinutes": 60}, "UnsupportedOperation"),
    ],
)
def test_other_spot_requests_are_refused(shop: Shop, members: Any, code: str) -> None:
    with refused(code):
        shop.launch(**options(**members))
    assert requests(shop.ec2) == []


def test_another_market_is_refused(shop: Shop) -> None:
    with refused("UnsupportedOperation"):
        shop.launch(InstanceMarketOptions={"MarketType": "capacity-block"})


def test_the_maximum_price_is_shown_as_prices_are(shop: Shop) -> None:
    instance = shop.launch(**options(MaxPrice=".05", SpotInstanceType="one-time"))

    assert request_of(shop, instance)["SpotPrice"] == "0.050000"


def test_a_one_time_spot_instance_cannot_be_stopped(shop: Shop) -> None:
    instance = launch(shop)

    with refused("UnsupportedOperation"):
        shop.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])


def test_a_request_is_closed_when_its_instance_is_terminated(shop: Shop) -> None:
    instance = launch(shop)

    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)

    assert standing(request_of(shop, instance)) == ("closed", "instance-terminated-by-user")


def test_the_instance_of_a_cancelled_request_runs_on(shop: Shop) -> None:
    instance = launch(shop)
    ids: Any = {"SpotInstanceRequestIds": [instance["SpotInstanceRequestId"]]}

    answer = shop.ec2.cancel_spot_instance_requests(**ids)["CancelledSpotInstanceRequests"]

    assert [it["State"] for it in answer] == ["cancelled"]
    assert standing(request_of(shop, instance)) == ("cancelled", "request-canceled-and-instance-running")
    assert shop.describe(instance["InstanceId"])["State"]["Name"] == "running"


def test_a_closed_request_stays_closed_when_it_is_cancelled(shop: Shop) -> None:
    instance = launch(shop)
    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)

    (answer,) = shop.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[instance["SpotInstanceRequestId"]])[
        "CancelledSpotInstanceRequests"
    ]

    assert answer["State"] == "closed"


def test_a_notice_marks_the_request_and_the_instance_ends_in_time(shop: Shop) -> None:
    instance = launch(shop)
    interrupt(shop, instance, hours=1)
    assert standing(request_of(shop, instance)) == ("active", "marked-for-termination")

    later = launch(shop)
    interrupt(shop, later, seconds=0)
    shop.ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[later["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    ended = shop.describe(later["InstanceId"])
    assert ended["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert standing(request_of(shop, later)) == ("closed", "instance-terminated-no-capacity")


def test_the_first_notice_counts(shop: Shop) -> None:
    instance = launch(shop)

    assert interrupt(shop, instance, hours=1) == interrupt(shop, instance, hours=2)


def test_spot_instances_are_requested_by_themselves(shop: Shop) -> None:
    specification: Any = {"ImageId": shop.image_id, "InstanceType": "t3.nano", "UserData": "aGVsbG8="}

    answer = shop.ec2.request_spot_instances(
        InstanceCount=2, LaunchSpecification=specification, SpotPrice="0.03", Type="one-time"
    )["SpotInstanceRequests"]

    assert [standing(it) for it in answer] == [("open", "pending-evaluation")] * 2
    fulfilled = requests(shop.ec2, SpotInstanceRequestIds=[it["SpotInstanceRequestId"] for it in answer])
    assert [standing(it) for it in fulfilled] == [("active", "fulfilled")] * 2
    assert {it["SpotPrice"] for it in fulfilled} == {"0.030000"}
    assert shop.attribute(fulfilled[0]["InstanceId"], "userData") == {"Value": "aGVsbG8="}


def test_a_client_token_requests_once(shop: Shop) -> None:
    how: Any = {"ClientToken": "once", "LaunchSpecification": {"ImageId": shop.image_id}}

    made = [shop.ec2.request_spot_instances(**how)["SpotInstanceRequests"] for _ in range(2)]

    assert made[0][0]["SpotInstanceRequestId"] == made[1][0]["SpotInstanceRequestId"]
    assert len(requests(shop.ec2)) == 1


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({}, "MissingParameter"),
        ({"LaunchSpecification": {"InstanceType": "t3.nano"}}, "MissingParameter"),
        ({"Type": "persistent"}, "UnsupportedOperation"),
        ({"InstanceInterruptionBehavior": "stop"}, "InvalidParameterCombination"),
        ({"LaunchGroup": "all"}, "UnsupportedOperation"),
        ({"LaunchSpecification": {"ImageId": "ami-0", "AddressingType": "public"}}, "UnsupportedOperation"),
        ({"LaunchSpecification": {"ImageId": "ami-0"}, "InstanceCount": 0}, "InvalidParameterValue"),
    ],
)
def test_requests_for_spot_instances_are_refused(alice: "EC2Client", how: Any, code: str) -> None:
    with refused(code):
        alice.request_spot_instances(**how)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("create-time", "2*"),
        ("instance-id", "i-*"),
        ("launch.block-device-mapping.delete-on-termination", "true"),
        ("launch.block-device-mapping.device-name", "/dev/*"),
        ("launch.block-device-mapping.snapshot-id", "snap-*"),
        ("launch.block-device-mapping.volume-size", "2"),
        ("launch.block-device-mapping.volume-type", "gp*"),
        ("launch.group-id", "sg-*"),
        ("launch.group-name", "default"),
        ("launch.image-id", "ami-*"),
        ("launch.instance-type", "t3.nano"),
        ("launch.monitoring-enabled", "false"),
        ("launched-availability-zone", "us-east-1a"),
        ("launched-availability-zone-id", "use1-az1"),
        ("product-description", "Linux/UNIX"),
        ("spot-instance-request-id", "sir-*"),
        ("spot-price", "0.000001"),
        ("state", "active"),
        ("status-code", "fulfilled"),
        ("status-message", "Your spot request is fulfilled."),
        ("tag-key", "a"),
        ("tag:a", "b"),
        ("type", "one-time"),
        ("valid-from", "2*"),
        ("valid-until", "2*"),
    ],
)
def test_requests_are_found(shop: Shop, name: str, value: str) -> None:
    tags: Any = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]
    launch(shop, InstanceType="t3.nano", TagSpecifications=tags)

    assert len(requests(shop.ec2, Filters=[{"Name": name, "Values": [value]}])) == 1
    assert requests(shop.ec2, Filters=[{"Name": name, "Values": ["no such value"]}]) == []


@pytest.mark.parametrize("name", ["fault-code", "launch-group", "launch.kernel-id", "network-interface.subnet-id"])
def test_what_requests_never_have_finds_none(shop: Shop, name: str) -> None:
    launch(shop)

    assert requests(shop.ec2, Filters=[{"Name": name, "Values": ["*"]}]) == []


def test_requests_that_are_not_there_are_refused(shop: Shop, bob: "EC2Client") -> None:
    request_id = launch(shop)["SpotInstanceRequestId"]

    for client, ids, code in [
        (bob, [request_id], "InvalidSpotInstanceRequestID.NotFound"),
        (shop.ec2, ["sir-0123456789abcdef0"], "InvalidSpotInstanceRequestID.NotFound"),
        (shop.ec2, ["i-0123456789abcdef0"], "InvalidSpotInstanceRequestID.Malformed"),
    ]:
        with refused(code):
            client.describe_spot_instance_requests(SpotInstanceRequestIds=ids)
        with refused(code):
            client.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)


def test_a_spot_hour_costs_next_to_nothing_here(alice: "EC2Client") -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    how: Any = {"InstanceTypes": ["t3.nano"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": start}

    prices = alice.describe_spot_price_history(**how)["SpotPriceHistory"]

    assert sorted(it["AvailabilityZone"] for it in prices) == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert {it["SpotPrice"] for it in prices} == {"0.000001"}
    assert {it["Timestamp"] for it in prices} == {start}


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ({"AvailabilityZone": "us-east-1b"}, 2),
        ({"AvailabilityZoneId": "use1-az2"}, 2),
        ({"Filters": [{"Name": "availability-zone", "Values": ["us-east-1b"]}]}, 2),
        ({"Filters": [{"Name": "availability-zone-id", "Values": ["use1-az2"]}]}, 2),
        ({"Filters": [{"Name": "instance-type", "Values": ["t3.micro"]}]}, 0),
        ({"Filters": [{"Name": "product-description", "Values": ["Linux/UNIX"]}]}, 3),
        ({"Filters": [{"Name": "spot-price", "Values": ["0*"]}]}, 6),
        ({"Filters": [{"Name": "timestamp", "Values": ["1999*"]}]}, 0),
    ],
)
def test_prices_are_found(alice: "EC2Client", how: Any, number: int) -> None:
    assert len(alice.describe_spot_price_history(InstanceTypes=["t3.nano"], **how)["SpotPriceHistory"]) == number


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"AvailabilityZone": "us-east-1z"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az1"}, "InvalidParameterCombination"),
        ({"StartTime": LATER, "EndTime": EARLIER}, "InvalidParameterValue"),
    ],
)
def test_questions_for_prices_are_refused(alice: "EC2Client", how: Any, code: str) -> None:
    with refused(code):
        alice.describe_spot_price_history(**how)


@pytest.mark.parametrize(
    "change",
    [
        {"DisableApiTermination": {"Value": True}},
        {"DisableApiTermination": {"Value": False}},
        {"DisableApiStop": {"Value": True}},
        {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}},
    ],
)
def test_what_protects_and_stops_a_spot_instance_is_not_changed(shop: Shop, change: Any) -> None:
    instance_id = launch(shop)["InstanceId"]

    with refused("UnsupportedOperation"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, **change)

    assert shop.attribute(instance_id, "disableApiTermination") == {"Value": False}
    assert shop.attribute(instance_id, "instanceInitiatedShutdownBehavior") == {"Value": "terminate"}


@pytest.mark.parametrize("protection", ["DisableApiTermination", "DisableApiStop"])
def test_a_spot_instance_is_not_launched_protected(shop: Shop, protection: str) -> None:
    with refused("InvalidParameterCombination"):
        launch(shop, **{protection: True})

    assert launch(shop, **{protection: False})["State"]["Name"] == "running"


def test_a_request_that_has_ended_before_it_begins_is_refused(shop: Shop) -> None:
    with refused("InvalidTime"):
        shop.ec2.request_spot_instances(LaunchSpecification={"ImageId": shop.image_id}, ValidUntil=EARLIER)

    assert requests(shop.ec2) == []
