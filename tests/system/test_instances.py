"""Instances as boto3 sees them."""

import re
from base64 import b64decode
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop, refusal


def test_another_accounts_instance_is_not_found(shop: Shop, shared: RunningServer) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        shared.ec2("stranger").describe_instances(InstanceIds=[instance["InstanceId"]])

    assert refusal(error) == "InvalidInstanceID.NotFound"


def test_a_malformed_instance_id_is_refused(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.describe_instances(InstanceIds=["instance"])

    assert refusal(error) == "InvalidInstanceID.Malformed"


def test_an_instance_stops_and_starts_with_another_public_address(shop: Shop) -> None:
    before = shop.launch()

    shop.stop(before["InstanceId"])
    stopped = shop.describe(before["InstanceId"])
    started = shop.ec2.start_instances(InstanceIds=[before["InstanceId"]])["StartingInstances"][0]
    after = shop.describe(before["InstanceId"])

    assert "PublicIpAddress" not in stopped
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert re.fullmatch(r"User initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)", stopped["StateTransitionReason"])
    assert (started["PreviousState"]["Name"], started["CurrentState"]["Name"]) == ("stopped", "pending")
    assert after["State"]["Name"] == "running"
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert after["PublicIpAddress"] != before["PublicIpAddress"]


def test_stopping_says_stopping_at_once(shop: Shop) -> None:
    instance = shop.launch()

    (change,) = shop.ec2.stop_instances(InstanceIds=[instance["InstanceId"]])["StoppingInstances"]

    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")


def test_starting_a_running_instance_changes_nothing(shop: Shop) -> None:
    instance = shop.launch()

    (change,) = shop.ec2.start_instances(InstanceIds=[instance["InstanceId"]])["StartingInstances"]

    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "running")


def test_a_terminated_instance_stays_to_be_seen_without_its_network(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    (change,) = shop.ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"]
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    seen = shop.describe(instance_id)
    assert change["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    assert seen["State"] == {"Code": 48, "Name": "terminated"}
    assert seen["NetworkInterfaces"] == []
    assert "VpcId" not in seen
    assert shop.ec2.describe_volumes()["Volumes"] == []


@pytest.mark.parametrize("operation", ["start_instances", "stop_instances", "reboot_instances"])
def test_nothing_can_be_done_to_a_terminated_instance(shop: Shop, operation: str) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    with pytest.raises(ClientError) as error:
        getattr(shop.ec2, operation)(InstanceIds=[instance_id])

    assert refusal(error) == "IncorrectInstanceState"


def test_a_protected_instance_is_not_terminated(shop: Shop) -> None:
    instance_id = shop.launch(DisableApiTermination=True)["InstanceId"]

    with pytest.raises(ClientError) as error:
        shop.ec2.terminate_instances(InstanceIds=[instance_id])
    shop.ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})
    shop.ec2.terminate_instances(InstanceIds=[instance_id])

    assert refusal(error) == "OperationNotPermitted"


def test_the_console_is_told_to_its_end(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    console = shop.ec2.get_console_output(InstanceId=instance_id, Latest=True)

    assert console["InstanceId"] == instance_id
    assert console["Output"].endswith("login: ")


@pytest.mark.parametrize(
    ("attribute", "change", "value"),
    [
        ("disableApiTermination", {"DisableApiTermination": {"Value": True}}, {"Value": True}),
        ("disableApiStop", {"DisableApiStop": {"Value": True}}, {"Value": True}),
        (
            "instanceInitiatedShutdownBehavior",
            {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
            {"Value": "terminate"},
        ),
        (
            "instanceInitiatedShutdownBehavior",
            {"Attribute": "instanceInitiatedShutdownBehavior", "Value": "terminate"},
            {"Value": "terminate"},
        ),
        ("disableApiTermination", {"Attribute": "disableApiTermination", "Value": "true"}, {"Value": True}),
        ("sourceDestCheck", {"SourceDestCheck": {"Value": True}}, {"Value": True}),
    ],
)
def test_an_attribute_changes(shop: Shop, attribute: str, change: dict[str, Any], value: object) -> None:
    instance_id = shop.launch()["InstanceId"]

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, **change)

    assert shop.attribute(instance_id, attribute) == value


def test_type_and_user_data_change_only_while_stopped(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with pytest.raises(ClientError) as error:
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.large"})
    shop.stop(instance_id)
    shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.large"})
    shop.ec2.modify_instance_attribute(InstanceId=instance_id, UserData={"Value": b"new"})

    assert refusal(error) == "IncorrectInstanceState"
    assert shop.describe(instance_id)["InstanceType"] == "t3.large"
    assert b64decode(shop.attribute(instance_id, "userData")["Value"]) == b"new"


def test_enhanced_networking_is_written_down_while_stopped_and_told_of_its_images(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    simple: Any = {"InstanceId": instance_id, "SriovNetSupport": {"Value": "simple"}}

    with pytest.raises(ClientError) as running:
        shop.ec2.modify_instance_attribute(**simple)
    shop.stop(instance_id)
    with pytest.raises(ClientError) as unknown:
        shop.ec2.modify_instance_attribute(**{**simple, "SriovNetSupport": {"Value": "other"}})
    before = shop.attribute(instance_id, "sriovNetSupport")
    shop.ec2.modify_instance_attribute(**simple)
    image_id = shop.ec2.create_image(InstanceId=instance_id, Name="of it")["ImageId"]
    launched = shop.launch(ImageId=image_id)

    assert (refusal(running), refusal(unknown)) == ("IncorrectInstanceState", "InvalidParameterValue")
    assert (before, shop.attribute(instance_id, "sriovNetSupport")) == ({}, {"Value": "simple"})
    assert shop.ec2.describe_images(ImageIds=[image_id])["Images"][0]["SriovNetSupport"] == "simple"
    assert launched["SriovNetSupport"] == "simple"


def test_groups_of_a_running_instance_change(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    group_id = shop.ec2.create_security_group(GroupName="web", Description="web")["GroupId"]

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[group_id])

    assert shop.attribute(instance_id, "groupSet") == [{"GroupId": group_id, "GroupName": "web"}]
    assert shop.found(("instance.group-name", "web")) == [instance_id]


def test_two_attributes_at_once_are_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with pytest.raises(ClientError) as error:
        shop.ec2.modify_instance_attribute(
            InstanceId=instance_id, DisableApiStop={"Value": True}, DisableApiTermination={"Value": True}
        )

    assert refusal(error) == "InvalidParameterCombination"


def test_a_volume_can_be_made_to_outlive_its_instance(shop: Shop) -> None:
    instance = shop.launch()
    root = instance["RootDeviceName"]

    shop.ec2.modify_instance_attribute(
        InstanceId=instance["InstanceId"],
        BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"DeleteOnTermination": False}}],
    )
    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})

    (volume,) = shop.ec2.describe_volumes()["Volumes"]
    assert volume["State"] == "available"


def test_status_shows_running_instances_and_others_only_when_asked(shop: Shop) -> None:
    running = shop.launch()["InstanceId"]
    stopped = shop.launch()["InstanceId"]
    shop.stop(stopped)

    usually = shop.ec2.describe_instance_status()["InstanceStatuses"]
    asked = shop.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]

    assert [status["InstanceId"] for status in usually] == [running]
    assert usually[0]["InstanceStatus"]["Status"] == "ok"
    assert {status["InstanceId"]: status["SystemStatus"]["Status"] for status in asked} == {
        running: "ok",
        stopped: "not-applicable",
    }


def test_pages_hold_every_instance_once(shop: Shop) -> None:
    launched = shop.launch_ids(MinCount=12, MaxCount=12)

    pages = list(shop.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))

    shown = [
        it["InstanceId"] for page in pages for reservation in page["Reservations"] for it in reservation["Instances"]
    ]
    assert len(pages) == 3
    assert shown == launched


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("instance-id", "InstanceId"),
        ("image-id", "ImageId"),
        ("instance-type", "InstanceType"),
        ("ip-address", "PublicIpAddress"),
        ("private-ip-address", "PrivateIpAddress"),
        ("private-dns-name", "PrivateDnsName"),
        ("subnet-id", "SubnetId"),
        ("vpc-id", "VpcId"),
        ("root-device-name", "RootDeviceName"),
        ("architecture", "Architecture"),
        ("network-interface.addresses.private-ip-address", "PrivateIpAddress"),
    ],
)
def test_a_filter_finds_what_is_shown_and_nothing_else(shop: Shop, name: str, member: str) -> None:
    instance = shop.launch()

    assert shop.found((name, instance[member])) == [instance["InstanceId"]]
    assert shop.found((name, "other")) == []


def test_an_unknown_filter_is_refused(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        shop.found(("colour", "blue"))

    assert refusal(error) == "InvalidParameterValue"


def test_states_tags_and_wildcards_filter(shop: Shop) -> None:
    tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web-1"}]}]
    instance_id = shop.launch(TagSpecifications=tags)["InstanceId"]
    shop.launch()

    assert shop.found(("tag:Name", "web-*"), ("instance-state-name", "running")) == [instance_id]
    assert shop.found(("tag-key", "Name"), ("instance-state-code", "16")) == [instance_id]
    assert shop.found(("tag:Name", "web-*"), ("instance-state-name", "stopped")) == []


def test_user_data_is_cleared_by_an_empty_value(shop: Shop) -> None:
    instance_id = shop.launch(UserData="old")["InstanceId"]
    shop.stop(instance_id)

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, UserData={"Value": b""})

    assert shop.attribute(instance_id, "userData") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"DisableApiTermination": {"Value": True}},
        {"DisableApiStop": {"Value": True}},
        {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
    ],
)
def test_what_protects_an_instance_that_has_ended_is_not_changed(shop: Shop, change: Any) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.terminate_instances(InstanceIds=[instance_id])

    with refused("IncorrectInstanceState"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, **change)
