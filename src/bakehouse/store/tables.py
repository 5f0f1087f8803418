"""The tables: one for each type of record, with its id and the record as JSON.

What is queried is queried in memory (`records.py`), so a table needs no column but the key. A record's document is
what `domain/` defines; a member that a later version adds has a default, so that older documents still read.
"""

from typing import Any, Final

from sqlalchemy import Column, LargeBinary, MetaData, String, Table

from bakehouse.domain.account import AccessKey, Account
from bakehouse.domain.account_settings import AccountSettings
from bakehouse.domain.caller import ClientTokenRecord
from bakehouse.domain.deregistered_image import DeregisteredImage
from bakehouse.domain.dhcp_options import DhcpOptions
from bakehouse.domain.elastic_address import ElasticAddress
from bakehouse.domain.export_task import ExportImageTask, ExportInstanceTask
from bakehouse.domain.fleet import Fleet
from bakehouse.domain.iam import InstanceProfile, ManagedPolicy, Role
from bakehouse.domain.image import Image
from bakehouse.domain.image_usage_report import ImageUsageReport
from bakehouse.domain.import_task import ImportImageTask, ImportSnapshotTask
from bakehouse.domain.instance import Instance
from bakehouse.domain.internet_gateway import EgressOnlyInternetGateway, InternetGateway
from bakehouse.domain.key_pair import KeyPair
from bakehouse.domain.kms_key import KmsKey
from bakehouse.domain.launch_template import LaunchTemplate, LaunchTemplateVersion
from bakehouse.domain.nat_gateway import NatGateway
from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.network_acl import NetworkAcl
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.placement_group import PlacementGroup
from bakehouse.domain.prefix_list import PrefixList
from bakehouse.domain.public_parameter import PublicParameter
from bakehouse.domain.recycle_bin import RecycledResource
from bakehouse.domain.replace_root_volume_task import ReplaceRootVolumeTask
from bakehouse.domain.retention_rule import RetentionRule
from bakehouse.domain.route_table import RouteTable
from bakehouse.domain.saga import SagaRecord
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.spot_request import SpotRequest
from bakehouse.domain.store_image_task import StoreImageTask
from bakehouse.domain.subnet_reservation import SubnetCidrReservation
from bakehouse.domain.volume import Volume

METADATA: Final = MetaData()

#: table name -> the type of its records.
RECORD_TYPES: Final[dict[str, type[Any]]] = {
    "accounts": Account,
    "access_keys": AccessKey,
    "account_settings": AccountSettings,
    "client_tokens": ClientTokenRecord,
    "deregistered_images": DeregisteredImage,
    "elastic_addresses": ElasticAddress,
    "dhcp_options": DhcpOptions,
    "egress_only_internet_gateways": EgressOnlyInternetGateway,
    "export_image_tasks": ExportImageTask,
    "export_instance_tasks": ExportInstanceTask,
    "iam_instance_profiles": InstanceProfile,
    "iam_policies": ManagedPolicy,
    "iam_roles": Role,
    "fleets": Fleet,
    "image_usage_reports": ImageUsageReport,
    "images": Image,
    "import_image_tasks": ImportImageTask,
    "import_snapshot_tasks": ImportSnapshotTask,
    "instances": Instance,
    "internet_gateways": InternetGateway,
    "key_pairs": KeyPair,
    "kms_keys": KmsKey,
    "nat_gateways": NatGateway,
    "launch_template_versions": LaunchTemplateVersion,
    "launch_templates": LaunchTemplate,
    "network_acls": NetworkAcl,
    "network_interfaces": NetworkInterface,
    "placement_groups": PlacementGroup,
    "prefix_lists": PrefixList,
    "recycle_bin": RecycledResource,
    "public_parameters": PublicParameter,
    "replace_root_volume_tasks": ReplaceRootVolumeTask,
    "retention_rules": RetentionRule,
    "route_tables": RouteTable,
    "sagas": SagaRecord,
    "security_groups": SecurityGroup,
    "snapshots": Snapshot,
    "spot_requests": SpotRequest,
    "store_image_tasks": StoreImageTask,
    "subnet_cidr_reservations": SubnetCidrReservation,
    "subnets": Subnet,
    "volumes": Volume,
    "vpcs": Vpc,
}

TABLES: Final = {
    name: Table(
        name,
        METADATA,
        Column("id", String, primary_key=True),
        Column("document", LargeBinary, nullable=False),
    )
    for name in RECORD_TYPES
}
