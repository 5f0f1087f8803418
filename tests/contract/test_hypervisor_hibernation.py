"""Machines that sleep with their memory on disk, with the fake hypervisor and the real one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import DATA, MACHINE, Driver
from tests.vm import boot_sector

from bakehouse.ports.hypervisor import DiskBus, Hypervisor, MachineSpec, MachineState, NotHibernated


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


async def sleepy(driver: Driver) -> MachineSpec:
    """Start a machine whose disk lets it sleep."""
    spec = driver.spec()
    spec = replace(spec, disks=(replace(spec.disks[0], bus=DiskBus.VIRTIO),))
    await driver.hypervisor.start(spec)
    await driver.booted(MACHINE, 1)
    return spec


async def boots(hypervisor: Hypervisor) -> int:
    """Return how often the guest has booted, by what it wrote: the fake one and that of one sector."""
    written = await hypervisor.console_output(MACHINE)
    return written.count(b"login:") + written.count(b"K")


async def state(driver: Driver) -> MachineState:
    return (await driver.status()).state


async def test_a_hibernated_machine_has_no_process(driver: Driver) -> None:
    await sleepy(driver)

    assert await driver.hypervisor.hibernate(MACHINE, None)

    assert await state(driver) is MachineState.GONE


async def test_a_machine_that_wakes_up_goes_on_where_it_was(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)

    assert await driver.hypervisor.wake(spec)

    assert (await state(driver), await boots(driver.hypervisor)) == (MachineState.RUNNING, 1)


async def test_hibernating_and_waking_twice_is_as_good_as_once(driver: Driver) -> None:
    spec = await sleepy(driver)

    slept = [await driver.hypervisor.hibernate(MACHINE, None) for _ in range(2)]
    woke = [await driver.hypervisor.wake(spec) for _ in range(2)]

    assert (slept, woke) == ([True, True], [True, True])
    assert (await state(driver), await boots(driver.hypervisor)) == (MachineState.RUNNING, 1)


async def test_the_next_server_wakes_a_machine_up(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)

    next_server = await driver.reopened()

    assert await next_server.wake(spec)
    assert await boots(next_server) == 1


async def test_a_memory_is_used_once(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)
    await driver.hypervisor.wake(spec)
    await driver.hypervisor.kill(MACHINE)

    assert not await driver.hypervisor.wake(spec)


async def test_killing_a_hibernated_machine_takes_its_memory(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)

    await driver.hypervisor.kill(MACHINE)

    assert not await driver.hypervisor.hibernate(MACHINE, None)
    assert not await driver.hypervisor.wake(spec)


async def test_a_machine_that_starts_anew_loses_its_memory(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)
    await driver.hypervisor.start(spec)
    await driver.hypervisor.kill(MACHINE)

    assert not await driver.hypervisor.wake(spec)


async def test_a_machine_with_other_disks_starts_anew_only(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)
    other = replace(spec, disks=(*spec.disks, replace(driver.disk(DATA), bus=DiskBus.VIRTIO)))

    woke = await driver.hypervisor.wake(other)

    assert (woke, await driver.hypervisor.wake(spec)) == (False, False)
    assert await state(driver) is MachineState.GONE


async def test_a_disk_that_was_plugged_in_later_is_in_its_place_again(driver: Driver) -> None:
    spec = await sleepy(driver)
    disk = replace(driver.disk(DATA), bus=DiskBus.VIRTIO)
    await driver.hypervisor.attach_disk(MACHINE, disk)
    await driver.hypervisor.hibernate(MACHINE, None)

    assert await driver.hypervisor.wake(replace(spec, disks=(disk, *spec.disks)[::-1]))

    assert (await driver.status()).volume_ids == {spec.disks[0].volume_id, DATA}


@pytest.mark.parametrize("driver", hypervisors.PARAMETERS[1:], indirect=True)
async def test_a_machine_whose_disks_cannot_be_saved_runs_on(driver: Driver) -> None:
    await driver.started()

    with pytest.raises(NotHibernated):
        await driver.hypervisor.hibernate(MACHINE, None)

    assert await state(driver) is MachineState.RUNNING
    assert not (driver.directory / "home" / "machines" / MACHINE / "memory").exists()


@pytest.mark.parametrize("driver", hypervisors.PARAMETERS[1:], indirect=True)
async def test_a_memory_that_cannot_be_read_wakes_nothing(driver: Driver) -> None:
    spec = await sleepy(driver)
    await driver.hypervisor.hibernate(MACHINE, None)
    memory = driver.directory / "home" / "machines" / MACHINE / "memory"
    memory.write_bytes(memory.read_bytes()[:100_000])

    assert not await driver.hypervisor.wake(spec)

    assert (await state(driver), memory.exists()) == (MachineState.GONE, False)


@pytest.mark.parametrize("driver", hypervisors.PARAMETERS[1:], indirect=True)
async def test_a_machine_that_a_server_left_half_awake_is_not_taken_for_one_that_woke(driver: Driver) -> None:
    spec = await sleepy(driver)
    await boot_sector.tell(driver.directory / "home", MACHINE, b"w")
    await boot_sector.console_shows(driver.hypervisor, MACHINE, b".")
    await driver.hypervisor.hibernate(MACHINE, None)
    saved = driver.directory / "home" / "machines" / MACHINE / "memory.json"
    record = saved.read_bytes()
    await driver.hypervisor.wake(spec)
    saved.write_bytes(record)  # as if the guest had not gone on yet
    next_server = await driver.reopened()

    woke = await next_server.wake(spec)

    # Of the memory there is a record only: it cannot wake up with that, and must not go on with its old disks either.
    assert not woke
    assert not saved.exists()
