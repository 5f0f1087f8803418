"""What passes through Linux's network fabric and what does not, between guests that are namespaces.

As root they run in the mode for root, else rootless, for which `/dev/net/tun` is mode 0666 (as on Debian).
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.contract.network_world import (
    EVERYBODY,
    INTERFACE,
    REAL_MODES,
    SEGMENT,
    WEB,
    World,
    accept_one,
    group,
    interface,
    outside,
    tcp,
    world,
)

from bakehouse.ports.network import FirewallRule

ADMIN = "sg-0000000000000000b"
DATABASE = "sg-0000000000000000c"
METADATA = "169.254.169.254"
RESOLVER = "172.31.0.2"


@pytest.fixture(params=REAL_MODES)
async def net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        yield made


# From the host


async def test_an_open_port_is_reached_at_the_public_address(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert await net.ask_from_host(spec, 8080) == "100.127.0.1 5"


async def test_a_port_that_no_group_opens_is_not_reached(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=9090)

    assert not await net.is_open_to_host(spec, 9090)


async def test_a_rule_holds_for_running_guests_at_once(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=9090)

    await net.fabric.apply_group(group(WEB.group_id, tcp(9090, cidr=EVERYBODY)))
    after_authorize = await net.is_open_to_host(spec, 9090)
    await net.fabric.apply_group(group(WEB.group_id))
    after_revoke = await net.is_open_to_host(spec, 9090)

    assert (after_authorize, after_revoke) == (True, False)


async def test_a_rule_for_loopback_is_for_the_host(net: World) -> None:
    spec = interface(10, ADMIN, home=net.home)
    await net.fabric.apply_group(group(ADMIN, tcp(8080, cidr="127.0.0.1/32")))
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert await net.is_open_to_host(spec, 8080)


async def test_a_rule_for_somebody_else_is_not_for_the_host(net: World) -> None:
    spec = interface(10, ADMIN, home=net.home)
    await net.fabric.apply_group(group(ADMIN, tcp(8080, cidr="192.0.2.0/24")))
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert not await net.is_open_to_host(spec, 8080)


async def test_a_connection_survives_the_end_of_its_rule(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    assert spec.public_ip is not None
    reader, writer = await asyncio.open_connection(spec.public_ip, 8080)
    try:
        writer.write(b"before")
        await net.is_open_to_host(spec, 8080)  # by now, the first bytes are there too
        await net.fabric.apply_group(group(WEB.group_id))
        writer.write(b" and after")
        writer.write_eof()

        assert await reader.read() == b"100.127.0.1 16"
    finally:
        writer.close()


async def test_many_bytes_arrive_whole(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert await net.ask_from_host(spec, 8080, text=bytes(30 << 20)) == f"100.127.0.1 {30 << 20}"


async def test_an_address_moves_with_its_description(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    assert spec.public_ip is not None
    moved = replace(spec, public_ip=str(IPv4Address(spec.public_ip) + 1))

    await net.fabric.plug(moved)

    assert await net.is_open_to_host(moved, 8080)
    assert not await net.is_open_to_host(spec, 8080)


async def test_an_unplugged_interface_is_cut_off(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    await net.fabric.unplug(spec.vpc_id, spec.interface_id)

    assert not await net.is_open_to_host(spec, 8080)


async def test_an_interface_can_be_plugged_again(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    await net.fabric.plug(spec)
    await net.fabric.unplug(spec.vpc_id, spec.interface_id)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert await net.is_open_to_host(spec, 8080)


async def test_equal_private_addresses_of_two_vpcs_are_told_apart(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    other_vpc = "vpc-0123456789abcdef1"
    other = interface(11, "sg-other", home=net.home, vpc_id=other_vpc, private_ip=spec.private_ip)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    await net.fabric.ensure_segment(replace(SEGMENT, vpc_id=other_vpc))
    await net.fabric.apply_group(group("sg-other", tcp(8080, cidr=EVERYBODY), vpc_id=other_vpc))
    await net.guest(other)  # does not listen

    assert await net.is_open_to_host(spec, 8080)
    assert not await net.is_open_to_host(other, 8080)


async def test_a_datagram_gets_its_answer(net: World) -> None:
    spec = interface(10, ADMIN, home=net.home)
    await net.fabric.apply_group(group(ADMIN, FirewallRule(protocol="udp", from_port=53, to_port=99, cidr=EVERYBODY)))
    guest = await net.guest(spec)
    assert spec.public_ip is not None
    await guest.ask("listen_for_datagrams", port=99)
    at = await net.fabric.reachable_at(spec.public_ip, 99, "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)
        sender.connect((spec.public_ip, at.host_port))
        sender.send(b"hello")
        async with asyncio.timeout(30):
            answer = await asyncio.get_running_loop().sock_recv(sender, 100)

    assert answer == b"100.127.0.1 5"


async def test_root_tells_of_a_datagram_that_nobody_takes(net: World) -> None:
    if net.mode != "root":
        pytest.skip("a forwarder cannot tell")
    spec = interface(10, ADMIN, home=net.home)
    await net.fabric.apply_group(group(ADMIN, FirewallRule(protocol="udp", from_port=9, to_port=9, cidr=EVERYBODY)))
    await net.guest(spec)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)
        sender.connect((spec.public_ip, 9))
        sender.send(b"hello")

        with pytest.raises(ConnectionRefusedError):
            async with asyncio.timeout(30):
                await asyncio.get_running_loop().sock_recv(sender, 1)


# Between guests


async def test_guests_are_strangers_at_first(net: World) -> None:
    await net.fabric.apply_group(group(DATABASE))
    web = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, DATABASE))

    assert await web.ask("connect", ip="172.31.0.11", port=5432) == "silent"
    assert await web.ask("ping", ip="172.31.0.11") is False


async def test_a_group_may_let_another_in(net: World) -> None:
    await net.fabric.apply_group(group(DATABASE, tcp(5432, group_id=WEB.group_id)))
    web = await net.guest(interface(10, WEB.group_id))
    stranger = await net.guest(interface(12))
    database = await net.guest(interface(11, DATABASE))
    await database.ask("listen", port=5432)

    assert await web.ask("fetch", ip="172.31.0.11", port=5432) == "172.31.0.10 6"
    assert await stranger.ask("connect", ip="172.31.0.11", port=5432) == "silent"


async def test_an_interface_that_leaves_a_group_loses_its_rights(net: World) -> None:
    await net.fabric.apply_group(group(DATABASE, tcp(5432, group_id=WEB.group_id)))
    await net.fabric.apply_group(group(ADMIN))
    web = await net.guest(interface(10, WEB.group_id))
    database = await net.guest(interface(11, DATABASE))
    await database.ask("listen", port=5432)

    await net.fabric.plug(interface(10, ADMIN))

    assert await web.ask("connect", ip="172.31.0.11", port=5432) == "silent"


async def test_an_egress_rule_is_asked_as_well(net: World) -> None:
    await net.fabric.apply_group(replace(group(ADMIN), egress=(tcp(80, cidr=EVERYBODY),)))
    await net.fabric.apply_group(group(DATABASE, tcp(80, cidr=EVERYBODY), tcp(81, cidr=EVERYBODY)))
    sender = await net.guest(interface(10, ADMIN))
    await net.guest(interface(11, DATABASE))

    assert await sender.ask("connect", ip="172.31.0.11", port=80) == "refused"
    assert await sender.ask("connect", ip="172.31.0.11", port=81) == "silent"


async def test_ping_passes_when_a_rule_has_its_type(net: World) -> None:
    echo = FirewallRule(protocol="icmp", from_port=8, to_port=-1, cidr="172.31.0.0/16")
    await net.fabric.apply_group(group(DATABASE, echo))
    web = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, DATABASE))

    assert await web.ask("ping", ip="172.31.0.11") is True


async def test_a_borrowed_address_is_not_listened_to(net: World) -> None:
    everything = FirewallRule(protocol="-1", from_port=None, to_port=None, cidr=EVERYBODY)
    await net.fabric.apply_group(group(DATABASE, everything))
    liar = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, DATABASE))
    await liar.ask("also", ip="172.31.0.99")

    assert await liar.ask("ping", ip="172.31.0.11") is True
    assert await liar.ask("ping", ip="172.31.0.11", source="172.31.0.99") is False


async def test_a_borrowed_hardware_address_is_not_listened_to(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))
    assert await guest.ask("ping", ip="172.31.0.1") is True

    await guest.ask("hardware", mac="02:00:00:00:00:99")

    assert await guest.ask("ping", ip="172.31.0.1") is False


async def test_an_address_that_is_nobodys_has_no_neighbour(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))
    await net.fabric.plug(interface(11))

    assert await guest.ask("neighbour", ip="172.31.0.11") is True
    assert await guest.ask("neighbour", ip="172.31.0.12") is False


# What a guest finds in its network


async def test_dhcp_tells_a_guest_who_it_is(net: World) -> None:
    await net.fabric.plug(INTERFACE)
    guest = await net.bare_guest(INTERFACE)

    assert await guest.ask("dhcp") == {
        "address": "172.31.0.10",
        "netmask": "255.255.240.0",
        "router": "172.31.0.1",
        "resolver": RESOLVER,
        "name": "ip-172-31-0-10",
        "domain": "ec2.internal",
        "mtu": "1500",
    }


async def test_dhcp_knows_no_stranger(net: World) -> None:
    await net.fabric.plug(INTERFACE)
    guest = await net.bare_guest(INTERFACE)
    await guest.ask("hardware", mac="02:00:00:00:00:99")

    assert await guest.ask("dhcp") == {}


async def test_an_address_that_was_leased_can_be_another_guests(net: World) -> None:
    await net.fabric.plug(INTERFACE)
    assert await (await net.bare_guest(INTERFACE)).ask("dhcp")
    await net.fabric.unplug(INTERFACE.vpc_id, INTERFACE.interface_id)
    heir = interface(11, private_ip=INTERFACE.private_ip)
    await net.fabric.plug(heir)
    guest = await net.bare_guest(heir)

    assert (await guest.ask("dhcp"))["address"] == INTERFACE.private_ip


@pytest.mark.parametrize("resolver", [RESOLVER, "169.254.169.253"])
async def test_private_names_lead_there_and_back(net: World, resolver: str) -> None:
    guest = await net.guest(interface(10, WEB.group_id))

    assert await guest.ask("resolve", server=resolver, name="ip-172-31-5-6.ec2.internal") == "172.31.5.6"
    name = await guest.ask("resolve", server=resolver, name="6.5.31.172.in-addr.arpa", kind=12)
    assert name == "ip-172-31-5-6.ec2.internal"
    assert await guest.ask("resolve", server=resolver, name="instance-data.ec2.internal") == METADATA


async def test_the_metadata_service_knows_its_guest(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))
    with await net.fabric.metadata_socket(SEGMENT.vpc_id) as listening:
        answer, peer = await asyncio.gather(guest.ask("fetch", ip=METADATA, port=80), accept_one(listening))

    assert (answer, peer) == ("you are 172.31.0.10", "172.31.0.10")


async def test_the_metadata_of_another_guest_is_not_given(net: World) -> None:
    liar = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, WEB.group_id))
    await liar.ask("also", ip="172.31.0.11")

    assert await liar.ask("connect", ip=METADATA, port=80, source="172.31.0.11") == "silent"


async def test_guests_find_nothing_else_on_the_segments_own_addresses(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))

    attempts = [
        await guest.ask("connect", ip=address, port=port)
        for address, port in (("172.31.0.1", 22), (METADATA, 22), ("100.127.0.1", 80), ("100.127.1.2", 80))
    ]

    assert attempts == ["silent"] * 4


# The outside


async def test_guests_reach_the_outside_but_not_the_hosts_loopback(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id, home=net.home))
    with outside() as (address, port), socket.create_server(("127.0.0.1", 0)) as inside:
        there = await guest.ask("connect", ip=address, port=port)
        loopback = [
            await guest.ask("connect", ip=address, port=inside.getsockname()[1])
            for address in ("127.0.0.1", "100.127.1.2")
        ]

    assert there == "open"
    assert "open" not in loopback
