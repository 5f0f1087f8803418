"""The AWS command line, version 1 from PyPI and 2 from Debian: an image, an instance, a volume, an image of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients.client import Client
from tests.clients.programs import distribution_program, python_environment
from tests.system.shop import Shop
from tests.vm.host import KEY_NAME, Host

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Aws:
    """The program with its options."""

    client: Client
    program: tuple[str, ...]

    def __call__(self, *arguments: str) -> Any:
        return self.client.json([*self.program, "--output", "json", *arguments])

    def say(self, *arguments: str) -> str:
        return self.client.run([*self.program, *arguments]).strip()

    def text(self, query: str, *arguments: str) -> str:
        return self.say("--output", "text", "--query", query, *arguments)


def version_1(client: Client) -> Aws:
    return Aws(client, (str(python_environment("awscli") / "aws"),))


def version_2(client: Client) -> Aws:
    # Debian's is older than the environment's variable for the endpoint.
    return Aws(client, (distribution_program("aws", "/usr/bin"), "--endpoint-url", client.url))


VERSIONS = [
    pytest.param(version_1, marks=pytest.mark.slow, id="1"),
    pytest.param(version_2, marks=pytest.mark.clients, id="2"),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_s_life(version: Callable[[Client], Aws], client: Client, shop: Shop) -> None:
    aws = version(client)
    instance = aws.text("Instances[0].InstanceId", "ec2", "run-instances", "--image-id", shop.image_id)
    aws.say("ec2", "wait", "instance-running", "--instance-ids", instance)

    made = aws.text("ImageId", "ec2", "create-image", "--instance-id", instance, "--name", "made", "--no-reboot")
    aws.say("ec2", "wait", "image-available", "--image-ids", made)
    copied = aws.text(
        "ImageId", "ec2", "copy-image", "--source-image-id", made, "--source-region", "us-east-1", "--name", "copied"
    )
    aws.say("ec2", "wait", "image-available", "--image-ids", copied)
    aws.say("ec2", "modify-image-attribute", "--image-id", copied, "--launch-permission", "Add=[{Group=all}]")
    aws.say("ec2", "create-tags", "--resources", copied, "--tags", "Key=Name,Value=<ä & b>")

    found = aws("ec2", "describe-images", "--owners", "self", "--filters", "Name=name,Values=cop*")["Images"]
    assert [(image["ImageId"], image["Public"]) for image in found] == [(copied, True)]
    assert found[0]["Tags"] == [{"Key": "Name", "Value": "<ä & b>"}]
    snapshots = [device["Ebs"]["SnapshotId"] for device in found[0]["BlockDeviceMappings"]]
    aws.say("ec2", "deregister-image", "--image-id", copied)
    aws.say("ec2", "delete-snapshot", "--snapshot-id", snapshots[0])
    assert copied not in aws.text("Images[].ImageId", "ec2", "describe-images", "--owners", "self")


@pytest.mark.parametrize("version", VERSIONS)
def test_volumes_and_snapshots(version: Callable[[Client], Aws], client: Client, shop: Shop) -> None:
    aws = version(client)
    instance = shop.launch()
    place = ("--availability-zone", instance["Placement"]["AvailabilityZone"])
    volume = aws.text("VolumeId", "ec2", "create-volume", *place, "--size", "1", "--volume-type", "gp3")
    aws.say("ec2", "wait", "volume-available", "--volume-ids", volume)
    where = ("--volume-id", volume, "--instance-id", instance["InstanceId"])

    aws.say("ec2", "attach-volume", *where, "--device", "/dev/sdf")
    aws.say("ec2", "wait", "volume-in-use", "--volume-ids", volume)
    snapshot = aws.text("SnapshotId", "ec2", "create-snapshot", "--volume-id", volume, "--description", "by hand")
    aws.say("ec2", "wait", "snapshot-completed", "--snapshot-ids", snapshot)
    aws.say("ec2", "detach-volume", "--volume-id", volume)
    aws.say("ec2", "wait", "volume-available", "--volume-ids", volume)
    aws.say("ec2", "delete-volume", "--volume-id", volume)
    aws.say("ec2", "wait", "volume-deleted", "--volume-ids", volume)

    query = "Snapshots[].[SnapshotId,Description,State]"
    said = aws.text(query, "ec2", "describe-snapshots", "--owner-ids", "self", "--snapshot-ids", snapshot)
    assert said.split("\t") == [snapshot, "by hand", "completed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_launch_ends_in_a_shell_of_the_guest(
    version: Callable[[Client], Aws], real_client: Client, host: Host
) -> None:
    aws = version(real_client)
    key_file = real_client.folder / "key.pem"
    key_file.touch(mode=0o600)
    name = f"by-{version.__name__}"
    key_file.write_text(
        aws.text("KeyMaterial", "ec2", "create-key-pair", "--key-name", name, "--key-type", "ed25519") + "\n"
    )
    group = aws.text("GroupId", "ec2", "create-security-group", "--group-name", name, "--description", "SSH")
    port = ("--protocol", "tcp", "--port", "22", "--cidr", "0.0.0.0/0")
    aws.say("ec2", "authorize-security-group-ingress", "--group-id", group, *port)
    _user_data(real_client.folder / "user-data")

    instance = aws.text(
        "Instances[0].InstanceId",
        *("ec2", "run-instances", "--image-id", host.image(), "--instance-type", "t2.nano", "--key-name", name),
        *("--security-group-ids", group, "--user-data", "file://user-data"),
        *("--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=web}]"),
    )
    aws.say("ec2", "wait", "instance-running", "--instance-ids", instance)
    only = ("--instance-ids", instance, "--filters", "Name=tag:Name,Values=web")
    address = aws.text("Reservations[].Instances[].PublicIpAddress", "ec2", "describe-instances", *only)

    assert real_client.ssh(address, key_file, "until cat /tmp/note; do sleep 0.2; done 2> /dev/null") == "by user data"
    aws.say("ec2", "terminate-instances", "--instance-ids", instance)
    aws.say("ec2", "wait", "instance-terminated", "--instance-ids", instance)
    aws.say("ec2", "delete-security-group", "--group-id", group)
    aws.say("ec2", "delete-key-pair", "--key-name", name)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_an_instance_in_a_network_of_its_own_is_reached(
    version: Callable[[Client], Aws], real_client: Client, host: Host
) -> None:
    aws = version(real_client)
    vpc = aws.text("Vpc.VpcId", "ec2", "create-vpc", "--cidr-block", "10.7.0.0/16")
    aws.say("ec2", "wait", "vpc-available", "--vpc-ids", vpc)
    in_vpc = ("--vpc-id", vpc)
    subnet = aws.text("Subnet.SubnetId", "ec2", "create-subnet", *in_vpc, "--cidr-block", "10.7.1.0/24")
    aws.say("ec2", "modify-subnet-attribute", "--subnet-id", subnet, "--map-public-ip-on-launch")
    gateway = aws.text("InternetGateway.InternetGatewayId", "ec2", "create-internet-gateway")
    aws.say("ec2", "attach-internet-gateway", "--internet-gateway-id", gateway, *in_vpc)
    table = aws.text("RouteTable.RouteTableId", "ec2", "create-route-table", *in_vpc)
    route = ("--destination-cidr-block", "0.0.0.0/0", "--gateway-id", gateway)
    aws.say("ec2", "create-route", "--route-table-id", table, *route)
    association = aws.text(
        "AssociationId", "ec2", "associate-route-table", "--route-table-id", table, "--subnet-id", subnet
    )
    group = aws.text("GroupId", "ec2", "create-security-group", "--group-name", "g", "--description", "d", *in_vpc)
    port = ("--protocol", "tcp", "--port", "22", "--cidr", "0.0.0.0/0")
    aws.say("ec2", "authorize-security-group-ingress", "--group-id", group, *port)

    launched = ("--image-id", host.image(), "--instance-type", "t2.nano", "--key-name", KEY_NAME)
    where = ("--subnet-id", subnet, "--security-group-ids", group)
    instance = aws.text("Instances[0].InstanceId", "ec2", "run-instances", *launched, *where)
    aws.say("ec2", "wait", "instance-running", "--instance-ids", instance)
    address = aws.text(
        "Reservations[].Instances[].PublicIpAddress", "ec2", "describe-instances", "--instance-ids", instance
    )

    assert real_client.ssh(address, host.home / "test.pem", "hostname").startswith("ip-10-7-1-")
    aws.say("ec2", "terminate-instances", "--instance-ids", instance)
    aws.say("ec2", "wait", "instance-terminated", "--instance-ids", instance)
    aws.say("ec2", "delete-security-group", "--group-id", group)
    aws.say("ec2", "disassociate-route-table", "--association-id", association)
    aws.say("ec2", "delete-route-table", "--route-table-id", table)
    aws.say("ec2", "detach-internet-gateway", "--internet-gateway-id", gateway, *in_vpc)
    aws.say("ec2", "delete-internet-gateway", "--internet-gateway-id", gateway)
    aws.say("ec2", "delete-subnet", "--subnet-id", subnet)
    aws.say("ec2", "delete-vpc", *in_vpc)


def _user_data(path: Path) -> None:
    path.write_text("#!/bin/sh\necho by user data > /tmp/note.new && mv /tmp/note.new /tmp/note\n")
