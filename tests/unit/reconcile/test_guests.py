"""What machines do by themselves is seen and obeyed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.world import World, until

from bakehouse.app.images import ImageOfInstance
from bakehouse.domain.instance import InstanceState


@pytest.fixture
async def watched(world: World) -> AsyncIterator[World]:
    """A world whose reconciler runs."""
    running = asyncio.create_task(world.reconciler.run())
    yield world
    running.cancel()


async def test_a_guest_that_shuts_down_stops_its_instance(watched: World) -> None:
    instance_id = await watched.running_instance()

    watched.hypervisor.power_off_guest(instance_id)
    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)

    reason = watched.instance(instance_id).state_reason
    assert reason is not None
    assert reason.code == "Client.InstanceInitiatedShutdown"


async def test_a_guest_that_shuts_down_terminates_its_instance_when_told_so(watched: World) -> None:
    instance_id = await watched.running_instance(shutdown_behavior="terminate")

    watched.hypervisor.power_off_guest(instance_id)
    await until(lambda: watched.instance(instance_id).state is InstanceState.TERMINATED)

    await watched.sagas.settle()
    await watched.assert_sound()


async def test_an_instance_whose_machine_dies_is_stopped(watched: World) -> None:
    instance_id = await watched.running_instance()

    watched.hypervisor.crash_machine(instance_id)
    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)

    reason = watched.instance(instance_id).state_reason
    assert reason is not None
    assert reason.code == "Server.InternalError"
    assert watched.network.interfaces == {}


async def test_an_instance_whose_machine_dies_while_it_is_imaged_is_stopped_after_that(
    watched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_id = await watched.running_instance()

    async def dies(machine_id: str) -> bool:
        watched.hypervisor.crash_machine(machine_id)
        for _ in range(10):  # the reconciler hears of it meanwhile
            await asyncio.sleep(0)
        return False

    monkeypatch.setattr(watched.hypervisor, "freeze_filesystems", dies)

    await watched.app.images.create(
        watched.caller, ImageOfInstance(instance_id=instance_id, name="of a dying one", reboot=False)
    )

    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)


async def test_an_instance_whose_machine_died_starts_again(watched: World) -> None:
    instance_id = await watched.running_instance()
    watched.hypervisor.crash_machine(instance_id)
    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)
    await watched.sagas.settle()

    await watched.instances.start(watched.caller, [instance_id])

    await watched.assert_sound()


async def test_a_panicked_guest_is_impaired_until_it_is_rebooted(watched: World) -> None:
    instance_id = await watched.running_instance()

    watched.hypervisor.panic_guest(instance_id)
    await until(lambda: watched.instance(instance_id).impaired_since is not None)
    await watched.instances.reboot(watched.caller, [instance_id])
    await until(lambda: watched.instance(instance_id).impaired_since is None, deadline_s=10)

    assert watched.instance(instance_id).state is InstanceState.RUNNING


async def test_a_reboot_is_not_taken_for_a_shutdown(watched: World) -> None:
    instance_id = await watched.running_instance()

    await watched.instances.reboot(watched.caller, [instance_id])
    await watched.sagas.settle()
    await watched.reconciler.sweep()

    assert watched.instance(instance_id).state is InstanceState.RUNNING
    await watched.assert_sound()
