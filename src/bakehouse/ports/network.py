"""The network port: a VPC's network on this host, its interfaces, firewall and public addresses.

Every method may be repeated; the last call for an id describes what holds. Nothing of it needs the API's state.
"""

import socket
from dataclasses import dataclass
from typing import Protocol


class NetworkUnavailable(Exception):
    """The host cannot do what was asked. The text says what is missing and the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetSpec:
    """A subnet of a segment. The gateway is the first address, the VPC's resolver its base plus two."""

    subnet_id: str
    cidr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpec:
    """A VPC's network on this host."""

    vpc_id: str
    cidr: str
    subnets: tuple[SubnetSpec, ...]
    domain: str
    """DNS domain of private names, such as `ec2.internal`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One permission. Exactly one of `cidr` and `group_id` is set."""

    protocol: str
    """`tcp`, `udp`, `icmp`, `-1` for all, or a protocol number as text."""
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
class InterfaceSpec:
    """A network interface and all that the segment does for it."""

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
    """Without its domain, such as `ip-172-31-5-10`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceConnection:
    """How a hypervisor opens an interface: a tap's file descriptor, owned by the receiver, who closes it."""

    fd: int
    """-1 with a fake fabric."""
    mtu: int = 1500


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
    interface_ids: frozenset[str]


class NetworkFabric(Protocol):
    """Builds segments and plugs interfaces. It outlives the server: a new one finds its segments again."""

    async def capabilities(self) -> NetworkCapabilities:
        """Find out how networks are made on this host."""
        ...

    async def ensure_segment(self, segment: SegmentSpec) -> None:
        """Make the VPC's network, or bring it to this description.

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

    async def reachable_at(self, public_ip: str, port: int) -> ReachablePort:
        """Return where the host reaches a port of a public address."""
        ...

    async def observe(self) -> FabricStatus:
        """Look at what exists on the host."""
        ...

    async def close(self) -> None:
        """Let go of the segments, which stay. The last call of a server."""
        ...
