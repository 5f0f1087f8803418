"""Which guests are there is asked of the guests themselves, which are namespaces here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.network_world import REAL_MODES, WEB, World, interface, world


@pytest.fixture(params=REAL_MODES)
async def net(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        yield made


async def test_guests_that_are_there_answer_and_others_do_not(net: World) -> None:
    spec, silent = interface(10, WEB.group_id, home=net.home), interface(11, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await net.fabric.plug(silent)

    there = await net.fabric.observe(ask_guests=True)
    await guest.stop()
    gone = await net.fabric.observe(ask_guests=True)

    assert there.answering == {spec.interface_id}
    assert there.interface_ids == {spec.interface_id, silent.interface_id}
    assert gone.answering == frozenset()


async def test_no_guest_is_asked_unless_that_is_wanted(net: World) -> None:
    await net.guest(interface(10, WEB.group_id, home=net.home))

    assert (await net.fabric.observe()).answering == frozenset()
