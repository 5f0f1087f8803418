"""Disks taken from a guest that keeps them, whose server is killed over it: QEMU goes on with what it was told."""

import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.vm.counting_host import DATA, MACHINE, ROOT, SNAPSHOTS, Host, counting_host

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]


class Killed(Exception):
    """The server is no more."""


@pytest.fixture(params=["blockdev-add", "blockdev-mirror", "job-complete"])
async def host(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """A machine whose server was killed when QEMU had answered this command, and its next server."""
    async with counting_host(tmp_path, None) as made:
        monitor = made.hypervisor._fleet.machines[MACHINE].monitor
        execute = monitor.execute

        async def killed_after(command: str, arguments: Mapping[str, Any] | None = None) -> Any:
            answer = await execute(command, arguments)
            if command == request.param:
                raise Killed
            return answer

        monkeypatch.setattr(monitor, "execute", killed_after)
        with pytest.raises(Killed):
            await made.hypervisor.detach_disk(MACHINE, DATA, force=True)
        await made.restart()
        yield made


async def test_the_next_server_takes_the_disk(host: Host) -> None:
    await host.hypervisor.detach_disk(MACHINE, DATA, force=True)

    assert set(await host.hypervisor.active_tops(MACHINE)) == {ROOT}
    assert not [name for name in host.open_files(MACHINE) if DATA in name]
    await host.written_anew()


async def test_the_next_server_images_the_disks_that_are_there(host: Host) -> None:
    plugged = await host.hypervisor.active_tops(MACHINE)

    await host.store.snapshot({it: SNAPSHOTS[it] for it in plugged}, machine_id=MACHINE)

    await host.written_anew()
