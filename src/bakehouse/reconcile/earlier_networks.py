"""Networks of an earlier version, which had no route tables, ACLs, gateways or DHCP options sets: they get theirs."""

import structlog

from bakehouse.domain.default_network import completed
from bakehouse.store.store import Store

_log = structlog.get_logger(__name__)


async def complete_networks(store: Store) -> None:
    """Give every VPC that lacks them what a new one begins with: it works as before, and shows it."""
    incomplete = [vpc for vpc in store.vpcs if not vpc.main_route_table_id]
    async with store.transaction() as tx:
        for vpc in incomplete:
            subnets = list(store.subnets.by("vpc")[vpc.id].values())
            sets = store.dhcp_options.by("scope")[vpc.account_id, vpc.region].values()
            for record in completed(vpc, subnets, next((it for it in sets if it.is_default), None)):
                tx.put(record)
    for vpc in incomplete:
        _log.info("a VPC of an earlier version got its route table, ACL and gateway", vpc=vpc.id)
