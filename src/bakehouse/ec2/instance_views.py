"""Instances on the wire."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bakehouse.app.instance_details import InstanceDetails
from bakehouse.app.instances import StateChange
from bakehouse.domain.instance import Instance, InstanceState, StateReason
from bakehouse.domain.network import host_name_of, private_domain
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.region import zone_id
from bakehouse.domain.volume import Volume
from bakehouse.ec2.instance_option_views import option_views, private_name_options_view
from bakehouse.ec2.network_interface_views import Entry, group_view, instance_interface_view
from bakehouse.ec2.rendered import View, Views
from bakehouse.ec2.tag_specifications import tag_set

#: A reservation's view holds its instances' XML, some 4 KiB each.
_RESERVATIONS_KEPT: Final = 16_384

#: Source: EC2 CLI examples, `run-instances`.
_STARTING: Final = StateReason(code="pending", message="pending")

STATES: Final = {state: {"Code": state.code, "Name": state.value} for state in InstanceState}


def instance_name(instance: Instance, interface: NetworkInterface) -> str:
    """Return PrivateDnsName of an instance, which may be its own id where its interface's is of an address."""
    host_name = instance.private_names.host_name(instance.id, host_name_of(interface.private_ip))
    return f"{host_name}.{private_domain(interface.region)}"


def block_device_view(volume: Volume) -> Mapping[str, Any]:
    """Return an attached volume as an instance shows it."""
    attachment = volume.attachment
    if attachment is None:
        return {}
    return {
        "DeviceName": attachment.device_name,
        "Ebs": {
            "VolumeId": volume.id,
            "Status": attachment.state.value,
            "AttachTime": attachment.attached_at,
            "DeleteOnTermination": attachment.delete_on_termination,
        },
    }


def state_change_view(change: StateChange) -> Mapping[str, Any]:
    """Return what a request did to an instance's state."""
    return {
        "InstanceId": change.instance_id,
        "CurrentState": STATES[change.current],
        "PreviousState": STATES[change.previous],
    }


def placement_view(instance: Instance) -> Mapping[str, Any]:
    """Return Placement."""
    membership = instance.membership
    return {
        "AvailabilityZone": instance.availability_zone,
        "AvailabilityZoneId": zone_id(instance.availability_zone),
        "GroupId": membership.group_id if membership else None,
        "GroupName": membership.group_name if membership else "",
        "PartitionNumber": membership.partition if membership else None,
        "Tenancy": "default",
    }


def _instance(details: InstanceDetails) -> Mapping[str, Any]:
    """Return an Instance. A terminated one has no network and no volumes any more, as on EC2."""
    instance = details.instance
    view: dict[str, Any] = {
        "InstanceId": instance.id,
        "ImageId": instance.image_id,
        "State": STATES[instance.state],
        "PrivateDnsName": "",
        "PublicDnsName": "",
        "StateTransitionReason": instance.transition_reason,
        "KeyName": instance.key_name,
        "AmiLaunchIndex": instance.launch_index,
        "ProductCodes": [],
        "InstanceType": instance.type,
        "LaunchTime": instance.launched_at,
        "Placement": placement_view(instance),
        "StateReason": _reason(instance),
        "Architecture": instance.architecture,
        "RootDeviceType": "ebs",
        "RootDeviceName": instance.root_device_name,
        "BlockDeviceMappings": [block_device_view(volume) for volume in details.volumes],
        "VirtualizationType": "hvm",
        "ClientToken": instance.client_token or "",
        "Tags": tag_set(instance.tags) or None,
        "Hypervisor": "xen",  # EC2 says so of Nitro too
        "NetworkInterfaces": [],
        "EbsOptimized": instance.ebs_optimized,
        "EnaSupport": True,
        "SriovNetSupport": instance.sriov_net_support,
        "CapacityReservationSpecification": {"CapacityReservationPreference": instance.capacity_preference},
        "HibernationOptions": {"Configured": instance.hibernation},
        "EnclaveOptions": {"Enabled": False},
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "UsageOperationUpdateTime": instance.launched_at,
        "BootMode": instance.boot_mode,
        "CurrentInstanceBootMode": instance.current_boot_mode,
        "TpmSupport": instance.tpm_support,
        "InstanceLifecycle": "spot" if instance.spot_request_id else None,
        "SpotInstanceRequestId": instance.spot_request_id,
        "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
        "Operator": {"Managed": False},
        **option_views(instance),
    }
    if details.interface is not None:
        view |= _network(details, details.interface)
    return view


def interface_entries(details: InstanceDetails) -> list[Entry]:
    """Return an instance's interfaces by device index, each with what is shown beside it."""
    pairs = zip(details.interfaces, details.interface_groups, strict=True)
    return [(interface, groups, details.naming) for interface, groups in pairs]


def is_attaching(instance: Instance, interface: NetworkInterface) -> bool:
    """Tell whether an interface is shown to be on its way: it came with an instance that starts for the first time.

    Source: EC2 CLI examples, `run-instances`. One that was there before the instance started anew stays attached.
    """
    attached_at = interface.attached_at
    return instance.state is InstanceState.PENDING and attached_at is not None and attached_at >= instance.launched_at


def _network(details: InstanceDetails, interface: NetworkInterface) -> dict[str, Any]:
    instance = details.instance
    return {
        "PrivateDnsName": instance_name(instance, interface),
        "PublicDnsName": details.naming.of(interface.public_ip, interface.region),
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "PrivateIpAddress": interface.private_ip,
        "PublicIpAddress": interface.public_ip,
        "SourceDestCheck": interface.source_dest_check,
        "SecurityGroups": [group_view(group) for group in details.groups],
        "Ipv6Address": next(iter(interface.ipv6_addresses), None),
        "PrivateDnsNameOptions": private_name_options_view(instance.private_names),
        "NetworkInterfaces": [
            instance_interface_view(entry, attaching=is_attaching(instance, entry[0]))
            for entry in interface_entries(details)
        ],
    }


def shown_reason(instance: Instance) -> StateReason | None:
    """Return why an instance is in its state; of one that starts that is no more than that it does."""
    return _STARTING if instance.state is InstanceState.PENDING else instance.state_reason


def _reason(instance: Instance) -> Mapping[str, Any] | None:
    reason = shown_reason(instance)
    return None if reason is None else {"Code": reason.code, "Message": reason.message}


_VIEWS: Final[Views[InstanceDetails]] = Views(lambda details: details.instance.id, _instance)


class _Reservations:
    """Views of reservations, each made once for each state of its instances that are shown."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[InstanceDetails, ...], View]] = {}

    def of(self, members: tuple[InstanceDetails, ...]) -> View:
        """Return the view of instances of one reservation."""
        first = members[0].instance
        known = self._known.get(first.reservation_id)
        if known is not None and known[0] == members:
            return known[1]
        view = View(
            {
                "ReservationId": first.reservation_id,
                "OwnerId": first.account_id,
                "Groups": [],
                "Instances": [_VIEWS.of(details) for details in members],
            }
        )
        if known is None and len(self._known) >= _RESERVATIONS_KEPT:
            del self._known[next(iter(self._known))]
        self._known[first.reservation_id] = members, view
        return view


_RESERVATIONS: Final = _Reservations()


def reservation_views(shown: Iterable[InstanceDetails]) -> list[View]:
    """Return instances grouped by reservation, in the order of their first ones."""
    grouped: dict[str, list[InstanceDetails]] = {}
    for details in shown:
        grouped.setdefault(details.instance.reservation_id, []).append(details)
    return [_RESERVATIONS.of(tuple(members)) for members in grouped.values()]
