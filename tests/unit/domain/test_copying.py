"""How long copies may be given, and where their sources may be."""

import pytest

from bakehouse.domain.copying import check_duration, check_source_region
from bakehouse.domain.errors import Ec2Error


@pytest.mark.parametrize("minutes", [None, 15, 30, 2865, 2880])
def test_a_duration_in_steps_of_a_quarter_of_an_hour_up_to_two_days_is_taken(minutes: int | None) -> None:
    check_duration(minutes, "completionDurationMinutes")


@pytest.mark.parametrize("minutes", [-15, 0, 1, 14, 16, 2879, 2895])
def test_any_other_duration_is_refused_by_the_parameters_name(minutes: int) -> None:
    with pytest.raises(Ec2Error, match=r"InvalidParameterValue.*completionDurationMinutes"):
        check_duration(minutes, "completionDurationMinutes")


@pytest.mark.parametrize("region", ["", "us-east-1a", "mars-north-1", "US-EAST-1"])
def test_what_is_no_region_is_no_source(region: str) -> None:
    with pytest.raises(Ec2Error, match="InvalidParameterValue"):
        check_source_region(region)
