"""What machines do by themselves is seen and obeyed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.waiting import until
from tests.world import World

from bakehouse.app.images import ImageOfInstance
from bakehouse.app.launch_options import LaunchOptions
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.instance_options import Maintenance


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


async def test_an_instance_whose_machine_dies_is_recovered_where_its_type_supports_it(watched: World) -> None:
    instance_id = await watched.running_instance(instance_type="t3.micro")
    before = watched.instance(instance_id)

    watched.hypervisor.crash_machine(instance_id)
    await until(lambda: watched.instance(instance_id).recovered_at != ())
    await until(lambda: watched.instance(instance_id).state is InstanceState.RUNNING)

    await watched.sagas.settle()
    after = watched.instance(instance_id)
    assert (after.launched_at, after.network_interface_id) == (before.launched_at, before.network_interface_id)
    assert (await watched.machines())[instance_id]
    await watched.assert_sound()


async def test_an_instance_is_stopped_when_its_machine_dies_for_the_fourth_time_in_a_day(watched: World) -> None:
    instance_id = await watched.running_instance(instance_type="t3.micro")

    for _ in range(3):
        before = watched.instance(instance_id).recovered_at
        watched.hypervisor.crash_machine(instance_id)
        await until(lambda before=before: watched.instance(instance_id).recovered_at != before)  # type: ignore[misc]
        await until(lambda: watched.instance(instance_id).state is InstanceState.RUNNING)
        await watched.sagas.settle()
    watched.hypervisor.crash_machine(instance_id)

    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)


async def test_an_instance_whose_owner_wants_no_recovery_is_stopped(watched: World) -> None:
    options = LaunchOptions(maintenance=Maintenance(auto_recovery="disabled"))
    instance_id = await watched.running_instance(instance_type="t3.micro", options=options)

    watched.hypervisor.crash_machine(instance_id)

    await until(lambda: watched.instance(instance_id).state is InstanceState.STOPPED)


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
    await until(lambda: watched.instance(instance_id).impaired_since is None)

    assert watched.instance(instance_id).state is InstanceState.RUNNING


async def test_a_reboot_is_not_taken_for_a_shutdown(watched: World) -> None:
    instance_id = await watched.running_instance()

    await watched.instances.reboot(watched.caller, [instance_id])
    await watched.sagas.settle()
    await watched.reconciler.sweep()

    assert watched.instance(instance_id).state is InstanceState.RUNNING
    await watched.assert_sound()
