"""Where packets go by a VPC's routes, and where they do not, between guests that are namespaces."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.network_guest import Guest
from tests.contract.network_world import (
    EVERYBODY,
    INTERNET,
    REAL_MODES,
    SEGMENT,
    World,
    group,
    interface,
    outside,
    world,
)

from bakehouse.ports.network import FirewallRule, InterfaceSpec, NatGatewaySpec, RouteSpec, SubnetSpec

OPEN = group("sg-0000000000000000d", FirewallRule(protocol="-1", from_port=None, to_port=None, cidr=EVERYBODY))
NAT = RouteSpec(destination=EVERYBODY, target="nat", target_id="nat-1")
GATEWAY = NatGatewaySpec(
    nat_gateway_id="nat-1", subnet_id="subnet-public", private_ip="172.31.0.9", public_ip="127.16.3.9"
)
PUBLIC = SubnetSpec(subnet_id="subnet-public", cidr="172.31.0.0/20", routes=(INTERNET,))
PRIVATE = SubnetSpec(subnet_id="subnet-private", cidr="172.31.16.0/20", routes=())
DATA = SubnetSpec(subnet_id="subnet-data", cidr="172.31.32.0/20", routes=())


@pytest.fixture(params=REAL_MODES)
async def net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        await made.fabric.apply_group(OPEN)
        yield made


async def describe(net: World, *subnets: SubnetSpec, **changes: Any) -> None:
    by_id = {subnet.subnet_id: subnet for subnet in (PUBLIC, PRIVATE, DATA, *subnets)}
    await net.fabric.ensure_segment(replace(SEGMENT, subnets=tuple(by_id.values()), **changes))


def public(net: World, number: int, **changes: Any) -> InterfaceSpec:
    """Describe an interface of the public subnet, with a public address."""
    return interface(number, OPEN.group_id, home=net.home, **{"subnet_id": PUBLIC.subnet_id, **changes})


def private(number: int, subnet: SubnetSpec = PRIVATE, **changes: Any) -> InterfaceSpec:
    """Describe an interface of a private subnet, without a public address."""
    third = {PRIVATE.subnet_id: 16, DATA.subnet_id: 32}[subnet.subnet_id]
    where = {"subnet_id": subnet.subnet_id, "subnet_cidr": subnet.cidr, "private_ip": f"172.31.{third}.{number}"}
    return interface(number, OPEN.group_id, **{**where, **changes})


async def reaches_outside(guest: Guest) -> bool:
    with outside() as (address, port):
        return bool(await guest.ask("connect", ip=address, port=port) == "open")


async def test_a_way_to_the_internet_is_a_route_and_a_public_address(net: World) -> None:
    await describe(net)
    spec = public(net, 10)
    guest, without = await net.guest(spec), await net.guest(replace(public(net, 11), public_ip=None))

    assert await reaches_outside(guest)
    assert not await reaches_outside(without)

    await describe(net, replace(PUBLIC, routes=()))
    assert not await reaches_outside(guest)

    await describe(net, has_internet_gateway=False)
    assert not await reaches_outside(guest)

    await describe(net)
    await net.fabric.plug(replace(spec, public_ip=None))
    assert not await reaches_outside(guest)


async def test_a_public_address_leads_in_only_where_a_route_leads_out(net: World) -> None:
    await describe(net)
    spec = public(net, 10)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    assert await net.is_open_to_host(spec, 8080)
    for closed in (replace(PUBLIC, routes=()), replace(PUBLIC, routes=(replace(INTERNET, destination="8.0.0.0/8"),))):
        await describe(net, closed)
        assert not await net.is_open_to_host(spec, 8080)
    await describe(net, has_internet_gateway=False)
    assert not await net.is_open_to_host(spec, 8080)
    await describe(net)
    assert await net.is_open_to_host(spec, 8080)


async def test_a_private_subnet_reaches_outside_by_a_nat_gateway_alone(net: World) -> None:
    await describe(net)
    guest = await net.guest(private(10))
    by_nat = replace(PRIVATE, routes=(NAT,))

    assert not await reaches_outside(guest)

    await describe(net, by_nat, nat_gateways=(GATEWAY,))
    assert await reaches_outside(guest)

    for gateways in ((), (replace(GATEWAY, public_ip=None),), (replace(GATEWAY, subnet_id=PRIVATE.subnet_id),)):
        await describe(net, by_nat, nat_gateways=gateways)
        assert not await reaches_outside(guest)

    await describe(net, by_nat, replace(PUBLIC, routes=()), nat_gateways=(GATEWAY,))
    assert not await reaches_outside(guest)


async def test_the_most_specific_route_wins(net: World) -> None:
    guest = None
    with outside() as (address, _port):
        hole = RouteSpec(destination=f"{address}/32", target="blackhole")
        way = RouteSpec(destination=f"{address}/24", target="internet")
        await describe(net, replace(PUBLIC, routes=(INTERNET, hole)))
    guest = await net.guest(public(net, 10))

    assert not await reaches_outside(guest)

    await describe(net, replace(PUBLIC, routes=(replace(INTERNET, target="blackhole"), way)))
    assert await reaches_outside(guest)


async def test_subnets_reach_each_other_without_any_route(net: World) -> None:
    await describe(net)
    one, other = await net.guest(private(10)), await net.guest(private(11, DATA))
    await other.ask("listen", port=5432)

    assert await one.ask("fetch", ip="172.31.32.11", port=5432) == "172.31.16.10 6"


async def test_a_nat_instance_carries_what_is_routed_to_it(net: World) -> None:
    spec = public(net, 10, source_dest_check=False)
    by_instance = replace(
        PRIVATE, routes=(RouteSpec(destination=EVERYBODY, target="interface", target_id=spec.interface_id),)
    )
    await describe(net, by_instance)
    guest = await net.guest(private(11))
    assert not await reaches_outside(guest)  # it is not plugged yet

    instance = await net.guest(spec)
    await instance.ask("forward", translate=True)
    assert await reaches_outside(guest)

    await net.fabric.plug(replace(spec, source_dest_check=True))
    assert not await reaches_outside(guest)

    await net.fabric.plug(spec)
    assert await reaches_outside(guest)

    await net.fabric.unplug(spec.vpc_id, spec.interface_id)
    assert not await reaches_outside(guest)


async def test_a_firewall_instance_stands_between_two_subnets(net: World) -> None:
    spec = public(net, 10, source_dest_check=False)
    there = RouteSpec(destination=DATA.cidr, target="interface", target_id=spec.interface_id)
    back = replace(there, destination=PRIVATE.cidr)
    await describe(net, replace(PRIVATE, routes=(there,)), replace(DATA, routes=(back,)))
    firewall = await net.guest(spec)
    one, other = await net.guest(private(11)), await net.guest(private(12, DATA))
    await other.ask("listen", port=5432)

    before = await one.ask("connect", ip="172.31.32.12", port=5432)
    await firewall.ask("forward", translate=False)
    after = await one.ask("fetch", ip="172.31.32.12", port=5432)

    assert (before, after) == ("silent", "172.31.16.11 6")


async def test_a_firewall_instance_stands_before_the_internet(net: World) -> None:
    """What it lets out has the sender's own address, which has a public one."""
    firewall_spec = interface(
        10, OPEN.group_id, subnet_id=DATA.subnet_id, subnet_cidr=DATA.cidr, private_ip="172.31.32.10"
    )
    firewall_spec = replace(firewall_spec, source_dest_check=False)
    by_firewall = RouteSpec(destination=EVERYBODY, target="interface", target_id=firewall_spec.interface_id)
    await describe(net, replace(PUBLIC, routes=(by_firewall,)), replace(DATA, routes=(INTERNET,)))
    firewall, guest = await net.guest(firewall_spec), await net.guest(public(net, 11))
    without = await net.guest(replace(public(net, 12), public_ip=None))

    assert not await reaches_outside(guest)
    await firewall.ask("forward", translate=False)
    assert await reaches_outside(guest)
    assert not await reaches_outside(without)


async def test_an_instance_that_forwards_is_still_asked_who_it_is(net: World) -> None:
    """Metadata goes by the sender's address, so nobody may borrow one there."""
    await describe(net)
    spec = public(net, 10, source_dest_check=False)
    liar = await net.guest(spec)
    await net.guest(private(11))
    await liar.ask("also", ip="172.31.16.11")
    (await net.fabric.metadata_socket(SEGMENT.vpc_id)).close()

    assert await liar.ask("connect", ip="169.254.169.254", port=80) == "open"
    assert await liar.ask("connect", ip="169.254.169.254", port=80, source="172.31.16.11") == "silent"


async def test_a_further_range_is_as_good_as_the_first(net: World) -> None:
    further = SubnetSpec(subnet_id="subnet-further", cidr="10.77.1.0/24", routes=(INTERNET,))
    await describe(net, further, extra_cidrs=("10.77.0.0/16",))
    spec = public(net, 10, subnet_id=further.subnet_id, subnet_cidr=further.cidr, private_ip="10.77.1.10")
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    other = await net.guest(private(11))

    assert await other.ask("fetch", ip="10.77.1.10", port=8080) == "172.31.16.11 6"
    assert await net.is_open_to_host(spec, 8080)
    assert await reaches_outside(guest)


async def test_a_subnet_that_is_gone_is_none(net: World) -> None:
    await describe(net)
    spec = private(10)
    await net.fabric.plug(spec)
    await net.fabric.unplug(spec.vpc_id, spec.interface_id)
    await net.fabric.ensure_segment(replace(SEGMENT, subnets=(PUBLIC,)))

    with pytest.raises(Exception, match="not a subnet"):
        await net.fabric.plug(spec)
