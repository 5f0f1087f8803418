"""What network ACLs let pass: every packet that enters or leaves a subnet is asked about, by itself."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.network_world import EVERYBODY, REAL_MODES, SEGMENT, World, accept_one, interface, outside, world
from tests.contract.test_network_routes import (
    DATA,
    GATEWAY,
    NAT,
    OPEN,
    PRIVATE,
    PUBLIC,
    describe,
    private,
    public,
    reaches_outside,
)

from bakehouse.ports.network import AclRule

EPHEMERAL = (32768, 65535)
"""Where Linux's connections begin. Source: ip(7), ip_local_port_range; 60999 is its end."""


@pytest.fixture(params=REAL_MODES)
async def net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        await made.fabric.apply_group(OPEN)
        yield made


def entry(number: int, way: str, verdict: str, protocol: str, *ports: int, cidr: str = EVERYBODY) -> AclRule:
    first, last = (ports[0], ports[-1]) if ports else (None, None)
    return AclRule(
        number=number,
        is_egress=way == "out",
        allow=verdict == "allow",
        protocol=protocol,
        cidr=cidr,
        from_port=first,
        to_port=last,
    )


ALL_IN = entry(100, "in", "allow", "-1")
ALL_OUT = entry(100, "out", "allow", "-1")


async def test_an_acl_knows_no_connections(net: World) -> None:
    answers = entry(100, "out", "allow", "tcp", *EPHEMERAL)
    await describe(net, replace(DATA, acl=(ALL_IN,)))
    one, other = await net.guest(private(10)), await net.guest(private(11, DATA))
    await other.ask("listen", port=5432)

    async def attempt(*rules: AclRule) -> Any:
        await describe(net, replace(DATA, acl=rules))
        return await one.ask("connect", ip="172.31.32.11", port=5432)

    assert await attempt() == "silent"
    assert await attempt(ALL_IN) == "silent"
    assert await attempt(ALL_IN, answers) == "open"
    assert await attempt(entry(100, "in", "allow", "tcp", 5432), answers) == "open"
    assert await attempt(entry(100, "in", "allow", "tcp", 5433), answers) == "silent"
    assert await attempt(entry(100, "in", "allow", "tcp", 5432, cidr="172.31.16.0/20"), answers) == "open"
    assert await attempt(entry(100, "in", "allow", "tcp", 5432, cidr="172.31.0.0/20"), answers) == "silent"


async def test_the_lowest_number_that_matches_decides(net: World) -> None:
    await describe(net)
    one, other = await net.guest(private(10)), await net.guest(private(11, DATA))
    await other.ask("listen", port=5432)
    deny = entry(90, "in", "deny", "tcp", 5432)

    for rules, expected in (
        ((ALL_IN, ALL_OUT, deny), "silent"),
        ((replace(deny, number=110), ALL_IN, ALL_OUT), "open"),
    ):
        await describe(net, replace(DATA, acl=rules))
        assert await one.ask("connect", ip="172.31.32.11", port=5432) == expected


async def test_a_standing_connection_is_cut(net: World) -> None:
    """Security groups would let it go on."""
    await describe(net)
    spec = public(net, 10)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    assert spec.public_ip is not None
    reader, writer = await asyncio.open_connection(spec.public_ip, 8080)
    try:
        await describe(net, replace(PUBLIC, acl=()))
        writer.write(b"hello")
        writer.write_eof()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await reader.read()
        await describe(net, replace(PUBLIC, acl=None))
        async with asyncio.timeout(15):  # TCP tries again, each time after twice as long
            assert await reader.read() == b"100.127.0.1 5"
    finally:
        writer.close()


async def test_within_a_subnet_no_acl_is_asked(net: World) -> None:
    await describe(net, replace(PRIVATE, acl=()))
    one, other = await net.guest(private(10)), await net.guest(private(11))
    await other.ask("listen", port=5432)

    assert await one.ask("connect", ip="172.31.16.11", port=5432) == "open"


async def test_the_host_is_asked_as_anybody_in_the_internet(net: World) -> None:
    await describe(net)
    spec = public(net, 10)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)

    for rules, expected in (
        ((), False),
        ((ALL_IN,), False),
        ((ALL_IN, ALL_OUT), True),
        ((entry(1, "in", "deny", "tcp", 8080, cidr="127.0.0.1/32"), ALL_IN, ALL_OUT), False),
        ((entry(1, "in", "deny", "tcp", 8080, cidr="192.0.2.0/24"), ALL_IN, ALL_OUT), True),
        ((ALL_IN, entry(1, "out", "deny", "-1", cidr="127.0.0.1/32"), ALL_OUT), False),
    ):
        await describe(net, replace(PUBLIC, acl=rules))
        assert await net.is_open_to_host(spec, 8080) is expected


async def test_what_the_vpc_serves_itself_is_not_filtered(net: World) -> None:
    await describe(net, replace(PUBLIC, acl=()))
    spec = public(net, 10)
    await net.fabric.plug(spec)
    guest = await net.bare_guest(spec)
    lease = await guest.ask("dhcp")
    await guest.ask("address", ip=spec.private_ip, prefix=20, gateway="172.31.0.1")
    name = await guest.ask("resolve", server="172.31.0.2", name="ip-172-31-5-6.ec2.internal")
    with await net.fabric.metadata_socket(SEGMENT.vpc_id) as listening:
        answer, _peer = await asyncio.gather(guest.ask("fetch", ip="169.254.169.254", port=80), accept_one(listening))

    assert (lease["address"], name, answer) == ("172.31.0.10", "172.31.5.6", "you are 172.31.0.10")


async def test_what_leaves_by_a_nat_gateway_passes_its_subnets_acl_too(net: World) -> None:
    by_nat = replace(PRIVATE, routes=(NAT,))
    await describe(net, by_nat, nat_gateways=(GATEWAY,))
    guest = await net.guest(private(10))
    with outside() as (address, port):
        web_out = entry(100, "out", "allow", "tcp", port)
        back_out = entry(110, "out", "allow", "tcp", *EPHEMERAL, cidr=PRIVATE.cidr)
        web_in = entry(100, "in", "allow", "tcp", port, cidr=PRIVATE.cidr)
        back_in = entry(110, "in", "allow", "tcp", *EPHEMERAL, cidr=f"{address}/32")

        async def attempt(*rules: AclRule) -> Any:
            await describe(net, by_nat, replace(PUBLIC, acl=rules), nat_gateways=(GATEWAY,))
            return await guest.ask("connect", ip=address, port=port)

        assert await attempt(web_out, back_out, web_in, back_in) == "open"
        for missing in (web_out, back_out, web_in, back_in):
            rest = [rule for rule in (web_out, back_out, web_in, back_in) if rule is not missing]
            assert await attempt(*rest) == "silent"


async def test_an_acl_holds_for_the_outside(net: World) -> None:
    await describe(net, replace(PUBLIC, acl=(ALL_IN,)))
    guest = await net.guest(public(net, 10))
    assert not await reaches_outside(guest)

    await describe(net, replace(PUBLIC, acl=(ALL_IN, ALL_OUT)))
    assert await reaches_outside(guest)


async def test_ping_passes_by_its_types(net: World) -> None:
    ask, answer = entry(100, "in", "allow", "icmp", 8, -1), entry(100, "out", "allow", "icmp", 0, -1)
    await describe(net, replace(DATA, acl=(ask, answer)))
    one, _other = await net.guest(private(10)), await net.guest(private(11, DATA))

    assert await one.ask("ping", ip="172.31.32.11") is True

    await describe(net, replace(DATA, acl=(ask, entry(100, "out", "allow", "icmp", 8, -1))))
    assert await one.ask("ping", ip="172.31.32.11") is False


async def test_an_acl_is_there_again_after_its_agent_was_killed(net: World) -> None:
    await describe(net, replace(DATA, acl=()))
    one, other = await net.guest(private(10)), await net.guest(private(11, DATA))
    await other.ask("listen", port=5432)
    await net.kill_agent()

    await net.fabric.plug(interface(12, subnet_id=PUBLIC.subnet_id))  # finds a new one

    assert await one.ask("connect", ip="172.31.32.11", port=5432) == "silent"
    await describe(net)
    assert await one.ask("connect", ip="172.31.32.11", port=5432) == "open"
