"""Disks that are really slowed down, by how fast a guest of one sector counts on them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.vm.boot_sector import counters
from tests.vm.counting_host import DATA, MACHINE, ROOT, Host, counting_host

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.qemu.speed_limits import current
from bakehouse.ports.hypervisor import DiskBus

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]

SLOW = SpeedLimits(iops=100)
#: What the guest writes to each disk between two of its dots.
WRITES_PER_DOT = 64


@pytest.fixture(params=DiskBus)
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    async with counting_host(tmp_path, None, bus=request.param) as made:
        yield made


async def writes_per_second(host: Host, *, dots: int = 4) -> float:
    """Return how fast the guest writes to one disk. What it did before is left out: a first burst is allowed."""
    await host.written_anew()
    begun, before = time.monotonic(), await written(host)
    async with asyncio.timeout(60):
        while await written(host) < before + dots:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.005)
    return (await written(host) - before) * WRITES_PER_DOT / (time.monotonic() - begun)


async def written(host: Host) -> int:
    return (await host.hypervisor.console_output(MACHINE)).count(b".")


async def test_a_guest_writes_no_faster_than_its_disk_may_be_and_faster_when_that_is_lifted(host: Host) -> None:
    await host.hypervisor.limit_disk(MACHINE, DATA, SLOW)
    slow = await writes_per_second(host)

    await host.hypervisor.limit_disk(MACHINE, DATA, SpeedLimits())

    # The console's dots come to the log late when the host has other work: the first more so, and it seems faster.
    assert slow < 200
    assert await writes_per_second(host, dots=20) > 2 * min(slow, 115)


async def test_a_disk_is_as_slow_after_snapshots_and_a_merge(host: Host) -> None:
    await host.hypervisor.limit_disk(MACHINE, DATA, SLOW)
    for number in range(14):
        await host.store.snapshot({ROOT: f"snap-{number}a", DATA: f"snap-{number}b"}, machine_id=MACHINE)
    while await host.store.upkeep.tend() is not None:
        pass

    assert max((await host.hypervisor.chain_depths()).values()) <= 12
    assert await writes_per_second(host) < 200


async def test_a_disk_whose_writes_wait_for_their_turn_is_taken_by_force(host: Host) -> None:
    await host.hypervisor.limit_disk(MACHINE, DATA, SpeedLimits(iops=1))

    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert set(await current(host.hypervisor._fleet.machines[MACHINE].monitor)) == {ROOT}


async def test_nothing_that_was_written_slowly_is_lost(host: Host) -> None:
    await host.hypervisor.limit_disk(MACHINE, DATA, SLOW)
    before = max(counters(await host.path(DATA), host.directory))
    await host.written_anew()

    await host.hypervisor.kill(MACHINE)

    assert min(counters(await host.path(DATA), host.directory)) > before
