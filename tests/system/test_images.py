"""Images as boto3 sees them."""

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal


def baked(shop: Shop, instance_id: str, **members: Any) -> dict[str, Any]:
    """Create an image without reboot and return it as it is described."""
    given: dict[str, Any] = {"Name": "baked", "NoReboot": True, **members}
    image_id = shop.ec2.create_image(InstanceId=instance_id, **given)["ImageId"]
    return described(shop, image_id)


def described(shop: Shop, image_id: str) -> dict[str, Any]:
    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    return dict(image)


def found(shop: Shop, name: str, *values: str) -> list[str]:
    """Return the names of the images that a filter finds."""
    images = shop.ec2.describe_images(Owners=["self"], Filters=[{"Name": name, "Values": list(values)}])["Images"]
    return [image["Name"] for image in images]


def test_the_waiter_of_an_image_without_reboot_never_waits(shop: Shop) -> None:
    instance = shop.launch()
    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="baked", NoReboot=True)["ImageId"]

    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"MaxAttempts": 1})


def test_an_image_is_shown_as_ec2_shows_it(shop: Shop) -> None:
    instance = shop.launch()

    image = baked(shop, instance["InstanceId"], Description="with <tags> & all")

    assert image["State"] == "available"
    assert (image["RootDeviceType"], image["VirtualizationType"], image["Hypervisor"]) == ("ebs", "hvm", "xen")
    assert (image["OwnerId"], image["Public"], image["ImageLocation"]) == (
        instance["NetworkInterfaces"][0]["OwnerId"],
        False,
        f"{image['OwnerId']}/baked",
    )
    assert image["Description"] == "with <tags> & all"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", image["CreationDate"])
    assert image["SourceInstanceId"] == instance["InstanceId"]
    (device,) = image["BlockDeviceMappings"]
    assert device["DeviceName"] == image["RootDeviceName"]
    assert device["Ebs"]["SnapshotId"].startswith("snap-")


def test_image_and_snapshots_are_tagged_in_one_call(shop: Shop) -> None:
    instance = shop.launch()

    image = baked(
        shop,
        instance["InstanceId"],
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "of", "Value": "image"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "of", "Value": "snapshot"}]},
        ],
    )

    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (snapshot,) = shop.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (image["Tags"], snapshot["Tags"]) == (
        [{"Key": "of", "Value": "image"}],
        [{"Key": "of", "Value": "snapshot"}],
    )


def test_tags_of_what_create_image_does_not_make_are_refused(shop: Shop) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        baked(
            shop,
            instance["InstanceId"],
            TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "volume"}]}],
        )

    assert refusal(error) == "InvalidParameterValue"


def test_a_dry_run_makes_no_image(shop: Shop) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="baked", DryRun=True)

    assert refusal(error) == "DryRunOperation"
    assert found(shop, "name", "baked") == []


@pytest.mark.parametrize(
    "members",
    [
        {"SnapshotLocation": "local"},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "KmsKeyId": "k"}}]},
    ],
)
def test_what_is_not_honoured_is_refused(shop: Shop, members: dict[str, Any]) -> None:
    instance = shop.launch()

    with pytest.raises(ClientError) as error:
        baked(shop, instance["InstanceId"], **members)

    assert refusal(error) == "UnsupportedOperation"


def test_a_rebooted_instance_is_running_again_with_its_image_available(shop: Shop) -> None:
    instance = shop.launch()

    image_id = shop.ec2.create_image(InstanceId=instance["InstanceId"], Name="baked")["ImageId"]

    shop.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert shop.describe(instance["InstanceId"])["State"]["Name"] == "running"


def test_an_image_is_registered_of_a_snapshot(shop: Shop) -> None:
    image = baked(shop, shop.launch()["InstanceId"])
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    image_id = shop.ec2.register_image(
        Name="registered",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        VirtualizationType="hvm",
        BootMode="legacy-bios",
        ImdsSupport="v2.0",
        EnaSupport=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["ImageId"]

    registered = described(shop, image_id)
    assert (registered["State"], registered["BootMode"], registered["ImdsSupport"]) == (
        "available",
        "legacy-bios",
        "v2.0",
    )
    assert registered["Tags"] == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize(
    "member", [{"ImageLocation": "b/m.xml"}, {"VirtualizationType": "paravirtual"}, {"KernelId": "aki-1"}]
)
def test_an_image_that_could_not_boot_here_is_not_registered(shop: Shop, member: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.register_image(Name="registered", **member)

    assert refusal(error) == "UnsupportedOperation"


def test_a_deregistered_image_is_found_no_more(shop: Shop) -> None:
    image = baked(shop, shop.launch()["InstanceId"])

    answer = shop.ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)

    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "success"}]
    with pytest.raises(ClientError) as error:
        described(shop, image["ImageId"])
    assert refusal(error) == "InvalidAMIID.NotFound"


def test_filters_find_what_they_name(shop: Shop) -> None:
    image = baked(shop, shop.launch()["InstanceId"], Description="the web server")
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    for name, value in {
        "name": "bak*",
        "description": "*web*",
        "image-id": image["ImageId"],
        "block-device-mapping.snapshot-id": snapshot_id,
        "source-instance-id": image["SourceInstanceId"],
        "source-image-id": image["SourceImageId"],
        "manifest-location": "*/baked",
    }.items():
        assert found(shop, name, value) == ["baked"], name


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("architecture", "x86_64", "arm64"),
        ("block-device-mapping.delete-on-termination", "true", "false"),
        ("block-device-mapping.device-name", "/dev/xvda", "/dev/sdf"),
        ("block-device-mapping.encrypted", "false", "true"),
        ("block-device-mapping.volume-size", "2", "3"),
        ("block-device-mapping.volume-type", "gp3", "gp2"),
        ("creation-date", "20*", "19*"),
        ("ena-support", "true", "false"),
        ("hypervisor", "xen", "ovm"),
        ("image-type", "machine", "kernel"),
        ("is-public", "false", "true"),
        ("platform-details", "Linux/UNIX", "Windows"),
        ("root-device-name", "/dev/xvda", "/dev/sda1"),
        ("root-device-type", "ebs", "instance-store"),
        ("state", "available", "failed"),
        ("virtualization-type", "hvm", "paravirtual"),
    ],
)
def test_a_filter_takes_what_is_so_and_nothing_else(shop: Shop, name: str, value: str, other: str) -> None:
    assert (len(found(shop, name, value)), len(found(shop, name, other))) == (1, 0)


@pytest.mark.parametrize("name", ["platform", "kernel-id", "product-code", "owner-alias", "state-reason-code"])
def test_what_no_image_has_is_never_found(shop: Shop, name: str) -> None:
    assert found(shop, name, "*") == []


def test_an_unknown_filter_is_refused(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        found(shop, "nonsense", "x")

    assert refusal(error) == "InvalidParameterValue"


def test_images_come_in_pages(shop: Shop) -> None:
    instance = shop.launch()
    for number in range(3):
        baked(shop, instance["InstanceId"], Name=f"baked-{number}")

    pages = list(shop.ec2.get_paginator("describe_images").paginate(Owners=["self"], PaginationConfig={"PageSize": 2}))

    assert [len(page["Images"]) for page in pages] == [2, 2]
    assert len({image["ImageId"] for page in pages for image in page["Images"]}) == 4


def test_a_shared_image_shows_a_stranger_everything_but_its_tags(shop: Shop, shared: RunningServer) -> None:
    image = baked(
        shop,
        shop.launch()["InstanceId"],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "secret", "Value": "1"}]}],
    )
    stranger = shared.ec2("stranger")
    owner = shared.client("sts", "stranger").get_caller_identity()["Account"]
    shop.ec2.modify_image_attribute(ImageId=image["ImageId"], LaunchPermission={"Add": [{"UserId": owner}]})

    (seen,) = stranger.describe_images(ExecutableUsers=["self"], ImageIds=[image["ImageId"]])["Images"]
    probed = stranger.describe_images(Filters=[{"Name": "tag:secret", "Values": ["1"]}])["Images"]

    assert (seen["Name"], seen.get("Tags", []), probed) == ("baked", [], [])


@pytest.mark.parametrize(
    "members",
    [
        {"Description": {"Value": "new"}},
        {"Attribute": "description", "Value": "new"},
        {"Attribute": "description", "Description": {"Value": "new"}},
    ],
)
def test_a_description_is_changed_in_each_way_that_clients_say_it(shop: Shop, members: dict[str, Any]) -> None:
    image_id = shop.image_id

    shop.ec2.modify_image_attribute(ImageId=image_id, **members)

    shown = shop.ec2.describe_image_attribute(ImageId=image_id, Attribute="description")
    assert shown["Description"] == {"Value": "new"}


def test_launch_permission_is_said_in_both_forms_at_once(shop: Shop) -> None:
    shop.ec2.modify_image_attribute(
        ImageId=shop.image_id,
        Attribute="launchPermission",
        OperationType="add",
        UserIds=["111122223333"],
        UserGroups=["all"],
        LaunchPermission={"Add": [{"UserId": "111122223333"}, {"Group": "all"}]},
    )

    shown = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")
    assert shown["LaunchPermissions"] == [{"UserId": "111122223333"}, {"Group": "all"}]
    assert described(shop, shop.image_id)["Public"] is True


def test_the_flat_form_needs_no_operation_where_it_repeats_the_other(shop: Shop) -> None:
    who: Any = {"UserIds": ["111122223333"], "LaunchPermission": {"Add": [{"UserId": "111122223333"}]}}

    shop.ec2.modify_image_attribute(ImageId=shop.image_id, **who)

    shown = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")
    assert shown["LaunchPermissions"] == [{"UserId": "111122223333"}]


def test_launch_permission_is_removed_and_reset(shop: Shop) -> None:
    ec2, image_id = shop.ec2, shop.image_id
    for user_id in ("111122223333", "444455556666"):
        ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": user_id}]})

    ec2.modify_image_attribute(ImageId=image_id, OperationType="remove", UserIds=["111122223333"])
    left = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]
    ec2.reset_image_attribute(ImageId=image_id, Attribute="launchPermission")
    none = ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")["LaunchPermissions"]

    assert (left, none) == ([{"UserId": "444455556666"}], [])


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"Description": {"Value": "x"}, "ImdsSupport": {"Value": "v2.0"}}, "InvalidParameterCombination"),
        ({"Attribute": "kernel", "Value": "x"}, "InvalidParameterValue"),
        ({"Attribute": "description"}, "MissingParameter"),
        ({"Attribute": "launchPermission"}, "MissingParameter"),
        ({"UserIds": ["111122223333"]}, "MissingParameter"),
        ({"OperationType": "add", "UserIds": ["me"]}, "InvalidAMIAttributeItemValue"),
        ({"OperationType": "add", "UserGroups": ["some"]}, "InvalidAMIAttributeItemValue"),
        ({"ImdsSupport": {"Value": "v1.0"}}, "InvalidParameterValue"),
        ({"LaunchPermission": {"Add": [{"OrganizationArn": "arn:x"}]}}, "UnsupportedOperation"),
        ({"LaunchPermission": {"Remove": [{"OrganizationalUnitArn": "arn:x"}]}}, "UnsupportedOperation"),
        ({"OperationType": "add", "OrganizationArns": ["arn:x"]}, "UnsupportedOperation"),
        ({"OperationType": "add", "OrganizationalUnitArns": ["arn:x"]}, "UnsupportedOperation"),
        ({"ProductCodes": ["x"]}, "UnsupportedOperation"),
        *(
            ({"Attribute": attribute, "Value": "x"}, "InvalidParameterValue")
            for attribute in ("blockDeviceMapping", "bootMode", "lastLaunchedTime", "tpmSupport", "uefiData")
        ),
    ],
)
def test_a_change_that_says_too_little_or_too_much_is_refused(shop: Shop, members: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as error:
        shop.ec2.modify_image_attribute(ImageId=shop.image_id, **members)

    assert refusal(error) == code


@pytest.mark.parametrize(
    ("attribute", "member", "value"),
    [
        ("bootMode", "BootMode", {}),
        ("deregistrationProtection", "DeregistrationProtection", {"Value": "disabled"}),
        ("imdsSupport", "ImdsSupport", {}),
        ("kernel", "KernelId", {}),
        ("productCodes", "ProductCodes", []),
        ("ramdisk", "RamdiskId", {}),
        ("sriovNetSupport", "SriovNetSupport", {}),
        ("tpmSupport", "TpmSupport", {}),
        ("uefiData", "UefiData", {}),
        ("lastLaunchedTime", "LastLaunchedTime", {}),
    ],
)
def test_attributes_are_shown_one_at_a_time(shop: Shop, attribute: Any, member: str, value: Any) -> None:
    shown = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute=attribute)

    assert shown["ImageId"] == shop.image_id
    assert shown[member] == value if value is not None else shown[member]  # type: ignore[literal-required] # a member


def test_imds_support_once_set_is_what_instances_are_launched_with(shop: Shop) -> None:
    shop.ec2.modify_image_attribute(ImageId=shop.image_id, ImdsSupport={"Value": "v2.0"})

    shown = shop.ec2.describe_image_attribute(ImageId=shop.image_id, Attribute="imdsSupport")
    assert shown["ImdsSupport"] == {"Value": "v2.0"}
