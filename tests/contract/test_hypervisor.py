"""What every hypervisor does, the fake and the real one. The real one runs guests of one sector, by emulation."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import DATA, DEADLINE_S, MACHINE, OTHER, ROOT, Driver, first_change

from bakehouse.ports.hypervisor import MachineInterface, MachineStartFailed, MachineState, MachineStatus
from bakehouse.ports.network import InterfaceConnection


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


async def test_a_started_machine_runs_and_holds_its_volumes(driver: Driver) -> None:
    await driver.started()

    assert await driver.hypervisor.observe() == (
        MachineStatus(machine_id=MACHINE, state=MachineState.RUNNING, volume_ids=frozenset({ROOT})),
    )


async def test_starting_a_machine_again_does_nothing(driver: Driver) -> None:
    spec = await driver.started()

    await driver.hypervisor.start(spec)

    await driver.booted(MACHINE, 1)


async def test_a_start_that_fails_says_why(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed, match="Could not open"):
        await driver.hypervisor.start(driver.broken(driver.spec()))


async def test_a_start_that_fails_leaves_nothing(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(driver.broken(driver.spec()))

    assert await driver.hypervisor.observe() == ()


async def test_a_start_that_fails_closes_the_taps(driver: Driver) -> None:
    tap, other_end = os.pipe()
    os.close(other_end)
    interface = MachineInterface(
        interface_id="eni-0000000000000000a", mac="0a:00:00:00:00:01", connection=InterfaceConnection(fd=tap)
    )
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(replace(driver.broken(driver.spec()), interfaces=(interface,)))

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tap)


async def test_an_unknown_architecture_is_refused(driver: Driver) -> None:
    with pytest.raises(MachineStartFailed, match="vax"):
        await driver.hypervisor.start(replace(driver.spec(), architecture="vax"))


async def test_a_failed_start_can_be_tried_again(driver: Driver) -> None:
    spec = driver.spec()
    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(driver.broken(spec))

    await driver.hypervisor.start(spec)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_the_power_button_shuts_the_guest_down(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.press_power_button(MACHINE)

    assert await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)


async def test_a_powered_off_machine_still_holds_its_volumes(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    assert await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    assert await driver.status() == MachineStatus(
        machine_id=MACHINE, state=MachineState.POWERED_OFF, volume_ids=frozenset({ROOT})
    )


async def test_waiting_for_a_guest_that_ignores_its_power_button_ends_at_the_deadline(driver: Driver) -> None:
    await driver.started()
    await driver.guest_ignores_power_button(MACHINE)
    await driver.hypervisor.press_power_button(MACHINE)

    assert not await driver.hypervisor.wait_powered_off(MACHINE, 0.3)


async def test_a_guest_that_powers_off_is_news(driver: Driver) -> None:
    await driver.started()

    await driver.guest_powers_off(MACHINE)

    assert await first_change(driver.hypervisor) == MachineStatus(
        machine_id=MACHINE, state=MachineState.POWERED_OFF, volume_ids=frozenset({ROOT})
    )


async def test_a_guest_that_panics_is_news(driver: Driver) -> None:
    await driver.started()

    await driver.guest_panics(MACHINE)

    assert (await first_change(driver.hypervisor)).state is MachineState.PANICKED


async def test_a_process_that_dies_is_news(driver: Driver) -> None:
    await driver.started()

    driver.process_dies(MACHINE)

    assert await first_change(driver.hypervisor) == MachineStatus(machine_id=MACHINE, state=MachineState.GONE)


async def test_a_machine_that_was_killed_is_no_news(driver: Driver) -> None:
    await driver.started(MACHINE)
    await driver.started(OTHER)

    await driver.hypervisor.kill(MACHINE)
    await driver.guest_powers_off(OTHER)

    assert (await first_change(driver.hypervisor)).machine_id == OTHER


async def test_a_machine_whose_process_died_can_be_started_again(driver: Driver) -> None:
    spec = await driver.started()
    driver.process_dies(MACHINE)
    await first_change(driver.hypervisor)

    await driver.hypervisor.start(spec)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_a_reset_begins_a_powered_off_machine_again(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.reset(MACHINE)

    assert (await driver.status()).state is MachineState.RUNNING
    assert not await driver.hypervisor.wait_powered_off(MACHINE, 0)


async def test_a_reset_begins_a_running_machine_again(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.reset(MACHINE)

    await driver.booted(MACHINE, 2)


async def test_a_reset_begins_a_panicked_machine_again(driver: Driver) -> None:
    await driver.started()
    await driver.guest_panics(MACHINE)
    await first_change(driver.hypervisor)

    await driver.hypervisor.reset(MACHINE)

    assert (await driver.status()).state is MachineState.RUNNING


async def test_a_killed_machine_holds_nothing(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.kill(MACHINE)

    assert await driver.status() == MachineStatus(machine_id=MACHINE, state=MachineState.GONE)


async def test_a_powered_off_machine_can_be_killed(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.kill(MACHINE)

    assert (await driver.status()).state is MachineState.GONE


async def test_the_console_of_a_killed_machine_can_be_read(driver: Driver) -> None:
    await driver.started()
    before = await driver.hypervisor.console_output(MACHINE)

    await driver.hypervisor.kill(MACHINE)

    assert await driver.hypervisor.console_output(MACHINE) == before


async def test_a_machine_started_after_a_kill_has_a_new_console(driver: Driver) -> None:
    spec = await driver.started()
    await driver.hypervisor.kill(MACHINE)

    await driver.hypervisor.start(spec)

    await driver.booted(MACHINE, 1)


async def test_a_forgotten_machine_leaves_nothing(driver: Driver) -> None:
    await driver.started()
    await driver.hypervisor.kill(MACHINE)

    await driver.hypervisor.forget(MACHINE)

    assert await driver.hypervisor.observe() == ()
    assert await driver.hypervisor.console_output(MACHINE) == b""


async def test_a_running_machine_is_not_forgotten(driver: Driver) -> None:
    await driver.started()

    with pytest.raises(RuntimeError, match="runs"):
        await driver.hypervisor.forget(MACHINE)


async def test_calls_for_a_machine_that_never_was_succeed(driver: Driver) -> None:
    hypervisor = driver.hypervisor

    await hypervisor.press_power_button(MACHINE)
    await hypervisor.reset(MACHINE)
    await hypervisor.thaw_filesystems(MACHINE)
    await hypervisor.detach_disk(MACHINE, DATA, force=False)
    await hypervisor.kill(MACHINE)
    await hypervisor.forget(MACHINE)

    assert await hypervisor.wait_powered_off(MACHINE, 0)
    assert not await hypervisor.freeze_filesystems(MACHINE)
    assert await hypervisor.observe() == ()


async def test_a_new_server_finds_a_running_machine(driver: Driver) -> None:
    await driver.started()
    before = await driver.hypervisor.observe()

    hypervisor = await driver.reopened()

    assert await hypervisor.observe() == before


async def test_a_new_server_finds_that_a_guest_powered_off_meanwhile(driver: Driver) -> None:
    await driver.started()
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    hypervisor = await driver.reopened()

    assert (await hypervisor.observe())[0].state is MachineState.POWERED_OFF


async def test_a_new_server_kills_a_machine_it_did_not_start(driver: Driver) -> None:
    await driver.started()

    hypervisor = await driver.reopened()
    await hypervisor.kill(MACHINE)

    assert (await hypervisor.observe())[0].state is MachineState.GONE


async def test_a_guest_without_an_agent_is_not_frozen(driver: Driver) -> None:
    await driver.started()

    assert not await driver.hypervisor.freeze_filesystems(MACHINE)


async def test_thawing_a_guest_that_is_not_frozen_does_nothing(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.thaw_filesystems(MACHINE)


async def test_eight_machines_start_at_once(driver: Driver) -> None:
    specs = [driver.spec(f"i-0000000000000000{n}") for n in range(8)]

    await asyncio.gather(*(driver.hypervisor.start(spec) for spec in specs))

    states = [status.state for status in await driver.hypervisor.observe()]
    assert states == [MachineState.RUNNING] * 8
