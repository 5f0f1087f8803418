"""IPv6 in dual-stack subnets, between guests that are namespaces."""

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from tests.contract.network_guest import Guest
from tests.contract.network_world import OWN_MODE, SEGMENT, WEB, World, group, interface, world

from bakehouse.ports.network import AclRule, FirewallRule, InterfaceSpec, RouteSpec, SubnetSpec

pytestmark = pytest.mark.vm

EVERYBODY = "::/0"
WEB6 = group("sg-0000000000000000e", FirewallRule(protocol="tcp", from_port=8080, to_port=8080, cidr=EVERYBODY))
WEB6 = replace(WEB6, egress=(FirewallRule(protocol="-1", from_port=None, to_port=None, cidr=EVERYBODY),))
ONE = SubnetSpec(subnet_id="subnet-one", cidr="172.31.0.0/20", ipv6_cidr="2600:1f18:0:1::/64")
OTHER = SubnetSpec(subnet_id="subnet-other", cidr="172.31.16.0/20", ipv6_cidr="2600:1f18:0:2::/64")
VPC = replace(SEGMENT, subnets=(ONE, OTHER), ipv6_cidr="2600:1f18::/56")
ALL = AclRule(number=100, is_egress=False, allow=True, protocol="-1", cidr="0.0.0.0/0")
ALL6 = replace(ALL, number=101, cidr=EVERYBODY)


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, OWN_MODE) as made:
        await made.fabric.ensure_segment(VPC)
        await made.fabric.apply_group(WEB6)
        yield made


def dual_stack(number: int, subnet: SubnetSpec = ONE, *groups: str, **changes: Any) -> InterfaceSpec:
    assert subnet.ipv6_cidr is not None
    prefix = subnet.ipv6_cidr.removesuffix("/64")
    where = {
        "subnet_id": subnet.subnet_id,
        "subnet_cidr": subnet.cidr,
        "private_ip": f"172.31.{0 if subnet is ONE else 16}.{number}",
        "ipv6_addresses": (f"{prefix}{number}",),
    }
    return interface(number, *(groups or (WEB6.group_id,)), **{**where, **changes})


async def start(net: World, spec: InterfaceSpec) -> Guest:
    guest = await net.guest(spec)
    assert await guest.ask("ipv6", ip=spec.ipv6_addresses[0])
    return guest


async def test_a_router_and_an_address_are_offered(net: World) -> None:
    spec = dual_stack(10)
    guest = await start(net, spec)

    assert await guest.ask("dhcp6") == "2600:1f18:0:1::10"


async def test_an_instances_id_has_an_ipv6_address_and_it_that_name(net: World) -> None:
    spec = dual_stack(10, ipv6_names=("i-0123456789abcdef0",))
    guest = await start(net, spec)

    async def resolve(name: str, kind: int) -> str:
        return str(await guest.ask("resolve", server="172.31.0.2", name=name, kind=kind))

    name = "i-0123456789abcdef0.ec2.internal"
    backwards = ".".join(reversed(IPv6Address(spec.ipv6_addresses[0]).exploded.replace(":", ""))) + ".ip6.arpa"
    assert await resolve(name, 28) == spec.ipv6_addresses[0]
    assert await resolve(name, 1) == ""
    assert await resolve("ip-172-31-0-10.ec2.internal", 28) == ""
    assert await resolve(backwards, 12) == name


async def test_an_ipv6_address_that_was_leased_can_be_another_guests(net: World) -> None:
    spec = dual_stack(10)
    assert await (await start(net, spec)).ask("dhcp6") == "2600:1f18:0:1::10"
    await net.fabric.unplug(spec.vpc_id, spec.interface_id)

    heir = await start(net, dual_stack(11, ipv6_addresses=spec.ipv6_addresses))

    assert await heir.ask("dhcp6") == "2600:1f18:0:1::10"


async def test_groups_let_ipv6_pass_or_not(net: World) -> None:
    one, other = await start(net, dual_stack(10)), await start(net, dual_stack(11, OTHER))
    neighbour = await start(net, dual_stack(12))
    for port in (8080, 9090):
        await other.ask("listen", port=port, on_ipv6=True)

    for guest in (one, neighbour):
        assert await guest.ask("connect", ip="2600:1f18:0:2::11", port=8080) == "open"
        assert await guest.ask("connect", ip="2600:1f18:0:2::11", port=9090) == "silent"
    assert await one.ask("connect", ip="2600:1f18:0:1::12", port=8080) == "refused"


async def test_a_group_that_names_another_means_its_ipv6_addresses_too(net: World) -> None:
    await net.fabric.apply_group(
        group("sg-data", FirewallRule(protocol="tcp", from_port=5432, to_port=5432, group_id=WEB6.group_id))
    )
    one, stranger = await start(net, dual_stack(10)), await start(net, dual_stack(12, ONE, WEB.group_id))
    other = await start(net, dual_stack(11, OTHER, "sg-data"))
    await other.ask("listen", port=5432, on_ipv6=True)

    assert await one.ask("fetch", ip="2600:1f18:0:2::11", port=5432) == "2600:1f18:0:1::10 6"
    assert await stranger.ask("connect", ip="2600:1f18:0:2::11", port=5432) == "silent"


async def test_an_acl_has_entries_of_its_own_for_ipv6(net: World) -> None:
    one, other = await start(net, dual_stack(10)), await start(net, dual_stack(11, OTHER))
    await other.ask("listen", port=8080, on_ipv6=True)

    for entries, expected in (
        ((ALL, replace(ALL, is_egress=True)), "silent"),
        ((ALL6,), "silent"),
        ((ALL6, replace(ALL6, is_egress=True)), "open"),
    ):
        await net.fabric.ensure_segment(replace(VPC, subnets=(ONE, replace(OTHER, acl=entries))))
        assert await one.ask("connect", ip="2600:1f18:0:2::11", port=8080) == expected


async def test_a_borrowed_ipv6_address_is_not_listened_to(net: World) -> None:
    liar, other = await start(net, dual_stack(10)), await start(net, dual_stack(11, OTHER))
    await other.ask("listen", port=8080, on_ipv6=True)
    await liar.ask("ipv6", ip="2600:1f18:0:1::99")

    answer = await liar.ask("connect", ip="2600:1f18:0:2::11", port=8080, source="2600:1f18:0:1::99")

    assert answer == "silent"


async def test_an_ipv6_address_comes_and_goes_with_its_description(net: World) -> None:
    spec = dual_stack(11, OTHER)
    one, other = await start(net, dual_stack(10)), await start(net, spec)
    await other.ask("listen", port=8080, on_ipv6=True)
    assert await one.ask("connect", ip="2600:1f18:0:2::11", port=8080) == "open"

    await net.fabric.plug(replace(spec, ipv6_addresses=()))
    assert await one.ask("connect", ip="2600:1f18:0:2::11", port=8080) != "open"

    await net.fabric.plug(spec)
    assert await other.ask("ipv6", ip="2600:1f18:0:2::11")
    assert await one.ask("connect", ip="2600:1f18:0:2::11", port=8080) == "open"


async def test_ipv6_leads_nowhere_outside(net: World) -> None:
    way = RouteSpec(destination=EVERYBODY, target="egress_only")
    await net.fabric.ensure_segment(replace(VPC, subnets=(replace(ONE, routes=(way,)), OTHER)))
    guest = await start(net, dual_stack(10))

    assert await guest.ask("connect", ip="2001:db8::1", port=80) != "open"
