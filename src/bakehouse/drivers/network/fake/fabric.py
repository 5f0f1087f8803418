"""A network fabric that keeps account instead of building anything: for `serve --simulate` and for tests."""

import socket
from typing import Literal

from bakehouse.ports.network import (
    FabricStatus,
    GroupSpec,
    InterfaceConnection,
    InterfaceSpec,
    NetworkCapabilities,
    NetworkUnavailable,
    ReachablePort,
    SegmentSpec,
    addresses_of,
)


class FakeNetworkFabric:
    """Segments, groups and interfaces as descriptions. Fulfils `bakehouse.ports.network.NetworkFabric`.

    Tests read what it was told, and may make the next calls fail.
    """

    def __init__(self) -> None:
        self.segments: dict[str, SegmentSpec] = {}
        self.groups: dict[str, GroupSpec] = {}
        self.interfaces: dict[str, InterfaceSpec] = {}
        self.silent: set[str] = set()
        self.unheld: set[str] = set()
        self.unavailable: str | None = None
        """With a text, `ensure_segment` and `plug` raise it as NetworkUnavailable."""

    async def capabilities(self) -> NetworkCapabilities:
        """Say that nothing is real."""
        return NetworkCapabilities(
            mode="fake",
            public_addresses="none: nothing listens there",
            outside="none: there are no guests",
            lowest_port=0,
        )

    async def ensure_segment(self, segment: SegmentSpec) -> None:
        """Take note of a VPC's network.

        Raises:
            NetworkUnavailable: A test wants it, or the VPC's range would change.
        """
        self._refuse_if_wanted()
        before = self.segments.get(segment.vpc_id)
        if before is not None and before.cidr != segment.cidr:
            raise NetworkUnavailable(f"the VPC has {before.cidr}; its range cannot be changed")
        self.segments[segment.vpc_id] = segment

    async def delete_segment(self, vpc_id: str) -> None:
        """Forget a VPC's network and all in it."""
        self.segments.pop(vpc_id, None)
        self.groups = {key: group for key, group in self.groups.items() if group.vpc_id != vpc_id}
        self.interfaces = {key: spec for key, spec in self.interfaces.items() if spec.vpc_id != vpc_id}

    async def apply_group(self, group: GroupSpec) -> None:
        """Take note of a security group.

        Raises:
            NetworkUnavailable: Its VPC has no network.
        """
        self._require_segment(group.vpc_id)
        self.groups[group.group_id] = group

    async def delete_group(self, vpc_id: str, group_id: str) -> None:
        """Forget a security group.

        Raises:
            NetworkUnavailable: An interface has it.
        """
        users = [
            spec.interface_id
            for spec in self.interfaces.values()
            if spec.vpc_id == vpc_id and group_id in spec.group_ids
        ]
        if users:
            raise NetworkUnavailable(f"{group_id} is still on {', '.join(users)}")
        self.groups.pop(group_id, None)

    async def plug(self, interface: InterfaceSpec) -> None:
        """Take note of an interface.

        Raises:
            NetworkUnavailable: A test wants it, its VPC has no network or not its subnet, or another interface has its
                address.
        """
        self._refuse_if_wanted()
        self._require_segment(interface.vpc_id)
        if interface.subnet_id not in {subnet.subnet_id for subnet in self.segments[interface.vpc_id].subnets}:
            raise NetworkUnavailable(f"{interface.subnet_id} is not a subnet of the segment")
        addresses = addresses_of(interface)
        for other in self.interfaces.values():
            if other.vpc_id != interface.vpc_id or other.interface_id == interface.interface_id:
                continue
            for address in sorted(addresses_of(other) & addresses):
                raise NetworkUnavailable(f"{address} is {other.interface_id}'s")
        self.interfaces[interface.interface_id] = interface

    async def connect(self, interface_id: str) -> InterfaceConnection:
        """Return a connection without a descriptor.

        Raises:
            NetworkUnavailable: The interface is not plugged.
        """
        if interface_id not in self.interfaces:
            raise NetworkUnavailable(f"{interface_id} is not plugged")
        self.unheld.discard(interface_id)
        return InterfaceConnection(fd=-1)

    async def unplug(self, vpc_id: str, interface_id: str) -> None:
        """Forget an interface."""
        interface = self.interfaces.get(interface_id)
        if interface is not None and interface.vpc_id == vpc_id:
            del self.interfaces[interface_id]

    async def metadata_socket(self, vpc_id: str) -> socket.socket:
        """Return a listening socket on 127.0.0.1, at a port of the kernel's choice.

        Raises:
            NetworkUnavailable: The VPC has no network.
        """
        self._require_segment(vpc_id)
        return socket.create_server(("127.0.0.1", 0))

    async def reachable_at(
        self,
        public_ip: str,
        port: int,
        protocol: Literal["tcp", "udp"] = "tcp",  # noqa: ARG002 - here they are alike
    ) -> ReachablePort:
        """Say that a port is itself."""
        return ReachablePort(public_ip=public_ip, port=port, host_port=port)

    async def observe(self, *, ask_guests: bool = False) -> FabricStatus:
        """Return what was taken note of. Every guest answers, but those that a test has made `silent`.

        Machines have every interface open, but those that a test has made `unheld`
        since it was connected.
        """
        interface_ids = frozenset(self.interfaces)
        answering = interface_ids - self.silent if ask_guests else frozenset()
        return FabricStatus(
            vpc_ids=frozenset(self.segments),
            interface_ids=interface_ids,
            answering=answering,
            unheld=interface_ids & self.unheld,
        )

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _refuse_if_wanted(self) -> None:
        if self.unavailable is not None:
            raise NetworkUnavailable(self.unavailable)

    def _require_segment(self, vpc_id: str) -> None:
        if vpc_id not in self.segments:
            raise NetworkUnavailable(f"{vpc_id} has no network; make it first")
