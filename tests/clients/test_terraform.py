"""Terraform's resources by its AWS provider's calls: applied, planned again, changed, destroyed; nothing is left."""

from typing import Any

import pytest
from tests.clients.terraform.machines import AwsEip, AwsInstance, AwsKeyPair, AwsLaunchTemplate
from tests.clients.terraform.network import (
    AwsInternetGateway,
    AwsRouteTable,
    AwsRouteTableAssociation,
    AwsSecurityGroup,
    AwsSubnet,
    AwsVpc,
    AwsVpcSecurityGroupRule,
)
from tests.clients.terraform.provider import Resource
from tests.clients.terraform.storage import AwsAmi, AwsAmiCopy, AwsAmiFromInstance, AwsEbsVolume, AwsVolumeAttachment
from tests.system.shop import Shop

TAGS = {"Name": "<ä & 'b'>", "Made": "by Terraform"}
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRDgtzVR0GDNghfHARj5nMGdK6SSQnxU+wb5MNPePkw somebody"


class Stack:
    """Resources in the order in which they were applied; each is planned again at once."""

    def __init__(self, shop: Shop) -> None:
        self.ec2 = shop.ec2
        self._applied: list[Resource] = []

    def apply(self, make: type[Resource], **wanted: Any) -> Resource:
        resource = make(self.ec2, **wanted).apply()
        assert resource.plan() == {}
        self._applied.append(resource)
        return resource

    def change(self, resource: Resource, **wanted: Any) -> None:
        resource.change(**wanted)
        assert resource.plan() == {}

    def plan(self) -> dict[str, Any]:
        """Return what any resource differs in from its configuration."""
        return {type(it).__name__: found for it in self._applied if (found := it.plan())}

    def destroy(self) -> None:
        for resource in reversed(self._applied):
            resource.destroy()


@pytest.fixture
def stack(shop: Shop) -> Stack:
    """An empty configuration."""
    return Stack(shop)


class Network:
    """A VPC with a subnet that is open to the outside, and a group that lets SSH in."""

    def __init__(self, stack: Stack) -> None:
        self.vpc = stack.apply(AwsVpc, cidr_block="10.1.0.0/16", enable_dns_hostnames=True, tags=TAGS)
        self.gateway = stack.apply(AwsInternetGateway, vpc_id=self.vpc.id, tags=TAGS)
        self.subnet = stack.apply(
            AwsSubnet,
            availability_zone="us-east-1b",
            cidr_block="10.1.1.0/24",
            map_public_ip_on_launch=True,
            tags=TAGS,
            vpc_id=self.vpc.id,
        )
        routes = {"0.0.0.0/0": self.gateway.id}
        self.table = stack.apply(AwsRouteTable, vpc_id=self.vpc.id, routes=routes, tags=TAGS)
        self.association = stack.apply(AwsRouteTableAssociation, route_table_id=self.table.id, subnet_id=self.subnet.id)
        self.group = stack.apply(AwsSecurityGroup, name="web", description="d", vpc_id=self.vpc.id, tags=TAGS)
        self.rule = stack.apply(
            AwsVpcSecurityGroupRule,
            cidr_ipv4="0.0.0.0/0",
            description="SSH",
            egress=False,
            from_port=22,
            ip_protocol="tcp",
            security_group_id=self.group.id,
            tags=TAGS,
            to_port=22,
        )

    def instance(self, stack: Stack, image_id: str, **wanted: Any) -> Resource:
        configured = {
            "ami": image_id,
            "instance_type": "t2.nano",
            "subnet_id": self.subnet.id,
            "tags": TAGS,
            "vpc_security_group_ids": [self.group.id],
        }
        return stack.apply(AwsInstance, **configured, **wanted)


def own(shop: Shop) -> dict[str, Any]:
    """Return what an account has of what these resources make."""
    ec2: Any = shop.ec2
    asked = {
        "addresses": ec2.describe_addresses()["Addresses"],
        "gateways": ec2.describe_internet_gateways()["InternetGateways"],
        "groups": ec2.describe_security_groups()["SecurityGroups"],
        "images": ec2.describe_images(Owners=["self"])["Images"],
        "interfaces": ec2.describe_network_interfaces()["NetworkInterfaces"],
        "keys": ec2.describe_key_pairs()["KeyPairs"],
        "snapshots": ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
        "subnets": ec2.describe_subnets()["Subnets"],
        "tables": ec2.describe_route_tables()["RouteTables"],
        "templates": ec2.describe_launch_templates()["LaunchTemplates"],
        "volumes": ec2.describe_volumes()["Volumes"],
        "vpcs": ec2.describe_vpcs()["Vpcs"],
    }
    return {name: len(found) for name, found in asked.items()}


def test_a_network(shop: Shop, stack: Stack) -> None:
    before = own(shop)
    network = Network(stack)
    egress = {"egress": True, "security_group_id": network.group.id}
    stack.apply(AwsVpcSecurityGroupRule, cidr_ipv4="0.0.0.0/0", ip_protocol="-1", **egress)
    other = stack.apply(AwsRouteTable, vpc_id=network.vpc.id, routes={})
    peers = {"referenced_security_group_id": network.group.id, "from_port": 8000, "to_port": 9000}
    stack.apply(AwsVpcSecurityGroupRule, **peers, ip_protocol="tcp", egress=False, security_group_id=network.group.id)

    stack.change(network.vpc, enable_dns_hostnames=False, tags={"Name": "other"})
    stack.change(network.subnet, map_public_ip_on_launch=False)
    stack.change(network.table, routes={})
    stack.change(network.table, routes={"192.0.2.0/24": network.gateway.id})
    stack.change(network.association, route_table_id=other.id)
    stack.change(network.rule, from_port=2222, to_port=2223, cidr_ipv4="10.0.0.0/8", description="other")
    stack.change(network.rule, tags={})

    assert stack.plan() == {}
    stack.destroy()
    assert own(shop) == before


def test_an_instance(shop: Shop, stack: Stack) -> None:
    before = own(shop)
    network = Network(stack)
    key = stack.apply(AwsKeyPair, key_name="mine", public_key=PUBLIC_KEY, tags=TAGS)
    instance = network.instance(
        stack, shop.image_id, key_name=key.id, private_ip="10.1.1.20", root_volume_size=3, user_data="#!/bin/sh\n"
    )
    second = stack.apply(AwsSecurityGroup, name="second", description="d", vpc_id=network.vpc.id)
    address = stack.apply(AwsEip, domain="vpc", instance=instance.id, tags=TAGS)

    stack.change(instance, instance_type="t2.micro")
    stack.change(instance, user_data="#!/bin/sh\ntrue\n")
    stack.change(instance, vpc_security_group_ids=[second.id], source_dest_check=False)
    stack.change(instance, monitoring=True, disable_api_stop=True, disable_api_termination=True)
    stack.change(instance, cpu_credits="unlimited", http_tokens="required", root_volume_size=4)
    stack.change(instance, instance_initiated_shutdown_behavior="terminate", tags={"Name": "other"})
    stack.change(address, instance=None)
    stack.change(address, instance=instance.id)
    stack.change(instance, vpc_security_group_ids=[network.group.id])

    assert stack.plan() == {}
    stack.destroy()
    assert own(shop) == before


def test_images(shop: Shop, stack: Stack) -> None:
    before = own(shop)
    instance = Network(stack).instance(stack, shop.image_id)
    image = stack.apply(AwsAmiFromInstance, description="d", name="made", source_instance_id=instance.id, tags=TAGS)
    copied = stack.apply(AwsAmiCopy, description="d", name="copied", source_ami_id=image.id, tags=TAGS)
    registered = stack.apply(
        AwsAmi,
        architecture="x86_64",
        description="by hand",
        ena_support=True,
        name="registered",
        root_device_name="/dev/xvda",
        root_snapshot_id=copied.state["root_snapshot_id"],
        tags=TAGS,
        virtualization_type="hvm",
    )

    for made in (image, copied, registered):
        stack.change(made, description="other", tags={"Name": "other"})
    stack.change(copied, deprecation_time="2030-01-02T03:04:00.000Z")

    assert stack.plan() == {}
    stack.destroy()
    assert own(shop) == before


def test_a_volume_and_where_it_is_attached(shop: Shop, stack: Stack) -> None:
    before = own(shop)
    instance = Network(stack).instance(stack, shop.image_id)
    volume = stack.apply(AwsEbsVolume, availability_zone="us-east-1b", size=1, tags=TAGS, type="gp3")
    stack.apply(AwsVolumeAttachment, device_name="/dev/sdf", instance_id=instance.id, volume_id=volume.id)

    stack.change(volume, size=8, iops=4000, throughput=200, tags={})

    assert stack.plan() == {}
    stack.destroy()
    assert own(shop) == before


def test_a_launch_template(shop: Shop, stack: Stack) -> None:
    before = own(shop)
    group = stack.apply(
        AwsSecurityGroup, name="web", description="d", vpc_id=shop.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )
    template = stack.apply(
        AwsLaunchTemplate,
        image_id=shop.image_id,
        instance_type="t2.nano",
        name="web",
        tags=TAGS,
        user_data="IyEvYmluL3NoCg==",
        vpc_security_group_ids=[group.id],
    )

    stack.change(template, instance_type="t2.micro", tags={"Name": "other"})

    assert (template.state["default_version"], template.state["latest_version"]) == (2, 2)
    stack.destroy()
    assert own(shop) == before
