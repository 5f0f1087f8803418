"""Speed limits of the disks of a machine, by the fake hypervisor and by the real one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import DATA, MACHINE, ROOT, Driver

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.ports.hypervisor import DiskBus, MachineSpec

LIMITS = SpeedLimits(iops=3_000, throughput_mibps=125)
NONE = SpeedLimits()


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


def limited(spec: MachineSpec, bus: DiskBus = DiskBus.NVME) -> MachineSpec:
    return replace(spec, disks=tuple(replace(disk, limits=LIMITS, bus=bus) for disk in spec.disks))


@pytest.mark.parametrize("bus", DiskBus)
async def test_a_machine_starts_with_the_limits_of_its_disks(driver: Driver, bus: DiskBus) -> None:
    await driver.hypervisor.start(limited(driver.spec(), bus))

    assert await driver.limits(MACHINE, ROOT) == LIMITS


async def test_starting_a_machine_again_limits_what_a_start_cut_short_did_not(driver: Driver) -> None:
    spec = limited(driver.spec())
    await driver.hypervisor.start(spec)
    await driver.hypervisor.limit_disk(MACHINE, ROOT, NONE)

    await driver.hypervisor.start(spec)

    assert await driver.limits(MACHINE, ROOT) == LIMITS


async def test_a_disk_is_attached_with_its_limits(driver: Driver) -> None:
    await driver.hypervisor.start(driver.spec())

    await driver.hypervisor.attach_disk(MACHINE, replace(driver.disk(DATA), limits=LIMITS))

    assert (await driver.limits(MACHINE, ROOT), await driver.limits(MACHINE, DATA)) == (NONE, LIMITS)


@pytest.mark.parametrize("bus", DiskBus)
async def test_limits_are_changed_while_the_machine_runs(driver: Driver, bus: DiskBus) -> None:
    await driver.hypervisor.start(limited(driver.spec(), bus))
    wanted = SpeedLimits(iops=200)

    await driver.hypervisor.limit_disk(MACHINE, ROOT, wanted)

    assert await driver.limits(MACHINE, ROOT) == wanted


async def test_limits_are_lifted_while_the_machine_runs(driver: Driver) -> None:
    await driver.hypervisor.start(limited(driver.spec()))

    await driver.hypervisor.limit_disk(MACHINE, ROOT, NONE)

    assert await driver.limits(MACHINE, ROOT) == NONE


async def test_limits_stay_when_the_server_is_another(driver: Driver) -> None:
    await driver.hypervisor.start(limited(driver.spec()))

    await (await driver.reopened()).observe()

    assert await driver.limits(MACHINE, ROOT) == LIMITS


async def test_limiting_a_disk_that_is_not_there_does_nothing(driver: Driver) -> None:
    await driver.hypervisor.start(limited(driver.spec()))

    await driver.hypervisor.limit_disk(MACHINE, DATA, NONE)

    assert (await driver.status()).volume_ids == {ROOT}


async def test_limiting_a_disk_of_a_machine_that_is_gone_does_nothing(driver: Driver) -> None:
    await driver.hypervisor.limit_disk(MACHINE, ROOT, LIMITS)

    assert [it.volume_ids for it in await driver.hypervisor.observe() if it.volume_ids] == []
