"""What is kept of deregistered images goes when nothing comes of them any more."""

from dataclasses import replace

from tests.world import World

from bakehouse.app.retention_rules import RuleRequest
from bakehouse.domain.retention_rule import RetainedType


async def deregister(world: World, image_id: str) -> None:
    await world.app.images.deregister(world.caller, image_id, delete_snapshots=False)


async def test_an_image_that_an_instance_was_launched_from_is_remembered(world: World) -> None:
    image = await world.image()
    await world.launch(image)
    await deregister(world, image.id)

    await world.app.image_ancestry.forget_unneeded()

    kept = world.store.deregistered_images[image.id]
    assert kept.image == replace(
        image,
        state=kept.image.state,
        block_devices=(),
        description="",
        tags={},
        last_launched_at=kept.image.last_launched_at,
    )
    assert kept.deregistered_at == world.clock()


async def test_an_image_that_nothing_came_of_is_forgotten(world: World) -> None:
    image = await world.image()
    await deregister(world, image.id)

    await world.app.image_ancestry.forget_unneeded()

    assert list(world.store.deregistered_images) == []


async def test_a_chain_of_deregistered_images_is_kept_for_its_last_and_goes_with_it(world: World) -> None:
    first = await world.image()
    second = await world.image(source_image_id=first.id)
    third = await world.image(source_image_id=second.id)
    await deregister(world, first.id)
    await deregister(world, second.id)

    await world.app.image_ancestry.forget_unneeded()
    kept = {it.id for it in world.store.deregistered_images}
    await deregister(world, third.id)
    await world.app.image_ancestry.forget_unneeded()

    assert kept == {first.id, second.id}
    assert list(world.store.deregistered_images) == []


async def test_an_image_that_is_back_is_not_kept_twice(world: World) -> None:
    image = await world.image()
    await world.launch(image)
    await deregister(world, image.id)
    async with world.store.transaction() as tx:
        tx.put(image)

    await world.app.image_ancestry.forget_unneeded()

    assert list(world.store.deregistered_images) == []
    assert world.app.image_ancestry.last_known(image.id) == image


async def test_the_source_of_an_image_in_the_recycle_bin_is_kept(world: World) -> None:
    first = await world.image()
    second = await world.image(source_image_id=first.id)
    rule = RuleRequest(resource_type=RetainedType.IMAGE, retention_days=1)
    await deregister(world, first.id)
    await world.app.retention_rules.create(world.caller, rule)
    await deregister(world, second.id)

    await world.app.image_ancestry.forget_unneeded()
    restored = await world.app.recycle_bin.restore_image(world.caller, second.id)

    chain = world.app.image_ancestry.of(world.caller, restored.id)
    assert [image.id for image in chain] == [second.id, first.id]
