"""Status checks say what is seen of instances: of their guests, of their volumes, of their host."""

from dataclasses import replace
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.ports.network import FabricStatus


def network(shop: Shop) -> FakeNetworkFabric:
    fabric = shop.running.drivers.network
    assert isinstance(fabric, FakeNetworkFabric)
    return fabric


def status(shop: Shop, instance_id: str) -> Any:
    (found,) = shop.ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)[
        "InstanceStatuses"
    ]
    return found


def test_a_guest_that_answers_is_well(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    shop.ec2.get_waiter("instance_status_ok").wait(InstanceIds=[instance_id])
    shop.ec2.get_waiter("system_status_ok").wait(InstanceIds=[instance_id])

    found = status(shop, instance_id)
    assert found["InstanceStatus"] == {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}
    assert found["AttachedEbsStatus"]["Status"] == "ok"


def test_a_guest_that_was_not_heard_of_yet_is_beginning(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    observe = network(shop).observe

    async def nobody_answers(*, ask_guests: bool = False) -> FabricStatus:
        return replace(await observe(ask_guests=ask_guests), answering=frozenset())

    monkeypatch.setattr(network(shop), "observe", nobody_answers)
    instance_id = shop.launch()["InstanceId"]

    found = status(shop, instance_id)

    assert found["InstanceStatus"]["Status"] == "initializing"
    assert found["InstanceStatus"]["Details"] == [{"Name": "reachability", "Status": "initializing"}]
    assert found["SystemStatus"]["Status"] == "ok"


def test_a_stopped_instance_has_no_status(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.stop(instance_id)

    found = status(shop, instance_id)

    for check in ("InstanceStatus", "SystemStatus", "AttachedEbsStatus"):
        assert found[check] == {"Status": "not-applicable"}


def test_reports_are_taken_of_running_instances(shop: Shop, shared: RunningServer) -> None:
    instance_id = shop.launch()["InstanceId"]
    members: Any = {"Instances": [instance_id], "Status": "impaired", "ReasonCodes": ["unresponsive"]}

    shop.ec2.report_instance_status(**members)

    assert status(shop, instance_id)["InstanceStatus"]["Status"] == "ok"
    with refused("InvalidInstanceID.NotFound"):
        shared.ec2("stranger who reports").report_instance_status(**members)
    shop.stop(instance_id)
    with refused("IncorrectInstanceState"):
        shop.ec2.report_instance_status(**members)
