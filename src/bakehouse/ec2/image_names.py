"""DescribeImages by name: what a look-up says of the owners that it will take."""

from typing import Final

from bakehouse.ec2.registry import Request, RequestContext

#: Each of these says whose images are meant.
_OWNER_FILTERS: Final = frozenset({"image-id", "owner-alias", "owner-id"})


def warn_of_name_alone(ctx: RequestContext, request: Request) -> None:
    """Have a warning logged when a request looks images up by name, whoever may own them."""
    if request.get("Owners") or request.get("ImageIds"):
        return
    filters = {entry.get("Name"): entry.get("Values") or () for entry in request.get("Filters") or ()}
    if "name" in filters and _OWNER_FILTERS.isdisjoint(filters):
        ctx.app.name_lookups.warn(ctx.caller, filters["name"])
