"""Network interfaces on the wire: by themselves, and as their instances show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from bakehouse.domain.network import host_name_of, private_domain
from bakehouse.domain.network_interface import InterfaceType, NetworkInterface
from bakehouse.domain.public_names import PublicNaming
from bakehouse.domain.region import zone_id
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.ec2.tag_specifications import tag_set

#: An interface, its groups in its order, and what public addresses are called in its VPC.
Entry = tuple[NetworkInterface, Sequence[SecurityGroup], PublicNaming]


def private_name(interface: NetworkInterface, private_ip: str | None = None) -> str:
    """Return PrivateDnsName of one of its addresses, the primary one if none is given."""
    return f"{host_name_of(private_ip or interface.private_ip)}.{private_domain(interface.region)}"


def group_view(group: SecurityGroup) -> Mapping[str, Any]:
    """Return a GroupIdentifier."""
    return {"GroupName": group.name, "GroupId": group.id}


def network_interface_view(entry: Entry) -> dict[str, Any]:
    """Return a NetworkInterface."""
    interface, groups, naming = entry
    is_managed = interface.type is not InterfaceType.INTERFACE
    return {
        **_common(interface, groups),
        "AvailabilityZone": interface.availability_zone,
        "AvailabilityZoneId": zone_id(interface.availability_zone),
        "Attachment": attachment_view(interface),
        "Association": _association(interface, interface.private_ip, naming),
        "PrivateIpAddresses": [
            _address(interface, address, _association(interface, address, naming)) for address in interface.private_ips
        ],
        "PublicDnsName": naming.of(interface.public_ip, interface.region) if interface.public_ip else None,
        "RequesterId": interface.account_id if is_managed else None,
        "RequesterManaged": is_managed,
        "TagSet": tag_set(interface.tags),
        "DenyAllIgwTraffic": False,
        "Ipv6Native": False,
        "Ipv6Address": interface.ipv6_addresses[0] if interface.ipv6_addresses else None,
        "Operator": {"Managed": False},
    }


def attachment_view(interface: NetworkInterface) -> dict[str, Any] | None:
    """Return a NetworkInterfaceAttachment; None when it is attached to nothing that can be shown."""
    if interface.instance_id is None:
        return None
    return {
        **_instance_attachment(interface),
        "InstanceId": interface.instance_id,
        "InstanceOwnerId": interface.account_id,
    }


def instance_interface_view(entry: Entry, *, attaching: bool = False) -> dict[str, Any]:
    """Return an InstanceNetworkInterface; `attaching` while the instance is launched that it came with."""
    interface, groups, naming = entry
    attachment = _instance_attachment(interface)
    return {
        **_common(interface, groups),
        "Attachment": {**attachment, "Status": "attaching"} if attaching else attachment,
        "Association": _instance_association(interface, interface.private_ip, naming),
        "PrivateIpAddresses": [
            _address(interface, address, _instance_association(interface, address, naming))
            for address in interface.private_ips
        ],
        "Operator": {"Managed": False},
    }


def _common(interface: NetworkInterface, groups: Sequence[SecurityGroup]) -> dict[str, Any]:
    return {
        "NetworkInterfaceId": interface.id,
        "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id,
        "Description": interface.description,
        "OwnerId": interface.account_id,
        "Status": interface.status,
        "MacAddress": interface.mac,
        "PrivateIpAddress": interface.private_ip,
        "PrivateDnsName": private_name(interface),
        "SourceDestCheck": interface.source_dest_check,
        "Groups": [group_view(group) for group in groups],
        "Ipv6Addresses": [{"Ipv6Address": address, "IsPrimaryIpv6": False} for address in interface.ipv6_addresses],
        "InterfaceType": interface.type.value,
    }


def _instance_attachment(interface: NetworkInterface) -> dict[str, Any]:
    return {
        "AttachmentId": interface.attachment_id,
        "DeviceIndex": interface.device_index,
        "Status": interface.attachment_state.value,
        "AttachTime": interface.attached_at,
        "DeleteOnTermination": interface.delete_on_termination,
        "NetworkCardIndex": 0,
    }


def _address(interface: NetworkInterface, address: str, association: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "PrivateIpAddress": address,
        "PrivateDnsName": private_name(interface, address),
        "Primary": address == interface.private_ip,
        "Association": association,
    }


def owner_of(interface: NetworkInterface, private_ip: str) -> str | None:
    """Return IpOwnerId: `amazon` of an automatic address, the account of an Elastic IP."""
    if interface.association_of(private_ip) is not None:
        return interface.account_id
    return "amazon" if interface.public_ip_of(private_ip) else None


def _instance_association(interface: NetworkInterface, private_ip: str, naming: PublicNaming) -> dict[str, Any] | None:
    public_ip = interface.public_ip_of(private_ip)
    if public_ip is None:
        return None
    owner = owner_of(interface, private_ip)
    return {"IpOwnerId": owner, "PublicDnsName": naming.of(public_ip, interface.region), "PublicIp": public_ip}


def _association(interface: NetworkInterface, private_ip: str, naming: PublicNaming) -> dict[str, Any] | None:
    shown = _instance_association(interface, private_ip, naming)
    elastic = interface.association_of(private_ip)
    if shown is None or elastic is None:
        return shown
    return {**shown, "AllocationId": elastic.allocation_id, "AssociationId": elastic.id}
