"""Terraform's instances and all about them by its AWS provider's calls: applied, planned again, changed, destroyed."""

import json
from typing import Final

import pytest
from tests.clients.terraform.addresses import AwsEip, AwsEipAssociation, AwsKeyPair
from tests.clients.terraform.images import AwsAmi, AwsAmiCopy, AwsAmiFromInstance, aws_ami, in_days
from tests.clients.terraform.instance import AwsInstance
from tests.clients.terraform.launch_template import AwsLaunchTemplate
from tests.clients.terraform.provider import Values
from tests.clients.terraform.security_groups import AwsSecurityGroup
from tests.clients.terraform.stack import TAGS, ZONE, Network, Stack
from tests.clients.terraform.storage import AwsEbsVolume, AwsVolumeAttachment
from tests.system.shop import Shop

pytestmark = pytest.mark.slow

LATER: Final = in_days(300)
PUBLIC_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRDgtzVR0GDNghfHARj5nMGdK6SSQnxU+wb5MNPePkw somebody"
TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
}


def test_addresses_and_keys(shop: Shop, stack: Stack) -> None:
    network = Network(stack)
    key = stack.apply(AwsKeyPair, key_name="mine", public_key=PUBLIC_KEY, tags=TAGS)
    instance = network.instance(stack, shop.image_id, key_name=key.id, secondary_private_ips=["10.1.1.9"])
    interface_id = instance.state["primary_network_interface_id"]

    address = stack.apply(AwsEip, domain="vpc", instance=instance.id, tags=TAGS)
    stack.change(key, {"tags": {"Name": "other"}})
    stack.change(
        address,
        {"instance": None},
        {"network_interface": interface_id},
        {"network_interface": interface_id, "associate_with_private_ip": "10.1.1.9"},
        {"network_interface": None, "associate_with_private_ip": None, "tags": {}},
    )
    free = stack.apply(AwsEip)
    stack.apply(AwsEipAssociation, allocation_id=free.id, instance_id=instance.id)

    assert stack.ec2.describe_addresses(AllocationIds=[free.id])["Addresses"][0]["InstanceId"] == instance.id
    stack.end()


#: How an instance is changed in place, in an order in which each is a change.
INSTANCE_CHANGES: Final[list[Values]] = [
    {"instance_type": "t2.micro"},
    {"capacity_reservation_specification": {"capacity_reservation_preference": "none"}},
    {"user_data": "#!/bin/sh\ntrue\n"},
    {"source_dest_check": False},
    {"monitoring": True},
    {"disable_api_stop": True, "disable_api_termination": True},
    {"cpu_credits": "unlimited"},
    {"metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 2}},
    {"metadata_options": {"instance_metadata_tags": "enabled"}},
    {"metadata_options": {"http_endpoint": "disabled"}},
    {"maintenance_options": {"auto_recovery": "disabled"}},
    {"private_dns_name_options": {"enable_resource_name_dns_a_record": True}},
    {"root_block_device": {"volume_size": 4}},
    {"root_block_device": {"volume_size": 4, "delete_on_termination": False}},
    {"root_block_device": {"volume_size": 4, "tags": TAGS}},
    {"secondary_private_ips": ["10.1.1.31"]},
    {"secondary_private_ips": ["10.1.1.32"]},
    {"secondary_private_ips": []},
    {"instance_initiated_shutdown_behavior": "terminate", "tags": {"Name": "other"}},
    {"root_block_device": {"volume_size": 4, "delete_on_termination": True, "tags": {}}, "monitoring": False},
]


def test_an_instance_s_changes(shop: Shop, stack: Stack) -> None:
    network = Network(stack)
    second = stack.apply(AwsSecurityGroup, name="second", description="d", vpc_id=network.vpc.id)
    disk = {"volume_size": 3, "volume_type": "gp3"}
    instance = network.instance(
        stack, shop.image_id, private_ip="10.1.1.20", root_block_device=disk, user_data="#!/bin/sh\n"
    )

    stack.change(instance, *INSTANCE_CHANGES)
    stack.change(instance, {"root_block_device": {"volume_size": 8, "iops": 4000, "throughput": 200}})
    stack.change(instance, {"vpc_security_group_ids": [second.id]}, {"vpc_security_group_ids": [network.group.id]})

    stack.end()


#: How an instance may be made otherwise than in the subnet's default way.
INSTANCES: Final[dict[str, Values]] = {
    "with a public address": {"associate_public_ip_address": True},
    "without a public address": {"associate_public_ip_address": False},
    "of t3": {"instance_type": "t3.micro", "cpu_options": {"core_count": 1, "threads_per_core": 1}},
    "of a type without credits": {"instance_type": "m5.large"},
    "with disks": {
        "ebs_block_device": [{"device_name": "/dev/sdf", "volume_size": 1, "volume_type": "gp3"}],
        "root_block_device": {"volume_size": 8, "volume_type": "gp3", "iops": 3500, "throughput": 150, "tags": TAGS},
    },
    "with tags of its volumes": {"volume_tags": TAGS},
    "with options": {
        "capacity_reservation_specification": {"capacity_reservation_preference": "none"},
        "cpu_credits": "standard",
        "disable_api_stop": True,
        "disable_api_termination": True,
        "instance_initiated_shutdown_behavior": "terminate",
        "maintenance_options": {"auto_recovery": "disabled"},
        "metadata_options": {"http_endpoint": "enabled", "http_tokens": "required"},
        "monitoring": True,
        "private_dns_name_options": {"hostname_type": "resource-name", "enable_resource_name_dns_a_record": True},
        "source_dest_check": False,
        "tenancy": "default",
    },
    "on the spot market": {"instance_market_options": {"market_type": "spot", "spot_instance_type": "one-time"}},
}


@pytest.mark.parametrize("wanted", [pytest.param(it, id=name) for name, it in INSTANCES.items()])
def test_an_instance(shop: Shop, stack: Stack, wanted: Values) -> None:
    instance = stack.machine(shop.image_id, tags=TAGS, **wanted)

    if "volume_tags" in wanted:
        stack.change(instance, {"volume_tags": {"Name": "other"}})

    stack.end()


def test_an_instance_of_little_more_than_an_image(shop: Shop, stack: Stack) -> None:
    instance = stack.apply(AwsInstance, ami=shop.image_id, instance_type="t2.nano")

    assert instance.state["security_groups"] == ["default"]
    stack.end()


def test_an_instance_with_an_interface_of_its_own(shop: Shop, stack: Stack) -> None:
    network = Network(stack)
    made = stack.ec2.create_network_interface(SubnetId=network.subnet.id, Groups=[network.group.id])
    interface_id = made["NetworkInterface"]["NetworkInterfaceId"]
    interfaces = [{"network_interface_id": interface_id}]

    instance = stack.apply(AwsInstance, ami=shop.image_id, instance_type="t2.nano", network_interface=interfaces)

    assert instance.state["primary_network_interface_id"] == interface_id
    instance.destroy()
    stack.ec2.delete_network_interface(NetworkInterfaceId=interface_id)
    stack.forget(instance)
    stack.end()


def test_an_instance_s_profiles(shop: Shop, stack: Stack) -> None:
    iam = shop.running.client("iam", shop.name)
    for name in ("one", "other"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    instance = stack.machine(shop.image_id, iam_instance_profile="one")
    stack.change(instance, *({"iam_instance_profile": name} for name in ("other", "", "one")))

    stack.end()


@pytest.mark.parametrize("version", ["$Default", "$Latest", "1"])
def test_an_instance_of_a_template(shop: Shop, stack: Stack, version: str) -> None:
    data = {"ImageId": shop.image_id, "InstanceType": "t2.nano", "UserData": "IyEvYmluL3NoCg=="}
    template = stack.apply(AwsLaunchTemplate, name="web", data=data)

    instance = stack.apply(AwsInstance, launch_template={"id": template.id, "version": version})

    assert (instance.state["ami"], instance.state["user_data"]) == (shop.image_id, "#!/bin/sh\n")
    stack.end()


def test_images_of_an_instance(shop: Shop, stack: Stack) -> None:
    instance = stack.machine(shop.image_id)
    image = stack.apply(AwsAmiFromInstance, description="d", name="made", source_instance_id=instance.id, tags=TAGS)
    copied = stack.apply(AwsAmiCopy, name="copied", source_ami_id=image.id, deprecation_time=LATER)

    for made in (image, copied):
        stack.change(made, {"description": "other", "tags": {"Name": "other"}}, {"description": ""})
    stack.change(image, {"deprecation_time": LATER}, {"deprecation_time": in_days(400)})
    stack.change(copied, {"deprecation_time": None, "tags": {}})

    stack.end()


#: How an image of a snapshot may be registered.
REGISTRATIONS: Final[dict[str, Values]] = {
    "plainly": {},
    "with all that can be said of it": {
        "boot_mode": "uefi",
        "deprecation_time": LATER,
        "description": "by hand, <&>",
        "ena_support": True,
        "imds_support": "v2.0",
        "tags": TAGS,
        "tpm_support": "v2.0",
    },
}


@pytest.mark.parametrize("said", [pytest.param(it, id=name) for name, it in REGISTRATIONS.items()])
def test_a_registered_image(shop: Shop, stack: Stack, said: Values) -> None:
    instance = stack.machine(shop.image_id)
    image = stack.apply(AwsAmiFromInstance, name="made", source_instance_id=instance.id)
    snapshot_id = image.state["root_snapshot_id"]
    devices = [
        {"device_name": "/dev/xvda", "snapshot_id": snapshot_id, "volume_type": "gp3"},
        {"device_name": "/dev/sdf", "volume_size": 2},
        {"device_name": "/dev/sdg", "volume_size": 8, "volume_type": "gp3", "iops": 4000, "throughput": 200},
    ]

    registered = stack.apply(
        AwsAmi,
        ebs_block_device=devices,
        name="registered",
        root_device_name="/dev/xvda",
        virtualization_type="hvm",
        **said,
    )
    stack.change(registered, {"description": "other", "tags": {"Name": "other"}})

    assert registered.state["root_snapshot_id"] == snapshot_id
    stack.end()


def test_a_volume_and_where_it_is_attached(shop: Shop, stack: Stack) -> None:
    instance = stack.machine(shop.image_id)
    volume = stack.apply(AwsEbsVolume, availability_zone=ZONE, size=1, tags=TAGS, type="gp3")
    place = {"device_name": "/dev/sdf", "instance_id": instance.id, "volume_id": volume.id}
    stack.apply(AwsVolumeAttachment, **place, stop_instance_before_detaching=True)

    stack.change(volume, {"size": 8, "iops": 4000, "throughput": 200, "tags": {}})

    stack.end()


#: What a volume may be, and how it is changed then.
VOLUMES: Final[dict[str, tuple[Values, Values]]] = {
    "what it is by default": ({"size": 1}, {"size": 2, "type": "gp3", "iops": 3000}),
    "gp3": ({"size": 8, "type": "gp3", "iops": 3500, "throughput": 150}, {"iops": 4000}),
    "io1": ({"size": 4, "type": "io1", "iops": 100}, {"iops": 200}),
    "io2": ({"size": 4, "type": "io2", "iops": 100}, {"size": 5}),
    "of a snapshot": ({"snapshot_id": "of the image"}, {"tags": TAGS}),
}


@pytest.mark.parametrize(("wanted", "changed"), [pytest.param(*it, id=name) for name, it in VOLUMES.items()])
def test_a_volume(shop: Shop, stack: Stack, wanted: Values, changed: Values) -> None:
    if "snapshot_id" in wanted:
        (image,) = stack.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
        wanted = {"snapshot_id": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]}

    volume = stack.apply(AwsEbsVolume, availability_zone="us-east-1a", **wanted)
    stack.change(volume, changed)

    stack.end()


def test_a_volume_whose_last_state_is_kept(stack: Stack) -> None:
    volume = stack.apply(AwsEbsVolume, availability_zone="us-east-1a", size=1, final_snapshot=True, tags=TAGS)

    volume.destroy()

    (kept,) = stack.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume.id]}])["Snapshots"]
    assert {tag["Key"]: tag["Value"] for tag in kept["Tags"]} == TAGS


def test_a_launch_template(shop: Shop, stack: Stack) -> None:
    group = stack.apply(AwsSecurityGroup, name="web", vpc_id=stack.ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
    data: Values = {
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 4, "VolumeType": "gp3", "DeleteOnTermination": True}},
            {"DeviceName": "/dev/sdf", "NoDevice": ""},
        ],
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
        "CreditSpecification": {"CpuCredits": "standard"},
        "DisableApiStop": True,
        "DisableApiTermination": True,
        "EbsOptimized": False,
        "HibernationOptions": {"Configured": False},
        "ImageId": shop.image_id,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}},
        "InstanceType": "t3.nano",
        "MaintenanceOptions": {"AutoRecovery": "disabled"},
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "Monitoring": {"Enabled": True},
        "NetworkInterfaces": [{"AssociatePublicIpAddress": True, "DeviceIndex": 0, "Groups": [group.id]}],
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "PrivateDnsNameOptions": {"HostnameType": "ip-name", "EnableResourceNameDnsARecord": False},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "<ä & 'b'>"}]}],
        "UserData": "IyEvYmluL3NoCg==",
    }

    small = {"ImageId": shop.image_id, "InstanceType": "t2.nano", "SecurityGroupIds": [group.id]}
    template = stack.apply(AwsLaunchTemplate, name="web", data=data, description="first", tags=TAGS)
    stack.change(template, {"data": small, "description": None}, {"default_version": 2}, {"tags": {"Name": "other"}})
    stack.change(
        template, {"default_version": None, "update_default_version": True, "data": {"InstanceType": "t2.micro"}}
    )

    assert (template.state["default_version"], template.state["latest_version"]) == (3, 3)
    stack.end()


def test_an_image_as_data(shop: Shop, stack: Stack) -> None:
    instance = stack.machine(shop.image_id)
    for name in ("data-1", "data-2"):
        stack.apply(AwsAmiFromInstance, name=name, source_instance_id=instance.id, tags=TAGS)
    by_name = {"name": ["data-*"], "root-device-type": ["ebs"], "virtualization-type": ["hvm"]}

    newest = aws_ami(shop.ec2, owners=["self"], most_recent=True, wanted=by_name)
    first = aws_ami(shop.ec2, owners=[shop.account_id], name_regex="^data-1$", wanted={"state": ["available"]})

    dates = [image["CreationDate"] for image in stack.ec2.describe_images(Owners=["self"])["Images"]]
    assert (newest["creation_date"], newest["tags"], newest["owner_id"]) == (max(dates), TAGS, shop.account_id)
    assert first["name"] == "data-1"
    assert aws_ami(shop.ec2, owners=["self"], wanted={"image-id": [first["id"]]}) == first
    stack.end()
