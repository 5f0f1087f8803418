"""A driver call that fails, before it did anything or after it did all of it, leaves a sound world."""

from contextlib import suppress

import pytest
from tests.sagas.scenarios import SCENARIOS
from tests.world import World

#: What the sagas ask of the drivers; a call that a story does not make fails nowhere.
CALLS = [
    ("archive", "put"),
    ("archive", "take_out"),
    ("archive", "discard"),
    ("volumes", "create"),
    ("volumes", "connect"),
    ("volumes", "delete"),
    ("volumes", "snapshot"),
    ("volumes", "delete_snapshot"),
    ("network", "ensure_segment"),
    ("network", "apply_group"),
    ("network", "metadata_socket"),
    ("network", "plug"),
    ("network", "connect"),
    ("network", "unplug"),
    ("hypervisor", "start"),
    ("hypervisor", "kill"),
    ("hypervisor", "press_power_button"),
    ("hypervisor", "wait_powered_off"),
    ("hypervisor", "reset"),
    ("hypervisor", "attach_disk"),
    ("hypervisor", "detach_disk"),
    ("hypervisor", "freeze_filesystems"),
    ("hypervisor", "thaw_filesystems"),
]

#: What transfers ask of them beside.
TRANSFER_CALLS = [
    ("disk_files", "contents"),
    ("disk_files", "examine"),
    ("disk_files", "export"),
    ("disk_files", "pack"),
    ("disk_files", "unpack"),
    ("objects", "clear_workspace"),
    ("objects", "exists"),
    ("objects", "fetch"),
    ("objects", "put"),
    ("objects", "workspace"),
    ("volumes", "copy_snapshot"),
    ("volumes", "import_file"),
]
TRANSFERS = ("export_disk", "import_disks", "restore_image", "store_image")

STORIES = [
    *((story, *call) for story in SCENARIOS for call in CALLS),
    *((story, *call) for story in SCENARIOS if story.startswith(TRANSFERS) for call in TRANSFER_CALLS),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("saga", "driver", "call"), STORIES)
async def test_a_failing_driver_call_leaves_a_sound_world(
    world: World, saga: str, driver: str, call: str, *, after: bool
) -> None:
    scenario = SCENARIOS[saga]
    prepared = await scenario.prepare(world)
    await world.sagas.settle()
    getattr(world, f"fragile_{driver}").fail(call, after=after)

    with suppress(Exception):
        await scenario.act(world, prepared)
    await world.sagas.settle()
    getattr(world, f"fragile_{driver}").heal()
    await world.reconciler.sweep()
    await world.sagas.settle()

    await world.assert_sound()
