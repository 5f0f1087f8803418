"""Subnets: made, changed, deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.cidr import ipv6_subnet_range, subnet_conflict, subnet_range
from bakehouse.domain.default_network import in_default_acl
from bakehouse.domain.errors import invalid_parameter, missing_parameter, not_found
from bakehouse.domain.ids import new_id
from bakehouse.domain.network import CidrAssociation, Subnet, Vpc, free_addresses_left
from bakehouse.domain.tags import check_tags
from bakehouse.domain.vpc import SUBNETS_MAX, range_in_use, subnet_in_use, subnet_zone, too_many_subnets

_ASSOCIATION: Final = "subnet-cidr-block-association"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetRequest:
    """What CreateSubnet asks for."""

    vpc_id: str
    cidr: str | None
    ipv6_cidr: str | None = None
    availability_zone: str | None = None
    """None is the region's first."""
    tags: Mapping[str, str] = field(default_factory=dict)


class Subnets:
    """Use cases on subnets."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, subnet_ids: Iterable[str] | None = None) -> list[tuple[Subnet, int]]:
        """Return the caller's subnets, all or these, each with the number of its free addresses."""
        store = self._context.store
        subnets = (
            scope(store.subnets, caller) if subnet_ids is None else owned(store.subnets, caller, "subnet", subnet_ids)
        )
        return [(subnet, self._free(subnet)) for subnet in subnets]

    def one(self, caller: Caller, subnet_id: str) -> Subnet:
        """Return one of the caller's subnets."""
        (subnet,) = owned(self._context.store.subnets, caller, "subnet", [subnet_id])
        return subnet

    async def create(self, caller: Caller, request: SubnetRequest) -> tuple[Subnet, int]:
        """Make a subnet, which uses its VPC's main route table and default ACL, and return it with its free addresses.

        Refuses a range that is not the VPC's (InvalidSubnet.Range) or another subnet's (InvalidSubnet.Conflict).
        """
        check_tags(request.tags)
        store = self._context.store
        (vpc,) = owned(store.vpcs, caller, "vpc", [request.vpc_id])
        if request.cidr is None:
            raise missing_parameter("cidrBlock")
        others = list(store.subnets.by("vpc")[vpc.id].values())
        subnet = Subnet(
            id=new_id("subnet"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=vpc.id,
            cidr=subnet_range(request.cidr, vpc.cidrs, [other.cidr for other in others]),
            availability_zone=subnet_zone(caller.region, request.availability_zone),
            default_for_az=False,
            map_public_ip=False,
            ipv6_cidr=None if request.ipv6_cidr is None else self._ipv6_cidr(vpc, request.ipv6_cidr),
            tags=dict(request.tags),
        )
        if len(others) >= SUBNETS_MAX:
            raise too_many_subnets()
        subnet = in_default_acl(subnet, vpc)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(subnet)
        return subnet, self._free(subnet)

    async def delete(self, caller: Caller, subnet_id: str) -> None:
        """Delete a subnet in which no interface is; its associations go with it."""
        subnet = self.one(caller, subnet_id)
        if self._context.store.network_interfaces.by("subnet")[subnet.id]:
            raise subnet_in_use(subnet.id)
        async with segment_change(self._context, subnet.vpc_id) as tx:
            tx.delete(subnet)
            for reservation in list(self._context.store.subnet_cidr_reservations.by("subnet")[subnet.id].values()):
                tx.delete(reservation)

    async def modify(self, caller: Caller, subnet_id: str, **attributes: Any) -> None:  # noqa: ANN401 - a field
        """Change what interfaces that are made here begin with."""
        subnet = self.one(caller, subnet_id)
        if attributes.get("assign_ipv6") and subnet.ipv6_cidr is None:
            raise invalid_parameter(f"The subnet '{subnet.id}' does not have an IPv6 CIDR block.")
        async with self._context.store.transaction() as tx:
            tx.put(replace(subnet, **attributes))

    async def add_ipv6_range(self, caller: Caller, subnet_id: str, text: str) -> CidrAssociation:
        """Give a subnet a /64 of its VPC's IPv6 range. It has one at most."""
        subnet = self.one(caller, subnet_id)
        if subnet.ipv6_cidr is not None:
            raise subnet_conflict(text)
        added = self._ipv6_cidr(self._context.store.vpcs[subnet.vpc_id], text)
        async with segment_change(self._context, subnet.vpc_id) as tx:
            tx.put(replace(subnet, ipv6_cidr=added))
        return added

    async def remove_ipv6_range(self, caller: Caller, association_id: str) -> tuple[Subnet, CidrAssociation]:
        """Take its IPv6 range from a subnet and return both as they were. Refuses while an interface has an address."""
        store = self._context.store
        for subnet in scope(store.subnets, caller):
            if subnet.ipv6_cidr is None or subnet.ipv6_cidr.id != association_id:
                continue
            if any(it.ipv6_addresses for it in store.network_interfaces.by("subnet")[subnet.id].values()):
                raise range_in_use(association_id)
            async with segment_change(self._context, subnet.vpc_id) as tx:
                tx.put(replace(subnet, ipv6_cidr=None, assign_ipv6=False))
            return subnet, subnet.ipv6_cidr
        raise not_found(_ASSOCIATION, [association_id])

    def _ipv6_cidr(self, vpc: Vpc, text: str) -> CidrAssociation:
        others = self._context.store.subnets.by("vpc")[vpc.id].values()
        taken = [other.ipv6_cidr.cidr for other in others if other.ipv6_cidr is not None]
        cidr = ipv6_subnet_range(text, vpc.ipv6_cidr.cidr if vpc.ipv6_cidr else None, taken)
        return CidrAssociation(id=new_id(_ASSOCIATION), cidr=cidr)

    def _free(self, subnet: Subnet) -> int:
        taken = self._context.store.network_interfaces.by("subnet")[subnet.id].values()
        return free_addresses_left(subnet.cidr, sum(1 + len(interface.secondary_ips) for interface in taken))
