"""Network interfaces: what they are, what they are attached to, and which addresses they have."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bakehouse.domain.errors import Ec2Error


class InterfaceAttachmentState(StrEnum):
    """How far an attachment is. Source: EC2 API Reference, NetworkInterfaceAttachment, status."""

    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"


class InterfaceType(StrEnum):
    """What it is for. Source: EC2 API Reference, NetworkInterface, interfaceType."""

    INTERFACE = "interface"
    NAT_GATEWAY = "nat_gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAssociation:
    """An Elastic IP address that leads to one private address of an interface."""

    id: str
    """Such as `eipassoc-0123456789abcdef0`."""
    allocation_id: str
    public_ip: str
    private_ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterface:
    """An interface of a subnet. It is attached to an instance, or free, or a NAT gateway's."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    subnet_id: str
    availability_zone: str
    mac: str
    private_ip: str
    """The primary one, which never changes."""
    group_ids: tuple[str, ...]
    public_ip: str | None = None
    """What leads to the primary private address: an Elastic IP, or else an automatic address in 127.0.0.0/8, which is
    held while the instance is pending or running."""
    wants_public_ip: bool = False
    """Whether it has an automatic public address whenever its instance runs and no Elastic IP is there."""
    secondary_ips: tuple[str, ...] = ()
    ipv6_addresses: tuple[str, ...] = ()
    associations: tuple[AddressAssociation, ...] = ()
    """The Elastic IPs, that of the primary address too."""
    instance_id: str | None = None
    """What it is attached to. The other members of the attachment mean nothing without."""
    attachment_id: str | None = None
    attached_at: datetime | None = None
    attachment_state: InterfaceAttachmentState = InterfaceAttachmentState.ATTACHED
    device_index: int = 0
    delete_on_termination: bool = True
    type: InterfaceType = InterfaceType.INTERFACE
    description: str = ""
    source_dest_check: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def private_ips(self) -> tuple[str, ...]:
        """All private IPv4 addresses, the primary one first."""
        return self.private_ip, *self.secondary_ips

    @property
    def addresses(self) -> tuple[str, ...]:
        """All private addresses of both families."""
        return *self.private_ips, *self.ipv6_addresses

    @property
    def automatic_public_ip(self) -> str | None:
        """Its public address, if that is none of the account's Elastic IPs."""
        return self.public_ip if self.association_of(self.private_ip) is None else None

    @property
    def status(self) -> str:
        """Source: EC2 API Reference, NetworkInterface, status."""
        if self.type is InterfaceType.NAT_GATEWAY:
            return "in-use"
        if self.instance_id is None:
            return "available"
        return "in-use" if self.attachment_state is InterfaceAttachmentState.ATTACHED else self.attachment_state.value

    def association_of(self, private_ip: str) -> AddressAssociation | None:
        """Return what Elastic IP leads to one of its private addresses."""
        return next((it for it in self.associations if it.private_ip == private_ip), None)

    def public_ip_of(self, private_ip: str) -> str | None:
        """Return what public address leads to one of its private addresses."""
        if private_ip == self.private_ip:
            return self.public_ip
        association = self.association_of(private_ip)
        return None if association is None else association.public_ip


def detached(interface: NetworkInterface) -> NetworkInterface:
    """Return it free. Elastic IPs stay with it, its automatic public address does not.

    Source: EC2 User Guide, "Elastic network interface concepts".
    """
    return replace(
        interface,
        public_ip=_elastic(interface),
        wants_public_ip=False,
        instance_id=None,
        attachment_id=None,
        attached_at=None,
        attachment_state=InterfaceAttachmentState.ATTACHED,
        device_index=0,
    )


def without_automatic_address(interface: NetworkInterface) -> NetworkInterface:
    """Return it as it is in an instance that is stopped."""
    return replace(interface, public_ip=_elastic(interface))


def associated(interface: NetworkInterface, association: AddressAssociation) -> NetworkInterface:
    """Return it with an Elastic IP, instead of what led to that private address before."""
    others = tuple(it for it in interface.associations if it.private_ip != association.private_ip)
    is_primary = association.private_ip == interface.private_ip
    public_ip = association.public_ip if is_primary else interface.public_ip
    return replace(interface, associations=(*others, association), public_ip=public_ip)


def disassociated(interface: NetworkInterface, allocation_id: str) -> NetworkInterface:
    """Return it without an Elastic IP."""
    kept = tuple(it for it in interface.associations if it.allocation_id != allocation_id)
    without = replace(interface, associations=kept)
    was_primary = interface.automatic_public_ip is None and without.association_of(interface.private_ip) is None
    return replace(without, public_ip=None) if was_primary else without


def _elastic(interface: NetworkInterface) -> str | None:
    association = interface.association_of(interface.private_ip)
    return None if association is None else association.public_ip


def mac_of(vpc_id: str, private_ip: str) -> str:
    """Return a locally administered unicast MAC that follows from an address within its VPC.

    The next interface that gets the address gets its MAC too, so what others remember of the earlier one (neighbours'
    caches, the DHCP server's leases, which never end) is right for it.
    """
    digest = hashlib.sha256(f"{vpc_id}/{private_ip}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def interface_in_use(interface_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidNetworkInterface.InUse; wording as AWS answers it."""
    return Ec2Error("InvalidNetworkInterface.InUse", f"Interface: [{interface_id}] in use.")


def interface_waits(interface_id: str) -> Ec2Error:
    """Refuse to attach what has not got all its addresses. Source: EC2 API Reference, Error codes, IncorrectState."""
    return Ec2Error(
        "IncorrectState",
        f"Interface '{interface_id}' waits for an address that is being taken from another interface. Try again once "
        "that one's instance has finished what it does.",
    )


def interface_needed(interface_id: str) -> Ec2Error:
    """Refuse to delete what is attached.

    Source: EC2 API Reference, Error codes, InvalidParameterValue; AWS says so of an interface in use.
    """
    return Ec2Error("InvalidParameterValue", f"Network interface '{interface_id}' is currently in use.")


def interface_managed(interface_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, OperationNotPermitted: a service's own interface is left to it."""
    return Ec2Error("OperationNotPermitted", f"You are not allowed to manage '{interface_id}': a service requested it.")


def attachment_not_found(attachment_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAttachmentID.NotFound."""
    return Ec2Error("InvalidAttachmentID.NotFound", f"The attachment ID '{attachment_id}' does not exist")


def primary_interface_stays(attachment_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, OperationNotPermitted; wording as AWS answers it."""
    return Ec2Error(
        "OperationNotPermitted",
        f"The network interface at device index 0 cannot be detached. (Attachment: {attachment_id})",
    )


def interface_limit(instance_type: str, most: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, AttachmentLimitExceeded; wording as AWS answers it."""
    return Ec2Error(
        "AttachmentLimitExceeded", f"Interface count exceeds the limit for {instance_type}, which is {most}."
    )


def address_limit(most: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, PrivateIpAddressLimitExceeded; wording as AWS answers it."""
    return Ec2Error(
        "PrivateIpAddressLimitExceeded", f"Number of private addresses will exceed limit, which is {most} here."
    )


def device_index_taken(instance_id: str, device_index: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidParameterValue; wording as AWS answers it."""
    return Ec2Error(
        "InvalidParameterValue",
        f"Instance '{instance_id}' already has an interface attached at device index '{device_index}'.",
    )


def interface_kept(interface_id: str, instance_id: str) -> Ec2Error:
    """Refuse to detach what a guest holds on to. Source: EC2 API Reference, DetachNetworkInterface, Force."""
    return Ec2Error(
        "IncorrectState", f"The guest of '{instance_id}' did not let go of '{interface_id}'. Detach it with Force."
    )


def interface_in_other_zone(interface_id: str, instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidParameterCombination; wording as AWS answers it."""
    return Ec2Error(
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same availability zone "
        f"({interface_id}, {instance_id})",
    )


def address_not_of(address: str, interface_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidParameterValue: an address that the interface does not have."""
    return Ec2Error(
        "InvalidParameterValue",
        f"The given private IP address ({address}) does not belong to the network interface {interface_id}",
    )
