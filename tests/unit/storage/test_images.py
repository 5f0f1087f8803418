"""The catalogue: register, import, deregister; who sees and who may change what."""

from pathlib import Path

import pytest
from tests.unit.storage.baking import bake, refusal, register, stranger
from tests.world import World

from bakehouse.app.image_catalogue import ImageChange
from bakehouse.app.image_imports import ImportImage
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.image import Image
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.volumes import StorageFull

RAW_DISK = b"\0" * (1 << 20)


async def imported(world: World, path: Path) -> Image:
    order = ImportImage(path=path, name="imported")
    return await world.app.images.import_file(world.caller, order, progress=lambda _fraction: None)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(RAW_DISK)
    return path


async def test_an_image_registered_from_a_snapshot_can_be_launched(world: World) -> None:
    image = await register(world, await world.snapshot(size_gib=3))

    assert (image.state, image.block_devices[0].size_gib) == ("available", 3)
    assert await world.launch(image)


async def test_a_root_device_without_snapshot_is_refused(world: World) -> None:
    root = BlockDeviceRequest(device_name="/dev/sda1", size_gib=8)

    assert await refusal(register(world, await world.snapshot(), block_devices=(root,))) == "InvalidBlockDeviceMapping"


async def test_a_snapshot_that_is_not_complete_is_refused(world: World) -> None:
    snapshot = await world.snapshot(state=SnapshotState.PENDING)

    assert await refusal(register(world, snapshot)) == "IncorrectState"


async def test_another_accounts_snapshot_is_not_found(world: World) -> None:
    snapshot = await world.snapshot(account_id="111122223333")

    assert await refusal(register(world, snapshot)) == "InvalidSnapshot.NotFound"


async def test_an_imported_image_can_be_launched(world: World, disk: Path) -> None:
    image = await imported(world, disk)

    assert await world.launch(image)
    await world.assert_sound()


async def test_an_imports_progress_is_passed_on(world: World, disk: Path) -> None:
    fractions: list[float] = []

    await world.app.images.import_file(world.caller, ImportImage(path=disk, name="imported"), progress=fractions.append)

    assert fractions[-1] == 1.0


async def test_an_import_under_a_name_in_use_reads_no_file(world: World, tmp_path: Path) -> None:
    await world.image(name="imported")

    assert await refusal(imported(world, tmp_path / "missing")) == "InvalidAMIName.Duplicate"


async def test_a_file_that_is_unsafe_is_refused_with_the_reason(world: World, tmp_path: Path) -> None:
    path = tmp_path / "evil.vmdk"
    path.write_text('# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n')

    assert await refusal(imported(world, path)) == "InvalidParameterValue"
    await world.assert_sound()


async def test_a_file_that_is_not_there_is_refused(world: World, tmp_path: Path) -> None:
    assert await refusal(imported(world, tmp_path / "missing")) == "InvalidParameterValue"


async def test_an_import_on_a_full_host_is_refused(world: World, disk: Path) -> None:
    world.fragile_volumes.fail("import_file", error=StorageFull())

    assert await refusal(imported(world, disk)) == "InsufficientVolumeCapacity"


async def test_a_name_taken_during_an_import_leaves_no_bytes(world: World, disk: Path) -> None:
    copy = world.volumes.import_file

    async def import_file(snapshot_id: str, path: Path, **_others: object) -> object:
        done = await copy(snapshot_id, path)
        await world.image(name="imported")
        return done

    world.fragile_volumes.driver.import_file = import_file  # type: ignore[attr-defined]

    assert await refusal(imported(world, disk)) == "InvalidAMIName.Duplicate"
    await world.assert_sound()


async def test_a_deregistered_image_is_gone_and_its_instances_run_on(world: World) -> None:
    image = await world.image()
    (details,) = await world.launch(image)

    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)

    assert await refusal(_described(world, image.id)) == "InvalidAMIID.NotFound"
    assert world.instance(details.instance.id).state == "running"


async def test_an_instance_outlives_image_and_snapshots(world: World) -> None:
    image = await world.image()
    instance_id = (await world.launch(image))[0].instance.id
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)

    baked = await bake(world, instance_id)

    assert baked.source_image_id == image.id
    await world.assert_sound()


async def test_a_name_is_free_after_its_image_was_deregistered(world: World) -> None:
    snapshot = await world.snapshot()
    image = await register(world, snapshot)
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=False)

    assert (await register(world, snapshot)).name == image.name


async def test_snapshots_go_with_their_image_unless_another_names_them(world: World) -> None:
    shared, own = await world.snapshot(), await world.snapshot()
    await register(world, shared, name="other")
    data = BlockDeviceRequest(device_name="/dev/sdf", snapshot_id=own.id)
    root = BlockDeviceRequest(device_name="/dev/sda1", snapshot_id=shared.id)
    image = await register(world, shared, block_devices=(root, data))

    outcomes = await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)

    assert [(it.snapshot_id, it.outcome) for it in outcomes] == [(shared.id, "skipped"), (own.id, "success")]
    assert shared.id in world.store.snapshots
    assert own.id not in world.store.snapshots
    await world.assert_sound()


async def test_a_private_image_is_not_found_by_a_stranger(world: World) -> None:
    image = await world.image()
    world.caller = await stranger(world)

    assert world.app.images.describe(world.caller) == []
    assert await refusal(_described(world, image.id)) == "InvalidAMIID.NotFound"


@pytest.mark.parametrize("public", [True, False])
async def test_a_shared_image_is_seen_and_launched_by_a_stranger_and_not_changed(world: World, *, public: bool) -> None:
    image, other = await world.image(), await stranger(world)
    launcher = "all" if public else other.account_id
    await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=[launcher]))

    assert [it.id for it in world.app.images.describe(other)] == [image.id]
    assert await refusal(world.app.images.change(other, image.id, ImageChange(description="mine"))) == "AuthFailure"
    assert await refusal(world.app.images.deregister(other, image.id, delete_snapshots=True)) == "AuthFailure"
    world.caller = other
    assert await world.launch(world.store.images[image.id])


async def test_a_permission_taken_back_hides_the_image_again(world: World) -> None:
    image, other = await world.image(), await stranger(world)
    launchers = [other.account_id, "all"]
    await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=launchers))

    await world.app.images.change(world.caller, image.id, ImageChange(remove_launchers=launchers))

    assert world.app.images.describe(other) == []


async def test_a_permission_given_twice_is_one(world: World) -> None:
    image = await world.image()
    for _ in range(2):
        await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=["1111-2222-3333"]))

    assert world.store.images[image.id].launch_accounts == ("111122223333",)


async def test_images_of_other_regions_are_not_seen(world: World) -> None:
    image = await world.image(region="eu-west-1")

    assert world.app.images.describe(world.caller) == []
    assert await refusal(_described(world, image.id)) == "InvalidAMIID.NotFound"


@pytest.mark.parametrize(
    ("owners", "count"), [(["self"], 1), (["amazon", "aws-marketplace"], 0), (["111122223333"], 1), (None, 2)]
)
async def test_images_are_listed_by_owner(world: World, owners: list[str] | None, count: int) -> None:
    await world.image()
    await world.image(account_id="111122223333", launch_accounts=("all",))

    assert len(world.app.images.describe(world.caller, owners=owners)) == count


async def test_an_owner_that_is_no_account_is_refused(world: World) -> None:
    with pytest.raises(Exception, match=r"InvalidUserID\.Malformed"):
        world.app.images.describe(world.caller, owners=["somebody"])


async def test_launchers_ask_for_explicit_permission(world: World) -> None:
    await world.image()
    shared = await world.image(account_id="111122223333", launch_accounts=(world.caller.account_id,))
    public = await world.image(account_id="111122223333", launch_accounts=("all",))

    assert list(world.app.images.describe(world.caller, launchable_by=["self"])) == [shared]
    assert list(world.app.images.describe(world.caller, launchable_by=["all"])) == [public]


async def _described(world: World, image_id: str) -> object:
    return world.app.images.describe(world.caller, [image_id])
