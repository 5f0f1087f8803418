"""Routes: made, replaced, deleted, with what each may lead to."""

from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.cidr import is_within
from bakehouse.domain.errors import Ec2Error, invalid_parameter, not_found
from bakehouse.domain.internet_gateway import gateway_not_found
from bakehouse.domain.nat_gateway import NatGatewayState
from bakehouse.domain.network import Vpc
from bakehouse.domain.route_table import (
    ROUTES_MAX,
    Route,
    RouteTable,
    RouteTarget,
    local_route_stays,
    no_route_to_replace,
    other_network,
    route_exists,
    route_not_found,
    route_to_no_subnet,
    route_within_vpc,
    too_many_routes,
)

#: IPv6 addresses that stand for IPv4 ones: the only IPv6 that a NAT gateway takes. Source: RFC 6052.
_NAT64 = "64:ff9b::/96"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRequest:
    """What a route is to lead to: exactly one member is set."""

    gateway_id: str | None = None
    egress_only_gateway_id: str | None = None
    nat_gateway_id: str | None = None
    network_interface_id: str | None = None
    instance_id: str | None = None


class Routes:
    """Use cases on routes."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, table_id: str, destination: str, target: TargetRequest) -> None:
        """Add a route. Refuses a destination that the table has: RouteAlreadyExists."""
        table, vpc = self._table(caller, table_id)
        if table.route_to(destination) is not None or destination in vpc.local_destinations:
            raise route_exists(destination)
        route = self._route(caller, table, destination, target)
        if len(table.routes) >= ROUTES_MAX:
            raise too_many_routes()
        await self._write(replace(table, routes=(*table.routes, route)))

    async def replace(self, caller: Caller, table_id: str, destination: str, target: TargetRequest) -> None:
        """Let a route lead somewhere else. Refuses where there is none."""
        table, _ = self._table(caller, table_id)
        if table.route_to(destination) is None:
            raise no_route_to_replace(destination)
        new = self._route(caller, table, destination, target)
        routes = tuple(new if route.destination == destination else route for route in table.routes)
        await self._write(replace(table, routes=routes))

    async def delete(self, caller: Caller, table_id: str, destination: str) -> None:
        """Remove a route. Refuses where there is none: InvalidRoute.NotFound."""
        table, vpc = self._table(caller, table_id)
        if destination in vpc.local_destinations:
            raise local_route_stays(destination, table.id)
        if table.route_to(destination) is None:
            raise route_not_found(destination, table.id)
        await self._write(replace(table, routes=tuple(it for it in table.routes if it.destination != destination)))

    def _table(self, caller: Caller, table_id: str) -> tuple[RouteTable, Vpc]:
        (table,) = owned(self._context.store.route_tables, caller, "route-table", [table_id])
        return table, self._context.store.vpcs[table.vpc_id]

    async def _write(self, table: RouteTable) -> None:
        async with segment_change(self._context, table.vpc_id) as tx:
            tx.put(table)

    def _route(self, caller: Caller, table: RouteTable, destination: str, target: TargetRequest) -> Route:
        """Return a route whose target is of the table's VPC and may have this destination."""
        if target.gateway_id is not None:
            kind, target_id = RouteTarget.INTERNET_GATEWAY, self._gateway(caller, table, target.gateway_id)
        elif target.egress_only_gateway_id is not None:
            kind = RouteTarget.EGRESS_ONLY_GATEWAY
            target_id = self._egress_only_gateway(caller, table, target.egress_only_gateway_id, destination)
        elif target.nat_gateway_id is not None:
            kind, target_id = RouteTarget.NAT_GATEWAY, self._nat_gateway(caller, table, target.nat_gateway_id)
            if ":" in destination and destination != _NAT64:
                raise invalid_parameter(f"A NAT gateway routes no IPv6 destination but {_NAT64}.")
        else:
            kind, target_id = RouteTarget.NETWORK_INTERFACE, self._interface(caller, table, target)
        self._check_destination(table, destination, kind)
        return Route(destination=destination, target=kind, target_id=target_id)

    def _check_destination(self, table: RouteTable, destination: str, kind: RouteTarget) -> None:
        vpc = self._context.store.vpcs[table.vpc_id]
        if not is_within(destination, vpc.local_destinations):
            return
        if kind is not RouteTarget.NETWORK_INTERFACE:
            raise route_within_vpc(destination)
        subnets = self._context.store.subnets.by("vpc")[vpc.id].values()
        ranges = {it.cidr for it in subnets} | {it.ipv6_cidr.cidr for it in subnets if it.ipv6_cidr is not None}
        if destination not in ranges:
            raise route_to_no_subnet(destination)

    def _gateway(self, caller: Caller, table: RouteTable, gateway_id: str) -> str:
        gateway = self._context.store.internet_gateways.get(gateway_id)
        if gateway is None or (gateway.account_id, gateway.region) != (caller.account_id, caller.region):
            raise gateway_not_found(gateway_id)
        if gateway.vpc_id != table.vpc_id:
            raise other_network(table.id, "network gateway", gateway_id)
        return gateway.id

    def _egress_only_gateway(self, caller: Caller, table: RouteTable, gateway_id: str, destination: str) -> str:
        gateways = self._context.store.egress_only_internet_gateways
        (gateway,) = owned(gateways, caller, "egress-only-internet-gateway", [gateway_id])
        if gateway.vpc_id != table.vpc_id:
            raise other_network(table.id, "network gateway", gateway_id)
        if ":" not in destination:
            raise invalid_parameter("An egress-only internet gateway routes IPv6 destinations only.")
        return gateway.id

    def _nat_gateway(self, caller: Caller, table: RouteTable, gateway_id: str) -> str:
        (gateway,) = owned(self._context.store.nat_gateways, caller, "natgateway", [gateway_id])
        if gateway.state is NatGatewayState.DELETED:
            raise not_found("natgateway", [gateway_id])  # it is shown for an hour, and no route leads there any more
        if gateway.vpc_id != table.vpc_id:
            raise other_network(table.id, "NAT gateway", gateway_id)
        return gateway.id

    def _interface(self, caller: Caller, table: RouteTable, target: TargetRequest) -> str:
        store = self._context.store
        interface_id = target.network_interface_id
        if target.instance_id is not None:
            (instance,) = owned(store.instances, caller, "instance", [target.instance_id])
            interfaces = list(store.network_interfaces.by("instance")[instance.id])
            if len(interfaces) != 1:
                raise not_one_interface(instance.id, len(interfaces))
            interface_id = interfaces[0]
        (interface,) = owned(store.network_interfaces, caller, "network-interface", [interface_id or ""])
        if interface.vpc_id != table.vpc_id:
            raise other_network(table.id, "interface", interface.id)
        return interface.id


def not_one_interface(instance_id: str, count: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidInstanceID; wording as AWS answers it."""
    if count == 0:
        return Ec2Error("InvalidInstanceID", f"There are no interfaces attached to instance '{instance_id}'.")
    return Ec2Error(
        "InvalidInstanceID",
        f"There are multiple interfaces attached to instance '{instance_id}'. Please specify an interface ID for the "
        "operation instead.",
    )
