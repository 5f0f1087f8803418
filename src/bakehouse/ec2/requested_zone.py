"""The zone that a request names, by its name or its id."""

from bakehouse.domain.errors import invalid_combination, invalid_parameter
from bakehouse.domain.region import zone_id, zones
from bakehouse.ec2.registry import Request, RequestContext


def requested_zone(ctx: RequestContext, request: Request) -> str | None:
    """Return the name of the zone asked for, known or not; None where a request names none."""
    name, wanted_id = request.get("AvailabilityZone"), request.get("AvailabilityZoneId")
    if name is not None and wanted_id is not None:
        raise invalid_combination("AvailabilityZone and AvailabilityZoneId cannot be given together")
    if wanted_id is None:
        return name
    for zone in zones(ctx.caller.region):
        if zone_id(zone) == wanted_id:
            return zone
    raise invalid_parameter(f"Value ({wanted_id}) for parameter availabilityZoneId is invalid.")
