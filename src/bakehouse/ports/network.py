"""The network port: a VPC's network on this host, its interfaces, firewall and public addresses.

Every method may be repeated; the last call for an id describes what holds. Nothing of it needs the API's state.
"""

import os
import socket
from dataclasses import dataclass
from typing import Final, Literal, Protocol

#: Stands for the VPC's own resolver among `DhcpSpec.domain_name_servers`.
AMAZON_PROVIDED_DNS: Final = "AmazonProvidedDNS"

#: Where a route leads. `local` is implied by every route table and never described.
RouteTarget = Literal["internet", "egress_only", "nat", "interface", "blackhole"]


class NetworkUnavailable(Exception):
    """The host cannot do what was asked. The text says what is missing and the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """A route of a subnet's route table. The most specific one wins, and the local one before an equal one.

    Source: VPC User Guide, "How route priority works".
    """

    destination: str
    """An IPv4 or IPv6 range. Callers expand a prefix list to one route per entry."""
    target: RouteTarget
    """`internet` (an internet gateway), `egress_only` (IPv6 only), `nat`, `interface`, or `blackhole` (what EC2 shows
    as the state of a route whose target is gone)."""
    target_id: str = ""
    """Of `nat`: the `nat_gateway_id` of a NatGatewaySpec. Of `interface`: an `interface_id`. Else ignored. A target
    that does not exist (yet), or an internet gateway that is not attached, makes the route a blackhole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AclRule:
    """An entry of a network ACL. Of one direction's entries the lowest number that matches decides; none denies."""

    number: int
    """1 to 32766; 32767, the final denial, need not be described."""
    is_egress: bool
    allow: bool
    protocol: str
    """`-1` for all, else a name or a number as text, as in FirewallRule."""
    cidr: str
    """IPv4 or IPv6 range of the other side: the sender's for ingress, the receiver's for egress."""
    from_port: int | None = None
    """First port of the receiver; for icmp the type. None or -1 is any."""
    to_port: int | None = None
    """Last port; for icmp the code. None or -1 is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetSpec:
    """A subnet of a segment. The gateway is the first address, the VPC's resolver its base plus two."""

    subnet_id: str
    cidr: str
    ipv6_cidr: str | None = None
    """A /64 of the VPC's `ipv6_cidr`, when the subnet is dual-stack."""
    routes: tuple[RouteSpec, ...] = ()
    """The routes of its route table (its own, else the VPC's main one), without `local`. With none it reaches the VPC
    only."""
    acl: tuple[AclRule, ...] | None = None
    """Entries of its network ACL, in any order; () denies everything. None allows everything and costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGatewaySpec:
    """A NAT gateway that is available. A deleted one is left out, and its routes become blackholes."""

    nat_gateway_id: str
    subnet_id: str
    """Where it is: what it sends follows this subnet's routes and passes this subnet's ACL."""
    private_ip: str
    """Its own address. No interface is plugged for it."""
    public_ip: str | None = None
    """Its Elastic IP. None for a private NAT gateway, which reaches nothing outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpSpec:
    """A DHCP options set. What is empty is not offered.

    Source: VPC User Guide, "DHCP option sets in Amazon VPC".
    """

    domain_name: str | None = None
    domain_name_servers: tuple[str, ...] = ()
    """Addresses, or `AMAZON_PROVIDED_DNS` for the VPC's resolver (not offered without `dns_support`)."""
    ntp_servers: tuple[str, ...] = ()
    netbios_name_servers: tuple[str, ...] = ()
    netbios_node_type: int | None = None
    """1, 2, 4 or 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """A VPC's network on this host. All but `vpc_id` and `cidr` may change while machines run."""

    vpc_id: str
    cidr: str
    """The primary range, which never changes."""
    subnets: tuple[SubnetSpec, ...]
    domain: str
    """DNS domain of private names, such as `ec2.internal`."""
    public_domain: str = ""
    """DNS domain below which all public names are. The segment alone answers for it; nothing outside is ever asked."""
    extra_cidrs: tuple[str, ...] = ()
    """Further IPv4 ranges."""
    ipv6_cidr: str | None = None
    has_internet_gateway: bool = True
    """Whether one is attached. Without, no `internet` route leads anywhere and no public address works."""
    dns_support: bool = True
    """Whether the resolver (base plus two, 169.254.169.253) answers. DHCP goes on without it."""
    dhcp: DhcpSpec | None = None
    """None offers what EC2's default set does: `domain` and the VPC's resolver."""
    nat_gateways: tuple[NatGatewaySpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One permission. Exactly one of `cidr` and `group_id` is set.

    A rule that names a prefix list is described as one FirewallRule per entry of the list.
    """

    protocol: str
    """`tcp`, `udp`, `icmp`, `icmpv6`, `-1` for all, or a protocol number as text."""
    from_port: int | None
    """First port; for icmp the type. None or -1 is any."""
    to_port: int | None
    """Last port; for icmp the code. None or -1 is any."""
    cidr: str | None = None
    """The peers' IPv4 or IPv6 range."""
    group_id: str | None = None
    """The peers' security group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """A security group as the firewall knows it."""

    group_id: str
    vpc_id: str
    ingress: tuple[FirewallRule, ...]
    egress: tuple[FirewallRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSpec:
    """A further private IPv4 address of an interface, and the public address that leads there."""

    private_ip: str
    public_ip: str | None = None
    names: tuple[str, ...] = ()
    """DNS names of `private_ip` inside the VPC, as `InterfaceSpec.names`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceSpec:
    """A network interface and all that the segment does for it.

    All but the ids, `mac`, `private_ip` and `subnet_cidr` may change while its machine runs. A machine may have several
    interfaces: each is plugged and connected by itself.
    """

    interface_id: str
    vpc_id: str
    subnet_id: str
    subnet_cidr: str
    mac: str
    private_ip: str
    public_ip: str | None
    """An address in 127.0.0.0/8 by which the host reaches the guest."""
    group_ids: tuple[str, ...]
    host_name: str
    """Without its domain, such as `ip-172-31-5-10`. DHCP offers it."""
    secondary_ips: tuple[AddressSpec, ...] = ()
    """Further private addresses of the same subnet. The guest configures them itself, as on EC2."""
    ipv6_addresses: tuple[str, ...] = ()
    """Of the subnet's `ipv6_cidr`. DHCPv6 offers the first."""
    source_dest_check: bool = True
    """False lets it send from and receive for addresses that are not its own: a NAT or firewall instance."""
    names: tuple[str, ...] = ()
    """More DNS names of `private_ip` inside the VPC: without a dot below the segment's `domain`
    (`i-0123456789abcdef0`), with one complete (`ec2-127-16-0-10.compute-1.bakehouse.internal`)."""
    ipv6_names: tuple[str, ...] = ()
    """DNS names of the first of `ipv6_addresses`, in the same form; each resolves to it and it to the first of them."""


def addresses_of(interface: InterfaceSpec) -> frozenset[str]:
    """Return all addresses of an interface, private and public, which no other interface of its VPC has."""
    pairs = (AddressSpec(private_ip=interface.private_ip, public_ip=interface.public_ip), *interface.secondary_ips)
    given = {address for pair in pairs for address in (pair.private_ip, pair.public_ip) if address is not None}
    return frozenset(given) | frozenset(interface.ipv6_addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceConnection:
    """How a hypervisor opens an interface: a tap's file descriptor, owned by the receiver, who closes it."""

    fd: int
    """-1 with a fake fabric."""
    mtu: int = 1500

    def close(self) -> None:
        """Close it, for whoever opened it and gives it to nobody."""
        if self.fd >= 0:
            os.close(self.fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachablePort:
    """Where the host reaches a port of a public address, when that is not the port itself."""

    public_ip: str
    port: int
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCapabilities:
    """What the fabric can do on this host, in words for `bakehouse doctor`."""

    mode: str
    """`root`, `rootless` or `fake`."""
    public_addresses: str
    """How public addresses work here: any port, or the ports that groups open, and from which port on."""
    outside: str
    """How guests reach the outside."""
    lowest_port: int
    """Ports below it are reached at `port + 10000` (rootless, unprivileged ports); 0 when every port is itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricStatus:
    """What exists on the host now."""

    vpc_ids: frozenset[str]
    """Machines in them have their interfaces open; in a segment that is made again they do not."""
    interface_ids: frozenset[str]
    """Of segments that can be asked at the moment."""
    answering: frozenset[str] = frozenset()
    """Interfaces whose guests answer ARP, where that was asked for."""
    unheld: frozenset[str] = frozenset()
    """Plugged interfaces that no machine has open. One that was made to use such an interface is cut off: its network
    went, and was made again without it."""


class NetworkFabric(Protocol):
    """Builds segments and plugs interfaces. It outlives the server: a new one finds its segments again."""

    async def capabilities(self) -> NetworkCapabilities:
        """Find out how networks are made on this host."""
        ...

    async def ensure_segment(self, segment: SegmentSpec) -> None:
        """Make the VPC's network, or bring it to this description, for running machines too.

        Interfaces of a subnet that is left out are unplugged before.

        Raises:
            NetworkUnavailable: Nothing was made.
        """
        ...

    async def delete_segment(self, vpc_id: str) -> None:
        """Remove a VPC's network and all in it. Succeeds when there is none."""
        ...

    async def apply_group(self, group: GroupSpec) -> None:
        """Make or replace a security group's rules, in one transaction, for running machines too."""
        ...

    async def delete_group(self, vpc_id: str, group_id: str) -> None:
        """Remove a group's rules. Succeeds when there are none."""
        ...

    async def plug(self, interface: InterfaceSpec) -> None:
        """Make the interface ready for a machine, or bring it to this description.

        That is its tap, address, name, firewall and public address. Its segment and groups exist.

        Raises:
            NetworkUnavailable: Nothing of it was made.
        """
        ...

    async def connect(self, interface_id: str) -> InterfaceConnection:
        """Open a plugged interface for a hypervisor about to start a machine."""
        ...

    async def unplug(self, vpc_id: str, interface_id: str) -> None:
        """Remove an interface and its public address. Succeeds when there is none."""
        ...

    async def metadata_socket(self, vpc_id: str) -> socket.socket:
        """Return the segment's listening socket at 169.254.169.254, TCP port 80. The caller owns it."""
        ...

    async def reachable_at(self, public_ip: str, port: int, protocol: Literal["tcp", "udp"] = "tcp") -> ReachablePort:
        """Return where the host reaches a port of a public address."""
        ...

    async def observe(self, *, ask_guests: bool = False) -> FabricStatus:
        """Look at what exists on the host; with `ask_guests`, ask every guest whether it is there: 1.5 s at most."""
        ...

    async def close(self) -> None:
        """Let go of the segments, which stay. The last call of a server."""
        ...
