"""Filters of DescribeInstances. Source: EC2 API Reference, DescribeInstances, Filters.

Names that stand for what instances here never have (kernels, product codes) are known and match nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from bakehouse.app.instance_details import InstanceDetails
from bakehouse.domain.instance import Membership, StateReason
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.profile_association import ProfileAssociation
from bakehouse.domain.region import zone_id
from bakehouse.domain.volume import VolumeAttachment
from bakehouse.ec2.filters import Filters, Values, flag
from bakehouse.ec2.instance_option_views import metadata_options_state, monitoring_state
from bakehouse.ec2.instance_views import instance_name, interface_entries, is_attaching, shown_reason
from bakehouse.ec2.network_interface_filters import OF_INSTANCES, primary_public_name
from bakehouse.ec2.network_interface_views import Entry


def moment(at: datetime) -> str:
    """Return a time as answers have it, which filters compare with."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _interface(value: Callable[[NetworkInterface], str | None]) -> Values[InstanceDetails]:
    """Return the values of an instance's interface, none without one."""
    return lambda details: () if details.interface is None else (value(details.interface),)


def _any_interface(values: Values[Entry]) -> Values[InstanceDetails]:
    """Return the values of all of an instance's interfaces."""
    return lambda details: [it for entry in interface_entries(details) for it in values(entry)]


def _attachment(value: Callable[[VolumeAttachment], str]) -> Values[InstanceDetails]:
    return lambda details: [value(volume.attachment) for volume in details.volumes if volume.attachment is not None]


def _profile(value: Callable[[ProfileAssociation], str]) -> Values[InstanceDetails]:
    return lambda details: () if details.instance.profile is None else (value(details.instance.profile),)


def _reason(value: Callable[[StateReason], str]) -> Values[InstanceDetails]:
    return lambda details: [value(reason) for reason in (shown_reason(details.instance),) if reason is not None]


def _nothing(_details: InstanceDetails) -> Iterable[str]:
    return ()


def _public_name(details: InstanceDetails) -> Iterable[str | None]:
    return [it for entry in interface_entries(details)[:1] for it in primary_public_name(entry)]


def _group_ids(details: InstanceDetails) -> Iterable[str]:
    return [group.id for group in details.groups]


def _group_names(details: InstanceDetails) -> Iterable[str]:
    return [group.name for group in details.groups]


def _partition(membership: Membership | None) -> Iterable[str]:
    return () if membership is None or membership.partition is None else (str(membership.partition),)


_INSTANCE: Final[Mapping[str, Values[InstanceDetails]]] = {
    "architecture": lambda it: (it.instance.architecture,),
    "availability-zone": lambda it: (it.instance.availability_zone,),
    "availability-zone-id": lambda it: (zone_id(it.instance.availability_zone),),
    "capacity-reservation-specification.capacity-reservation-preference": lambda it: (it.instance.capacity_preference,),
    "client-token": lambda it: (it.instance.client_token,),
    "boot-mode": lambda it: (it.instance.boot_mode,),
    "current-instance-boot-mode": lambda it: (it.instance.current_boot_mode,),
    "tpm-support": lambda it: (it.instance.tpm_support,),
    "ebs-optimized": lambda it: (flag(it.instance.ebs_optimized),),
    "ena-support": lambda _it: ("true",),
    "enclave-options.enabled": lambda _it: ("false",),
    "hibernation-options.configured": lambda it: (flag(it.instance.hibernation),),
    "hypervisor": lambda _it: ("xen",),
    "iam-instance-profile.arn": _profile(lambda profile: profile.profile_arn),
    "iam-instance-profile.id": _profile(lambda profile: profile.profile_id),
    "iam-instance-profile.name": _profile(lambda profile: profile.profile_arn.rpartition("/")[2]),
    "image-id": lambda it: (it.instance.image_id,),
    "instance-id": lambda it: (it.instance.id,),
    "instance-lifecycle": lambda it: ("spot" if it.instance.spot_request_id else None,),
    "instance-state-code": lambda it: (str(it.instance.state.code),),
    "instance-state-name": lambda it: (it.instance.state.value,),
    "instance-type": lambda it: (it.instance.type,),
    "key-name": lambda it: (it.instance.key_name,),
    "launch-index": lambda it: (str(it.instance.launch_index),),
    "launch-time": lambda it: (moment(it.instance.launched_at),),
    "maintenance-options.auto-recovery": lambda it: (it.instance.maintenance.auto_recovery,),
    "metadata-options.http-endpoint": lambda it: (
        "enabled" if it.instance.metadata_options.endpoint_enabled else "disabled",
    ),
    "metadata-options.http-protocol-ipv4": lambda _it: ("enabled",),
    "metadata-options.http-protocol-ipv6": lambda _it: ("disabled",),
    "metadata-options.http-put-response-hop-limit": lambda it: (str(it.instance.metadata_options.hop_limit),),
    "metadata-options.http-tokens": lambda it: (
        "required" if it.instance.metadata_options.tokens_required else "optional",
    ),
    "metadata-options.instance-metadata-tags": lambda it: (
        "enabled" if it.instance.metadata_options.tags_enabled else "disabled",
    ),
    "metadata-options.state": lambda it: (metadata_options_state(it.instance),),
    "monitoring-state": lambda it: (monitoring_state(it.instance),),
    "network-performance-options.bandwidth-weighting": lambda _it: ("default",),
    "operator.managed": lambda _it: ("false",),
    "owner-id": lambda it: (it.instance.account_id,),
    "placement-group-name": lambda it: (it.instance.membership.group_name if it.instance.membership else None,),
    "placement-partition-number": lambda it: _partition(it.instance.membership),
    "platform-details": lambda _it: ("Linux/UNIX",),
    "private-dns-name-options.enable-resource-name-dns-a-record": lambda it: (
        flag(it.instance.private_names.resource_name_a_record),
    ),
    "private-dns-name-options.enable-resource-name-dns-aaaa-record": lambda it: (
        flag(it.instance.private_names.resource_name_aaaa_record),
    ),
    "private-dns-name-options.hostname-type": lambda it: (it.instance.private_names.hostname_type,),
    "reason": lambda it: (it.instance.transition_reason or None,),
    "reservation-id": lambda it: (it.instance.reservation_id,),
    "root-device-name": lambda it: (it.instance.root_device_name,),
    "root-device-type": lambda _it: ("ebs",),
    "spot-instance-request-id": lambda it: (it.instance.spot_request_id,),
    "state-reason-code": _reason(lambda reason: reason.code),
    "state-reason-message": _reason(lambda reason: reason.message),
    "tenancy": lambda _it: ("default",),
    "usage-operation": lambda _it: ("RunInstances",),
    "usage-operation-update-time": lambda it: (moment(it.instance.launched_at),),
    "virtualization-type": lambda _it: ("hvm",),
}

_VOLUMES: Final[Mapping[str, Values[InstanceDetails]]] = {
    "block-device-mapping.attach-time": _attachment(lambda attachment: moment(attachment.attached_at)),
    "block-device-mapping.delete-on-termination": _attachment(
        lambda attachment: flag(attachment.delete_on_termination)
    ),
    "block-device-mapping.device-name": _attachment(lambda attachment: attachment.device_name),
    "block-device-mapping.status": _attachment(lambda attachment: attachment.state.value),
    "block-device-mapping.volume-id": lambda it: [volume.id for volume in it.volumes],
}

_NETWORK: Final[Mapping[str, Values[InstanceDetails]]] = {
    "dns-name": _public_name,
    "group-id": _group_ids,
    "group-name": _group_names,
    "instance.group-id": _group_ids,
    "instance.group-name": _group_names,
    "ip-address": _interface(lambda it: it.public_ip),
    "private-dns-name": lambda it: (instance_name(it.instance, it.interface) if it.interface else None,),
    "private-ip-address": _interface(lambda it: it.private_ip),
    "source-dest-check": _interface(lambda it: flag(it.source_dest_check)),
    "subnet-id": _interface(lambda it: it.subnet_id),
    "vpc-id": _interface(lambda it: it.vpc_id),
    "ipv6-address": lambda it: () if it.interface is None else it.interface.ipv6_addresses,
    **{f"network-interface.{name}": _any_interface(values) for name, values in OF_INSTANCES.items()},
    "network-interface.attachment.status": lambda it: [
        "attaching" if is_attaching(it.instance, interface) else interface.attachment_state.value
        for interface in it.interfaces
    ],
}

_NEVER: Final = (
    "affinity",
    "capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
    "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn",
    "host-id",
    "kernel-id",
    "operator.principal",
    "outpost-arn",
    "platform",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "requester-id",
)

FILTERS: Final[Filters[InstanceDetails]] = Filters(
    {**_INSTANCE, **_VOLUMES, **_NETWORK, **dict.fromkeys(_NEVER, _nothing)},
    tags=lambda it: it.instance.tags,
)
