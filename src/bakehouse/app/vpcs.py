"""VPCs: made with what each of them has, changed, deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bakehouse.app.account_settings import settings_of
from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.cidr import is_within, overlaps, vpc_range, vpc_range_conflict
from bakehouse.domain.default_network import new_ipv6_cidr, new_vpc
from bakehouse.domain.dhcp_options import NO_OPTIONS
from bakehouse.domain.errors import invalid_combination, missing_parameter, not_found
from bakehouse.domain.ids import new_id
from bakehouse.domain.network import CidrAssociation, Vpc
from bakehouse.domain.tags import check_tags
from bakehouse.domain.vpc import (
    RANGES_MAX,
    VPCS_MAX,
    hostnames_need_support,
    primary_range_stays,
    range_in_use,
    too_many_ranges,
    too_many_vpcs,
    vpc_in_use,
)

_ASSOCIATION: Final = "vpc-cidr-block-association"


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcRequest:
    """What CreateVpc asks for."""

    cidr: str | None
    ipv6: bool = False
    """Whether it is to have an IPv6 range."""
    tags: Mapping[str, str] = field(default_factory=dict)


class Vpcs:
    """Use cases on VPCs."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, vpc_ids: Iterable[str] | None = None) -> list[Vpc]:
        """Return the caller's VPCs, all or these."""
        vpcs = self._context.store.vpcs
        return scope(vpcs, caller) if vpc_ids is None else owned(vpcs, caller, "vpc", vpc_ids)

    def one(self, caller: Caller, vpc_id: str) -> Vpc:
        """Return one of the caller's VPCs."""
        (vpc,) = owned(self._context.store.vpcs, caller, "vpc", [vpc_id])
        return vpc

    async def create(self, caller: Caller, request: VpcRequest) -> Vpc:
        """Make a VPC with its main route table, default ACL and default group; nothing leads outside."""
        check_tags(request.tags)
        if request.cidr is None:
            raise missing_parameter("cidrBlock")
        cidr = vpc_range(request.cidr)
        store = self._context.store
        if len(scope(store.vpcs, caller)) >= VPCS_MAX:
            raise too_many_vpcs()
        options = next((it for it in scope(store.dhcp_options, caller) if it.is_default), None)
        options_id = options.id if options else NO_OPTIONS
        vpc, parts = new_vpc(caller.account_id, caller.region, cidr, options_id=options_id, ipv6=request.ipv6)
        vpc = replace(vpc, tags=dict(request.tags))
        async with store.transaction() as tx:
            for record in (vpc, *parts):
                tx.put(record)
        return vpc

    async def delete(self, caller: Caller, vpc_id: str) -> None:
        """Delete a VPC with what it began with: its main route table, default ACL and default group.

        Refuses while anything else is in it or attached to it: DependencyViolation.
        """
        vpc = self.one(caller, vpc_id)
        if self._is_used(vpc):
            raise vpc_in_use(vpc.id)
        store = self._context.store
        async with segment_change(self._context, vpc.id) as tx:
            tx.delete(vpc)
            tx.delete(store.route_tables[vpc.main_route_table_id])
            tx.delete(store.network_acls[vpc.network_acl_id])
            for group in list(store.security_groups.by("vpc")[vpc.id].values()):
                tx.delete(group)
            if vpc.is_default:
                settings = settings_of(self._context, caller.account_id, caller.region)
                tx.put(replace(settings, has_no_default_vpc=True))

    async def set_dns_support(self, caller: Caller, vpc_id: str, *, enabled: bool) -> None:
        """Let the VPC's resolver answer, or not."""
        vpc = self.one(caller, vpc_id)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(vpc, dns_support=enabled))

    async def set_dns_hostnames(self, caller: Caller, vpc_id: str, *, enabled: bool) -> None:
        """Give instances with public addresses public names, or not."""
        vpc = self.one(caller, vpc_id)
        if enabled and not vpc.dns_support:
            raise hostnames_need_support()
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(vpc, dns_hostnames=enabled))

    async def set_usage_metrics(self, caller: Caller, vpc_id: str, *, enabled: bool) -> None:
        """Take note of a wish for metrics; nothing measures them here."""
        vpc = self.one(caller, vpc_id)
        async with self._context.store.transaction() as tx:
            tx.put(replace(vpc, usage_metrics=enabled))

    async def add_range(self, caller: Caller, vpc_id: str, text: str) -> CidrAssociation:
        """Give a VPC another IPv4 range."""
        vpc = self.one(caller, vpc_id)
        cidr = vpc_range(text)
        if overlaps(cidr, vpc.cidrs):
            raise vpc_range_conflict(cidr)
        if len(vpc.cidrs) >= RANGES_MAX:
            raise too_many_ranges(vpc.id)
        added = CidrAssociation(id=new_id(_ASSOCIATION), cidr=cidr)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(vpc, secondary_cidrs=(*vpc.secondary_cidrs, added)))
        return added

    async def add_ipv6_range(self, caller: Caller, vpc_id: str) -> CidrAssociation:
        """Give a VPC its IPv6 range. It has one at most."""
        vpc = self.one(caller, vpc_id)
        if vpc.ipv6_cidr is not None:
            raise too_many_ranges(vpc.id)
        added = new_ipv6_cidr(vpc)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(vpc, ipv6_cidr=added))
        return added

    async def remove_range(self, caller: Caller, association_id: str) -> tuple[Vpc, CidrAssociation]:
        """Take a range from its VPC and return both as they were. Refuses while a subnet lies in it."""
        vpc, association = self._associated(caller, association_id)
        subnets = list(self._context.store.subnets.by("vpc")[vpc.id].values())
        if association == vpc.ipv6_cidr:
            changed = replace(vpc, ipv6_cidr=None)
            is_used = any(subnet.ipv6_cidr is not None for subnet in subnets)
        else:
            changed = replace(vpc, secondary_cidrs=tuple(it for it in vpc.secondary_cidrs if it != association))
            is_used = any(is_within(subnet.cidr, [association.cidr]) for subnet in subnets)
        if is_used:
            raise range_in_use(association_id)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(changed)
        return vpc, association

    def check_tenancy(self, caller: Caller, vpc_id: str, tenancy: str) -> None:
        """Refuse what is no change to `default`: every VPC is so here. Source: EC2 API Reference, ModifyVpcTenancy."""
        self.one(caller, vpc_id)
        if tenancy != "default":
            raise invalid_combination("The tenancy of a VPC can be changed to default only.")

    def _associated(self, caller: Caller, association_id: str) -> tuple[Vpc, CidrAssociation]:
        for vpc in scope(self._context.store.vpcs, caller):
            if association_id == vpc.cidr_association_id:
                raise primary_range_stays(association_id)
            ipv6 = () if vpc.ipv6_cidr is None else (vpc.ipv6_cidr,)
            for association in (*vpc.secondary_cidrs, *ipv6):
                if association.id == association_id:
                    return vpc, association
        raise not_found(_ASSOCIATION, [association_id])

    def _is_used(self, vpc: Vpc) -> bool:
        store = self._context.store
        emptied = (
            store.subnets,
            store.network_interfaces,
            store.internet_gateways,
            store.egress_only_internet_gateways,
        )
        begun_with = (store.route_tables, store.network_acls, store.security_groups)
        return any(records.by("vpc")[vpc.id] for records in emptied) or any(
            len(records.by("vpc")[vpc.id]) > 1 for records in begun_with
        )
