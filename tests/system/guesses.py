"""Requests that are nearly right: shaped by the model, with ids that exist, and a mistake here and there."""

import random
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bakehouse.ec2.registry import Members, Operation
from bakehouse.protocol.model import Member, Shape
from bakehouse.protocol.model import Operation as ModelOperation

Pairs = list[tuple[str, str]]

PUBLIC_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC71zvpYOvGXtAr+0wNjCiV3lQ8Gv3TUxD5hFDIhzGLq"

NASTY = [
    "", " ", "0", "-1", "1e309", "NaN", "9" * 400, "true", "null", "%00", "\x00", "\ufffe", "i-0123", "..", "=", "*",
    "?", "\\", "2026-11-23T06:18:09Z", "0000-00-00", "QQ==", "Q", "∞", "\u0661", "a" * 5000, "self", "all", "amazon",
    "<&>\"'", "aws:x", "i-0123456789abcdef0", "ami-0123456789abcdef0", "vol-0123456789abcdef0", "0.5", "x" * 300,
    "snap-0123456789abcdef0", "sg-0123456789abcdef0", "4294967296", "-2147483648", "2147483648", "9223372036854775807",
    "/dev/sda1", "\U0001f4a9", "\u2028",
]  # fmt: skip

TAG_KEYS = ["Name", "stage", "", "aws:reserved", "ä", "k" * 128, "k" * 129]
PARTS = ["1", "0", "01", "999999999", "9999999999", "-1", "", "Key", "Name", "Value", "Add", "1.1", "Ebs", "Filter"]

#: What the model calls optional and an operation can do little without: of the request, and of what is in it.
OFTEN_NEEDED = {
    False: {
        "AutoEnableIO",
        "GroupId",
        "ImageId",
        "IncludeAllResourceTypes",
        "InstanceId",
        "IpPermissions",
        "KeyName",
        "LaunchSpecification",
        "LaunchTemplateId",
        "Name",
        "ResourceTypes",
        "Size",
        "SnapshotId",
        "Tags",
    },
    True: {
        "CidrIp",
        "FromPort",
        "ImageId",
        "IpProtocol",
        "IpRanges",
        "Key",
        "LaunchTemplateId",
        "LaunchTemplateSpecification",
        "Name",
        "ResourceType",
        "ToPort",
        "Value",
        "Values",
    },
}
NUMBERS = [
    "0",
    "1",
    "2",
    "4",
    "5",
    "8",
    "22",
    "100",
    "125",
    "443",
    "1000",
    "3000",
    "16384",
    "65535",
    "-1",
    "2147483647",
]
#: Of instances: few, or more than any quota, as a launch of a thousand would be a launch of a thousand.
COUNTS = ["0", "1", "1", "1", "2", "3", "-1", "2147483647"]
#: Of launch templates.
VERSIONS = ["1", "1", "2", "$Latest", "$Default", "0", "one"]
BLOBS = [b64encode(blob).decode() for blob in (b"#!/bin/sh\n", b"ssh-ed25519 AAAA", PUBLIC_KEY, b"x" * 20_000)]
OF_TYPE = {
    "blob": BLOBS,
    "boolean": ["true", "false"],
    "integer": NUMBERS,
    "long": NUMBERS,
    "timestamp": ["2026-11-23T06:18:09Z"],
}

#: Kind of record to the members that take ids of it.
KINDS = {
    "dhcp_options": ("DhcpOptionsId", "DhcpOptionsIds"),
    "egress_only_internet_gateways": ("EgressOnlyInternetGatewayId", "EgressOnlyInternetGatewayIds"),
    "elastic_addresses": ("AllocationId", "AllocationIds"),
    "export_image_tasks": ("ExportImageTaskIds", "ExportTaskId"),
    "export_instance_tasks": ("ExportTaskId", "ExportTaskIds"),
    "fleets": ("FleetIds",),
    "image_usage_reports": ("ReportId", "ReportIds"),
    "images": ("ImageId", "ImageIds", "SourceImageId"),
    "import_image_tasks": ("ImportTaskId", "ImportTaskIds"),
    "import_snapshot_tasks": ("ImportTaskId", "ImportTaskIds"),
    "instances": ("InstanceId", "InstanceIds"),
    "internet_gateways": ("GatewayId", "InternetGatewayId", "InternetGatewayIds"),
    "key_pairs": ("KeyPairId", "KeyPairIds"),
    "launch_templates": ("LaunchTemplateId", "LaunchTemplateIds"),
    "nat_gateways": ("NatGatewayId", "NatGatewayIds"),
    "network_acls": ("NetworkAclId", "NetworkAclIds"),
    "network_interfaces": ("NetworkInterfaceId", "NetworkInterfaceIds"),
    "placement_groups": ("GroupId", "GroupIds"),
    "prefix_lists": ("PrefixListId", "PrefixListIds"),
    "recycle_bin": ("ImageId", "ImageIds", "SnapshotId", "SnapshotIds", "VolumeId", "VolumeIds"),
    "route_tables": ("RouteTableId", "RouteTableIds"),
    "security_groups": ("GroupId", "GroupIds", "Groups", "SecurityGroupIds"),
    "snapshots": ("SnapshotId", "SnapshotIds", "SourceSnapshotId"),
    "spot_requests": ("SpotInstanceRequestIds",),
    "subnets": ("SubnetId", "SubnetIds"),
    "volumes": ("SourceVolumeId", "VolumeId", "VolumeIds"),
    "vpcs": ("VpcId", "VpcIds"),
}

#: Texts of a shape that some of its members could take, where the model does not say which.
OF_SHAPE = {
    "FleetType": ["instant", "instant", "maintain"],
    "ImageUsageResourceTypeName": ["ec2:Instance", "ec2:LaunchTemplate"],
}

#: Texts that some member of this name could take. What is not here takes words.
WORDS: dict[str, list[str]] = {
    "AvailabilityZone": ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1z", "eu-west-1a"],
    "AddressFamily": ["IPv4", "IPv6"],
    "Cidr": ["10.1.0.0/16", "192.0.2.0/24", "2001:db8::/32", "10.0.0.0"],
    "CidrBlock": ["10.0.0.0/16", "10.0.1.0/24", "172.31.64.0/20", "172.31.0.0/20", "10.0.0.0/8", "10.0.0", "::/0"],
    "CidrIp": ["0.0.0.0/0", "10.1.2.3/8", "10.0.0.0", "::/0", "10.0.0.0/33"],
    "CidrIpv6": ["::/0", "2001:db8::/32", "0.0.0.0/0"],
    "ClientToken": ["one", "two", "three"],
    "DefaultVersion": VERSIONS,
    "DestinationCidrBlock": ["0.0.0.0/0", "10.0.0.0/8", "172.31.0.0/16", "172.31.0.0/20", "172.31.0.0/28", "::/0"],
    "DestinationIpv6CidrBlock": ["::/0", "2001:db8::/32", "0.0.0.0/0"],
    "Device": ["/dev/sdf", "/dev/sdg", "xvdh", "/dev/xvda", "/dev/sda1", "sdf"],
    "DeviceName": ["/dev/sdf", "/dev/sdg", "xvdh", "/dev/xvda", "/dev/sda1", "sdf"],
    "Group": ["all"],
    "InstanceType": ["t2.micro", "t3.small", "m5.large", "p5.48xlarge"],
    "InstanceTypes": ["t2.micro", "t3.small", "p5.48xlarge"],
    "IpProtocol": ["tcp", "udp", "icmp", "icmpv6", "-1", "47", "all", "256"],
    "Key": TAG_KEYS,
    "MaxVersion": VERSIONS,
    "MinVersion": VERSIONS,
    "OptionValues": ["running", "stopped", "10", "0"],
    "Owners": ["self", "amazon", "aws-marketplace", "123456789012"],
    "InstanceCount": COUNTS,
    "MaxCount": COUNTS,
    "MinCount": COUNTS,
    "PrivateIpAddresses": ["172.31.0.9", "172.31.0.10", "172.31.0.4", "10.0.0.1"],
    "PrivateIpAddress": ["172.31.0.4", "172.31.0.0", "172.31.5.6", "10.0.0.1", "172.31.0.300"],
    "RegionNames": ["us-east-1", "eu-west-1", "mars-1"],
    "RootDeviceName": ["/dev/xvda", "/dev/sda1"],
    "SourceRegion": ["us-east-1", "us-east-1", "eu-west-1", "mars-1"],
    "SourceVersion": VERSIONS,
    "SupportedInstanceTypes": ["t3.*", "*.micro", "m5.large", "**"],
    "UnsupportedInstanceTypes": ["t3.*", "t2.nano", "*", "**"],
    "Version": VERSIONS,
    "Versions": VERSIONS,
    "WatermarkName": ["approved", "checked", "a:b"],
    "ZoneIds": ["use1-az1", "use1-az9"],
    "ZoneNames": ["us-east-1a", "us-east-1z"],
}


class Guesses:
    """Makes requests of one seed, with ids of what there is."""

    def __init__(self, seed: int, known: Mapping[str, list[str]], filter_names: list[str]) -> None:
        self._random = random.Random(seed)
        self._known = known
        self._filter_names = filter_names
        # With few members more requests succeed, with many more meet each other.
        self._optional = self._random.choice((0.05, 0.2, 0.5))

    def request(self, operation: Operation, model: ModelOperation) -> Pairs:
        """Return a request of an operation, damaged in one of seven."""
        pairs: Pairs = []
        if model.input_shape is not None:
            self._structure(pairs, "", model.input_shape, operation.honours)
        if self._chance(0.15):
            self._damage(pairs)
        return pairs

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _structure(self, pairs: Pairs, prefix: str, shape: Shape, honoured: Members) -> None:
        for name, member in shape.members.items():
            known = honoured.tree.get(name)
            if name == "DryRun":
                probability = 0.02
            elif name in shape.required:
                probability = 0.97
            elif known is not None or (prefix and not honoured.tree):
                probability = 0.7 if name in OFTEN_NEEDED[bool(prefix)] else self._optional
            else:
                probability = 0.003  # not honoured
            if self._chance(probability):
                self._member(pairs, prefix + member.request_name, member, known or Members())

    def _member(self, pairs: Pairs, name: str, member: Member, honoured: Members) -> None:
        shape = member.shape
        if shape.type == "structure":
            self._structure(pairs, f"{name}.", shape, honoured)
        elif shape.type == "list":
            first = self._random.choice((0, 1, 1, 1, 7))
            for number in range(self._random.choice((1, 1, 1, 1, 2, 3))):
                self._element(pairs, f"{name}.{first + number}", member, honoured)
        else:
            pairs.append((name, self._scalar(member.name, shape)))

    def _element(self, pairs: Pairs, name: str, of: Member, honoured: Members) -> None:
        element = of.shape.element.shape
        if element.type == "structure":
            self._structure(pairs, f"{name}.", element, honoured)
        else:
            pairs.append((name, self._scalar(of.name, element)))

    def _scalar(self, name: str, shape: Shape) -> str:
        if self._chance(0.03):
            return self._random.choice(NASTY)
        choices = WORDS.get(name) or OF_SHAPE.get(shape.name) or sorted(shape.enum) or OF_TYPE.get(shape.type)
        return self._text(name) if choices is None else self._random.choice(choices)

    def _text(self, name: str) -> str:
        ids = self._known.get(name)
        if ids and self._chance(0.95):
            return self._random.choice(ids)
        if name in ("Name", "Values", "Value") and self._chance(0.6):
            return self._random.choice([*self._filter_names, *self._known["Any"], "true", "available", "*"])
        return self._random.choice([*self._known["Any"], "web", "w*", "word", "other words"])

    def _damage(self, pairs: Pairs) -> None:
        for _ in range(self._random.randint(1, 3)):
            if not pairs:
                pairs.append((self._random.choice(PARTS), self._random.choice(NASTY)))
                continue
            at = self._random.randrange(len(pairs))
            name, value = pairs[at]
            parts = name.split(".")
            match self._random.choice(("value", "cut", "grow", "part", "twice", "gone")):
                case "value":
                    pairs[at] = (name, self._random.choice(NASTY))
                case "cut":
                    pairs[at] = (".".join(parts[:-1]), value)
                case "grow":
                    pairs[at] = (f"{name}.{self._random.choice(PARTS)}", value)
                case "part":
                    parts[self._random.randrange(len(parts))] = self._random.choice(PARTS)
                    pairs[at] = (".".join(parts), value)
                case "twice":
                    pairs.append((name, self._random.choice(NASTY)))
                case _:
                    del pairs[at]


def known_ids(everything: Mapping[str, Mapping[str, Any]], account_id: str | None) -> dict[str, list[str]]:
    """Return, for each member that takes ids or names, those that an account (or any) has; `Any` are all of them."""
    contents = {
        kind: {
            record.id: record
            for record in records.values()
            if account_id is None or getattr(record, "account_id", account_id) == account_id
        }
        for kind, records in everything.items()
    }
    ids = {kind: sorted(records)[:40] for kind, records in contents.items()}
    names = {
        kind: sorted({record.name for record in contents[kind].values()}) for kind in ("key_pairs", "security_groups")
    }
    rules = sorted(rule.id for group in contents["security_groups"].values() for rule in group.rules)[:40]
    watermarks = sorted({mark.key for image in contents["images"].values() for mark in image.watermarks})
    associations = [
        association_id
        for subnet in list(contents["subnets"].values())[:20]
        for association_id in (subnet.route_table_association_id, subnet.network_acl_association_id)
        if association_id
    ]
    associations += [vpc.main_association_id for vpc in contents["vpcs"].values()]
    associations += [it.association_id for it in contents["elastic_addresses"].values() if it.association_id]
    interfaces = list(contents["network_interfaces"].values())
    resources = [resource_id for kind in KINDS for resource_id in ids[kind]]
    known: dict[str, list[str]] = {}
    for kind, members in KINDS.items():
        for member in members:
            known.setdefault(member, []).extend(ids[kind])
    return {
        "Any": resources,
        "AttachmentId": sorted({it.attachment_id for it in interfaces if it.attachment_id}),
        "PublicIp": sorted({it.public_ip for it in contents["elastic_addresses"].values()}),
        "Resources": resources,
        **known,
        "AssociationId": associations,
        **dict.fromkeys(("AccountIds", "UserId", "UserIds"), sorted(everything["accounts"])),
        **dict.fromkeys(("GroupName", "GroupNames", "SecurityGroups"), names["security_groups"]),
        **dict.fromkeys(("KeyName", "KeyNames"), names["key_pairs"]),
        "SecurityGroupRuleIds": rules,
        "WatermarkKey": watermarks,
    }
