"""How many there may be of what makes up networks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.world import World

from bakehouse.app.routes import TargetRequest
from bakehouse.app.subnets import SubnetRequest
from bakehouse.app.vpcs import VpcRequest
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.network import Vpc

Attempt = Callable[[World, Vpc], Awaitable[Any]]


async def add_route(world: World, vpc: Vpc) -> None:
    (gateway,) = world.store.internet_gateways
    target = TargetRequest(gateway_id=gateway.id)
    await world.app.routes.create(world.caller, vpc.main_route_table_id, "192.0.2.0/24", target)


#: What the quota is of -> how one more is asked for, and the refusal.
QUOTAS: dict[str, tuple[str, int, Attempt, str]] = {
    "VPCs": (
        "vpcs.VPCS_MAX",
        1,
        lambda world, _vpc: world.app.vpcs.create(world.caller, VpcRequest(cidr="10.0.0.0/16")),
        "VpcLimitExceeded",
    ),
    "subnets": (
        "subnets.SUBNETS_MAX",
        3,
        lambda world, vpc: world.app.subnets.create(world.caller, SubnetRequest(vpc_id=vpc.id, cidr="172.31.128.0/20")),
        "SubnetLimitExceeded",
    ),
    "internet gateways": (
        "internet_gateways.INTERNET_GATEWAYS_MAX",
        1,
        lambda world, _vpc: world.app.internet_gateways.create(world.caller, {}),
        "InternetGatewayLimitExceeded",
    ),
    "egress-only gateways": (
        "egress_only_gateways._PER_VPC",
        0,
        lambda world, vpc: world.app.egress_only_gateways.create(world.caller, vpc.id, {}),
        "InternetGatewayLimitExceeded",
    ),
    "route tables": (
        "route_tables.ROUTE_TABLES_MAX",
        1,
        lambda world, vpc: world.app.route_tables.create(world.caller, vpc.id, {}),
        "RouteTableLimitExceeded",
    ),
    "routes": ("routes.ROUTES_MAX", 1, add_route, "RouteLimitExceeded"),
    "network ACLs": (
        "network_acls.NETWORK_ACLS_MAX",
        1,
        lambda world, vpc: world.app.network_acls.create(world.caller, vpc.id, {}),
        "NetworkAclLimitExceeded",
    ),
}


@pytest.mark.parametrize("what", QUOTAS)
async def test_one_more_than_the_quota_is_refused(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    name, most, attempt, code = QUOTAS[what]
    (vpc,) = world.store.vpcs
    monkeypatch.setattr(f"bakehouse.app.{name}", most)

    with pytest.raises(Ec2Error) as refusal:
        await attempt(world, vpc)

    assert refusal.value.code == code


@pytest.mark.parametrize("what", QUOTAS)
async def test_as_many_as_the_quota_are_not(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    name, most, attempt, _ = QUOTAS[what]
    (vpc,) = world.store.vpcs
    monkeypatch.setattr(f"bakehouse.app.{name}", most + 1)

    await attempt(world, vpc)
