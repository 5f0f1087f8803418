"""Copies of images and snapshots: how long they may take, and what refuses them."""

from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter, invalid_value
from bakehouse.domain.region import REGIONS

#: Minutes. Source: Amazon EBS User Guide, "Time-based copies": 15 minutes to 48 hours, in steps of 15 minutes.
_DURATION_STEP: Final = 15
_DURATION_MAX: Final = 48 * 60


def check_duration(minutes: int | None, parameter: str) -> None:
    """Refuse a duration that EC2 refuses: InvalidParameterValue. Copies here are done at once and keep every other."""
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
