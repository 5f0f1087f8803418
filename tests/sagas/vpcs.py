"""Stories of VPCs: one in which a machine runs, and one that a machine has left."""

from typing import Any

from tests.world import World

from bakehouse.app.launch_network import PlaceRequest
from bakehouse.app.routes import TargetRequest
from bakehouse.app.subnets import SubnetRequest
from bakehouse.app.vpcs import VpcRequest
from bakehouse.domain.network import Subnet


async def _with_machine(world: World) -> tuple[Subnet, str]:
    """Return a subnet of a VPC beside the default one, and an instance that runs there."""
    vpc = await world.app.vpcs.create(world.caller, VpcRequest(cidr="10.0.0.0/16"))
    subnet, _ = await world.app.subnets.create(world.caller, SubnetRequest(vpc_id=vpc.id, cidr="10.0.1.0/24"))
    return subnet, await world.running_instance(place=PlaceRequest(subnet_id=subnet.id))


async def lived_in(world: World) -> Any:
    """A subnet in which a machine runs, and a gateway of its VPC."""
    subnet, _ = await _with_machine(world)
    gateway = await world.app.internet_gateways.create(world.caller, {})
    await world.app.internet_gateways.attach(world.caller, gateway.id, subnet.vpc_id)
    return subnet, gateway


async def change(world: World, prepared: Any) -> None:
    """Let the VPC's main table lead outside."""
    subnet, gateway = prepared
    table_id = world.store.vpcs[subnet.vpc_id].main_route_table_id
    await world.app.routes.create(world.caller, table_id, "0.0.0.0/0", TargetRequest(gateway_id=gateway.id))


async def left(world: World) -> str:
    """A VPC with a segment and nothing in it."""
    subnet, instance_id = await _with_machine(world)
    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()
    await world.app.subnets.delete(world.caller, subnet.id)
    return subnet.vpc_id


async def delete(world: World, vpc_id: str) -> None:
    """Delete the VPC."""
    await world.app.vpcs.delete(world.caller, vpc_id)
