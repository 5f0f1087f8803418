"""What the network tests share: descriptions, real fabrics on this host, and guests on them."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from tests.contract.network_guest import Guest
from tests.own_address import own_address

from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers import process
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.drivers.network.linux.host import Mode
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.ports.network import (
    FirewallRule,
    GroupSpec,
    InterfaceSpec,
    RouteSpec,
    SegmentSpec,
    SubnetSpec,
)

EVERYBODY = "0.0.0.0/0"
ALL_OUT = (FirewallRule(protocol="-1", from_port=None, to_port=None, cidr=EVERYBODY),)

INTERNET = RouteSpec(destination=EVERYBODY, target="internet")

SEGMENT = SegmentSpec(
    vpc_id="vpc-0123456789abcdef0",
    cidr="172.31.0.0/16",
    subnets=(SubnetSpec(subnet_id="subnet-0123456789abcdef0", cidr="172.31.0.0/20", routes=(INTERNET,)),),
    domain="ec2.internal",
)


def tcp(port: int, *, cidr: str | None = None, group_id: str | None = None) -> FirewallRule:
    return FirewallRule(protocol="tcp", from_port=port, to_port=port, cidr=cidr, group_id=group_id)


def group(group_id: str, *ingress: FirewallRule, vpc_id: str = SEGMENT.vpc_id) -> GroupSpec:
    return GroupSpec(group_id=group_id, vpc_id=vpc_id, ingress=ingress, egress=ALL_OUT)


WEB = group("sg-0000000000000000a", tcp(8080, cidr=EVERYBODY))

INTERFACE = InterfaceSpec(
    interface_id="eni-0123456789abcde01",
    vpc_id=SEGMENT.vpc_id,
    subnet_id=SEGMENT.subnets[0].subnet_id,
    subnet_cidr=SEGMENT.subnets[0].cidr,
    mac="02:00:00:00:00:0a",
    private_ip="172.31.0.10",
    public_ip="127.16.0.10",
    group_ids=(WEB.group_id,),
    host_name="ip-172-31-0-10",
)

#: `script/test` runs them as root and as an ordinary user. They need namespaces and /dev/net/tun, so they are among the
#: tests for machines.
OWN_MODE: Mode = "root" if os.geteuid() == 0 else "rootless"
REAL_MODES = [pytest.param(OWN_MODE, marks=pytest.mark.vm)]


def interface(number: int, *group_ids: str, home: Path | None = None, **changes: Any) -> InterfaceSpec:
    """Describe the interface of a subnet's host `number`."""
    spec = replace(
        INTERFACE,
        interface_id=f"eni-0123456789abcde{number:02x}",
        mac=f"02:00:00:00:00:{number:02x}",
        private_ip=f"172.31.0.{number}",
        host_name=f"ip-172-31-0-{number}",
        public_ip=None if home is None else str(public_pool(home)[number]),
        group_ids=group_ids,
    )
    return replace(spec, **changes)


@asynccontextmanager
async def real_fabric(home: Path, mode: Mode) -> AsyncIterator[LinuxNetworkFabric]:
    """A fabric on this host, all of whose segments are removed at the end."""
    fabric = LinuxNetworkFabric(home, mode=mode)
    try:
        yield fabric
    finally:
        for entry in (home / "segments").glob("*"):
            await fabric.delete_segment(entry.name)
        await fabric.close()


class World:
    """A real fabric with guests."""

    def __init__(self, fabric: LinuxNetworkFabric, home: Path, mode: Mode, stack: AsyncExitStack) -> None:
        self.fabric = fabric
        self.home = home
        self.mode = mode
        self._stack = stack

    @property
    def layout(self) -> SegmentLayout:
        return SegmentLayout(self.home, SEGMENT.vpc_id)

    async def guest(self, spec: InterfaceSpec) -> Guest:
        """Plug an interface and switch a guest on, with its address."""
        await self.fabric.plug(spec)
        guest = await self.bare_guest(spec)
        subnet = IPv4Network(spec.subnet_cidr)
        await guest.ask("address", ip=spec.private_ip, prefix=subnet.prefixlen, gateway=str(subnet[1]))
        return guest

    async def bare_guest(self, spec: InterfaceSpec) -> Guest:
        """Switch a guest on, on a plugged interface; it has no address yet."""
        connection = await self.fabric.connect(spec.interface_id)
        guest = await Guest.start(connection.fd, spec.mac)
        self._stack.push_async_callback(guest.stop)
        return guest

    async def ask_from_host(self, spec: InterfaceSpec, port: int, *, text: bytes = b"hello") -> str:
        """Connect from the host to a public address, as people do, say something and return the answer."""
        assert spec.public_ip is not None
        at = await self.fabric.reachable_at(spec.public_ip, port)
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(spec.public_ip, at.host_port)
            try:
                writer.write(text)
                writer.write_eof()
                return (await reader.read()).decode()
            finally:
                writer.close()

    async def kill_agent(self) -> None:
        """Kill the segment's agent, as nobody does on purpose."""
        report = await self.fabric._segment(SEGMENT.vpc_id).report()
        assert report is not None
        started = process.start_time(report.pid)
        assert started is not None
        os.kill(report.pid, signal.SIGKILL)
        assert await process.wait_until_gone(report.pid, started, timeout_s=10)

    async def is_open_to_host(self, spec: InterfaceSpec, port: int) -> bool:
        """Tell whether the host gets an answer at a public address within a second."""
        try:
            async with asyncio.timeout(1):
                return bool(await self.ask_from_host(spec, port))
        except OSError:
            return False


@contextmanager
def outside() -> Iterator[tuple[str, int]]:
    """A server outside of every VPC that accepts connections: on this host's own address, not its loopback."""
    address = own_address()
    with socket.create_server((address, 0)) as server:
        yield address, server.getsockname()[1]


@asynccontextmanager
async def world(home: Path, mode: Mode) -> AsyncIterator[World]:
    """A segment with the group `WEB`, ready for guests."""
    async with real_fabric(home, mode) as fabric, AsyncExitStack() as stack:
        await fabric.ensure_segment(SEGMENT)
        await fabric.apply_group(WEB)
        yield World(fabric, home, mode, stack)


async def accept_one(listening: socket.socket) -> str:
    """Accept one connection, as the metadata service does; return whose it is."""
    listening.settimeout(0)
    async with asyncio.timeout(30):
        connection, (peer, _port) = await asyncio.get_running_loop().sock_accept(listening)
    with connection:
        await asyncio.get_running_loop().sock_sendall(connection, f"you are {peer}".encode())
        connection.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(connection, 1024):
            pass
    return str(peer)
