"""Launches as boto3 asks for them."""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.system.shop import Shop, refusal

from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import InstanceState
from bakehouse.ec2.instance_filters import FILTERS


def test_the_answer_to_a_launch_says_pending_and_the_next_description_running(shop: Shop) -> None:
    reservation = shop.ec2.run_instances(ImageId=shop.image_id, MinCount=1, MaxCount=1)

    (launched,) = reservation["Instances"]
    assert reservation["OwnerId"] == shop.account_id
    assert launched["State"] == {"Code": 0, "Name": "pending"}
    assert shop.describe(launched["InstanceId"])["State"] == {"Code": 16, "Name": "running"}


def test_the_waiter_of_a_launch_never_waits(shop: Shop) -> None:
    instance_ids = shop.launch_ids(MinCount=1, MaxCount=1)

    shop.ec2.get_waiter("instance_running").wait(InstanceIds=instance_ids, WaiterConfig={"MaxAttempts": 1})
    shop.ec2.get_waiter("instance_status_ok").wait(InstanceIds=instance_ids, WaiterConfig={"MaxAttempts": 1})


def test_an_instance_is_described_as_clients_need_it(shop: Shop) -> None:
    instance = shop.launch(InstanceType="t3.small")

    (interface,) = instance["NetworkInterfaces"]
    (device,) = instance["BlockDeviceMappings"]
    address = instance["PrivateIpAddress"]
    assert instance["InstanceType"] == "t3.small"
    assert instance["PublicIpAddress"].startswith("127.")
    assert instance["PublicDnsName"] == instance["PublicIpAddress"]
    assert instance["PrivateDnsName"] == f"ip-{address.replace('.', '-')}.ec2.internal"
    assert instance["SecurityGroups"][0]["GroupName"] == "default"
    assert interface["Attachment"]["DeviceIndex"] == 0
    assert interface["PrivateIpAddresses"][0]["Primary"] is True
    assert interface["Association"]["PublicIp"] == instance["PublicIpAddress"]
    assert device["DeviceName"] == instance["RootDeviceName"]
    assert device["Ebs"]["Status"] == "attached"
    assert instance["LaunchTime"].microsecond == 0


def test_instances_of_one_launch_share_a_reservation_and_count_up(shop: Shop) -> None:
    shop.launch_ids(MinCount=3, MaxCount=3)

    (reservation,) = shop.ec2.describe_instances()["Reservations"]

    assert [instance["AmiLaunchIndex"] for instance in reservation["Instances"]] == [0, 1, 2]


def test_a_client_token_gives_back_the_same_instance(shop: Shop) -> None:
    first = shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="once")
    again = shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="once")

    assert first == again
    assert shop.describe(first[0])["ClientToken"] == "once"


def test_a_client_token_with_other_parameters_is_refused(shop: Shop) -> None:
    shop.launch_ids(MinCount=1, MaxCount=1, ClientToken="once")

    with pytest.raises(ClientError) as error:
        shop.launch_ids(MinCount=1, MaxCount=2, ClientToken="once")

    assert refusal(error) == "IdempotentParameterMismatch"


def test_a_dry_run_launches_nothing(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        shop.launch_ids(MinCount=1, MaxCount=1, DryRun=True)

    assert refusal(error) == "DryRunOperation"
    assert shop.found() == []


def test_tags_at_launch_go_to_instance_volume_and_interface(shop: Shop) -> None:
    def tags(kind: str, value: str) -> dict[str, Any]:
        return {"ResourceType": kind, "Tags": [{"Key": "Name", "Value": value}]}

    instance = shop.launch(
        TagSpecifications=[tags("instance", "me & <you>"), tags("volume", "disk"), tags("network-interface", "card")]
    )

    (volume,) = shop.ec2.describe_volumes()["Volumes"]
    assert instance["Tags"] == [{"Key": "Name", "Value": "me & <you>"}]
    assert volume["Tags"] == [{"Key": "Name", "Value": "disk"}]
    assert shop.found(("network-interface.tag-value", "card")) == [instance["InstanceId"]]


def test_a_mapping_at_launch_is_merged_with_the_images(shop: Shop) -> None:
    instance = shop.launch(
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdg", "NoDevice": ""},
        ]
    )

    names = [device["DeviceName"] for device in instance["BlockDeviceMappings"]]
    kept = instance["BlockDeviceMappings"][1]["Ebs"]
    sizes = sorted(volume["Size"] for volume in shop.ec2.describe_volumes()["Volumes"])
    assert names == [instance["RootDeviceName"], "/dev/sdf"]
    assert kept["DeleteOnTermination"] is False
    assert sizes == [2, 3]


def test_a_volume_smaller_than_its_snapshot_is_refused(shop: Shop) -> None:
    root = shop.launch()["RootDeviceName"]

    with pytest.raises(ClientError) as error:
        shop.launch(BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"VolumeSize": 1}}])

    assert refusal(error) == "InvalidBlockDeviceMapping"


def test_an_interface_at_launch_says_where_the_instance_goes(shop: Shop) -> None:
    subnets = shop.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])["Subnets"]
    subnet = subnets[0]
    prefix = subnet["CidrBlock"].rsplit(".", 1)[0]

    instance = shop.launch(
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": subnet["SubnetId"],
                "PrivateIpAddress": f"{prefix}.77",
                "AssociatePublicIpAddress": False,
                "DeleteOnTermination": True,
                "Description": "first",
            }
        ]
    )

    assert instance["SubnetId"] == subnet["SubnetId"]
    assert instance["PrivateIpAddress"] == f"{prefix}.77"
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert instance["NetworkInterfaces"][0]["Description"] == "first"
    assert "PublicIpAddress" not in instance


def test_user_data_comes_back_as_it_was_given(shop: Shop) -> None:
    instance = shop.launch(UserData="#!/bin/sh\necho grüße\n")

    value = shop.attribute(instance["InstanceId"], "userData")["Value"]

    assert b64decode(value).decode() == "#!/bin/sh\necho grüße\n"


def test_metadata_options_at_launch_are_shown(shop: Shop) -> None:
    options: Any = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 5, "InstanceMetadataTags": "enabled"}

    shown = shop.launch(MetadataOptions=options)["MetadataOptions"]

    assert {name: shown[name] for name in options} == options
    assert shown["HttpEndpoint"] == "enabled"


def test_values_that_say_what_is_so_anyhow_are_taken(shop: Shop) -> None:
    shop.launch(
        EbsOptimized=False,
        Monitoring={"Enabled": False},
        HibernationOptions={"Configured": False},
        EnclaveOptions={"Enabled": False},
        Placement={"Tenancy": "default", "AvailabilityZone": "us-east-1c"},
    )


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "image"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "p3.2xlarge"}, "InvalidParameterValue"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"Placement": {"AvailabilityZone": "us-east-1z"}}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "10.0.0.5"}, "InvalidParameterValue"),
        ({"MaxCount": 0}, "InvalidParameterValue"),
        ({"MinCount": 2}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "none"}}, "InvalidParameterValue"),
        ({"BlockDeviceMappings": [{"DeviceName": "disk", "Ebs": {"VolumeSize": 1}}]}, "InvalidParameterValue"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {}}]}, "MissingParameter"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "InvalidParameterCombination"),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-00000000000000000"},
            "InvalidParameterCombination",
        ),
        (
            {"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]},
            "InvalidParameterValue",
        ),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:a", "Value": "b"}]}]},
            "InvalidParameterValue",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_bad_launch_is_refused_and_leaves_nothing(shop: Shop, members: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as error:
        shop.launch_ids(**{"MinCount": 1, "MaxCount": 1, **members})

    assert refusal(error) == code
    assert shop.found() == []
    assert shop.ec2.describe_volumes()["Volumes"] == []


def test_the_answer_shows_what_is_on_its_way(shop: Shop) -> None:
    """Source: EC2 CLI examples, `run-instances`."""
    (launched,) = shop.ec2.run_instances(ImageId=shop.image_id, MinCount=1, MaxCount=1)["Instances"]

    assert launched["State"] == {"Code": 0, "Name": "pending"}
    assert launched["StateReason"] == {"Code": "pending", "Message": "pending"}
    assert launched["MetadataOptions"]["State"] == "pending"
    (interface,) = launched["NetworkInterfaces"]
    assert (interface["Attachment"]["Status"], interface["Status"]) == ("attaching", "in-use")


def test_a_running_instance_has_all_of_it_and_no_reason(shop: Shop) -> None:
    instance = shop.launch()

    assert "StateReason" not in instance
    assert instance["MetadataOptions"]["State"] == "applied"
    assert instance["NetworkInterfaces"][0]["Attachment"]["Status"] == "attached"


def test_nobody_else_operates_an_instance(shop: Shop) -> None:
    instance = shop.launch()

    assert instance["Operator"] == {"Managed": False}
    assert instance["NetworkInterfaces"][0]["Operator"] == {"Managed": False}
    assert instance["NetworkPerformanceOptions"] == {"BandwidthWeighting": "default"}


@pytest.mark.parametrize(
    "wanted",
    [
        ("network-performance-options.bandwidth-weighting", "default"),
        ("capacity-reservation-specification.capacity-reservation-preference", "open"),
        ("operator.managed", "false"),
    ],
)
def test_filters_find_what_is_shown_of_its_surroundings(shop: Shop, wanted: tuple[str, str]) -> None:
    instance_id = shop.launch()["InstanceId"]

    assert shop.found(wanted, ("instance-id", instance_id)) == [instance_id]


@pytest.mark.parametrize(
    "wanted",
    [
        ("state-reason-code", "pending"),
        ("state-reason-message", "pending"),
        ("metadata-options.state", "pending"),
        ("network-interface.attachment.status", "attaching"),
    ],
)
def test_filters_find_an_instance_by_what_is_on_its_way(shop: Shop, wanted: tuple[str, str]) -> None:
    instance_id = shop.launch()["InstanceId"]
    caller = Caller(account_id=shop.account_id, region="us-east-1")
    (running,) = shop.running.server.app.instances.describe(caller, [instance_id])
    pending = replace(running, instance=replace(running.instance, state=InstanceState.PENDING))
    matches = FILTERS.compile({"Filters": [{"Name": wanted[0], "Values": [wanted[1]]}]})

    assert (matches(pending), matches(running)) == (True, False)


def test_a_client_token_has_up_to_64_characters(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        shop.launch(ClientToken="t" * 65)

    assert refusal(error) == "InvalidParameterValue"
    assert shop.launch(ClientToken="t" * 64)["ClientToken"] == "t" * 64


def test_a_volume_that_no_image_describes_has_the_type_that_create_volume_gives(shop: Shop) -> None:
    instance = shop.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])

    volume_ids = [device["Ebs"]["VolumeId"] for device in instance["BlockDeviceMappings"]]
    root, data = (shop.ec2.describe_volumes(VolumeIds=[it])["Volumes"][0] for it in volume_ids)
    assert (root["VolumeType"], data["VolumeType"], data["Iops"]) == ("gp3", "gp2", 100)
