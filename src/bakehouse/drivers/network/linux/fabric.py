"""The network fabric on a Linux host: an agent per segment, and a forwarder where there is no root."""

import asyncio
import socket
from pathlib import Path
from typing import Literal

from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers.network.linux import host
from bakehouse.drivers.network.linux.forwarder import Forwarder
from bakehouse.drivers.network.linux.host_ports import MOST_PORTS, OpenPort, open_ports
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.drivers.network.linux.public_port import PORT_OFFSET, Guest, GuestUnreachable
from bakehouse.drivers.network.linux.ruleset import public_addresses
from bakehouse.drivers.network.linux.segment_client import SegmentClient
from bakehouse.ports.network import (
    FabricStatus,
    GroupSpec,
    InterfaceConnection,
    InterfaceSpec,
    NetworkCapabilities,
    NetworkUnavailable,
    ReachablePort,
    SegmentSpec,
)


class LinuxNetworkFabric:
    """Segments as network namespaces. Fulfils `bakehouse.ports.network.NetworkFabric`.

    Args:
        home: The data directory; segments have their files in `segments/` there.
        mode: `root` reaches public addresses by the kernel's translation, `rootless` by a forwarder in this
            process; `auto` takes root where we have its capabilities.
        tun_device: Where taps are opened, for hosts that have it elsewhere.
    """

    def __init__(
        self,
        home: Path,
        *,
        mode: Literal["auto", "root", "rootless"] = "auto",
        tun_device: Path = Path("/dev/net/tun"),
    ) -> None:
        self._home = home.absolute()
        self._mode = host.choose_mode(mode)
        self._tun_device = tun_device
        self._lowest_port = 0 if self._mode == "root" else host.lowest_port()
        self._segments: dict[str, SegmentClient] = {}
        self._forwarder: Forwarder | None = None
        if self._mode == "rootless":
            # Half of the files for listening, half for what is accepted there.
            self._forwarder = Forwarder(self._dial, most_listeners=host.allow_open_files() // 2)

    async def capabilities(self) -> NetworkCapabilities:
        """Find out how networks are made on this host, by trying.

        Raises:
            NetworkUnavailable: They cannot be made.
        """
        await host.prove(self._mode, self._tun_device)
        pool = public_pool(self._home)
        if self._mode == "root":
            public = f"any port of {pool}, TCP, UDP and ping, by the kernel's translation"
        else:
            public = f"TCP and UDP ports of {pool} that groups open to the host, by a forwarder"
            public += f"; of ranges wider than {MOST_PORTS:,} ports the well-known ones"
            if self._lowest_port:
                public += f"; ports below {self._lowest_port} are found at the port + {PORT_OFFSET}"
        outside = (
            "slirp4netns: TCP, UDP and DNS over IPv4" if host.has_way_outside() else "none: `apt install slirp4netns`"
        )
        return NetworkCapabilities(
            mode=self._mode, public_addresses=public, outside=outside, lowest_port=self._lowest_port
        )

    async def ensure_segment(self, segment: SegmentSpec) -> None:
        """Make the VPC's network, or bring it to this description.

        Raises:
            NetworkUnavailable: Nothing was made.
        """
        client = self._segments.setdefault(segment.vpc_id, self._segment(segment.vpc_id))
        await client.ensure(segment)
        for interface in client.interfaces.values():
            self._publish(client, interface)

    async def delete_segment(self, vpc_id: str) -> None:
        """Remove a VPC's network and all in it. Succeeds when there is none."""
        segment = self._segment(vpc_id)
        for interface_id in list(segment.interfaces):
            self._withdraw(interface_id)
        await segment.delete()
        self._segments.pop(vpc_id, None)

    async def apply_group(self, group: GroupSpec) -> None:
        """Make or replace a security group's rules, in one transaction, for running machines too.

        Connections that stand go on, as on EC2.
        """
        segment = self._segment(group.vpc_id)
        await segment.apply_group(group)
        for interface in segment.interfaces.values():
            if group.group_id in interface.group_ids:
                self._publish(segment, interface)

    async def delete_group(self, vpc_id: str, group_id: str) -> None:
        """Remove a group's rules. Succeeds when there are none."""
        await self._segment(vpc_id).delete_group(group_id)

    async def plug(self, interface: InterfaceSpec) -> None:
        """Make the interface ready for a machine, or bring it to this description.

        Raises:
            NetworkUnavailable: Nothing of it was made.
        """
        segment = self._segment(interface.vpc_id)
        await segment.plug(interface)
        self._publish(segment, interface)

    async def connect(self, interface_id: str) -> InterfaceConnection:
        """Open a plugged interface for a hypervisor about to start a machine."""
        segment = await self._find(interface_id)
        return InterfaceConnection(fd=await segment.open_tap(interface_id))

    async def unplug(self, vpc_id: str, interface_id: str) -> None:
        """Remove an interface and its public address. Succeeds when there is none."""
        self._withdraw(interface_id)
        await self._segment(vpc_id).unplug(interface_id)

    async def metadata_socket(self, vpc_id: str) -> socket.socket:
        """Return the segment's listening socket at 169.254.169.254, TCP port 80. The caller owns it.

        The agent keeps it open too: connections wait in its queue while no server runs.
        """
        return await self._segment(vpc_id).metadata_socket()

    async def reachable_at(self, public_ip: str, port: int, protocol: Literal["tcp", "udp"] = "tcp") -> ReachablePort:
        """Return where the host reaches a port of a public address."""
        host_port = port
        if self._forwarder is not None:
            listening = self._forwarder.host_port(public_ip, OpenPort(protocol, port))
            substitute = port + PORT_OFFSET if port < self._lowest_port else port
            host_port = substitute if listening is None else listening
        return ReachablePort(public_ip=public_ip, port=port, host_port=host_port)

    async def observe(self, *, ask_guests: bool = False) -> FabricStatus:
        """Look at what exists on the host; with `ask_guests`, ask every guest whether it is there."""
        existing = list(SegmentLayout.existing(self._home))
        reports = await asyncio.gather(*(self._segment(it).report(ask_guests=ask_guests) for it in existing))
        found = {vpc_id: report for vpc_id, report in zip(existing, reports, strict=True) if report is not None}
        # The next agent takes over what outlived the last one, with the taps that machines have open.
        outlived = {it for it in existing if it not in found and self._segment(it).outlived_agent()}
        return FabricStatus(
            vpc_ids=frozenset(found) | outlived,
            interface_ids=frozenset(it for report in found.values() for it in report.interface_ids),
            answering=frozenset(it for report in found.values() for it in report.answering),
            unheld=frozenset(it for report in found.values() for it in report.unheld),
        )

    async def close(self) -> None:
        """Let go of everything; segments and machines go on. Forwarded connections end."""
        if self._forwarder is not None:
            await self._forwarder.close()
        for segment in self._segments.values():
            segment.close()

    def _segment(self, vpc_id: str) -> SegmentClient:
        """Return what speaks to a segment. It is kept while there is one, or is to be: VPCs come and go."""
        segment = self._segments.get(vpc_id)
        if segment is None:
            layout = SegmentLayout(self._home, vpc_id)
            segment = SegmentClient(layout, tun_device=self._tun_device, rootless=self._mode == "rootless")
            if layout.directory.exists():
                self._segments[vpc_id] = segment
        return segment

    async def _find(self, interface_id: str) -> SegmentClient:
        """Return the segment in which an interface is plugged, by this server or one before it."""
        for segment in self._segments.values():
            if interface_id in segment.interfaces:
                return segment
        for vpc_id in SegmentLayout.existing(self._home):
            report = await self._segment(vpc_id).report()
            if report is not None and interface_id in report.interface_ids:
                return self._segment(vpc_id)
        raise NetworkUnavailable(f"{interface_id} is not plugged")

    def _publish(self, segment: SegmentClient, interface: InterfaceSpec) -> None:
        if self._forwarder is None:
            return
        groups = (segment.groups[name] for name in interface.group_ids if name in segment.groups)
        addresses = public_addresses(interface) if segment.is_open_to_host(interface.subnet_id) else {}
        self._forwarder.publish(interface.interface_id, addresses, open_ports(groups) if addresses else frozenset())

    def _withdraw(self, interface_id: str) -> None:
        if self._forwarder is not None:
            self._forwarder.withdraw(interface_id)

    async def _dial(self, guest: Guest) -> socket.socket:
        try:
            segment = await self._find(guest.interface_id)
            descriptor = await segment.dial(
                guest.interface_id, guest.private_ip, guest.port.number, is_datagram=guest.port.protocol == "udp"
            )
        except NetworkUnavailable as err:
            raise GuestUnreachable from err
        return socket.socket(fileno=descriptor)
