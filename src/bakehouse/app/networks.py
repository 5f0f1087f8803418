"""VPCs and subnets: the default network, and what a launch needs of it."""

from collections.abc import Iterable

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.ids import new_id
from bakehouse.domain.network import Subnet, Vpc, free_addresses_left
from bakehouse.domain.region import zones
from bakehouse.domain.security_group import SecurityGroup, SecurityGroupRule

#: Source: VPC User Guide, "Default VPC components": a /16, and a /20 subnet in each zone.
_DEFAULT_VPC_CIDR = "172.31.0.0/16"


def default_network(account_id: str, region: str) -> tuple[Vpc | Subnet | SecurityGroup, ...]:
    """Return the records of a region's default VPC: the VPC, a subnet for each zone, the default group."""
    vpc = Vpc(id=new_id("vpc"), account_id=account_id, region=region, cidr=_DEFAULT_VPC_CIDR, is_default=True)
    subnets = (
        Subnet(
            id=new_id("subnet"),
            account_id=account_id,
            region=region,
            vpc_id=vpc.id,
            cidr=f"172.31.{number * 16}.0/20",
            availability_zone=zone,
            default_for_az=True,
            map_public_ip=True,
        )
        for number, zone in enumerate(zones(region))
    )
    return vpc, *subnets, default_group(vpc)


def default_group(vpc: Vpc) -> SecurityGroup:
    """Return a VPC's default group: everything from itself, everything to everywhere.

    Source: VPC User Guide, "Default security groups for your VPCs".
    """
    group_id = new_id("security-group")
    return SecurityGroup(
        id=group_id,
        account_id=vpc.account_id,
        region=vpc.region,
        vpc_id=vpc.id,
        name="default",
        description="default VPC security group",
        rules=(
            SecurityGroupRule(
                id=new_id("security-group-rule"),
                is_egress=False,
                protocol="-1",
                from_port=None,
                to_port=None,
                referenced_group_id=group_id,
            ),
            allow_all_egress(),
        ),
    )


def allow_all_egress() -> SecurityGroupRule:
    """Return the rule that every new group begins with."""
    return SecurityGroupRule(
        id=new_id("security-group-rule"),
        is_egress=True,
        protocol="-1",
        from_port=None,
        to_port=None,
        cidr_ipv4="0.0.0.0/0",
    )


class Networks:
    """Use cases on VPCs and subnets."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def ensure_default(self, caller: Caller) -> None:
        """Make the region's default network when the account has never used the region."""
        store = self._context.store
        if store.vpcs.by("scope")[caller.account_id, caller.region]:
            return
        async with store.transaction() as tx:
            for record in default_network(caller.account_id, caller.region):
                tx.put(record)

    def vpcs(self, caller: Caller, vpc_ids: Iterable[str] | None = None) -> list[Vpc]:
        """Return the caller's VPCs, all or these."""
        store = self._context.store
        return scope(store.vpcs, caller) if vpc_ids is None else owned(store.vpcs, caller, "vpc", vpc_ids)

    def subnets(self, caller: Caller, subnet_ids: Iterable[str] | None = None) -> list[tuple[Subnet, int]]:
        """Return the caller's subnets, all or these, each with the number of its free addresses."""
        store = self._context.store
        subnets = (
            scope(store.subnets, caller) if subnet_ids is None else owned(store.subnets, caller, "subnet", subnet_ids)
        )
        taken = store.network_interfaces.by("subnet")
        return [(subnet, free_addresses_left(subnet.cidr, len(taken[subnet.id]))) for subnet in subnets]
