"""An instance's metadata, complete, for tests to vary."""

from datetime import UTC, datetime
from typing import Any

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_metadata import InstanceMetadata, InterfaceMetadata
from bakehouse.domain.metadata_options import MetadataOptions
from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.security_group import SecurityGroup

ACCOUNT = "111122223333"
REGION = "eu-central-1"
ZONE = "eu-central-1b"
VPC_ID = "vpc-0123456789abcdef0"
NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


def instance(**changes: Any) -> Instance:
    return Instance(
        **{
            "id": "i-0123456789abcdef0",
            "account_id": ACCOUNT,
            "region": REGION,
            "reservation_id": "r-0123456789abcdef0",
            "launch_index": 0,
            "image_id": "ami-0123456789abcdef0",
            "type": "t3.micro",
            "architecture": "x86_64",
            "state": InstanceState.RUNNING,
            "launched_at": NOW,
            "availability_zone": ZONE,
            "vpc_id": VPC_ID,
            "subnet_id": "subnet-0123456789abcdef0",
            "network_interface_id": "eni-0123456789abcdef0",
            "root_device_name": "/dev/xvda",
            "key_name": "my-key",
            "public_key": "ssh-ed25519 AAAAC3Nz my-key",
            "user_data": b"#!/bin/sh\nexit 0\n",
            "metadata_options": MetadataOptions(tokens_required=False, tags_enabled=True),
            "tags": {"Name": "web", "Environment": "dev"},
            **changes,
        }
    )


def interface(**changes: Any) -> NetworkInterface:
    return NetworkInterface(
        **{
            "id": "eni-0123456789abcdef0",
            "account_id": ACCOUNT,
            "region": REGION,
            "vpc_id": VPC_ID,
            "subnet_id": "subnet-0123456789abcdef0",
            "availability_zone": ZONE,
            "instance_id": "i-0123456789abcdef0",
            "mac": "02:11:22:33:44:55",
            "private_ip": "172.31.16.10",
            "public_ip": "127.20.3.4",
            "wants_public_ip": True,
            "group_ids": ("sg-0123456789abcdef0", "sg-0123456789abcdef1"),
            "attachment_id": "eni-attach-0123456789abcdef0",
            "attached_at": NOW,
            **changes,
        }
    )


def group(number: int, name: str) -> SecurityGroup:
    return SecurityGroup(
        id=f"sg-0123456789abcdef{number}",
        account_id=ACCOUNT,
        region=REGION,
        vpc_id=VPC_ID,
        name=name,
        description=name,
    )


VPC = Vpc(id=VPC_ID, account_id=ACCOUNT, region=REGION, cidr="172.31.0.0/16", is_default=True, dns_hostnames=True)
SUBNET = Subnet(
    id="subnet-0123456789abcdef0",
    account_id=ACCOUNT,
    region=REGION,
    vpc_id=VPC_ID,
    cidr="172.31.16.0/20",
    availability_zone=ZONE,
    default_for_az=True,
    map_public_ip=True,
)


_OF_METADATA = ("data_devices", "ephemeral_devices", "interruption")


def metadata(*, others: tuple[NetworkInterface, ...] = (), vpc: Vpc = VPC, **changes: Any) -> InstanceMetadata:
    """Return metadata in which some members of the instance or the interface differ, with further interfaces."""
    of_interface = {name: changes.pop(name) for name in ("private_ip", "public_ip", "mac") if name in changes}
    of_metadata = {name: changes.pop(name) for name in _OF_METADATA if name in changes}
    groups = (group(0, "web"), group(1, "ssh"))
    return InstanceMetadata(
        instance=instance(**changes),
        interfaces=tuple(
            InterfaceMetadata(interface=it, vpc=vpc, subnet=SUBNET, groups=groups)
            for it in (interface(**of_interface), *others)
        ),
        **of_metadata,
    )
