"""Copies of images and snapshots: how long they may take, and what refuses them."""

from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value
from bakehouse.domain.region import REGIONS

#: Minutes. Source: Amazon EBS User Guide, "Time-based copies": 15 minutes to 48 hours, in steps of 15 minutes.
_DURATION_STEP: Final = 15
_DURATION_MAX: Final = 48 * 60


def check_duration(minutes: int | None, parameter: str) -> None:
    """Refuse a completion duration that EC2 refuses: InvalidParameterValue. Copies here are done at once and keep it."""
    if minutes is not None and (minutes % _DURATION_STEP or not _DURATION_STEP <= minutes <= _DURATION_MAX):
        raise invalid_value(
            minutes,
            parameter,
            f"Expecting a multiple of {_DURATION_STEP} between {_DURATION_STEP} and {_DURATION_MAX} minutes.",
        )


def check_source_region(region: str) -> None:
    """Refuse a source in a region that there is not: InvalidParameterValue."""
    if region not in REGIONS:
        raise invalid_value(region, "sourceRegion", "It is not the name of a Region.")


def check_destination(*, zone: str | None, zone_id: str | None, outpost: str | None) -> None:
    """Refuse every destination but the region that was asked: there are no Local Zones and no Outposts here.

    Source: EC2 API Reference, CopyImage: at most one of the three, and a zone must be a Local Zone.
    """
    given = {"destinationAvailabilityZone": zone, "destinationAvailabilityZoneId": zone_id}
    named = {name: value for name, value in {**given, "destinationOutpostArn": outpost}.items() if value is not None}
    if len(named) > 1:
        raise invalid_combination(f"Only one of {', '.join(named)} can be specified.")
    if outpost is not None:
        raise Ec2Error("UnsupportedOperation", "There are no Outposts at this endpoint.")
    for name, value in named.items():
        raise invalid_value(value, name, "It is not a Local Zone.")


def image_storage_denied() -> Ec2Error:
    """Refuse to copy an image whose owner has not shared its snapshots too: to launch it they need not be.

    Source: EC2 User Guide, "Copy an AMI", Cross-account copying; code and wording as AWS answers it.
    """
    return Ec2Error("InvalidRequest", "You do not have permission to access the storage of this ami")


def image_storage_unavailable() -> Ec2Error:
    """Refuse to copy an image whose snapshots are not all there; wording as AWS answers it."""
    return Ec2Error("InvalidRequest", "The storage for the ami is not available in the source Region.")


def destination_region_differs(given: str, region: str) -> Ec2Error:
    """Source: EC2 API Reference, CopySnapshot: the copy goes to the region that the request was sent to."""
    return invalid_parameter(
        f"Value ({given}) for parameter destinationRegion is invalid. The request was sent to the Region {region}."
    )
