"""RegisterImage as boto3 sees it: what it takes, what it refuses, and what becomes of it at launch."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal

#: A store without variables.
UEFI_DATA = "QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"


def snapshot_id(shop: Shop) -> str:
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    return image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def registered(shop: Shop, **members: Any) -> dict[str, Any]:
    """Register an image of the shop's snapshot and return it as it is described."""
    given: dict[str, Any] = {
        "Name": "registered",
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id(shop)}}],
        **members,
    }
    image_id = shop.ec2.register_image(**given)["ImageId"]
    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    return dict(image)


def attribute(shop: Shop, image: dict[str, Any], name: Any) -> Any:
    shown = shop.ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute=name)
    return next(value for key, value in shown.items() if key not in ("ImageId", "ResponseMetadata"))


def test_without_more_an_image_is_what_ec2_makes_of_it(shop: Shop) -> None:
    devices: Any = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id(shop)}}]

    image_id = shop.ec2.register_image(Name="plain", BlockDeviceMappings=devices)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (image["Architecture"], image["RootDeviceName"], image["EnaSupport"]) == ("i386", "/dev/sda1", False)
    assert {"BootMode", "TpmSupport", "ImdsSupport", "SriovNetSupport", "Description"}.isdisjoint(image)


def test_everything_that_is_said_is_shown(shop: Shop) -> None:
    image = registered(
        shop,
        Description="with everything",
        VirtualizationType="hvm",
        BootMode="uefi",
        TpmSupport="v2.0",
        UefiData=UEFI_DATA,
        ImdsSupport="v2.0",
        EnaSupport=True,
        SriovNetSupport="simple",
    )

    assert image["State"] == "available"
    shown = [image[name] for name in ("BootMode", "TpmSupport", "ImdsSupport", "EnaSupport", "SriovNetSupport")]
    assert shown == ["uefi", "v2.0", "v2.0", True, "simple"]
    assert attribute(shop, image, "bootMode") == {"Value": "uefi"}
    assert attribute(shop, image, "tpmSupport") == {"Value": "v2.0"}
    assert attribute(shop, image, "uefiData") == {"Value": UEFI_DATA}
    assert attribute(shop, image, "sriovNetSupport") == {"Value": "simple"}


def test_an_image_of_several_volumes_launches_with_all_of_them(shop: Shop) -> None:
    image = registered(
        shop,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id(shop), "VolumeSize": 3}},
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot_id(shop), "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 4, "VolumeType": "io1", "Iops": 200}},
        ],
    )

    instance = shop.launch(ImageId=image["ImageId"])

    ids = [device["Ebs"]["VolumeId"] for device in instance["BlockDeviceMappings"]]
    volumes = {volume["VolumeId"]: volume for volume in shop.ec2.describe_volumes(VolumeIds=ids)["Volumes"]}
    assert [device["DeviceName"] for device in instance["BlockDeviceMappings"]] == ["/dev/xvda", "/dev/sdf", "/dev/sdg"]
    assert [volumes[it]["Size"] for it in ids] == [3, 2, 4]
    assert (volumes[ids[2]]["VolumeType"], volumes[ids[2]]["Iops"]) == ("io1", 200)


@pytest.mark.parametrize("boot_mode", ["legacy-bios", "uefi-preferred"])
def test_an_image_that_can_boot_by_bios_is_launched(shop: Shop, boot_mode: str) -> None:
    image = registered(shop, BootMode=boot_mode)

    instance = shop.launch(ImageId=image["ImageId"])

    assert instance["State"]["Name"] == "running"
    assert instance["CurrentInstanceBootMode"] == "legacy-bios"


@pytest.mark.parametrize("boot_mode", ["uefi", "uefi-preferred"])
def test_an_image_that_boots_by_uefi_does_so_where_its_type_can(shop: Shop, boot_mode: str) -> None:
    image = registered(shop, BootMode=boot_mode)

    instance = shop.launch(ImageId=image["ImageId"], InstanceType="t3.micro")

    assert (instance["BootMode"], instance["CurrentInstanceBootMode"]) == (boot_mode, "uefi")


def test_an_arm_image_boots_by_uefi_whether_it_says_so_or_not(shop: Shop) -> None:
    image = registered(shop, Architecture="arm64")

    instance = shop.launch(ImageId=image["ImageId"], InstanceType="t4g.micro")

    assert (instance["Architecture"], instance["CurrentInstanceBootMode"]) == ("arm64", "uefi")
    assert "BootMode" not in instance


def test_an_arm_image_on_an_intel_type_is_refused(shop: Shop) -> None:
    image = registered(shop, Architecture="arm64")

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType="t3.micro")

    assert refusal(error) == "InvalidParameterValue"


def test_an_image_that_boots_by_uefi_alone_is_refused_at_launch_as_ec2_does(shop: Shop) -> None:
    image = registered(shop, BootMode="uefi")

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType="t2.micro")

    assert refusal(error) == "InvalidParameterValue"
    message = error.value.response["Error"]["Message"]
    assert message.startswith("The t2.micro instance type does not support an AMI with a boot mode of UEFI.")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Name": "a$b"}, "InvalidAMIName.Malformed"),
        ({"Name": "test"}, "InvalidAMIName.Duplicate"),
        ({"Description": "x" * 256}, "InvalidParameterValue"),
        ({"Architecture": "arm64_mac"}, "InvalidParameterValue"),
        ({"RootDeviceName": "/dev/none"}, "InvalidParameterValue"),
        ({"RootDeviceName": "/dev/sda1"}, "InvalidBlockDeviceMapping"),
        ({"VirtualizationType": "paravirtual"}, "UnsupportedOperation"),
        ({"VirtualizationType": "magic"}, "InvalidParameterValue"),
        ({"SriovNetSupport": "complex"}, "InvalidParameterValue"),
        ({"TpmSupport": "v2.0"}, "InvalidParameterCombination"),
        ({"TpmSupport": "v2.0", "BootMode": "uefi-preferred"}, "InvalidParameterCombination"),
        ({"UefiData": UEFI_DATA}, "InvalidParameterCombination"),
        ({"UefiData": UEFI_DATA, "BootMode": "legacy-bios"}, "InvalidParameterCombination"),
        ({"UefiData": "not base64!", "BootMode": "uefi"}, "InvalidParameterValue"),
        ({"UefiData": "A" * 64_004, "BootMode": "uefi"}, "InvalidParameterValue"),
        ({"BillingProducts": ["bp-1"]}, "UnsupportedOperation"),
        ({"KernelId": "aki-1"}, "UnsupportedOperation"),
        ({"RamdiskId": "ari-1"}, "UnsupportedOperation"),
        ({"TagSpecifications": [{"ResourceType": "snapshot", "Tags": []}]}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_registered_is_refused(shop: Shop, members: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as error:
        registered(shop, **members)

    assert refusal(error) == code


@pytest.mark.parametrize(
    ("ebs", "code"),
    [
        ({"SnapshotId": "snap-00000000000000000"}, "InvalidSnapshot.NotFound"),
        ({"VolumeSize": 8}, "InvalidBlockDeviceMapping"),
        ({"SnapshotId": "the shop's", "VolumeSize": 1}, "InvalidBlockDeviceMapping"),
        ({"SnapshotId": "the shop's", "Encrypted": False}, "InvalidBlockDeviceMapping"),
        ({"SnapshotId": "the shop's", "Encrypted": True}, "InvalidBlockDeviceMapping"),
        ({"SnapshotId": "the shop's", "KmsKeyId": "alias/mine"}, "UnsupportedOperation"),
        ({"SnapshotId": "the shop's", "OutpostArn": "arn:x"}, "UnsupportedOperation"),
    ],
)
def test_a_root_that_cannot_be_is_refused(shop: Shop, ebs: dict[str, Any], code: str) -> None:
    if "SnapshotId" in ebs:
        ebs = {**ebs, "SnapshotId": ebs["SnapshotId"].replace("the shop's", snapshot_id(shop))}

    with pytest.raises(ClientError) as error:
        registered(shop, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}])

    assert refusal(error) == code


def test_an_image_of_a_manifest_is_refused_with_the_reason(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.register_image(Name="registered", ImageLocation="bucket/image.manifest.xml")

    assert refusal(error) == "UnsupportedOperation"
    assert "instance store-backed" in error.value.response["Error"]["Message"]


def test_a_snapshot_of_another_account_is_not_found(shop: Shop, shared: RunningServer) -> None:
    stranger = shared.ec2("stranger who registers")

    with pytest.raises(ClientError) as error:
        stranger.register_image(
            Name="registered",
            BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id(shop)}}],
        )

    assert refusal(error) == "InvalidSnapshot.NotFound"


def test_the_snapshot_of_a_registered_image_is_in_use(shop: Shop) -> None:
    image = registered(shop)
    shop.ec2.deregister_image(ImageId=shop.image_id)
    used = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    with pytest.raises(ClientError) as error:
        shop.ec2.delete_snapshot(SnapshotId=used)

    assert refusal(error) == "InvalidSnapshot.InUse"
    assert image["ImageId"] in error.value.response["Error"]["Message"]


def test_a_name_is_free_again_once_its_image_is_deregistered(shop: Shop) -> None:
    first = registered(shop)
    shop.ec2.deregister_image(ImageId=first["ImageId"])

    assert registered(shop)["ImageId"] != first["ImageId"]


def test_an_image_of_an_instance_boots_as_its_source_does(shop: Shop) -> None:
    source = registered(shop, BootMode="uefi-preferred", UefiData=UEFI_DATA, SriovNetSupport="simple")
    instance = shop.launch(ImageId=source["ImageId"])

    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="of it", NoReboot=True)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (image["BootMode"], image["SriovNetSupport"]) == ("uefi-preferred", "simple")
    assert attribute(shop, dict(image), "uefiData") == {"Value": UEFI_DATA}


def test_an_image_of_an_instance_that_booted_by_uefi_may_be_for_uefi_alone(shop: Shop) -> None:
    source = registered(shop, BootMode="uefi-preferred")
    instance = shop.launch(ImageId=source["ImageId"], InstanceType="t3.micro")

    image_id = shop.ec2.create_image(
        InstanceId=instance["InstanceId"], Name="of it", NoReboot=True, BootModeOverride="uefi"
    )["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (instance["CurrentInstanceBootMode"], image["BootMode"]) == ("uefi", "uefi")


def test_an_image_of_an_instance_that_booted_by_bios_is_not_for_uefi_alone(shop: Shop) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="of it", BootModeOverride="uefi")

    assert refusal(error) == "InvalidParameterCombination"


def test_an_images_boot_mode_outlives_the_image_that_its_instance_came_of(shop: Shop) -> None:
    source = registered(shop, BootMode="uefi-preferred")
    instance = shop.launch(ImageId=source["ImageId"])
    shop.ec2.deregister_image(ImageId=source["ImageId"])

    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="of it", NoReboot=True)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert image["BootMode"] == "uefi-preferred"


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ({"Ebs": {"VolumeSize": 3}}, "InvalidBlockDeviceMapping"),
        ({"Ebs": {"VolumeSize": 1}}, "InvalidBlockDeviceMapping"),
        ({"Ebs": {"SnapshotId": "snap-00000000000000000"}}, "InvalidBlockDeviceMapping"),
        ({"Ebs": {"Encrypted": True}}, "InvalidBlockDeviceMapping"),
        ({"NoDevice": ""}, "InvalidBlockDeviceMapping"),
    ],
)
def test_an_image_of_an_instance_cannot_change_its_root(shop: Shop, device: dict[str, Any], code: str) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        shop.ec2.create_image(
            InstanceId=instance["InstanceId"],
            Name="of it",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", **device}],  # type: ignore[typeddict-item]
        )

    assert refusal(error) == code


@pytest.mark.parametrize("ebs", [{"VolumeSize": 2}, {"DeleteOnTermination": False}, {"Encrypted": False}])
def test_what_is_so_anyhow_and_deletion_may_be_said_of_the_root(shop: Shop, ebs: dict[str, Any]) -> None:
    instance = shop.launch()

    image_id = shop.ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name="of it",
        NoReboot=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": ebs}],  # type: ignore[typeddict-item]
    )["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    shown = image["BlockDeviceMappings"][0]["Ebs"]
    assert {name: shown[name] for name in ebs} == ebs  # type: ignore[literal-required]
