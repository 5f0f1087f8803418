"""Subnet CIDR reservation operations."""

from typing import Any

from bakehouse.domain.errors import not_honoured
from bakehouse.domain.subnet_reservation import SubnetCidrReservation
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

FILTERS: Filters[SubnetCidrReservation] = Filters(
    {
        "reservationType": lambda _reservation: ["explicit"],
        "subnet-id": lambda reservation: [reservation.subnet_id],
    },
    tags=lambda reservation: reservation.tags,
)


@operation("CreateSubnetCidrReservation", honours="SubnetId Cidr ReservationType Description TagSpecifications")
async def create_subnet_cidr_reservation(ctx: RequestContext, request: Request) -> Response:
    """Reserve a part of a subnet for addresses that are asked for by name."""
    if request["ReservationType"] != "explicit":
        raise not_honoured("ReservationType", "No prefixes are delegated to interfaces here: only explicit is.")
    reservation = await ctx.app.subnet_reservations.create(
        ctx.caller,
        request["SubnetId"],
        request["Cidr"],
        description=request.get("Description", ""),
        tags=requested_tags(request, "subnet-cidr-reservation")["subnet-cidr-reservation"],
    )
    return {"SubnetCidrReservation": _view(reservation)}


@operation("DeleteSubnetCidrReservation", honours="SubnetCidrReservationId")
async def delete_subnet_cidr_reservation(ctx: RequestContext, request: Request) -> Response:
    """Let the addresses be given to anybody again."""
    reservation = await ctx.app.subnet_reservations.delete(ctx.caller, request["SubnetCidrReservationId"])
    return {"DeletedSubnetCidrReservation": _view(reservation)}


@operation("GetSubnetCidrReservations", honours="SubnetId Filters MaxResults NextToken")
async def get_subnet_cidr_reservations(ctx: RequestContext, request: Request) -> Response:
    """List the reservations of a subnet: all of IPv4."""
    matches = FILTERS.compile(request)
    found = [it for it in ctx.app.subnet_reservations.of_subnet(ctx.caller, request["SubnetId"]) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda reservation: reservation.id, sizes=(5, 1000))
    return {
        "SubnetIpv4CidrReservations": [_view(reservation) for reservation in shown],
        "SubnetIpv6CidrReservations": [],
        "NextToken": token,
    }


def _view(reservation: SubnetCidrReservation) -> dict[str, Any]:
    return {
        "SubnetCidrReservationId": reservation.id,
        "SubnetId": reservation.subnet_id,
        "Cidr": reservation.cidr,
        "ReservationType": "explicit",
        "OwnerId": reservation.account_id,
        "Description": reservation.description,
        "Tags": tag_set(reservation.tags),
    }
