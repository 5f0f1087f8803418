"""Subnet CIDR reservations: made, deleted; `app/private_addresses.py` keeps clear of them."""

from collections.abc import Mapping

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.ids import new_id
from bakehouse.domain.subnet_reservation import SubnetCidrReservation, reserved_part
from bakehouse.domain.tags import check_tags


class SubnetReservations:
    """Use cases on subnet CIDR reservations."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(
        self, caller: Caller, subnet_id: str, cidr: str, *, description: str, tags: Mapping[str, str]
    ) -> SubnetCidrReservation:
        """Reserve a part of a subnet. Addresses in it that are taken already stay so."""
        check_tags(tags)
        store = self._context.store
        (subnet,) = owned(store.subnets, caller, "subnet", [subnet_id])
        others = [it.cidr for it in store.subnet_cidr_reservations.by("subnet")[subnet.id].values()]
        reservation = SubnetCidrReservation(
            id=new_id("subnet-cidr-reservation"),
            account_id=caller.account_id,
            region=caller.region,
            subnet_id=subnet.id,
            cidr=reserved_part(subnet, cidr, others),
            description=description,
            tags=dict(tags),
        )
        async with store.transaction() as tx:
            tx.put(reservation)
        return reservation

    async def delete(self, caller: Caller, reservation_id: str) -> SubnetCidrReservation:
        """Let its addresses be given to anybody again, and return it as it was."""
        reservations = self._context.store.subnet_cidr_reservations
        (reservation,) = owned(reservations, caller, "subnet-cidr-reservation", [reservation_id])
        async with self._context.store.transaction() as tx:
            tx.delete(reservation)
        return reservation

    def of_subnet(self, caller: Caller, subnet_id: str) -> list[SubnetCidrReservation]:
        """Return the reservations of one of the caller's subnets."""
        (subnet,) = owned(self._context.store.subnets, caller, "subnet", [subnet_id])
        return list(self._context.store.subnet_cidr_reservations.by("subnet")[subnet.id].values())
