"""Route tables and their routes."""

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter, invalid_value

#: Source: VPC User Guide, "Amazon VPC quotas": route tables of a VPC, and routes of a table.
ROUTE_TABLES_MAX: Final = 200
ROUTES_MAX: Final = 500

_IPV4: Final = 4


class RouteTarget(StrEnum):
    """What a route leads to."""

    INTERNET_GATEWAY = "internet-gateway"
    EGRESS_ONLY_GATEWAY = "egress-only-internet-gateway"
    NAT_GATEWAY = "nat-gateway"
    NETWORK_INTERFACE = "network-interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route that somebody made. Those to the VPC itself are in every table and in no record."""

    destination: str
    """An IPv4 or IPv6 range in canonical form."""
    target: RouteTarget
    target_id: str

    @property
    def is_ipv6(self) -> bool:
        """Whether its destination is one of IPv6."""
        return ":" in self.destination


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """A table of routes. Which subnets use it stands with the subnets, and which table is the main one with the VPC."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    routes: tuple[Route, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def route_to(self, destination: str) -> Route | None:
        """Return the route with this destination, or None."""
        return next((route for route in self.routes if route.destination == destination), None)


def destination_of(text: str, version: int) -> str:
    """Return a destination in canonical form, as EC2 makes it. Refuses what is no range: InvalidParameterValue."""
    parameter = "destinationCidrBlock" if version == _IPV4 else "destinationIpv6CidrBlock"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as err:
        raise invalid_value(text, parameter, "This is not a valid CIDR block.") from err
    if network.version != version or "/" not in text:
        raise invalid_value(text, parameter, "This is not a valid CIDR block.")
    return str(network)


def route_exists(destination: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, RouteAlreadyExists; wording as AWS answers it."""
    return Ec2Error("RouteAlreadyExists", f"The route identified by {destination} already exists.")


def route_not_found(destination: str, table_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidRoute.NotFound; wording as AWS answers it."""
    return Ec2Error(
        "InvalidRoute.NotFound", f"no route with destination-cidr-block {destination} in route table {table_id}"
    )


def no_route_to_replace(destination: str) -> Ec2Error:
    """Source: EC2 answers InvalidParameterValue to ReplaceRoute where there is no route."""
    return invalid_parameter(
        f"There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
    )


def local_route_stays(destination: str, table_id: str) -> Ec2Error:
    """Source: VPC User Guide, "Route tables": the local routes of a table cannot be removed."""
    return invalid_parameter(f"cannot remove local route {destination} in route table {table_id}")


def route_within_vpc(destination: str) -> Ec2Error:
    """Source: VPC User Guide, "Route tables", restrictions of routes more specific than the local one."""
    return invalid_parameter(
        f"The destination CIDR block {destination} is equal to or more specific than one of this VPC's CIDR blocks. "
        "This route can target only an interface or an instance."
    )


def route_to_no_subnet(destination: str) -> Ec2Error:
    """Source: VPC User Guide, "Middlebox routing considerations": such a destination is a subnet's whole range."""
    return invalid_parameter(f"Route destination {destination} doesn't match any subnet CIDR blocks.")


def other_network(table_id: str, target: str, target_id: str) -> Ec2Error:
    """Source: EC2 answers InvalidParameterValue where a route's target is not of the table's VPC."""
    return invalid_parameter(f"route table {table_id} and {target} {target_id} belong to different networks")


def association_conflict(table_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, Resource.AlreadyAssociated; wording as AWS answers it."""
    return Ec2Error(
        "Resource.AlreadyAssociated",
        f"the specified association for route table {table_id} conflicts with an existing association",
    )


def main_association_stays(association_id: str) -> Ec2Error:
    """Source: VPC User Guide, "Main route table": a VPC always has one."""
    return invalid_parameter(f"cannot disassociate the main route table association {association_id}")


def table_in_use(table_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteRouteTable; wording as AWS answers it."""
    return Ec2Error("DependencyViolation", f"The routeTable '{table_id}' has dependencies and cannot be deleted.")


def too_many_tables() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, RouteTableLimitExceeded."""
    return Ec2Error("RouteTableLimitExceeded", "The maximum number of route tables has been reached.")


def too_many_routes() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, RouteLimitExceeded."""
    return Ec2Error("RouteLimitExceeded", "The maximum number of routes in the route table has been reached.")
