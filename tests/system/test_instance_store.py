"""Instance store as boto3 sees it, and what of it reaches the hypervisor."""

from typing import Any

import pytest
from tests.system.shop import Shop

from bakehouse.drivers.hypervisor.fake import FakeHypervisor


def local_disks(shop: Shop, instance_id: str) -> list[int]:
    """Return the sizes of the local disks that an instance's machine was started with."""
    hypervisor: Any = shop.running.server.context.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    return [disk.size_bytes for disk in hypervisor.spec(instance_id).local_disks]


def shown_type(shop: Shop, name: Any) -> Any:
    (kind,) = shop.ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
    return kind


def found_types(shop: Shop, name: str, value: str) -> set[str]:
    filters: Any = [{"Name": name, "Values": [value]}]
    return {it["InstanceType"] for it in shop.ec2.describe_instance_types(Filters=filters)["InstanceTypes"]}


def fitting_types(shop: Shop, **requirements: Any) -> set[str]:
    wanted: Any = {"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 1}, **requirements}
    answer = shop.ec2.get_instance_types_from_instance_requirements(
        ArchitectureTypes=["x86_64"], VirtualizationTypes=["hvm"], InstanceRequirements=wanted
    )
    return {it["InstanceType"] for it in answer["InstanceTypes"]}


def test_a_type_tells_of_its_disks(shop: Shop) -> None:
    kind = shown_type(shop, "i4i.8xlarge")

    assert kind["InstanceStorageSupported"] is True
    assert kind["InstanceStorageInfo"] == {
        "TotalSizeInGB": 7500,
        "Disks": [{"SizeInGB": 3750, "Count": 2, "Type": "ssd"}],
        "NvmeSupport": "required",
        "EncryptionSupport": "unsupported",
    }


def test_a_type_without_disks_says_so(shop: Shop) -> None:
    kind = shown_type(shop, "t3.micro")

    assert (kind["InstanceStorageSupported"], "InstanceStorageInfo" in kind) == (False, False)


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("disk.count", "2", "3"),
        ("disk.size-in-gb", "3750", "7500"),
        ("disk.type", "ssd", "hdd"),
        ("encryption-support", "unsupported", "required"),
        ("nvme-support", "required", "unsupported"),
        ("total-size-in-gb", "7500", "3750"),
    ],
)
def test_types_are_found_by_their_disks(shop: Shop, name: str, value: str, other: str) -> None:
    assert "i4i.8xlarge" in found_types(shop, f"instance-storage-info.{name}", value)
    assert "i4i.8xlarge" not in found_types(shop, f"instance-storage-info.{name}", other)


def test_types_are_found_by_having_disks(shop: Shop) -> None:
    assert "c5d.large" in found_types(shop, "instance-storage-supported", "true")
    assert "c5.large" in found_types(shop, "instance-storage-supported", "false")


@pytest.mark.parametrize(
    ("requirements", "fitting", "others"),
    [
        ({"LocalStorage": "required"}, {"c5d.large"}, {"c5.large"}),
        ({"LocalStorage": "excluded"}, {"c5.large"}, {"c5d.large"}),
        ({"LocalStorage": "included"}, {"c5.large", "c5d.large"}, set()),
        ({"LocalStorage": "required", "LocalStorageTypes": ["hdd"]}, set(), {"c5d.large"}),
        ({"TotalLocalStorageGB": {"Min": 50, "Max": 50}}, {"c5d.large"}, {"m5d.large", "c5.large"}),
    ],
)
def test_types_fit_by_their_disks(
    shop: Shop, requirements: dict[str, Any], fitting: set[str], others: set[str]
) -> None:
    found = fitting_types(shop, **requirements)

    assert fitting <= found
    assert not others & found


def test_nvme_disks_come_with_the_type_and_are_no_volumes(shop: Shop) -> None:
    instance = shop.launch(InstanceType="i4i.8xlarge")

    assert local_disks(shop, instance["InstanceId"]) == [3750 * 10**9] * 2
    assert [it["DeviceName"] for it in instance["BlockDeviceMappings"]] == [instance["RootDeviceName"]]
    filters: Any = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    assert len(shop.ec2.describe_volumes(Filters=filters)["Volumes"]) == 1


def test_other_disks_are_there_when_they_are_mapped(shop: Shop) -> None:
    mapping: Any = [{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}]

    mapped = shop.launch(InstanceType="c3.large", BlockDeviceMappings=mapping)["InstanceId"]
    unmapped = shop.launch(InstanceType="c3.large")["InstanceId"]

    assert (local_disks(shop, mapped), local_disks(shop, unmapped)) == ([16 * 10**9], [])


def test_a_replaced_root_leaves_the_local_disks_and_a_stop_does_not(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="i4i.8xlarge")["InstanceId"]
    hypervisor: Any = shop.running.server.context.hypervisor

    shop.ec2.create_replace_root_volume_task(InstanceId=instance_id)
    shop.stop(instance_id)  # it comes after the replacement

    (task,) = shop.ec2.describe_replace_root_volume_tasks()["ReplaceRootVolumeTasks"]
    assert task["TaskState"] == "succeeded"
    assert hypervisor.kept_local_disks[instance_id] == [True, False]


def test_an_image_of_an_instance_leaves_its_disks_out(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="i4i.8xlarge")["InstanceId"]

    image_id = shop.ec2.create_image(InstanceId=instance_id, Name="of local disks", NoReboot=True)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert len(image["BlockDeviceMappings"]) == 1


def test_another_type_brings_its_own_disks(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="i4i.8xlarge")["InstanceId"]
    shop.stop(instance_id)

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "c5d.large"})
    shop.ec2.start_instances(InstanceIds=[instance_id])

    assert local_disks(shop, instance_id) == [50 * 10**9]
