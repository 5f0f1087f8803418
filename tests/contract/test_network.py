"""What every network fabric does, the fake one and Linux's, as root and rootless. Needs no machine."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.contract.network_world import (
    INTERFACE,
    REAL_MODES,
    SEGMENT,
    WEB,
    interface,
    real_fabric,
)

from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers.network.fake import FakeNetworkFabric
from bakehouse.ports.network import NetworkFabric, NetworkUnavailable, SubnetSpec


@pytest.fixture(params=["fake", *REAL_MODES])
async def fabric(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NetworkFabric]:
    if request.param == "fake":
        yield FakeNetworkFabric()
        return
    async with real_fabric(tmp_path, request.param) as fabric:
        yield fabric


async def test_capabilities_are_words(fabric: NetworkFabric) -> None:
    capabilities = await fabric.capabilities()

    assert capabilities.mode in {"fake", "root", "rootless"}
    assert capabilities.public_addresses
    assert capabilities.outside


async def test_nothing_exists_at_first(fabric: NetworkFabric) -> None:
    status = await fabric.observe()

    assert (status.vpc_ids, status.interface_ids) == (frozenset(), frozenset())


async def test_a_plugged_interface_is_observed(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.apply_group(WEB)
    await fabric.plug(INTERFACE)

    status = await fabric.observe()

    assert status.vpc_ids == {SEGMENT.vpc_id}
    assert status.interface_ids == {INTERFACE.interface_id}


async def test_every_call_may_be_repeated(fabric: NetworkFabric) -> None:
    for _ in range(2):
        await fabric.ensure_segment(SEGMENT)
        await fabric.apply_group(WEB)
        await fabric.plug(INTERFACE)
    for _ in range(2):
        await fabric.unplug(SEGMENT.vpc_id, INTERFACE.interface_id)
        await fabric.delete_group(SEGMENT.vpc_id, WEB.group_id)
    for _ in range(2):
        await fabric.delete_segment(SEGMENT.vpc_id)

    assert (await fabric.observe()).vpc_ids == frozenset()


async def test_calls_at_once_are_as_good_as_one_after_the_other(fabric: NetworkFabric) -> None:
    await asyncio.gather(*(fabric.ensure_segment(SEGMENT) for _ in range(5)))
    specs = [interface(number, public_ip=None) for number in range(10, 20)]
    await asyncio.gather(*(fabric.plug(spec) for spec in specs))

    assert (await fabric.observe()).interface_ids == {spec.interface_id for spec in specs}


async def test_a_segment_may_get_another_subnet(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    more = SubnetSpec(subnet_id="subnet-2", cidr="172.31.16.0/20")
    await fabric.ensure_segment(replace(SEGMENT, subnets=(*SEGMENT.subnets, more)))

    assert (await fabric.observe()).vpc_ids == {SEGMENT.vpc_id}


async def test_a_segment_keeps_its_range(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)

    with pytest.raises(NetworkUnavailable, match="range"):
        await fabric.ensure_segment(replace(SEGMENT, cidr="10.0.0.0/16", subnets=()))


async def test_an_unplugged_interface_is_gone(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.plug(replace(INTERFACE, group_ids=()))
    await fabric.unplug(SEGMENT.vpc_id, INTERFACE.interface_id)

    assert (await fabric.observe()).interface_ids == frozenset()
    with pytest.raises(NetworkUnavailable):
        await fabric.connect(INTERFACE.interface_id)


async def test_a_deleted_segment_takes_its_interfaces_along(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.plug(replace(INTERFACE, group_ids=()))
    await fabric.delete_segment(SEGMENT.vpc_id)

    assert (await fabric.observe()).interface_ids == frozenset()


async def test_a_group_on_an_interface_is_not_deleted(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.apply_group(WEB)
    await fabric.plug(INTERFACE)

    with pytest.raises(NetworkUnavailable, match=INTERFACE.interface_id):
        await fabric.delete_group(SEGMENT.vpc_id, WEB.group_id)


@pytest.mark.parametrize("taken", ["private_ip", "public_ip"])
async def test_an_address_is_one_interfaces_alone(fabric: NetworkFabric, taken: str) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.plug(replace(INTERFACE, group_ids=()))
    second = replace(interface(11, public_ip="127.16.0.11"), **{taken: getattr(INTERFACE, taken)})

    with pytest.raises(NetworkUnavailable, match=INTERFACE.interface_id):
        await fabric.plug(second)

    assert (await fabric.observe()).interface_ids == {INTERFACE.interface_id}


async def test_an_interface_without_a_segment_is_refused(fabric: NetworkFabric) -> None:
    with pytest.raises(NetworkUnavailable):
        await fabric.plug(INTERFACE)


async def test_an_interface_that_was_not_plugged_is_not_opened(fabric: NetworkFabric) -> None:
    with pytest.raises(NetworkUnavailable):
        await fabric.connect("eni-00000000000000000")


async def test_a_connection_is_owned_by_its_receiver(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)
    await fabric.apply_group(WEB)
    await fabric.plug(INTERFACE)

    for _ in range(2):  # a machine that stops and starts
        connection = await fabric.connect(INTERFACE.interface_id)
        if connection.fd >= 0:
            os.close(connection.fd)

    assert connection.mtu == 1500


async def test_the_metadata_socket_listens(fabric: NetworkFabric) -> None:
    await fabric.ensure_segment(SEGMENT)

    for _ in range(2):  # a second server gets it too
        with await fabric.metadata_socket(SEGMENT.vpc_id) as listening:
            assert listening.getsockname()[1] > 0


async def test_a_port_of_a_public_address_is_somewhere(fabric: NetworkFabric) -> None:
    assert INTERFACE.public_ip is not None
    reachable = await fabric.reachable_at(INTERFACE.public_ip, 8080)

    assert (reachable.public_ip, reachable.port, reachable.host_port) == (INTERFACE.public_ip, 8080, 8080)


def test_a_public_pool_is_on_the_loopback_interface(tmp_path: Path) -> None:
    pool = public_pool(tmp_path)

    assert pool.prefixlen == 22
    assert IPv4Address("127.16.0.0") <= pool[0] <= pool[-1] <= IPv4Address("127.254.255.255")
