"""Network interfaces that requests ask for, as the application takes them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bakehouse.app.launch_network import InterfaceRequest
from bakehouse.domain.errors import invalid_combination, missing_parameter

#: The members of an InstanceNetworkInterfaceSpecification that are honoured.
_MEMBERS: Final = (
    "AssociatePublicIpAddress",
    "DeleteOnTermination",
    "Description",
    "DeviceIndex",
    "Groups",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "NetworkInterfaceId",
    "PrivateIpAddress",
    "PrivateIpAddresses",
    "SecondaryPrivateIpAddressCount",
    "SubnetId",
)
HONOURED: Final = " ".join(f"NetworkInterfaces.{name}" for name in _MEMBERS)


def launched_interfaces(given: Sequence[Mapping[str, Any]]) -> tuple[InterfaceRequest, ...]:
    """Return the interfaces that RunInstances names. One that stands alone may leave out its device index."""
    if len(given) > 1 and any("DeviceIndex" not in entry for entry in given):
        raise missing_parameter("networkInterface.deviceIndex")
    return tuple(
        interface_request(
            entry,
            device_index=entry.get("DeviceIndex", 0),
            network_interface_id=entry.get("NetworkInterfaceId"),
            associate_public_ip=entry.get("AssociatePublicIpAddress"),
            delete_on_termination=entry.get("DeleteOnTermination"),
        )
        for entry in given
    )


def interface_request(entry: Mapping[str, Any], **launched: Any) -> InterfaceRequest:  # noqa: ANN401 - see above
    """Return what a structure says of a new interface: subnet, groups, addresses, description."""
    private_ip, secondary_ips = _private_ips(entry)
    return InterfaceRequest(
        subnet_id=entry.get("SubnetId"),
        group_ids=tuple(entry.get("Groups") or ()),
        private_ip=private_ip,
        secondary_ips=secondary_ips,
        secondary_count=entry.get("SecondaryPrivateIpAddressCount", 0),
        ipv6_addresses=requested_ipv6(entry),
        ipv6_count=entry.get("Ipv6AddressCount"),
        description=entry.get("Description", ""),
        **launched,
    )


def requested_ipv6(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the IPv6 addresses that a structure names."""
    given = entry.get("Ipv6Addresses") or ()
    if any("Ipv6Address" not in it for it in given):
        raise missing_parameter("ipv6Addresses.ipv6Address")
    return tuple(it["Ipv6Address"] for it in given)


def _private_ips(entry: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the primary address that was given, and the secondary ones.

    Source: EC2 API Reference, CreateNetworkInterface: only one private address can be designated as primary.
    """
    given = entry.get("PrivateIpAddresses") or ()
    if any("PrivateIpAddress" not in it for it in given):
        raise missing_parameter("privateIpAddresses.privateIpAddress")
    primary = [it["PrivateIpAddress"] for it in given if it.get("Primary")]
    if "PrivateIpAddress" in entry:
        primary.append(entry["PrivateIpAddress"])
    if len(primary) > 1:
        raise invalid_combination("Only one private IP address can be designated as primary")
    secondary = tuple(it["PrivateIpAddress"] for it in given if not it.get("Primary"))
    return (primary[0] if primary else None), secondary
