"""Merging layers below a machine that really runs: its guest counts on, and its disks are read through fewer files."""

import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.vm.boot_sector import counters
from tests.vm.counting_host import DATA, MACHINE, ROOT, Host, counting_host

from bakehouse.ports.storage_upkeep import Tended

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with counting_host(tmp_path, None) as made:
        yield made


async def snapshots(host: Host, count: int, *, first: int = 1) -> None:
    for number in range(first, first + count):
        await host.store.snapshot({ROOT: f"snap-{number}a", DATA: f"snap-{number}b"}, machine_id=MACHINE)
    await host.written_anew()


async def tend(host: Host) -> set[Tended]:
    done: set[Tended] = set()
    while (step := await host.store.upkeep.tend()) is not None:
        assert step.did is not Tended.FAILED, step
        done.add(step.did)
    return done


async def test_a_guest_counts_on_while_its_chain_is_merged_and_opened_anew(host: Host) -> None:
    await snapshots(host, 16)
    before = max(counters(await host.path(DATA), host.directory))

    done = await tend(host)
    await host.written_anew()

    await host.hypervisor.kill(MACHINE)
    assert (Tended.REOPENED in done, min(counters(await host.path(DATA), host.directory)) > before) == (True, True)


async def test_a_machine_reads_through_the_merged_chain(host: Host) -> None:
    await snapshots(host, 16)

    await tend(host)

    depths = await host.hypervisor.chain_depths()
    assert max(depths.values()) <= 12


async def test_a_machine_holds_no_layer_that_was_merged_away(host: Host) -> None:
    await snapshots(host, 16)
    for number in range(1, 17):
        await host.store.delete_snapshot(f"snap-{number}a")
        await host.store.delete_snapshot(f"snap-{number}b")

    await tend(host)

    assert [name for name in host.open_files(MACHINE) if name.endswith("(deleted)")] == []


async def test_snapshots_go_on_after_a_chain_was_opened_anew(host: Host) -> None:
    await snapshots(host, 16)
    await tend(host)

    await snapshots(host, 16, first=17)
    await tend(host)

    depths = await host.hypervisor.chain_depths()
    assert (set(depths), max(depths.values()) <= 12) == ({ROOT, DATA}, True)


async def test_a_disk_whose_chain_was_opened_anew_can_be_taken_by_force(host: Host) -> None:
    await snapshots(host, 16)
    await tend(host)

    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert [name for name in host.open_files(MACHINE) if DATA in name] == []


async def test_a_new_server_goes_on_with_a_chain_that_was_opened_anew(host: Host) -> None:
    await snapshots(host, 16)
    await tend(host)

    await host.restart()
    await snapshots(host, 16, first=17)
    await tend(host)

    assert max((await host.hypervisor.chain_depths()).values()) <= 12


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_qemu_as_another_user_opens_what_was_merged() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # noqa: ASYNC240 - a test waits for nothing else
        async with counting_host(Path(name), (nobody.pw_uid, nobody.pw_gid)) as host:
            await snapshots(host, 16)

            done = await tend(host)
            await host.written_anew()

            assert {Tended.MERGED, Tended.REOPENED} <= done
