"""How many instances there can be: by the host's memory, and by an account's quotas."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.world import World

from bakehouse.app.accounts import Accounts
from bakehouse.app.spot_launch import SpotWish
from bakehouse.domain.caller import Caller
from bakehouse.domain.capacity import Capacity, used_memory_mib
from bakehouse.domain.errors import Ec2Error

#: Of a t3.nano: 512 MiB, two processors.
NANO = "t3.nano"


@asynccontextmanager
async def world_with(folder: Path, **capacity: int) -> AsyncIterator[World]:
    world = await World.begin(folder, capacity=Capacity(**capacity))
    yield world
    await world.stop_server()


async def launch(world: World, least: int, most: int | None = None, **members: Any) -> list[str]:
    given = {"instance_type": NANO, "min_count": least, "max_count": most or least, **members}
    return [details.instance.id for details in await world.launch(**given)]


async def code_of(asking: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(Ec2Error) as refusal:
        await asking
    return refusal.value.code


async def test_as_many_are_launched_as_the_host_has_memory_for(tmp_path: Path) -> None:
    async with world_with(tmp_path, guest_memory_mib=1600) as world:
        assert len(await launch(world, 1, 10)) == 3


async def test_a_full_host_launches_none(tmp_path: Path) -> None:
    async with world_with(tmp_path, guest_memory_mib=1600) as world:
        await launch(world, 3)

        assert await code_of(launch(world, 1)) == "InsufficientInstanceCapacity"
        assert len(world.store.instances) == 3


async def test_a_launch_that_cannot_have_its_least_number_launches_none(tmp_path: Path) -> None:
    async with world_with(tmp_path, guest_memory_mib=1600) as world:
        assert await code_of(launch(world, 4)) == "InsufficientInstanceCapacity"
        assert len(world.store.instances) == 0


async def test_the_host_s_memory_is_everybody_s(tmp_path: Path) -> None:
    async with world_with(tmp_path, guest_memory_mib=1024) as world:
        await launch(world, 2)
        key = await Accounts(world.context).create("other")
        world.caller = Caller(account_id=key.account_id, region="us-east-1", access_key_id=key.id)

        assert await code_of(launch(world, 1)) == "InsufficientInstanceCapacity"


async def test_a_stopped_instance_leaves_its_memory_and_may_not_get_it_back(tmp_path: Path) -> None:
    async with world_with(tmp_path, guest_memory_mib=512) as world:
        stopped = await world.stopped_instance(instance_type=NANO)
        assert used_memory_mib(world.store.instances.by("kind").counts()) == 0

        await launch(world, 1)

        starting = world.instances.start(world.caller, [stopped])
        assert await code_of(starting) == "InsufficientInstanceCapacity"


async def test_a_quota_of_instances_holds_for_those_that_run(tmp_path: Path) -> None:
    async with world_with(tmp_path, instances=2) as world:
        await world.stopped_instance(instance_type=NANO)
        assert len(await launch(world, 1, 2)) == 2

        assert await code_of(launch(world, 1)) == "InstanceLimitExceeded"


@pytest.mark.parametrize("quota", [{"instances": 3}, {"vcpus": 6, "instances": 2**31}], ids=["instances", "vcpus"])
async def test_more_than_a_quota_are_refused_even_as_the_most(tmp_path: Path, quota: dict[str, int]) -> None:
    async with world_with(tmp_path, **quota) as world:
        code = await code_of(launch(world, 1, 2**31 - 1))

        assert code == ("VcpuLimitExceeded" if "vcpus" in quota else "InstanceLimitExceeded")
        assert len(world.store.instances) == 0


async def test_a_quota_of_processors_leaves_as_many_as_it_allows(tmp_path: Path) -> None:
    async with world_with(tmp_path, vcpus=8) as world:
        await launch(world, 3)

        assert len(await launch(world, 1, 4)) == 1
        assert await code_of(launch(world, 1)) == "VcpuLimitExceeded"


async def test_the_spot_market_has_a_quota_of_its_own(tmp_path: Path) -> None:
    async with world_with(tmp_path, vcpus=2) as world:
        await launch(world, 1)

        await launch(world, 1, spot=SpotWish())

        assert await code_of(launch(world, 1, spot=SpotWish())) == "MaxSpotInstanceCountExceeded"


async def test_other_kinds_of_instances_have_quotas_of_their_own(tmp_path: Path) -> None:
    async with world_with(tmp_path, vcpus=4) as world:
        await launch(world, 2)
        image = await world.image(architecture="arm64")

        await world.launch(image, instance_type="x2gd.medium")


async def test_another_account_has_quotas_of_its_own(tmp_path: Path) -> None:
    async with world_with(tmp_path, instances=1) as world:
        await launch(world, 1)
        key = await Accounts(world.context).create("other")
        world.caller = Caller(account_id=key.account_id, region="us-east-1", access_key_id=key.id)

        await launch(world, 1)


async def test_what_a_terminated_instance_had_is_free(tmp_path: Path) -> None:
    async with world_with(tmp_path, instances=1, guest_memory_mib=512) as world:
        (instance_id,) = await launch(world, 1)
        await world.instances.terminate(world.caller, [instance_id], skip_shutdown=True)
        await world.sagas.settle()

        assert len(await launch(world, 1)) == 1
