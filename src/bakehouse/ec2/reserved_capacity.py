"""Capacity that can be reserved on EC2, and never is here: Capacity Reservations and Dedicated Hosts. Lists are empty.

Whether an instance would run in a reservation is kept and shown, and makes no difference. Clients that look for the
best place to launch ask for these.
"""

from typing import Any, Final

from bakehouse.domain.errors import Ec2Error, invalid_combination
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.launch_options import capacity_preference
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

_NONE: Final[list[dict[str, Any]]] = []


def _filters(*names: str) -> Filters[dict[str, Any]]:
    return Filters({name: lambda _record: () for name in names}, tags=lambda _record: {})


#: Source: EC2 API Reference, DescribeCapacityReservations, Filters.
RESERVATION_FILTERS: Final = _filters(
    "availability-zone",
    "end-date",
    "end-date-type",
    "instance-match-criteria",
    "instance-platform",
    "instance-type",
    "outpost-arn",
    "owner-id",
    "placement-group-arn",
    "start-date",
    "state",
    "tenancy",
)

#: Source: EC2 API Reference, DescribeHosts, Filter.
HOST_FILTERS: Final = _filters(
    "auto-placement", "availability-zone", "client-token", "host-reservation-id", "instance-type", "state"
)


@operation("DescribeCapacityReservations", honours="CapacityReservationIds Filters MaxResults NextToken")
async def describe_capacity_reservations(ctx: RequestContext, request: Request) -> Response:
    """List no reservation: there is none."""
    RESERVATION_FILTERS.compile(request)
    for reservation_id in request.get("CapacityReservationIds") or ():
        # Source: EC2 API Reference, Error codes, InvalidCapacityReservationId.NotFound.
        raise Ec2Error(
            "InvalidCapacityReservationId.NotFound",
            f"The Capacity Reservation ID '{reservation_id}' does not exist",
        )
    shown, token = page(ctx, request, _NONE, key=str, sizes=(1, 1000))
    return {"CapacityReservations": shown, "NextToken": token}


@operation(
    "ModifyInstanceCapacityReservationAttributes",
    honours="InstanceId CapacityReservationSpecification.CapacityReservationPreference",
)
async def modify_instance_capacity_reservation_attributes(ctx: RequestContext, request: Request) -> Response:
    """Choose whether a stopped instance would run in open reservations."""
    preference = capacity_preference(request["CapacityReservationSpecification"])
    await ctx.app.instance_options.modify_capacity_preference(ctx.caller, request["InstanceId"], preference)
    return {"Return": True}


@operation("DescribeHosts", honours="HostIds Filter MaxResults NextToken")
async def describe_hosts(ctx: RequestContext, request: Request) -> Response:
    """List no Dedicated Host: there is none."""
    HOST_FILTERS.compile({"Filters": request.get("Filter")})
    if request.get("HostIds") and "MaxResults" in request:
        raise invalid_combination("The parameter HostIds cannot be used with the parameter MaxResults")
    for host_id in request.get("HostIds") or ():
        # Source: EC2 API Reference, Error codes, InvalidHostID.NotFound.
        raise Ec2Error("InvalidHostID.NotFound", f"The host ID '{host_id}' does not exist")
    shown, token = page(ctx, request, _NONE, key=str, sizes=(5, 500))
    return {"Hosts": shown, "NextToken": token}
