"""Hibernation as boto3 sees it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.system.shop import Shop, refusal

from bakehouse.drivers.hypervisor.fake import FakeHypervisor

ENCRYPTED = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}]
SLEEPY: Any = {
    "InstanceType": "t3.micro",
    "HibernationOptions": {"Configured": True},
    "BlockDeviceMappings": ENCRYPTED,
}


def hypervisor(shop: Shop) -> FakeHypervisor:
    found: Any = shop.running.server.context.hypervisor
    assert isinstance(found, FakeHypervisor)
    return found


def boots(shop: Shop, instance_id: str) -> int:
    return shop.running.call(hypervisor(shop).console_output(instance_id)).count(b"login:")


def hibernated(shop: Shop) -> str:
    instance_id: str = shop.launch(**SLEEPY)["InstanceId"]
    hibernate(shop, instance_id)
    return instance_id


def hibernate(shop: Shop, instance_id: str) -> None:
    shop.ec2.stop_instances(InstanceIds=[instance_id], Hibernate=True)
    shop.ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})


def test_an_instance_tells_whether_it_is_enabled_for_hibernation(shop: Shop) -> None:
    enabled, other = shop.launch(**SLEEPY), shop.launch()

    shown = [it["HibernationOptions"]["Configured"] for it in (enabled, other)]

    assert shown == [True, False]
    assert shop.found(("hibernation-options.configured", "true")) == [enabled["InstanceId"]]


def test_a_hibernated_instance_says_why_it_stopped(shop: Shop) -> None:
    shown = shop.describe(hibernated(shop))

    assert shown["State"]["Name"] == "stopped"
    assert shown["StateReason"] == {
        "Code": "Client.UserInitiatedHibernate",
        "Message": "Client.UserInitiatedHibernate: User initiated hibernate",
    }
    assert shown["StateTransitionReason"].startswith("User initiated (")


def test_a_hibernated_instance_goes_on_without_booting(shop: Shop) -> None:
    instance_id = hibernated(shop)
    before = shop.describe(instance_id)

    shop.ec2.start_instances(InstanceIds=[instance_id])

    shown = shop.describe(instance_id)
    assert (shown["State"]["Name"], boots(shop, instance_id)) == ("running", 1)
    assert "Code" not in shown.get("StateReason", {})
    assert shown["PrivateIpAddress"] == before["PrivateIpAddress"]


def test_an_instance_that_is_enabled_can_be_stopped_as_others(shop: Shop) -> None:
    instance_id = shop.launch(**SLEEPY)["InstanceId"]
    shop.stop(instance_id)

    shop.ec2.start_instances(InstanceIds=[instance_id])

    # The console of a machine that starts anew begins anew.
    assert boots(shop, instance_id) == 1
    assert "Hibernate" not in str(shop.describe(instance_id).get("StateReason"))


def test_an_instance_sleeps_time_and_again(shop: Shop) -> None:
    instance_id = hibernated(shop)

    for _ in range(2):
        shop.ec2.start_instances(InstanceIds=[instance_id])
        hibernate(shop, instance_id)

    assert shop.describe(instance_id)["StateReason"]["Code"] == "Client.UserInitiatedHibernate"


def test_a_guest_that_cannot_be_saved_is_shut_down(shop: Shop) -> None:
    instance_id = shop.launch(**SLEEPY)["InstanceId"]
    hypervisor(shop).sleepless_guests.add(instance_id)

    hibernate(shop, instance_id)

    assert not shop.running.call(hypervisor(shop).hibernate(instance_id, None))


def test_a_hibernated_instance_whose_volumes_changed_boots(shop: Shop) -> None:
    instance_id = hibernated(shop)
    zone = shop.describe(instance_id)["Placement"]["AvailabilityZone"]
    volume_id = shop.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    shop.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")

    shop.ec2.start_instances(InstanceIds=[instance_id])

    assert shop.describe(instance_id)["State"]["Name"] == "running"
    assert {it.volume_id for it in hypervisor(shop).spec(instance_id).disks} >= {volume_id}


def test_a_hibernated_instance_can_be_terminated(shop: Shop) -> None:
    instance_id = hibernated(shop)

    shop.ec2.terminate_instances(InstanceIds=[instance_id])
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    assert not shop.running.call(hypervisor(shop).hibernate(instance_id, None))


def test_an_instance_that_is_not_enabled_is_not_hibernated(shop: Shop) -> None:
    enabled, other = shop.launch(**SLEEPY)["InstanceId"], shop.launch()["InstanceId"]

    with pytest.raises(ClientError) as caught:
        shop.ec2.stop_instances(InstanceIds=[enabled, other], Hibernate=True)

    assert refusal(caught) == "UnsupportedHibernationConfiguration"
    assert caught.value.response["Error"]["Message"] == (
        f"The instance can't be hibernated because it was not configured at launch for hibernation: {other}"
    )
    assert shop.describe(enabled)["State"]["Name"] == "running"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"BlockDeviceMappings": []}, id="root not encrypted"),
        pytest.param({"InstanceType": "m1.small"}, id="old type"),
        pytest.param({"InstanceType": "m5.16xlarge"}, id="too much memory"),
        pytest.param({"InstanceType": "t3.xlarge"}, id="root smaller than memory"),
        pytest.param({"InstanceType": "c5d.large"}, id="local disks"),
    ],
)
def test_what_cannot_sleep_is_not_enabled(shop: Shop, members: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        shop.launch(**{**SLEEPY, **members})

    assert refusal(caught) == "UnsupportedHibernationConfiguration"


def test_hibernating_is_not_forced(shop: Shop) -> None:
    instance_id = shop.launch(**SLEEPY)["InstanceId"]

    with pytest.raises(ClientError) as caught:
        shop.ec2.stop_instances(InstanceIds=[instance_id], Hibernate=True, Force=True)

    assert refusal(caught) == "InvalidParameterCombination"


def test_the_type_of_a_hibernated_instance_stays(shop: Shop) -> None:
    instance_id = hibernated(shop)

    with pytest.raises(ClientError) as caught:
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.small"})

    assert refusal(caught) == "IncorrectInstanceState"


def test_the_processors_of_a_hibernated_instance_stay(shop: Shop) -> None:
    instance_id = hibernated(shop)

    with pytest.raises(ClientError) as caught:
        shop.ec2.modify_instance_cpu_options(InstanceId=instance_id, CoreCount=1, ThreadsPerCore=1)

    assert refusal(caught) == "IncorrectInstanceState"


def test_there_is_no_image_of_a_hibernated_instance(shop: Shop) -> None:
    instance_id = hibernated(shop)

    with pytest.raises(ClientError) as caught:
        shop.ec2.create_image(InstanceId=instance_id, Name="asleep")

    assert refusal(caught) == "IncorrectInstanceState"


def test_a_type_tells_whether_it_can_sleep(shop: Shop) -> None:
    wanted: Any = ["t3.micro", "m1.small"]
    types = shop.ec2.describe_instance_types(InstanceTypes=wanted)["InstanceTypes"]

    assert {it["InstanceType"]: it["HibernationSupported"] for it in types} == {"t3.micro": True, "m1.small": False}


def test_a_launch_template_enables_hibernation(shop: Shop) -> None:
    shop.ec2.create_launch_template(
        LaunchTemplateName="sleepy",
        LaunchTemplateData={
            "HibernationOptions": {"Configured": True},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
            "InstanceType": "t3.micro",
        },
    )

    launched = shop.launch(LaunchTemplate={"LaunchTemplateName": "sleepy"})

    assert launched["HibernationOptions"] == {"Configured": True}
