"""aws_route_table and aws_route_table_association."""

from collections.abc import Callable
from typing import Final

from tests.clients.terraform.provider import Resource, Values, filters, only, tags_of
from tests.clients.terraform.refusals import tolerated
from tests.clients.terraform.waiters import wait_for, wait_until, wait_until_gone

#: attribute of a route -> member that names where it goes
_TARGETS: Final = {
    "gateway_id": "GatewayId",
    "nat_gateway_id": "NatGatewayId",
    "network_interface_id": "NetworkInterfaceId",
}
#: attribute of a route -> member that names its destination
_DESTINATIONS: Final = {
    "cidr_block": "DestinationCidrBlock",
    "destination_prefix_list_id": "DestinationPrefixListId",
    "ipv6_cidr_block": "DestinationIpv6CidrBlock",
}
#: A route as it is compared: the attribute and value of its destination, and of its target.
Route = tuple[tuple[str, str], tuple[str, str]]


class AwsRouteTable(Resource):
    """vpc_route_table.go. `route`: blocks, each with one destination and one target."""

    kind = "route-table"
    gone = ("InvalidRouteTableID.NotFound", "InvalidRouteTableId.NotFound")

    def create(self) -> str:
        made = self.ec2.create_route_table(VpcId=self.wanted["vpc_id"], **self.tagged())
        self.id = made["RouteTable"]["RouteTableId"]
        wait_until(self._find)
        for route in _routes(self.wanted["route"]).items():
            self._ask(self.ec2.create_route, route)
        return self.id

    def read(self) -> Values:
        table = self._find()
        return {
            "owner_id": table["OwnerId"],
            "propagating_vgws": table["PropagatingVgws"],
            "route": _routes_found(table),
            "tags": tags_of(table),
            "vpc_id": table["VpcId"],
        }

    def configured(self) -> Values:
        return {**super().configured(), "route": _routes(self.wanted["route"])}

    def update(self, changed: Values) -> None:
        """What is new or goes elsewhere first, what is no more after it."""
        before, after = self.state["route"], _routes(changed["route"])
        for destination, target in after.items():
            if destination not in before:
                self._ask(self.ec2.create_route, (destination, target))
            elif before[destination] != target:
                self._ask(self.ec2.replace_route, (destination, target))
        for destination in before.keys() - after.keys():
            with tolerated("InvalidRoute.NotFound"):
                self.ec2.delete_route(RouteTableId=self.id, **{_DESTINATIONS[destination[0]]: destination[1]})
            wait_until(lambda it=destination: it not in _routes_found(self._find()))  # type: ignore[misc]

    def destroy(self) -> None:
        for association in self._find()["Associations"]:
            with tolerated("InvalidAssociationID.NotFound"):
                self.ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
        with tolerated("InvalidRouteTableID.NotFound"):
            self.ec2.delete_route_table(RouteTableId=self.id)
        wait_until_gone(self._find, *self.gone)

    def _ask(self, operation: Callable[..., object], route: Route) -> None:
        destination, target = route
        members = {_DESTINATIONS[destination[0]]: destination[1], _TARGETS[target[0]]: target[1]}
        operation(RouteTableId=self.id, **members)
        wait_until(lambda: _routes_found(self._find()).get(destination) == target)

    def _find(self) -> Values:
        return only(self.ec2.describe_route_tables(RouteTableIds=[self.id])["RouteTables"])


def _routes(blocks: list[Values]) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        next((name, it[name]) for name in _DESTINATIONS if name in it): next(
            (name, it[name]) for name in _TARGETS if name in it
        )
        for it in blocks
    }


def _routes_found(table: Values) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the routes that somebody made; one through an interface is not also one through its instance."""
    return {
        next((name, it[member]) for name, member in _DESTINATIONS.items() if member in it): next(
            (name, it[member]) for name, member in _TARGETS.items() if member in it
        )
        for it in table["Routes"]
        if it["Origin"] == "CreateRoute"
    }


class AwsRouteTableAssociation(Resource):
    """vpc_route_table_association.go: its id changes with the table."""

    kind = ""

    def create(self) -> str:
        members = {"RouteTableId": self.wanted["route_table_id"], "SubnetId": self.wanted["subnet_id"]}
        self.id = self.ec2.associate_route_table(**members)["AssociationId"]
        self._wait_until_associated()
        return self.id

    def read(self) -> Values:
        association = self._find()
        return {"route_table_id": association["RouteTableId"], "subnet_id": association["SubnetId"]}

    def update(self, changed: Values) -> None:
        replaced = self.ec2.replace_route_table_association(
            AssociationId=self.id, RouteTableId=changed["route_table_id"]
        )
        self.id = replaced["NewAssociationId"]
        self._wait_until_associated()

    def destroy(self) -> None:
        with tolerated("InvalidAssociationID.NotFound"):
            self.ec2.disassociate_route_table(AssociationId=self.id)
        wait_until_gone(self._find)

    def _wait_until_associated(self) -> None:
        wait_for(lambda: str(self._find()["AssociationState"]["State"]), "associated", "associating")

    def _find(self) -> Values:
        ours = filters({"association.route-table-association-id": self.id})
        table = only(self.ec2.describe_route_tables(Filters=ours)["RouteTables"])
        return only(
            [
                it
                for it in table["Associations"]
                if it["RouteTableAssociationId"] == self.id and it["AssociationState"]["State"] != "disassociated"
            ]
        )
