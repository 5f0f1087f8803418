"""The rules of instances, beside what boto3 sees of them."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.waiting import until
from tests.world import World

from bakehouse.app.launch import LaunchRequest
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.caller import Caller, Idempotency
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import ImageState
from bakehouse.domain.instance import InstanceState
from bakehouse.ports.hypervisor import MachineStartFailed, MachineUnsupported


def states(world: World) -> list[str]:
    return sorted(instance.state.value for instance in world.store.instances)


async def test_a_launch_takes_as_many_as_there_are_addresses_for(tmp_path: Path) -> None:
    world = await World.begin(tmp_path, public_pool=IPv4Network("127.16.0.0/29"))
    image = await world.image()

    launched = await world.launch(image, min_count=2, max_count=10)

    assert len(launched) == 6
    await world.stop_server()


async def test_a_launch_that_cannot_have_its_least_number_takes_nothing(tmp_path: Path) -> None:
    world = await World.begin(tmp_path, public_pool=IPv4Network("127.16.0.0/30"))
    image = await world.image()

    with pytest.raises(Ec2Error) as refusal:
        await world.launch(image, count=3)

    assert refusal.value.code == "InsufficientAddressCapacity"
    assert len(world.store.instances) == 0
    await world.stop_server()


async def test_machines_that_do_not_start_are_terminated_and_the_others_run(world: World) -> None:
    world.fragile_hypervisor.fail("start", error=MachineStartFailed("no memory"))

    launched = await world.launch(min_count=1, max_count=3)

    assert len(launched) == 2
    assert states(world) == ["running", "running", "terminated"]
    (failed,) = [it for it in world.store.instances if it.state is InstanceState.TERMINATED]
    assert failed.state_reason is not None
    assert failed.state_reason.code == "Server.InternalError"
    await world.assert_sound()


async def test_a_launch_that_misses_its_least_number_keeps_nothing(world: World) -> None:
    world.fragile_hypervisor.fail("start", error=MachineStartFailed("no memory"))

    with pytest.raises(Ec2Error) as refusal:
        await world.launch(min_count=2, max_count=2)

    assert (refusal.value.code, refusal.value.status) == ("InsufficientInstanceCapacity", 500)
    assert "no memory" in refusal.value.message
    assert states(world) == ["terminated", "terminated"]
    await world.assert_sound()


async def test_a_machine_that_this_host_has_no_firmware_for_is_refused_with_a_hint(world: World) -> None:
    lacking = MachineUnsupported("there is no UEFI that knows Secure Boot for aarch64 on this host")
    world.fragile_hypervisor.fail("start", error=lacking)

    with pytest.raises(Ec2Error) as refusal:
        await world.launch()

    assert (refusal.value.code, refusal.value.status) == ("Unsupported", 400)
    assert refusal.value.message == (
        "There is no UEFI that knows Secure Boot for aarch64 on this host. `bakehouse doctor` says what to install."
    )
    assert states(world) == ["terminated"]
    await world.assert_sound()


async def test_a_failed_launch_forgets_its_client_token(world: World) -> None:
    image = await world.image()
    request = LaunchRequest(image_id=image.id, min_count=1, max_count=1)
    token = Idempotency(operation="RunInstances", token="t", digest="d")
    caller = Caller(account_id=world.caller.account_id, region=world.caller.region, idempotency=token)
    world.fragile_hypervisor.fail("start")

    with pytest.raises(Ec2Error):
        await world.instances.run(caller, request)

    assert world.app.client_tokens.made_by(caller) is None


async def test_a_start_that_fails_leaves_the_instance_stopped(world: World) -> None:
    instance_id = await world.stopped_instance()
    world.fragile_hypervisor.fail("start")

    with pytest.raises(Ec2Error) as refusal:
        await world.instances.start(world.caller, [instance_id])

    assert refusal.value.code == "InsufficientInstanceCapacity"
    assert world.instance(instance_id).state is InstanceState.STOPPED
    await world.assert_sound()


async def test_a_private_image_of_another_account_is_not_found(world: World) -> None:
    image = await world.image(account_id="111122223333")

    with pytest.raises(Ec2Error) as refusal:
        await world.launch(image)

    assert refusal.value.code == "InvalidAMIID.NotFound"


async def test_an_image_shared_with_the_account_is_launched_though_its_snapshot_is_not(world: World) -> None:
    image = await world.image(account_id="111122223333", launch_accounts=(world.caller.account_id,))
    snapshot_id = image.block_devices[0].snapshot_id
    assert snapshot_id is not None
    async with world.store.transaction() as tx:
        tx.put(replace(world.store.snapshots[snapshot_id], account_id="111122223333"))

    (details,) = await world.launch(image)

    assert details.instance.state is InstanceState.RUNNING


async def test_an_image_that_is_not_ready_is_refused(world: World) -> None:
    image = await world.image(state=ImageState.PENDING)

    with pytest.raises(Ec2Error) as refusal:
        await world.launch(image)

    assert refusal.value.code == "InvalidAMIID.Unavailable"


async def test_a_type_of_another_architecture_is_refused(world: World) -> None:
    image = await world.image(architecture="arm64")

    with pytest.raises(Ec2Error) as refusal:
        await world.launch(image)

    assert refusal.value.code == "InvalidParameterValue"
    assert "matching architectures" in refusal.value.message


async def test_of_the_console_the_last_64_kib_are_told(world: World) -> None:
    (launched,) = await world.launch()
    world.hypervisor.write_console(launched.instance.id, "first" + "x" * 64 * 1024)

    console = await world.instances.console_output(world.caller, launched.instance.id)

    assert console.text == b"x" * 64 * 1024


async def test_a_region_that_was_never_used_gets_its_default_network(world: World) -> None:
    image = await world.image(region="eu-west-1")
    snapshot_id = image.block_devices[0].snapshot_id
    assert snapshot_id is not None
    async with world.store.transaction() as tx:
        tx.put(replace(world.store.snapshots[snapshot_id], region="eu-west-1"))
    caller = Caller(account_id=world.caller.account_id, region="eu-west-1")

    (details,) = await world.instances.run(caller, LaunchRequest(image_id=image.id, min_count=1, max_count=1))

    assert details.instance.availability_zone == "eu-west-1a"


async def test_the_machine_starts_from_the_root_volume_first(world: World) -> None:
    extra = tuple(BlockDeviceRequest(device_name=f"/dev/sd{letter}", size_gib=1) for letter in "gf")

    (details,) = await world.launch(block_devices=extra)

    disks = [disk.volume_id for disk in world.hypervisor.spec(details.instance.id).disks]
    devices = [volume.attachment.device_name for volume in details.volumes if volume.attachment]
    assert disks == [volume.id for volume in details.volumes]
    assert devices == ["/dev/xvda", "/dev/sdf", "/dev/sdg"]


async def test_a_deaf_guest_is_stopped_when_its_time_is_over(tmp_path: Path) -> None:
    world = await World.begin(tmp_path, stop_deadline_s=0.05)
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)

    await world.instances.stop(world.caller, [instance_id])
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.STOPPED
    await world.stop_server()


async def test_force_hastens_a_stop_under_way(tmp_path: Path) -> None:
    world = await World.begin(tmp_path, stop_deadline_s=600)
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)
    world.fragile_hypervisor.calls.clear()

    await world.instances.stop(world.caller, [instance_id])
    await until(lambda: "wait_powered_off" in world.fragile_hypervisor.calls)
    async with asyncio.timeout(60):
        await world.instances.stop(world.caller, [instance_id], force=True)
        await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.STOPPED
    await world.stop_server()


async def test_a_protected_instance_is_not_stopped(world: World) -> None:
    instance_id = await world.running_instance(stop_protected=True)

    with pytest.raises(Ec2Error) as refusal:
        await world.instances.stop(world.caller, [instance_id])

    assert refusal.value.code == "OperationNotPermitted"


async def test_one_instance_in_the_wrong_state_spares_the_others(world: World) -> None:
    running, stopped = await world.running_instance(), await world.stopped_instance()

    with pytest.raises(Ec2Error) as refusal:
        await world.instances.reboot(world.caller, [running, stopped])

    assert refusal.value.code == "IncorrectInstanceState"
    assert len(world.store.sagas) == 0


async def test_an_instance_is_terminated_in_the_middle_of_its_launch(world: World) -> None:
    image = await world.image()
    launching = asyncio.create_task(world.launch(image))
    await until(lambda: len(world.store.instances) > 0)
    (instance,) = world.store.instances

    await world.instances.terminate(world.caller, [instance.id])
    await launching
    await world.sagas.settle()

    assert world.instance(instance.id).state is InstanceState.TERMINATED
    await world.assert_sound()


async def test_a_stopped_instance_is_terminated(world: World) -> None:
    instance_id = await world.stopped_instance()

    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    await world.assert_sound()
    assert len(world.store.volumes) == 0


async def test_details_of_unchanged_records_are_the_same_object(world: World) -> None:
    first, second = await world.launch(count=2)

    async with world.store.transaction() as tx:
        tx.put(replace(first.instance))
    again = world.instances.describe(world.caller)

    assert again[0] is not first
    assert again[1] is second


async def test_the_next_instance_with_an_address_has_its_mac(world: World) -> None:
    (first,) = await world.launch()
    await world.instances.terminate(world.caller, [first.instance.id])
    await world.sagas.settle()

    (second,) = await world.launch()

    assert first.interface is not None
    assert second.interface is not None
    assert second.interface.private_ip == first.interface.private_ip
    assert second.interface.mac == first.interface.mac
