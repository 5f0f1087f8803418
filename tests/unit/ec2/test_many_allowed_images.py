"""Ten thousand images of strangers, of which an account allows itself some."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.world import World

from bakehouse.domain.allowed_images import AllowedImagesState, ImageCriterion
from bakehouse.domain.ids import new_id
from bakehouse.ec2.operations import OPERATIONS
from bakehouse.ec2.registry import RequestContext

MANY = 10_000
STRANGER = "111122223333"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world with an account."""
    begun = await World.begin(tmp_path)
    yield begun
    await begun.stop_server()


@pytest.mark.slow
@pytest.mark.parametrize("state", AllowedImagesState)
async def test_criteria_and_filters_over_ten_thousand_images_stay_below_fifty_milliseconds(
    world: World, state: AllowedImagesState
) -> None:
    image = await world.image(account_id=STRANGER, launch_accounts=("all",))
    later = world.clock() + timedelta(days=1)
    async with world.store.transaction() as tx:
        for number in range(MANY):
            tx.put(replace(image, id=new_id("image"), name=f"image-{number}", deprecation_time=later))
    criteria = [
        ImageCriterion(providers=(STRANGER,), names=("golden-*", "image-9?9*"), days_since_created=300),
        ImageCriterion(providers=("amazon",)),
        ImageCriterion(names=("image-98*",), days_since_deprecated=0),
    ]
    await world.app.allowed_images.replace_criteria(world.caller, criteria)
    await world.app.allowed_images.set_state(world.caller, state)
    ctx = RequestContext(world.app, world.caller, "DescribeImages", "request", b"0123456789abcdef")
    wanted = {"state": "available", "image-allowed": "true", "name": "image-99*"}
    request = {"Filters": [{"Name": name, "Values": [value]} for name, value in wanted.items()]}
    times = []

    for _ in range(5):
        begin = time.process_time()
        answer = await OPERATIONS["DescribeImages"].handler(ctx, dict(request))
        times.append(time.process_time() - begin)

    assert len(answer["Images"]) == (111 if state is AllowedImagesState.DISABLED else 11)
    assert min(times) < 0.05
