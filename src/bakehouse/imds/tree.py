"""The tree that a guest reads: names to values, built whole for one instance.

Each name that a directory lists can be read: cloud-init gives up on a tree in which one cannot. So what an instance
has not is not listed: a public address, a key pair, tags, roles, the signatures of the identity document (those are
made with keys that AWS alone has).

Every version has the same tree. Clients ask for one to fix the form of what they read, and no form has changed.
Source: EC2 User Guide, "Instance metadata categories"; the order of names is the one that AWS lists them in.
"""

import json
from collections.abc import Iterable
from datetime import UTC
from typing import Final

from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_metadata import InstanceMetadata, InterfaceMetadata
from bakehouse.domain.network import host_name_of, private_domain
from bakehouse.domain.region import zone_id
from bakehouse.imds.nodes import Directory, Node, PlainDirectory, PublicKeys
from bakehouse.imds.owner_nodes import login_keys, maintenance, roles
from bakehouse.imds.spot import spot_nodes

#: Source: EC2 User Guide, "Access instance metadata for an EC2 instance", the versions that `/` lists.
VERSIONS: Final = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
)


def find(metadata: InstanceMetadata, path: str) -> Node | None:
    """Return what a path names, or None. Empty segments do not count: leading, trailing, double slashes."""
    names = [name for name in path.split("/") if name]
    if not names:
        return PlainDirectory((version, "") for version in VERSIONS)
    if names[0] not in VERSIONS:
        return None
    node: Node | None = tree(metadata)
    for name in names[1:]:
        node = node.get(name) if isinstance(node, Directory) else None
    return node


def tree(metadata: InstanceMetadata) -> Directory:
    """Return the tree of any version: dynamic data, metadata, and user data if the instance has some."""
    root = PlainDirectory(
        {
            "dynamic": Directory({"instance-identity": Directory({"document": identity_document(metadata)})}),
            "meta-data": _meta_data(metadata),
        }
    )
    if metadata.instance.user_data:
        root["user-data"] = metadata.instance.user_data
    return root


def identity_document(metadata: InstanceMetadata) -> str:
    """Return the instance identity document. Source: EC2 User Guide, "Instance identity documents"."""
    instance = metadata.instance
    members = {
        "accountId": instance.account_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.availability_zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "kernelId": None,
        "pendingTime": f"{instance.launched_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "privateIp": metadata.interface.private_ip,
        "ramdiskId": None,
        "region": instance.region,
        "version": "2017-09-30",
    }
    return json.dumps(members, indent=2, separators=(",", " : "))


def _meta_data(metadata: InstanceMetadata) -> Directory:
    instance = metadata.instance
    interface = metadata.interface
    nodes: dict[str, Node | None] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": _block_devices(metadata),
        "events": Directory({"maintenance": maintenance(metadata)}),
        "hostname": metadata.local_hostname,
        "iam": roles(metadata),
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "spot" if instance.spot_request_id else "on-demand",
        "instance-type": instance.type,
        "local-hostname": metadata.local_hostname,
        "local-ipv4": interface.private_ip,
        "mac": interface.mac,
        "managed-ssh-keys": login_keys(metadata),
        "metrics": Directory({"vhostmd": '<?xml version="1.0" encoding="UTF-8"?>'}),
        "network": Directory({"interfaces": Directory({"macs": _interfaces(metadata)})}),
        "placement": _placement(instance),
        "profile": "default-hvm",
        "public-hostname": metadata.public_hostname,
        "public-ipv4": interface.public_ip,
        "public-keys": _public_keys(metadata),
        "reservation-id": instance.reservation_id,
        "security-groups": _lines(group.name for group in metadata.groups),
        "services": Directory({"domain": "amazonaws.com", "partition": "aws"}),
        "spot": None if metadata.interruption is None else Directory(spot_nodes(metadata.interruption)),
        "system": metadata.hypervisor,
        "tags": Directory({"instance": Directory(metadata.tags)}) if metadata.tags else None,
    }
    return _present(nodes)


def _placement(instance: Instance) -> Directory:
    membership = instance.membership
    partition = membership.partition if membership else None
    nodes: dict[str, Node | None] = {
        "availability-zone": instance.availability_zone,
        "availability-zone-id": zone_id(instance.availability_zone),
        "group-name": membership.group_name if membership else None,
        "partition-number": None if partition is None else str(partition),
        "region": instance.region,
    }
    return _present(nodes)


def _interfaces(metadata: InstanceMetadata) -> Directory:
    return Directory(
        {it.interface.mac: _interface(it, metadata.local_hostname, n) for n, it in enumerate(metadata.interfaces)}
    )


def _interface(metadata: InterfaceMetadata, instance_hostname: str, position: int) -> Directory:
    """Return an interface. Source: EC2 User Guide, "Instance metadata categories", network/interfaces/macs/mac."""
    interface, vpc, subnet = metadata.interface, metadata.vpc, metadata.subnet
    hostname = f"{host_name_of(interface.private_ip)}.{private_domain(interface.region)}"
    pairs = [(interface.public_ip_of(address), address) for address in interface.private_ips]
    public = {public_ip: private_ip for public_ip, private_ip in pairs if public_ip is not None}
    nodes: dict[str, Node | None] = {
        "device-number": str(interface.device_index),
        "interface-id": interface.id,
        "ipv4-associations": Directory(public) if public else None,
        "ipv6s": _lines(interface.ipv6_addresses) or None,
        "local-hostname": instance_hostname if position == 0 else hostname,
        "local-ipv4s": _lines(interface.private_ips),
        "mac": interface.mac,
        "owner-id": interface.account_id,
        "public-hostname": metadata.public_hostname,
        "public-ipv4s": _lines(public) or None,
        "security-group-ids": _lines(group.id for group in metadata.groups),
        "security-groups": _lines(group.name for group in metadata.groups),
        "subnet-id": subnet.id,
        "subnet-ipv4-cidr-block": subnet.cidr,
        "subnet-ipv6-cidr-blocks": subnet.ipv6_cidr.cidr if subnet.ipv6_cidr else None,
        "vpc-id": vpc.id,
        "vpc-ipv4-cidr-block": vpc.cidr,
        "vpc-ipv4-cidr-blocks": _lines(vpc.cidrs),
        "vpc-ipv6-cidr-blocks": vpc.ipv6_cidr.cidr if vpc.ipv6_cidr else None,
    }
    return _present(nodes)


def _block_devices(metadata: InstanceMetadata) -> Directory:
    """Return the devices. Later attachments show too, where AWS shows those of the last start alone."""
    data = {f"ebs{number}": _short(device) for number, device in enumerate(metadata.data_devices, start=1)}
    ephemeral = {name: _short(device) for name, device in metadata.ephemeral_devices}
    root = metadata.instance.root_device_name
    return Directory({"ami": root, **data, **ephemeral, "root": root})


def _public_keys(metadata: InstanceMetadata) -> Directory | None:
    """Return the key that the instance was launched with. Its line ends, so that scripts may append it to a file."""
    instance = metadata.instance
    if instance.key_name is None or instance.public_key is None:
        return None
    return PublicKeys([instance.key_name], [Directory({"openssh-key": f"{instance.public_key.rstrip()}\n"})])


def _short(device_name: str) -> str:
    return device_name.removeprefix("/dev/")


def _lines(values: Iterable[str]) -> str:
    return "\n".join(values)


def _present(nodes: dict[str, Node | None]) -> Directory:
    return Directory({name: node for name, node in nodes.items() if node is not None})
