"""Which speed limits a machine is given, of what requests name."""

from typing import Any

import pytest
from tests.system.shop import Shop

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.fake import FakeHypervisor

NONE = SpeedLimits()


def limits(shop: Shop, instance_id: str, device_name: str) -> SpeedLimits:
    """Return what the machine of an instance enforces on one of its volumes."""
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    devices = shop.describe(instance_id)["BlockDeviceMappings"]
    (volume_id,) = [it["Ebs"]["VolumeId"] for it in devices if it["DeviceName"] == device_name]
    return hypervisor.limits(instance_id, volume_id)


def root_limits(shop: Shop, instance: Any) -> SpeedLimits:
    return limits(shop, instance["InstanceId"], instance["RootDeviceName"])


def root_name(shop: Shop) -> str:
    return shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"][0]["RootDeviceName"]


def launch(shop: Shop, **ebs: Any) -> Any:
    return shop.launch(BlockDeviceMappings=[{"DeviceName": root_name(shop), "Ebs": ebs}])


def attached(shop: Shop, **members: Any) -> tuple[str, str]:
    """Return an instance and a new volume in it, `/dev/sdf`."""
    instance = shop.launch()
    zone = instance["Placement"]["AvailabilityZone"]
    volume_id = shop.ec2.create_volume(**{"AvailabilityZone": zone, "Size": 100, **members})["VolumeId"]
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device="/dev/sdf")
    return instance["InstanceId"], volume_id


def test_a_default_of_the_type_limits_nothing(shop: Shop) -> None:
    instance = launch(shop, VolumeType="gp3")

    assert root_limits(shop, instance) == NONE


@pytest.mark.parametrize(
    ("ebs", "expected"),
    [
        ({"VolumeType": "gp3", "Iops": 3000}, SpeedLimits(iops=3000)),
        ({"VolumeType": "gp3", "Throughput": 125}, SpeedLimits(throughput_mibps=125)),
        ({"VolumeType": "gp3", "Iops": 4000, "Throughput": 500}, SpeedLimits(iops=4000, throughput_mibps=500)),
        ({"VolumeType": "io2", "Iops": 100}, SpeedLimits(iops=100)),
    ],
)
def test_what_a_launch_names_is_enforced(shop: Shop, ebs: dict[str, Any], expected: SpeedLimits) -> None:
    instance = launch(shop, VolumeSize=8, **ebs)

    assert root_limits(shop, instance) == expected


def test_what_a_new_volume_was_asked_to_be_is_enforced_when_it_is_attached(shop: Shop) -> None:
    instance_id, _ = attached(shop, VolumeType="gp3", Iops=3000, Throughput=125)

    assert limits(shop, instance_id, "/dev/sdf") == SpeedLimits(iops=3000, throughput_mibps=125)


def test_figures_that_a_type_has_anyway_are_not_enforced(shop: Shop) -> None:
    instance_id, _ = attached(shop, VolumeType="gp2")

    assert limits(shop, instance_id, "/dev/sdf") == NONE


def test_a_modification_is_enforced_at_once(shop: Shop) -> None:
    instance_id, volume_id = attached(shop, VolumeType="io1", Iops=100)

    shop.ec2.modify_volume(VolumeId=volume_id, Iops=500)

    assert limits(shop, instance_id, "/dev/sdf") == SpeedLimits(iops=500)


def test_a_modification_of_the_size_leaves_the_limits(shop: Shop) -> None:
    instance_id, volume_id = attached(shop, VolumeType="gp3", Throughput=200)

    shop.ec2.modify_volume(VolumeId=volume_id, Size=120)

    assert limits(shop, instance_id, "/dev/sdf") == SpeedLimits(throughput_mibps=200)


def test_another_type_lifts_the_limits_of_the_former(shop: Shop) -> None:
    instance_id, volume_id = attached(shop, VolumeType="io1", Iops=100)

    shop.ec2.modify_volume(VolumeId=volume_id, VolumeType="gp3")

    assert limits(shop, instance_id, "/dev/sdf") == NONE


def test_limits_hold_when_the_instance_is_started_again(shop: Shop) -> None:
    instance_id, volume_id = attached(shop, VolumeType="io1", Iops=100)
    shop.ec2.stop_instances(InstanceIds=[instance_id])
    shop.ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})
    shop.ec2.modify_volume(VolumeId=volume_id, Iops=200)

    shop.ec2.start_instances(InstanceIds=[instance_id])

    assert limits(shop, instance_id, "/dev/sdf") == SpeedLimits(iops=200)


def test_an_image_hands_on_figures_that_were_asked_for_and_no_defaults(shop: Shop) -> None:
    instance = launch(shop, VolumeType="gp3", VolumeSize=8, Iops=4000)
    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="limited", NoReboot=True)["ImageId"]

    again = shop.launch(ImageId=image_id)

    assert root_limits(shop, again) == SpeedLimits(iops=4000)
