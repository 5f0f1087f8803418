"""Public names: what answers call public addresses, and who knows their names on this host."""

from dataclasses import dataclass

from bakehouse.app.context import AppContext
from bakehouse.domain.public_names import PublicNaming, public_name
from bakehouse.ports.host_names import HostNamesStatus


def naming_of(context: AppContext, vpc_id: str) -> PublicNaming:
    """Return what the public addresses of a VPC are called now.

    By name only while this host resolves the names: clients connect to what PublicDnsName says.
    """
    vpc = context.store.vpcs.get(vpc_id)
    if vpc is None or not vpc.gives_public_names:
        return PublicNaming.NONE
    return PublicNaming.NAME if context.host_names.proven else PublicNaming.ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAddress:
    """A public address in use, and its name."""

    address: str
    name: str
    instance_id: str


class PublicNames:
    """Use cases on public names, for whoever owns the host; no account's view."""

    def __init__(self, context: AppContext) -> None:
        """Read these records."""
        self._context = context

    def naming(self, vpc_id: str) -> PublicNaming:
        """Return what the public addresses of a VPC are called now."""
        return naming_of(self._context, vpc_id)

    async def check(self) -> HostNamesStatus:
        """Look now whether this host resolves public names; answers call them so from then on, or no more."""
        return await self._context.host_names.check()

    def in_use(self) -> list[NamedAddress]:
        """Return the addresses that lead to instances of VPCs with public names, in the order of their interfaces."""
        store = self._context.store
        return [
            NamedAddress(
                address=public_ip, name=public_name(public_ip, interface.region), instance_id=interface.instance_id
            )
            for interface in store.network_interfaces
            if interface.instance_id is not None and self.naming(interface.vpc_id) is not PublicNaming.NONE
            for public_ip in map(interface.public_ip_of, interface.private_ips)
            if public_ip is not None
        ]
