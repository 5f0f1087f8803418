"""Interfaces with more than one address, machines with more than one interface, and what they are called."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.network_world import INTERFACE, REAL_MODES, SEGMENT, WEB, World, interface, world

from bakehouse.domain.public_pool import public_pool
from bakehouse.ports.network import AddressSpec, DhcpSpec, InterfaceSpec

RESOLVER = "172.31.0.2"
FURTHER = "172.31.0.110"


@pytest.fixture(params=REAL_MODES)
async def net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        yield made


def with_further(spec: InterfaceSpec, net: World, public_number: int | None) -> InterfaceSpec:
    public_ip = None if public_number is None else str(public_pool(net.home)[public_number])
    return replace(spec, secondary_ips=(AddressSpec(private_ip=FURTHER, public_ip=public_ip),))


def at_further(spec: InterfaceSpec) -> InterfaceSpec:
    """Return an interface as if its further address were its only one."""
    return replace(spec, private_ip=FURTHER, public_ip=spec.secondary_ips[0].public_ip)


async def test_each_private_address_has_its_own_public_one(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("second_address", ip=FURTHER, prefix=20)
    await guest.ask("listen", port=8080)

    await net.fabric.plug(with_further(spec, net, 110))
    both = with_further(spec, net, 110)
    assert await net.is_open_to_host(spec, 8080)
    assert await net.is_open_to_host(at_further(both), 8080)

    # The Elastic IP of the second moves to the first.
    moved = replace(spec, public_ip=both.secondary_ips[0].public_ip, secondary_ips=(AddressSpec(private_ip=FURTHER),))
    await net.fabric.plug(moved)
    assert await net.is_open_to_host(moved, 8080)
    assert not await net.is_open_to_host(spec, 8080)


async def test_a_further_address_comes_and_goes_with_its_description(net: World) -> None:
    spec = interface(10, WEB.group_id)
    guest, other = await net.guest(spec), await net.guest(interface(11, WEB.group_id))
    await guest.ask("second_address", ip=FURTHER, prefix=20)
    await guest.ask("listen", port=8080)

    assert await other.ask("connect", ip=FURTHER, port=8080) != "open"
    assert not await guest.ask("ping", ip="172.31.0.1", source=FURTHER)

    await net.fabric.plug(with_further(spec, net, None))
    assert await other.ask("connect", ip=FURTHER, port=8080) == "open"
    assert await guest.ask("ping", ip="172.31.0.1", source=FURTHER)

    await net.fabric.plug(spec)
    assert await other.ask("connect", ip=FURTHER, port=8080) != "open"


async def test_a_further_address_moves_to_another_interface(net: World) -> None:
    first, second = interface(10, WEB.group_id), interface(11, WEB.group_id)
    await net.fabric.plug(with_further(first, net, None))
    heir, other = await net.guest(second), await net.guest(interface(12, WEB.group_id))
    with pytest.raises(Exception, match=first.interface_id):
        await net.fabric.plug(with_further(second, net, None))

    await net.fabric.plug(first)
    await net.fabric.plug(with_further(second, net, None))
    await heir.ask("second_address", ip=FURTHER, prefix=20)
    await heir.ask("listen", port=8080)

    assert await other.ask("connect", ip=FURTHER, port=8080) == "open"


async def test_names_of_an_interface_lead_there_and_back(net: World) -> None:
    public_name = "ec2-127-16-0-10.compute-1.bakehouse.internal"
    spec = interface(10, host_name="i-0123456789abcdef0", names=("ip-172-31-0-10", public_name))
    guest = await net.guest(spec)

    async def resolve(name: str, kind: int = 1) -> str:
        return str(await guest.ask("resolve", server=RESOLVER, name=name, kind=kind))

    assert await resolve("i-0123456789abcdef0.ec2.internal") == "172.31.0.10"
    assert await resolve(public_name) == "172.31.0.10"
    assert await resolve("10.0.31.172.in-addr.arpa", 12) == "i-0123456789abcdef0.ec2.internal"

    await net.fabric.plug(replace(spec, names=()))
    await net.fabric.plug(interface(11, host_name="i-0123456789abcdef1"))
    assert await resolve("i-0123456789abcdef1.ec2.internal") == "172.31.0.11"
    await net.fabric.unplug(SEGMENT.vpc_id, interface(11).interface_id)
    assert await resolve("i-0123456789abcdef1.ec2.internal") == ""


async def test_public_names_lead_to_private_addresses_and_go_with_them(net: World) -> None:
    await net.fabric.ensure_segment(replace(SEGMENT, public_domain="bakehouse.internal"))
    first, second, third = (f"ec2-127-16-0-{number}.compute-1.bakehouse.internal" for number in (10, 11, 12))
    spec = interface(10, WEB.group_id, names=(first,))
    further = AddressSpec(private_ip=FURTHER, names=("ip-172-31-0-110", second))
    guest = await net.guest(replace(spec, secondary_ips=(further,)))

    async def resolve(name: str, kind: int = 1) -> str:
        return str(await guest.ask("resolve", server=RESOLVER, name=name, kind=kind))

    assert [await resolve(name) for name in (first, second, third)] == ["172.31.0.10", FURTHER, ""]
    assert await resolve("110.0.31.172.in-addr.arpa", 12) == "ip-172-31-0-110.ec2.internal"

    # The second's Elastic IP moves to the first, whose own address goes.
    await net.fabric.plug(replace(spec, names=(second,)))
    async with asyncio.timeout(30):
        while [await resolve(name) for name in (first, second)] != ["", "172.31.0.10"]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)


async def test_dhcp_offers_what_its_options_say_from_now_on(net: World) -> None:
    await net.fabric.plug(INTERFACE)
    guest = await net.bare_guest(INTERFACE)
    assert (await guest.ask("dhcp"))["domain"] == "ec2.internal"

    options = DhcpSpec(domain_name="bread.example", domain_name_servers=("10.9.9.9",), ntp_servers=("10.9.9.8",))
    await net.fabric.ensure_segment(replace(SEGMENT, dhcp=options))
    told = await guest.ask("dhcp")
    assert (told["domain"], told["resolver"], told["time"]) == ("bread.example", "10.9.9.9", "10.9.9.8")

    await net.fabric.ensure_segment(replace(SEGMENT, dhcp=DhcpSpec(), dns_support=False))
    told = await guest.ask("dhcp")
    assert (told["address"], told["name"]) == ("172.31.0.10", "ip-172-31-0-10")
    assert not told.keys() & {"domain", "resolver", "time"}
    await guest.ask("address", ip="172.31.0.10", prefix=20, gateway="172.31.0.1")
    assert await guest.ask("resolve", server=RESOLVER, name="ip-172-31-0-10.ec2.internal") == "silent"
