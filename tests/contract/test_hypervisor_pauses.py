"""Guests that stand still, with the fake hypervisor and the real one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import DATA, DEADLINE_S, MACHINE, ROOT, Driver

from bakehouse.ports.hypervisor import DeviceBusy, MachineState


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


async def state(driver: Driver) -> MachineState:
    return (await driver.status()).state


async def test_a_paused_guest_stands_still(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.pause(MACHINE)

    assert await state(driver) is MachineState.STALLED


async def test_a_guest_that_stands_still_goes_on(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.pause(MACHINE)

    await driver.hypervisor.resume(MACHINE)

    assert await state(driver) is MachineState.RUNNING


async def test_pausing_and_resuming_twice_is_as_good_as_once(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.pause(MACHINE)
    await driver.hypervisor.pause(MACHINE)
    await driver.hypervisor.resume(MACHINE)
    await driver.hypervisor.resume(MACHINE)

    assert await state(driver) is MachineState.RUNNING


async def test_a_guest_that_stands_still_is_found_so_by_the_next_server(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.pause(MACHINE)

    seen = {it.machine_id: it.state for it in await (await driver.reopened()).observe()}

    assert seen == {MACHINE: MachineState.STALLED}


async def test_a_guest_that_stands_still_can_be_killed(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.pause(MACHINE)

    await driver.hypervisor.kill(MACHINE)

    assert await state(driver) is MachineState.GONE


async def test_a_machine_that_is_gone_cannot_be_paused(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.kill(MACHINE)

    await driver.hypervisor.pause(MACHINE)
    await driver.hypervisor.resume(MACHINE)

    assert await state(driver) is MachineState.GONE


async def test_a_guest_that_is_off_stays_off(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.pause(MACHINE)
    await driver.hypervisor.resume(MACHINE)

    assert await state(driver) is MachineState.POWERED_OFF


async def test_that_a_guest_stands_still_is_news(driver: Driver) -> None:
    await driver.started()
    waiting = asyncio.create_task(hypervisors.first_change(driver.hypervisor))

    await driver.hypervisor.pause(MACHINE)

    assert (await waiting).state is MachineState.STALLED


async def test_a_guest_that_stands_still_keeps_its_disks(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))
    await driver.hypervisor.pause(MACHINE)

    with pytest.raises(DeviceBusy):
        await driver.hypervisor.detach_disk(MACHINE, DATA, force=False)

    assert (await driver.status()).volume_ids == {ROOT, DATA}
