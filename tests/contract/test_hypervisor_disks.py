"""What every hypervisor does with the disks of its machines, the fake and the real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import DATA, DEADLINE_S, MACHINE, ROOT, Driver

from bakehouse.ports.hypervisor import DeviceBusy, MonitorLost


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


async def test_an_attached_disk_is_held(driver: Driver) -> None:
    await driver.started()

    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_attaching_a_disk_again_does_nothing(driver: Driver) -> None:
    await driver.started()
    disk = driver.disk(DATA)
    await driver.hypervisor.attach_disk(MACHINE, disk)

    await driver.hypervisor.attach_disk(MACHINE, disk)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_attaching_to_a_machine_that_is_gone_is_told(driver: Driver) -> None:
    with pytest.raises(MonitorLost):
        await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))


async def test_a_disk_that_the_guest_keeps_stays_attached(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    with pytest.raises(DeviceBusy):
        await driver.hypervisor.detach_disk(MACHINE, DATA, force=False)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_a_disk_that_the_guest_keeps_can_be_taken_by_force(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))

    await driver.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert (await driver.status()).volume_ids == {ROOT}


async def test_a_disk_taken_by_force_can_be_attached_again(driver: Driver) -> None:
    await driver.started()
    disk = driver.disk(DATA)
    await driver.hypervisor.attach_disk(MACHINE, disk)
    await driver.hypervisor.detach_disk(MACHINE, DATA, force=True)

    await driver.hypervisor.attach_disk(MACHINE, disk)

    assert (await driver.status()).volume_ids == {ROOT, DATA}


async def test_a_guest_that_is_off_keeps_no_disk(driver: Driver) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_disk(MACHINE, driver.disk(DATA))
    await driver.guest_powers_off(MACHINE)
    await driver.hypervisor.wait_powered_off(MACHINE, DEADLINE_S)

    await driver.hypervisor.detach_disk(MACHINE, DATA, force=False)

    assert (await driver.status()).volume_ids == {ROOT}
