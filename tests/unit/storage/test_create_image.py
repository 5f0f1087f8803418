"""CreateImage: what is snapshotted, when, and what becomes of guest, image and instance."""

import asyncio

import pytest
from tests.unit.storage.baking import attached, bake, refusal, stranger
from tests.world import World

from bakehouse.app.images import ImageOfInstance
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.image import ImageState
from bakehouse.ports.hypervisor import MachineState, MonitorLost
from bakehouse.ports.volumes import StorageFull


async def test_without_reboot_the_image_is_available_when_the_call_returns(world: World) -> None:
    instance_id = await world.running_instance()

    answered = await world.app.images.create(
        world.caller, ImageOfInstance(instance_id=instance_id, name="baked", reboot=False)
    )

    assert (answered.state, world.store.images[answered.id].state) == ("pending", "available")


async def test_its_snapshots_are_completed_and_described(world: World) -> None:
    instance_id = await world.running_instance()

    image = await bake(world, instance_id)

    (device,) = image.block_devices
    snapshot = world.store.snapshots[device.snapshot_id or ""]
    assert snapshot.state == "completed"
    assert snapshot.description == f"Created by CreateImage({instance_id}) for {image.id}"


async def test_every_attached_volume_is_in_one_snapshot_call(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)
    world.fragile_volumes.calls.clear()

    image = await bake(world, instance_id)

    assert world.fragile_volumes.calls.count("snapshot") == 1
    sources = [world.store.snapshots[device.snapshot_id or ""].volume_id for device in image.block_devices]
    assert sources[1] == data.id


async def test_the_mapping_repeats_what_the_volumes_are(world: World) -> None:
    instance_id = await world.running_instance()
    await attached(world, instance_id, size_gib=10, iops=4000, throughput_mibps=250)

    image = await bake(world, instance_id)

    data = image.block_devices[1]
    assert (data.device_name, data.size_gib, data.volume_type) == ("/dev/sdf", 10, "gp3")
    assert (data.iops, data.throughput_mibps, data.delete_on_termination) == (4000, 250, False)


async def test_an_image_of_a_gp2_volume_can_be_launched(world: World) -> None:
    instance_id = await world.running_instance()
    await attached(world, instance_id, type="gp2")

    image = await bake(world, instance_id)

    assert await world.launch(image)


async def test_an_image_remembers_its_source(world: World) -> None:
    source = await world.image(imds_support="v2.0", boot_mode="legacy-bios", ena_support=False)
    (details,) = await world.launch(source)

    image = await bake(world, details.instance.id)

    assert (image.source_image_id, image.source_instance_id) == (source.id, details.instance.id)
    assert (image.imds_support, image.boot_mode, image.ena_support) == ("v2.0", "legacy-bios", False)


async def test_the_filesystems_of_a_guest_with_an_agent_are_frozen_for_the_snapshot_only(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.guests_with_agent.add(instance_id)
    seen: list[bool] = []
    take = world.volumes.snapshot

    async def snapshot(snapshots: dict[str, str], *, machine_id: str | None) -> None:
        seen.append(world.hypervisor.is_frozen(instance_id))
        await take(snapshots, machine_id=machine_id)

    world.fragile_volumes.driver.snapshot = snapshot  # type: ignore[attr-defined]
    await bake(world, instance_id)

    assert (seen, world.hypervisor.is_frozen(instance_id)) == ([True], False)


async def test_with_reboot_the_guest_is_off_for_the_snapshot_and_starts_again(world: World) -> None:
    instance_id = await world.running_instance()
    seen: list[MachineState] = []
    take = world.volumes.snapshot

    async def snapshot(snapshots: dict[str, str], *, machine_id: str | None) -> None:
        seen.append((await world.machines())[instance_id])
        await take(snapshots, machine_id=machine_id)

    world.fragile_volumes.driver.snapshot = snapshot  # type: ignore[attr-defined]
    image = await bake(world, instance_id, reboot=True)

    assert seen == [MachineState.POWERED_OFF]
    assert (await world.machines())[instance_id] is MachineState.RUNNING
    assert image.state == "available"


async def test_with_reboot_the_call_returns_before_the_guest_is_off(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)

    image = await world.app.images.create(world.caller, ImageOfInstance(instance_id=instance_id, name="baked"))

    assert world.store.images[image.id].state == "pending"
    assert world.instance(instance_id).state == "running"
    world.hypervisor.power_off_guest(instance_id)


async def test_a_guest_that_does_not_shut_down_is_imaged_and_reset_after_the_deadline(world: World) -> None:
    await world.stop_server()
    world.stop_deadline_s = 0.05
    world.start_server()
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)

    image = await bake(world, instance_id, reboot=True)

    assert image.state == "available"
    assert "reset" in world.fragile_hypervisor.calls


async def test_a_stop_during_a_rebooting_image_waits_for_it(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)
    image = await world.app.images.create(world.caller, ImageOfInstance(instance_id=instance_id, name="baked"))
    await world.instances.stop(world.caller, [instance_id])

    world.hypervisor.deaf_guests.clear()
    world.hypervisor.power_off_guest(instance_id)
    await world.sagas.settle()

    assert (world.store.images[image.id].state, world.instance(instance_id).state) == ("available", "stopped")


async def test_a_stopped_instance_is_imaged_at_once_and_stays_stopped(world: World) -> None:
    instance_id = await world.stopped_instance()

    answered = await world.app.images.create(world.caller, ImageOfInstance(instance_id=instance_id, name="baked"))

    assert world.store.images[answered.id].state == "available"
    assert (world.instance(instance_id).state, await world.machines()) == ("stopped", {})


async def test_an_instance_that_is_stopping_is_refused(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)
    await world.instances.stop(world.caller, [instance_id])

    assert await refusal(bake(world, instance_id)) == "IncorrectInstanceState"

    world.hypervisor.power_off_guest(instance_id)


async def test_a_full_host_fails_the_image_says_why_and_leaves_no_snapshot(world: World) -> None:
    instance_id = await world.running_instance()
    before = len(world.store.snapshots)
    world.fragile_volumes.fail("snapshot", error=StorageFull())

    image = await bake(world, instance_id)

    assert image.state is ImageState.FAILED
    assert "no space left" in (image.state_reason or "")
    assert (image.block_devices, len(world.store.snapshots)) == ((), before)


async def test_a_failed_image_leaves_the_guest_running(world: World) -> None:
    instance_id = await world.running_instance()
    world.fragile_volumes.fail("snapshot")

    image = await bake(world, instance_id, reboot=True)

    assert image.state is ImageState.FAILED
    assert (await world.machines())[instance_id] is MachineState.RUNNING


async def test_a_machine_lost_after_the_snapshot_costs_no_image(world: World) -> None:
    instance_id = await world.running_instance()
    world.fragile_hypervisor.fail("reset", error=MonitorLost())

    image = await bake(world, instance_id, reboot=True)

    assert image.state is ImageState.AVAILABLE


async def test_an_image_deregistered_while_it_is_made_stays_gone(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.deaf_guests.add(instance_id)
    image = await world.app.images.create(world.caller, ImageOfInstance(instance_id=instance_id, name="baked"))

    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)
    world.hypervisor.power_off_guest(instance_id)
    await world.sagas.settle()

    assert image.id not in world.store.images
    await world.assert_sound()


async def test_a_volume_can_be_left_out_and_others_added(world: World) -> None:
    instance_id = await world.running_instance()
    await attached(world, instance_id)
    extra = await world.snapshot(size_gib=2)

    image = await bake(
        world,
        instance_id,
        block_devices=(
            BlockDeviceRequest(device_name="/dev/sdf", no_device=True),
            BlockDeviceRequest(device_name="/dev/sdg", size_gib=3, volume_type="gp2"),
            BlockDeviceRequest(device_name="/dev/sdh", snapshot_id=extra.id),
        ),
    )

    shown = [(it.device_name, it.size_gib, it.snapshot_id is not None) for it in image.block_devices]
    assert shown == [("/dev/xvda", 8, True), ("/dev/sdg", 3, False), ("/dev/sdh", 2, True)]


async def test_a_volume_left_out_is_not_snapshotted(world: World) -> None:
    instance_id = await world.running_instance()
    data = await attached(world, instance_id)

    await bake(world, instance_id, block_devices=(BlockDeviceRequest(device_name="/dev/sdf", no_device=True),))

    assert not world.store.snapshots.by("volume")[data.id]


async def test_what_a_mapping_says_of_an_attached_volume_is_honoured(world: World) -> None:
    instance_id = await world.running_instance()
    override = BlockDeviceRequest(device_name="/dev/xvda", size_gib=8, volume_type="gp2", delete_on_termination=False)

    image = await bake(world, instance_id, block_devices=(override,))

    (root,) = image.block_devices
    assert (root.size_gib, root.volume_type, root.delete_on_termination, root.iops) == (8, "gp2", False, None)


@pytest.mark.parametrize(
    "wrong",
    [
        BlockDeviceRequest(device_name="/dev/xvda", size_gib=7),
        BlockDeviceRequest(device_name="/dev/xvda", size_gib=9),
        BlockDeviceRequest(device_name="/dev/xvda", no_device=True),
        BlockDeviceRequest(device_name="/dev/xvda", snapshot_id="snap-0123456789abcdef0"),
    ],
    ids=[
        "smaller than the volume",
        "larger than the volume",
        "without root",
        "another snapshot for an attached device",
    ],
)
async def test_a_mapping_that_cannot_be_is_refused_before_anything_is_made(
    world: World, wrong: BlockDeviceRequest
) -> None:
    instance_id = await world.running_instance()
    images, snapshots = len(world.store.images), len(world.store.snapshots)

    assert await refusal(bake(world, instance_id, block_devices=(wrong,))) == "InvalidBlockDeviceMapping"

    assert (len(world.store.images), len(world.store.snapshots)) == (images, snapshots)


async def test_two_requests_for_one_name_make_one_image(world: World) -> None:
    instance_id = await world.running_instance()

    outcomes = await asyncio.gather(bake(world, instance_id), bake(world, instance_id), return_exceptions=True)

    assert [getattr(outcome, "code", "made") for outcome in outcomes] == ["made", "InvalidAMIName.Duplicate"]


async def test_the_name_of_another_account_is_free(world: World) -> None:
    instance_id = await world.running_instance()
    other = await stranger(world)
    await world.image(name="baked", account_id=other.account_id)

    assert (await bake(world, instance_id)).state == "available"


async def test_another_accounts_instance_is_not_found(world: World) -> None:
    instance_id = await world.running_instance()
    world.caller = await stranger(world)

    assert await refusal(bake(world, instance_id)) == "InvalidInstanceID.NotFound"


@pytest.mark.parametrize("name", ["ab", "x" * 129, "semi;colon", "naïve"])
async def test_a_name_of_the_wrong_form_is_refused(world: World, name: str) -> None:
    instance_id = await world.running_instance()

    assert await refusal(bake(world, instance_id, name=name)) == "InvalidAMIName.Malformed"


async def test_the_files_of_an_image_outlive_its_instance(world: World) -> None:
    instance_id = await world.running_instance()
    image = await bake(world, instance_id)
    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    assert await world.launch(image)
    await world.assert_sound()
