"""What the fabric is told of a VPC."""

from dataclasses import replace

import pytest
from tests.world import World

from bakehouse.app.launch_network import InterfaceRequest, PlaceRequest
from bakehouse.app.routes import TargetRequest
from bakehouse.app.subnets import SubnetRequest
from bakehouse.app.vpcs import VpcRequest
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.network_acl import entry_of
from bakehouse.ports.network import AclRule, DhcpSpec, RouteSpec, SegmentSpec, SubnetSpec
from bakehouse.sagas.segment_description import segment_spec


async def network(world: World, *, ipv6: bool = False) -> tuple[Vpc, Subnet]:
    vpc = await world.app.vpcs.create(world.caller, VpcRequest(cidr="10.0.0.0/16", ipv6=ipv6))
    part = vpc.ipv6_cidr.cidr.replace("/56", "/64") if vpc.ipv6_cidr else None
    request = SubnetRequest(vpc_id=vpc.id, cidr="10.0.1.0/24", ipv6_cidr=part)
    subnet, _ = await world.app.subnets.create(world.caller, request)
    return vpc, subnet


async def attached_gateway(world: World, vpc: Vpc) -> str:
    gateway = await world.app.internet_gateways.create(world.caller, {})
    await world.app.internet_gateways.attach(world.caller, gateway.id, vpc.id)
    return gateway.id


def routes(world: World, vpc: Vpc) -> tuple[RouteSpec, ...] | None:
    (subnet,) = segment_spec(world.store, vpc.id).subnets
    return subnet.routes


def told(world: World, vpc: Vpc) -> str:
    """Return where the fabric was told that the one route of a VPC's one subnet leads."""
    (subnet,) = world.network.segments[vpc.id].subnets
    (route,) = subnet.routes
    return route.target


async def test_a_new_vpc_leads_nowhere_and_filters_nothing(world: World) -> None:
    vpc, subnet = await network(world, ipv6=True)

    assert subnet.ipv6_cidr is not None
    assert vpc.ipv6_cidr is not None
    assert segment_spec(world.store, vpc.id) == SegmentSpec(
        vpc_id=vpc.id,
        cidr="10.0.0.0/16",
        subnets=(
            SubnetSpec(subnet_id=subnet.id, cidr="10.0.1.0/24", ipv6_cidr=subnet.ipv6_cidr.cidr, routes=(), acl=None),
        ),
        domain="ec2.internal",
        public_domain="bakehouse.internal",
        ipv6_cidr=vpc.ipv6_cidr.cidr,
        has_internet_gateway=False,
        dhcp=DhcpSpec(domain_name="ec2.internal", domain_name_servers=("AmazonProvidedDNS",)),
    )


async def test_the_default_vpc_leads_outside(world: World) -> None:
    (vpc,) = world.store.vpcs

    spec = segment_spec(world.store, vpc.id)

    assert spec.has_internet_gateway
    assert {it.routes for it in spec.subnets} == {(RouteSpec(destination="0.0.0.0/0", target="internet"),)}


async def test_a_subnet_has_the_routes_of_its_table_or_else_of_the_main_one(world: World) -> None:
    vpc, subnet = await network(world)
    target = TargetRequest(gateway_id=await attached_gateway(world, vpc))
    outside = (RouteSpec(destination="0.0.0.0/0", target="internet"),)
    await world.app.routes.create(world.caller, vpc.main_route_table_id, "0.0.0.0/0", target)
    by_main = routes(world, vpc)
    table = (await world.app.route_tables.create(world.caller, vpc.id, {})).table
    association_id = await world.app.route_tables.associate(world.caller, table.id, subnet.id)
    by_own = routes(world, vpc)
    await world.app.route_tables.disassociate(world.caller, association_id)

    assert by_main == routes(world, vpc) == outside
    assert by_own == ()


async def test_what_a_route_leads_to_is_told_or_that_it_is_gone(world: World) -> None:
    vpc, subnet = await network(world, ipv6=True)
    (details,) = await world.launch(place=PlaceRequest(subnet_id=subnet.id))
    interface_id = details.instance.network_interface_id
    gateway_id = await attached_gateway(world, vpc)
    egress = await world.app.egress_only_gateways.create(world.caller, vpc.id, {})
    for destination, target in {
        "0.0.0.0/0": TargetRequest(gateway_id=gateway_id),
        "192.168.0.0/16": TargetRequest(instance_id=details.instance.id),
        "::/0": TargetRequest(egress_only_gateway_id=egress.id),
    }.items():
        await world.app.routes.create(world.caller, vpc.main_route_table_id, destination, target)
    before = routes(world, vpc)

    await world.app.internet_gateways.detach(world.caller, gateway_id, vpc.id)
    await world.app.egress_only_gateways.delete(world.caller, egress.id)

    assert before == (
        RouteSpec(destination="0.0.0.0/0", target="internet"),
        RouteSpec(destination="192.168.0.0/16", target="interface", target_id=interface_id),
        RouteSpec(destination="::/0", target="egress_only"),
    )
    assert [it.target for it in routes(world, vpc) or ()] == ["blackhole", "interface", "blackhole"]


async def test_routes_to_an_interface_follow_it_into_an_instance_and_out_of_it(world: World) -> None:
    vpc, subnet = await network(world)
    await world.launch(place=PlaceRequest(subnet_id=subnet.id))
    interface = await world.app.network_interfaces.create(world.caller, InterfaceRequest(subnet_id=subnet.id), {})
    target = TargetRequest(network_interface_id=interface.id)
    await world.app.routes.create(world.caller, vpc.main_route_table_id, "192.0.2.0/24", target)
    there = InterfaceRequest(device_index=0, network_interface_id=interface.id)
    wanted = PlaceRequest(interfaces=(there,))

    seen = [told(world, vpc)]
    instance_id = await world.running_instance(place=wanted)
    seen.append(told(world, vpc))
    await world.instances.terminate(world.caller, [instance_id], skip_shutdown=True)
    await world.sagas.settle()
    seen.append(told(world, vpc))
    world.fragile_hypervisor.fail("start")
    with pytest.raises(Ec2Error):
        await world.launch(place=wanted)
    seen.append(told(world, vpc))

    assert seen == ["blackhole", "interface", "blackhole", "blackhole"]


async def test_an_acl_that_does_not_let_everything_pass_is_told(world: World) -> None:
    vpc, subnet = await network(world)
    acl = (await world.app.network_acls.create(world.caller, vpc.id, {})).acl
    await world.app.network_acls.replace_association(world.caller, subnet.network_acl_association_id, acl.id)
    closed = segment_spec(world.store, vpc.id).subnets[0].acl
    common = {"is_egress": False, "allows": True, "cidr": "10.0.0.0/8", "is_ipv6": False}
    ssh = entry_of(number=7, protocol="tcp", ports=(22, 23), icmp=None, **common)  # type: ignore[arg-type]
    ping = entry_of(number=8, protocol="icmp", ports=None, icmp=(8, -1), **common)  # type: ignore[arg-type]
    for entry in (ssh, ping):
        await world.app.network_acls.create_entry(world.caller, acl.id, entry)

    rule = AclRule(number=7, is_egress=False, allow=True, protocol="6", cidr="10.0.0.0/8", from_port=22, to_port=23)
    assert closed == ()
    assert segment_spec(world.store, vpc.id).subnets[0].acl == (
        rule,
        replace(rule, number=8, protocol="1", from_port=8, to_port=-1),
    )


async def test_a_default_acl_that_denies_something_first_is_told(world: World) -> None:
    vpc, _ = await network(world)
    entry = entry_of(
        number=1, is_egress=True, allows=False, protocol="-1", cidr="192.0.2.0/24", is_ipv6=False, ports=None, icmp=None
    )

    await world.app.network_acls.create_entry(world.caller, vpc.network_acl_id, entry)

    acl = segment_spec(world.store, vpc.id).subnets[0].acl
    assert acl is not None
    assert len(acl) == 3


async def test_options_and_attributes_are_told(world: World) -> None:
    vpc, _ = await network(world)
    given = {"domain-name": ["site.example"], "ntp-servers": ["10.0.0.9"], "netbios-node-type": ["2"]}
    options = await world.app.dhcp_options.create(world.caller, given, {})
    await world.app.dhcp_options.associate(world.caller, options.id, vpc.id)
    await world.app.vpcs.set_dns_support(world.caller, vpc.id, enabled=False)
    await world.app.vpcs.add_range(world.caller, vpc.id, "10.1.0.0/16")
    told = segment_spec(world.store, vpc.id)
    await world.app.dhcp_options.associate(world.caller, "default", vpc.id)

    assert told.dhcp == DhcpSpec(domain_name="site.example", ntp_servers=("10.0.0.9",), netbios_node_type=2)
    assert (told.dns_support, told.extra_cidrs) == (False, ("10.1.0.0/16",))
    assert segment_spec(world.store, vpc.id).dhcp == DhcpSpec()


async def test_a_change_reaches_a_segment_that_is_there_before_it_is_answered(world: World) -> None:
    vpc, subnet = await network(world)
    await world.launch(place=PlaceRequest(subnet_id=subnet.id))

    await world.app.vpcs.set_dns_support(world.caller, vpc.id, enabled=False)

    assert not world.network.segments[vpc.id].dns_support


async def test_nobody_keeps_the_turn_of_a_vpc_that_nobody_changes(world: World) -> None:
    await world.running_instance()
    await world.app.vpcs.create(world.caller, VpcRequest(cidr="10.0.0.0/16"))
    await world.sagas.settle()

    assert dict(world.saga_context.segment_turns) == {}
