"""Every kind of record that a server keeps, with the indexes that look-ups go by."""

from dataclasses import dataclass, field
from typing import Any

from bakehouse.domain.account import AccessKey, Account
from bakehouse.domain.account_settings import AccountSettings
from bakehouse.domain.caller import ClientTokenRecord
from bakehouse.domain.capacity import Kind
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
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.spot_request import SpotRequest
from bakehouse.domain.store_image_task import StoreImageTask
from bakehouse.domain.subnet_reservation import SubnetCidrReservation
from bakehouse.domain.volume import Volume
from bakehouse.store.records import Each, Records


def _scope(record: Any) -> tuple[str, str]:  # noqa: ANN401 - any record of an account's region
    return record.account_id, record.region


def _is_restored_for_days(snapshot: Snapshot) -> bool | None:
    return True if snapshot.tiering is not None and snapshot.tiering.restore_expires_at is not None else None


def _is_unmeasured(snapshot: Snapshot) -> bool | None:
    is_readable = snapshot.state is SnapshotState.COMPLETED and snapshot.tier is StorageTier.STANDARD
    return True if is_readable and snapshot.full_size_bytes is None else None


def _other_taggers(record: Any) -> Each:  # noqa: ANN401 - an image or a snapshot
    """Return by whom it is tagged beside its owner."""
    return Each((account_id, record.region) for account_id in record.tags_of_others)


@dataclass(kw_only=True, eq=False, repr=False)
class RecordCollections:
    """One collection for each table, under its name."""

    access_keys: Records[AccessKey] = field(default_factory=lambda: Records(account=lambda key: key.account_id))
    account_settings: Records[AccountSettings] = field(default_factory=Records)
    accounts: Records[Account] = field(default_factory=Records)
    client_tokens: Records[ClientTokenRecord] = field(default_factory=Records)
    deregistered_images: Records[DeregisteredImage] = field(
        default_factory=lambda: Records(
            source=lambda it: it.image.source_image_id,
        )
    )
    elastic_addresses: Records[ElasticAddress] = field(
        default_factory=lambda: Records(scope=_scope, public_ip=lambda it: it.public_ip)
    )
    dhcp_options: Records[DhcpOptions] = field(default_factory=lambda: Records(scope=_scope))
    egress_only_internet_gateways: Records[EgressOnlyInternetGateway] = field(
        default_factory=lambda: Records(scope=_scope, vpc=lambda gateway: gateway.vpc_id)
    )
    export_image_tasks: Records[ExportImageTask] = field(default_factory=lambda: Records(scope=_scope))
    export_instance_tasks: Records[ExportInstanceTask] = field(default_factory=lambda: Records(scope=_scope))
    iam_instance_profiles: Records[InstanceProfile] = field(
        default_factory=lambda: Records(
            account=lambda it: it.account_id,
            name=lambda it: (it.account_id, it.name.lower()),
            role=lambda it: it.role_id,
        )
    )
    iam_policies: Records[ManagedPolicy] = field(
        default_factory=lambda: Records(
            account=lambda it: it.account_id,
            name=lambda it: (it.account_id, it.name.lower()),
        )
    )
    iam_roles: Records[Role] = field(
        default_factory=lambda: Records(
            account=lambda it: it.account_id,
            name=lambda it: (it.account_id, it.name.lower()),
        )
    )
    fleets: Records[Fleet] = field(default_factory=lambda: Records(scope=_scope))
    image_usage_reports: Records[ImageUsageReport] = field(default_factory=lambda: Records(scope=_scope))
    images: Records[Image] = field(
        default_factory=lambda: Records(
            scope=_scope,
            region=lambda image: image.region,
            name=lambda image: (image.account_id, image.region, image.name),
            source=lambda image: image.source_image_id,
            other_tagger=_other_taggers,
        )
    )
    import_image_tasks: Records[ImportImageTask] = field(default_factory=lambda: Records(scope=_scope))
    import_snapshot_tasks: Records[ImportSnapshotTask] = field(default_factory=lambda: Records(scope=_scope))
    instances: Records[Instance] = field(
        default_factory=lambda: Records(
            scope=_scope,
            vpc=lambda instance: instance.vpc_id,
            image=lambda instance: instance.image_id,
            kind=Kind.of,
            placement=lambda instance: instance.membership.group_id if instance.membership else None,
        )
    )
    internet_gateways: Records[InternetGateway] = field(
        default_factory=lambda: Records(scope=_scope, vpc=lambda gateway: gateway.vpc_id)
    )
    key_pairs: Records[KeyPair] = field(default_factory=lambda: Records(scope=_scope))
    kms_keys: Records[KmsKey] = field(default_factory=lambda: Records(scope=_scope))
    nat_gateways: Records[NatGateway] = field(
        default_factory=lambda: Records(scope=_scope, vpc=lambda it: it.vpc_id, subnet=lambda it: it.subnet_id)
    )
    launch_template_versions: Records[LaunchTemplateVersion] = field(
        default_factory=lambda: Records(
            scope=_scope,
            template=lambda version: version.template_id,
            image=lambda version: version.data.get("ImageId"),
        )
    )
    launch_templates: Records[LaunchTemplate] = field(
        default_factory=lambda: Records(
            scope=_scope, name=lambda template: (template.account_id, template.region, template.name)
        )
    )
    network_acls: Records[NetworkAcl] = field(default_factory=lambda: Records(scope=_scope, vpc=lambda acl: acl.vpc_id))
    network_interfaces: Records[NetworkInterface] = field(
        default_factory=lambda: Records(
            scope=_scope,
            instance=lambda interface: interface.instance_id,
            vpc=lambda interface: interface.vpc_id,
            subnet=lambda interface: interface.subnet_id,
            address=lambda interface: Each((interface.vpc_id, address) for address in interface.addresses),
            group=lambda interface: Each(interface.group_ids),
            public_ip=lambda interface: interface.public_ip,
        )
    )
    placement_groups: Records[PlacementGroup] = field(default_factory=lambda: Records(scope=_scope))
    prefix_lists: Records[PrefixList] = field(default_factory=lambda: Records(scope=_scope))
    public_parameters: Records[PublicParameter] = field(default_factory=Records)
    recycle_bin: Records[RecycledResource] = field(
        default_factory=lambda: Records(kind=lambda recycled: (recycled.account_id, recycled.region, recycled.type))
    )
    replace_root_volume_tasks: Records[ReplaceRootVolumeTask] = field(
        default_factory=lambda: Records(scope=_scope, instance=lambda task: task.instance_id)
    )
    retention_rules: Records[RetentionRule] = field(
        default_factory=lambda: Records(kind=lambda rule: (rule.account_id, rule.region, rule.resource_type))
    )
    route_tables: Records[RouteTable] = field(
        default_factory=lambda: Records(scope=_scope, vpc=lambda table: table.vpc_id)
    )
    sagas: Records[SagaRecord] = field(
        default_factory=lambda: Records(subject=lambda saga: saga.subject_id, holds=lambda saga: Each(saga.holds))
    )
    security_groups: Records[SecurityGroup] = field(
        default_factory=lambda: Records(
            scope=_scope,
            vpc=lambda group: group.vpc_id,
            prefix_list=lambda group: Each({rule.prefix_list_id for rule in group.rules} - {None}),
        )
    )
    snapshots: Records[Snapshot] = field(
        default_factory=lambda: Records(
            scope=_scope,
            region=lambda snapshot: snapshot.region,
            volume=lambda snapshot: snapshot.volume_id,
            restored=_is_restored_for_days,
            unmeasured=_is_unmeasured,
            other_tagger=_other_taggers,
        )
    )
    spot_requests: Records[SpotRequest] = field(
        default_factory=lambda: Records(
            scope=_scope,
            instance=lambda request: request.instance_id,
            interrupted=lambda request: True if request.interruption is not None else None,
        )
    )
    store_image_tasks: Records[StoreImageTask] = field(default_factory=lambda: Records(scope=_scope))
    subnet_cidr_reservations: Records[SubnetCidrReservation] = field(
        default_factory=lambda: Records(scope=_scope, subnet=lambda it: it.subnet_id)
    )
    subnets: Records[Subnet] = field(
        default_factory=lambda: Records(
            scope=_scope,
            vpc=lambda subnet: subnet.vpc_id,
            default=lambda subnet: (
                (subnet.account_id, subnet.region, subnet.availability_zone) if subnet.default_for_az else None
            ),
            route_table=lambda subnet: subnet.route_table_id,
            network_acl=lambda subnet: subnet.network_acl_id,
        )
    )
    volumes: Records[Volume] = field(
        default_factory=lambda: Records(
            scope=_scope,
            instance=lambda volume: volume.attachment.instance_id if volume.attachment else None,
        )
    )
    vpcs: Records[Vpc] = field(
        default_factory=lambda: Records(
            scope=_scope,
            default=lambda vpc: (vpc.account_id, vpc.region) if vpc.is_default else None,
            dhcp_options=lambda vpc: vpc.dhcp_options_id,
        )
    )
