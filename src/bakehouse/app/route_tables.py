"""Route tables and which subnets use them. Routes are in `app/routes.py`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_parameter, malformed_id, not_found
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.route_table import (
    ROUTE_TABLES_MAX,
    Route,
    RouteTable,
    RouteTarget,
    association_conflict,
    main_association_stays,
    table_in_use,
    too_many_tables,
)
from bakehouse.domain.tags import check_tags
from bakehouse.sagas.segment_description import leads_somewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDetails:
    """A route as it is shown."""

    route: Route
    is_active: bool
    instance_id: str | None = None
    """Whose interface it leads to."""
    instance_owner_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAssociation:
    """A use of a table: by a subnet, or as the VPC's main table."""

    id: str
    subnet_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTableDetails:
    """A table with what stands in other records."""

    table: RouteTable
    local_destinations: tuple[str, ...]
    routes: tuple[RouteDetails, ...]
    associations: tuple[TableAssociation, ...]


class RouteTables:
    """Use cases on route tables."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, table_ids: Iterable[str] | None = None) -> list[RouteTableDetails]:
        """Return the caller's tables, all or these, with their routes and associations."""
        tables = self._context.store.route_tables
        found = scope(tables, caller) if table_ids is None else owned(tables, caller, "route-table", table_ids)
        return [self._details(table) for table in found]

    def one(self, caller: Caller, table_id: str) -> RouteTable:
        """Return one of the caller's tables."""
        (table,) = owned(self._context.store.route_tables, caller, "route-table", [table_id])
        return table

    async def create(self, caller: Caller, vpc_id: str, tags: Mapping[str, str]) -> RouteTableDetails:
        """Make a table that leads nowhere but within its VPC, and that nothing uses."""
        check_tags(tags)
        store = self._context.store
        (vpc,) = owned(store.vpcs, caller, "vpc", [vpc_id])
        if len(store.route_tables.by("vpc")[vpc.id]) >= ROUTE_TABLES_MAX:
            raise too_many_tables()
        table = RouteTable(
            id=new_id("route-table"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=vpc.id,
            tags=dict(tags),
        )
        async with store.transaction() as tx:
            tx.put(table)
            tx.remember(caller, table.id, self._context.now().timestamp())
        return self._details(table)

    async def delete(self, caller: Caller, table_id: str) -> None:
        """Delete a table that nothing uses."""
        table = self.one(caller, table_id)
        store = self._context.store
        is_main = store.vpcs[table.vpc_id].main_route_table_id == table.id
        if is_main or store.subnets.by("route_table")[table.id]:
            raise table_in_use(table.id)
        async with store.transaction() as tx:
            tx.delete(table)

    async def associate(self, caller: Caller, table_id: str, subnet_id: str) -> str:
        """Let a subnet use a table and return the association's id.

        That of this very table is returned again. Refuses a subnet that uses another: Resource.AlreadyAssociated.
        """
        table = self.one(caller, table_id)
        (subnet,) = owned(self._context.store.subnets, caller, "subnet", [subnet_id])
        if subnet.vpc_id != table.vpc_id:
            raise invalid_parameter(f"route table {table.id} and subnet {subnet.id} belong to different networks")
        if subnet.route_table_id == table.id and subnet.route_table_association_id is not None:
            return subnet.route_table_association_id
        if subnet.route_table_id is not None:
            raise association_conflict(table.id)
        return await self._use(subnet, table)

    async def disassociate(self, caller: Caller, association_id: str) -> None:
        """Let a subnet use the VPC's main table again."""
        used_by = self._associated(caller, association_id)
        if isinstance(used_by, Vpc):
            raise main_association_stays(association_id)
        async with segment_change(self._context, used_by.vpc_id) as tx:
            tx.put(replace(used_by, route_table_id=None, route_table_association_id=None))

    async def replace_association(self, caller: Caller, association_id: str, table_id: str) -> tuple[str, bool]:
        """Let a subnet use another table, or make another table the main one.

        Returns the new association's id, and whether it is the main one. The old association is gone.
        """
        used_by = self._associated(caller, association_id)
        table = self.one(caller, table_id)
        if isinstance(used_by, Subnet):
            if used_by.vpc_id != table.vpc_id:
                raise invalid_parameter(f"route table {table.id} and subnet {used_by.id} belong to different networks")
            return await self._use(used_by, table), False
        if used_by.id != table.vpc_id:
            raise invalid_parameter(f"route table {table.id} and network {used_by.id} belong to different networks")
        new_association_id = new_id("route-table-association")
        async with segment_change(self._context, used_by.id) as tx:
            tx.put(replace(used_by, main_route_table_id=table.id, main_association_id=new_association_id))
        return new_association_id, True

    async def _use(self, subnet: Subnet, table: RouteTable) -> str:
        association_id = new_id("route-table-association")
        async with segment_change(self._context, subnet.vpc_id) as tx:
            tx.put(replace(subnet, route_table_id=table.id, route_table_association_id=association_id))
        return association_id

    def _associated(self, caller: Caller, association_id: str) -> Subnet | Vpc:
        if not is_well_formed(association_id, "route-table-association"):
            raise malformed_id("route-table-association", association_id)
        for subnet in scope(self._context.store.subnets, caller):
            if subnet.route_table_association_id == association_id:
                return subnet
        for vpc in scope(self._context.store.vpcs, caller):
            if vpc.main_association_id == association_id:
                return vpc
        raise not_found("route-table-association", [association_id])

    def _details(self, table: RouteTable) -> RouteTableDetails:
        store = self._context.store
        vpc = store.vpcs[table.vpc_id]
        used = [
            TableAssociation(id=subnet.route_table_association_id or "", subnet_id=subnet.id)
            for subnet in store.subnets.by("route_table")[table.id].values()
        ]
        if vpc.main_route_table_id == table.id:
            used.insert(0, TableAssociation(id=vpc.main_association_id, subnet_id=None))
        return RouteTableDetails(
            table=table,
            local_destinations=vpc.local_destinations,
            routes=tuple(self._route_details(table, route) for route in table.routes),
            associations=tuple(used),
        )

    def _route_details(self, table: RouteTable, route: Route) -> RouteDetails:
        is_active = leads_somewhere(self._context.store, table.vpc_id, route)
        if route.target is not RouteTarget.NETWORK_INTERFACE or not is_active:
            return RouteDetails(route=route, is_active=is_active)
        interface = self._context.store.network_interfaces[route.target_id]
        return RouteDetails(
            route=route, is_active=True, instance_id=interface.instance_id, instance_owner_id=interface.account_id
        )
