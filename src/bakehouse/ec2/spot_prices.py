"""DescribeSpotPriceHistory: one price that never changes, next to nothing, as nobody is billed here.

EC2 answers every change of a price in the time asked for, and the one that was in force at its beginning; of a price
that never changes, that is the latter alone. Source: EC2 API Reference, DescribeSpotPriceHistory.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bakehouse.domain.errors import invalid_combination, invalid_parameter
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.region import zone_id, zones
from bakehouse.domain.spot_request import SPOT_PRICE
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.instance_filters import moment
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: Source: EC2 API Reference, DescribeSpotPriceHistory, StartTime: up to the past 90 days.
_HISTORY: Final = timedelta(days=90)
_PRODUCTS: Final = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Price:
    instance_type: str
    zone: str
    product: str
    at: datetime

    @property
    def key(self) -> str:
        return f"{self.instance_type}/{self.zone}/{self.product}"


FILTERS: Final[Filters[_Price]] = Filters(
    {
        "availability-zone": lambda it: [it.zone],
        "availability-zone-id": lambda it: [zone_id(it.zone)],
        "instance-type": lambda it: [it.instance_type],
        "product-description": lambda it: [it.product],
        "spot-price": lambda _it: [SPOT_PRICE],
        "timestamp": lambda it: [moment(it.at), f"{it.at:%a %b %d %H:%M:%S UTC %Y}"],
    }
)


@operation(
    "DescribeSpotPriceHistory",
    honours="AvailabilityZone AvailabilityZoneId StartTime EndTime InstanceTypes ProductDescriptions Filters "
    "MaxResults NextToken",
)
async def describe_spot_price_history(ctx: RequestContext, request: Request) -> Response:
    """List what an hour of each instance type costs in each zone."""
    matches = FILTERS.compile(request)
    wanted_zones = _zones(ctx, request)
    at = _since(request)
    types, products = request.get("InstanceTypes"), request.get("ProductDescriptions")
    prices = [
        _Price(instance_type=name, zone=zone, product=product, at=at)
        for name in INSTANCE_TYPES
        if not types or name in types
        for zone in wanted_zones
        for product in _PRODUCTS
        if not products or product in products
    ]
    entries, token = page(ctx, request, [it for it in prices if matches(it)], key=lambda it: it.key, sizes=(1, 1000))
    return {"SpotPriceHistory": [_view(it) for it in entries], "NextToken": token or ""}


def _zones(ctx: RequestContext, request: Request) -> list[str]:
    name, wanted_id = request.get("AvailabilityZone"), request.get("AvailabilityZoneId")
    if name and wanted_id:
        raise invalid_combination("AvailabilityZone and AvailabilityZoneId may not be specified on the same request")
    found = [it for it in zones(ctx.caller.region) if name in (None, "", it) and wanted_id in (None, "", zone_id(it))]
    if not found:
        raise invalid_parameter(f"Invalid availability zone: [{name or wanted_id}]")
    return found


def _since(request: Request) -> datetime:
    """Return the time of the one price: the beginning of the time asked for, or of the history."""
    oldest = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _HISTORY
    start: datetime = request.get("StartTime") or oldest
    end: datetime | None = request.get("EndTime")
    if end is not None and end < start:
        raise invalid_parameter("The start time must not be later than the end time.")
    return max(oldest, start)


def _view(price: _Price) -> Response:
    return {
        "AvailabilityZone": price.zone,
        "AvailabilityZoneId": zone_id(price.zone),
        "InstanceType": price.instance_type,
        "ProductDescription": price.product,
        "SpotPrice": SPOT_PRICE,
        "Timestamp": price.at,
    }
