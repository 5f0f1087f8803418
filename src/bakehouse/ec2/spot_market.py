"""InstanceMarketOptions: what a launch on the spot market asks for."""

import re
from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.spot_launch import SpotWish
from bakehouse.domain.errors import invalid_combination, invalid_parameter, not_honoured
from bakehouse.domain.spot_request import (
    SPOT_PRICE,
    interruption_needs_persistence,
    persistent_not_honoured,
    price_too_low,
    valid_until_needs_persistence,
)
from bakehouse.ec2.registry import Request

HONOURED: Final = (
    "InstanceMarketOptions.MarketType InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior "
    "InstanceMarketOptions.SpotOptions.MaxPrice InstanceMarketOptions.SpotOptions.SpotInstanceType "
    "InstanceMarketOptions.SpotOptions.ValidUntil"
)

_PRICE: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?|\.[0-9]{1,6}")


def spot_wish(request: Request, tags: Mapping[str, str]) -> SpotWish | None:
    """Return what a launch asks for on the spot market, None when it is not there; `tags` are for the requests."""
    market: Mapping[str, Any] = request.get("InstanceMarketOptions") or {}
    options: Mapping[str, Any] = market.get("SpotOptions") or {}
    if not market.get("MarketType"):
        if options:
            raise invalid_combination("The parameter spotOptions can be specified only when MarketType is 'spot'.")
        if tags:
            raise invalid_parameter(
                "'spot-instances-request' is not a valid taggable resource type for this operation."
            )
        return None
    if market["MarketType"] != "spot":
        raise not_honoured(f"InstanceMarketOptions.MarketType={market['MarketType']}")
    check_one_time(options.get("SpotInstanceType"), options.get("InstanceInterruptionBehavior"))
    if "ValidUntil" in options:
        raise valid_until_needs_persistence()
    return SpotWish(max_price=checked_price(options.get("MaxPrice"), "maxPrice"), tags=dict(tags))


def check_one_time(request_type: str | None, interruption_behavior: str | None) -> None:
    """Refuse what is not a one-time request whose instance is terminated when it is interrupted."""
    if request_type not in (None, "one-time"):
        raise persistent_not_honoured()
    if interruption_behavior not in (None, "terminate"):
        raise interruption_needs_persistence(interruption_behavior)


def checked_price(text: str | None, member: str) -> str:
    """Return a price as EC2 shows it, the price here when none is given; refuse what is no price."""
    if not text:
        return SPOT_PRICE
    if _PRICE.fullmatch(text) is None:
        raise invalid_parameter(f"Invalid value '{text}' for {member}.")
    if float(text) < float(SPOT_PRICE):
        raise price_too_low(text)
    return f"{float(text):.6f}"
