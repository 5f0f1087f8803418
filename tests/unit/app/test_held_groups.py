"""A group that an interface has lost stays until the machine's firewall has lost it, too."""

import asyncio

import pytest
from tests.waiting import until
from tests.world import World

from bakehouse.app.network_interfaces import InterfaceChange
from bakehouse.domain.errors import Ec2Error


async def test_a_group_that_a_machine_still_has_is_not_deleted(world: World) -> None:
    instance_id = await world.running_instance()
    interface = world.store.network_interfaces[world.instance(instance_id).network_interface_id]
    group = await world.app.security_groups.create(
        world.caller, name="web", description="web", vpc_id=interface.vpc_id, tags={}
    )
    modify = world.app.network_interfaces.modify
    await modify(world.caller, interface.id, InterfaceChange(group_ids=(group.id,)))
    gate = world.fragile_hypervisor.hold("kill")
    await world.instances.stop(world.caller, [instance_id], force=True)
    changed = asyncio.create_task(modify(world.caller, interface.id, InterfaceChange(group_ids=interface.group_ids)))
    await until(lambda: world.store.network_interfaces[interface.id].group_ids == interface.group_ids)

    with pytest.raises(Ec2Error) as refusal:
        await world.app.security_groups.delete(world.store.security_groups[group.id])
    gate.set()
    await changed
    await world.app.security_groups.delete(world.store.security_groups[group.id])

    assert refusal.value.code == "DependencyViolation"
    assert group.id not in world.store.security_groups
    assert group.id not in world.network.groups
    await world.sagas.settle()
    await world.assert_sound()
