"""Scheduled events: announced by the host's owner, read by the instance's, carried out in time."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.domain.errors import Ec2Error
from bakehouse.imds.tree import find

DAY = timedelta(days=1)
DEADLINE_S = 30


def schedule(shop: Shop, instance_id: str, code: str, after: timedelta = DAY) -> str:
    """Announce an event; return its id."""
    return shop.running.call(shop.running.server.app.instance_events.schedule(instance_id, code, after)).id


def shown(shop: Shop, instance_id: str, **members: Any) -> list[Any]:
    """Return the events that DescribeInstanceStatus tells of."""
    answer = shop.ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True, **members)
    return [event for status in answer["InstanceStatuses"] for event in status.get("Events", [])]


def read(shop: Shop, instance_id: str, which: str) -> Any:
    """Return the events that the guest reads."""
    instance = shop.describe(instance_id)
    metadata = shop.running.server.app.metadata.of(instance["VpcId"], instance["PrivateIpAddress"])
    assert metadata is not None
    text = find(metadata, f"latest/meta-data/events/maintenance/{which}")
    assert isinstance(text, str)
    return json.loads(text)


def test_an_event_is_told_to_owner_and_guest(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    event_id = schedule(shop, instance_id, "system-reboot")

    (event,) = shown(shop, instance_id)
    assert (event["InstanceEventId"], event["Code"]) == (event_id, "system-reboot")
    assert event["NotBefore"] < event["NotAfter"] < event["NotBeforeDeadline"]
    (heard,) = read(shop, instance_id, "scheduled")
    assert (heard["EventId"], heard["State"]) == (event_id, "active")
    assert heard["NotBefore"] == f"{event['NotBefore']:%d %b %Y %H:%M:%S} GMT"
    assert read(shop, instance_id, "history") == []


@pytest.mark.parametrize("name", ["code", "description", "instance-event-id", "not-before"])
def test_instances_are_found_by_their_events(shop: Shop, name: str) -> None:
    instance_id, _other = shop.launch_ids(MinCount=2, MaxCount=2)
    event_id = schedule(shop, instance_id, "instance-stop")
    (event,) = shown(shop, instance_id)
    value = {
        "code": "instance-stop",
        "description": event["Description"],
        "instance-event-id": event_id,
        "not-before": f"{event['NotBefore']:%Y-%m-%dT%H:%M:%S}.000Z",
    }[name]

    answer = shop.ec2.describe_instance_status(Filters=[{"Name": f"event.{name}", "Values": [value]}])

    assert [it["InstanceId"] for it in answer["InstanceStatuses"]] == [instance_id]


def test_a_canceled_event_is_told_of_as_canceled(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    event_id = schedule(shop, instance_id, "system-maintenance")

    shop.running.call(shop.running.server.app.instance_events.cancel(instance_id, event_id))

    (event,) = shown(shop, instance_id)
    assert event["Description"].startswith("[Canceled] ")
    assert read(shop, instance_id, "scheduled") == []
    assert [it["State"] for it in read(shop, instance_id, "history")] == ["canceled"]
    with pytest.raises(Ec2Error, match="canceled"):
        shop.running.call(shop.running.server.app.instance_events.cancel(instance_id, event_id))


def test_an_owner_moves_an_event(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    event_id = schedule(shop, instance_id, "instance-reboot")
    wanted = (datetime.now(UTC) + 3 * DAY).replace(microsecond=0)

    answer = shop.ec2.modify_instance_event_start_time(
        InstanceId=instance_id, InstanceEventId=event_id, NotBefore=wanted
    )

    assert answer["Event"]["NotBefore"] == wanted
    assert shown(shop, instance_id)[0]["NotBefore"] == wanted


@pytest.mark.parametrize(
    ("code", "to", "refusal"),
    [
        ("instance-reboot", 30 * DAY, "InvalidInstanceEventStartTime"),
        ("instance-reboot", timedelta(minutes=30), "InvalidInstanceEventStartTime"),
        ("instance-retirement", 2 * DAY, "InstanceEventStartTimeCannotChange"),
    ],
)
def test_an_event_is_not_moved_anywhere(shop: Shop, code: str, to: timedelta, refusal: str) -> None:
    instance_id = shop.launch()["InstanceId"]
    event_id = schedule(shop, instance_id, code)

    with refused(refusal):
        shop.ec2.modify_instance_event_start_time(
            InstanceId=instance_id, InstanceEventId=event_id, NotBefore=datetime.now(UTC) + to
        )


def test_an_event_that_there_is_not_is_not_moved(shop: Shop, shared: RunningServer) -> None:
    instance_id = shop.launch()["InstanceId"]
    members: Any = {"InstanceId": instance_id, "NotBefore": datetime.now(UTC) + DAY}

    with refused("InvalidInstanceEventIDNotFound"):
        shop.ec2.modify_instance_event_start_time(InstanceEventId="instance-event-00000000000000000", **members)
    with refused("InvalidInstanceID.NotFound"):
        shared.ec2("stranger who moves events").modify_instance_event_start_time(
            InstanceEventId=schedule(shop, instance_id, "instance-reboot"), **members
        )


def test_what_cannot_be_announced_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    schedule(shop, instance_id, "instance-stop")

    for code, wanted in (("instance-stop", "IncorrectState"), ("instance-party", "InvalidParameterValue")):
        with pytest.raises(Ec2Error) as refusal:
            schedule(shop, instance_id, code)
        assert refusal.value.code == wanted
    with pytest.raises(Ec2Error) as refusal:
        schedule(shop, "i-00000000000000000", "instance-stop")
    assert refusal.value.code == "InvalidInstanceID.NotFound"


def test_a_stop_that_is_due_stops_the_instance_even_if_it_is_protected(shop: Shop) -> None:
    instance_id = shop.launch(DisableApiStop=True)["InstanceId"]
    schedule(shop, instance_id, "instance-retirement", timedelta())

    shop.running.call(shop.running.server.app.instance_events.carry_out_due())

    deadline = time.monotonic() + DEADLINE_S
    while (instance := shop.describe(instance_id))["State"]["Name"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert instance["StateReason"]["Code"] == "Server.ScheduledStop"
    assert shown(shop, instance_id)[0]["Description"].startswith("[Completed] ")


def test_a_reboot_that_is_due_reboots_the_instance_once(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    schedule(shop, instance_id, "system-reboot", timedelta())
    events = shop.running.server.app.instance_events

    shop.running.call(events.carry_out_due())
    shop.running.call(shop.running.server.engine.settle())
    shop.running.call(events.carry_out_due())
    shop.running.call(shop.running.server.engine.settle())

    console = shop.running.call(shop.running.drivers.hypervisor.console_output(instance_id))
    assert console.count(b" processors, ") == 1 + 1
    assert shop.describe(instance_id)["State"]["Name"] == "running"


def test_maintenance_is_over_when_its_window_is(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    schedule(shop, instance_id, "system-maintenance", timedelta())

    shop.running.call(shop.running.server.app.instance_events.carry_out_due())

    assert read(shop, instance_id, "scheduled") != []
