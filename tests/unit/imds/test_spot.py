"""What the guest of a spot instance reads of its interruption."""

from datetime import timedelta

import pytest
from tests.unit.imds.samples import NOW, metadata
from tests.unit.imds.test_tree import crawl, text_at

from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.domain.spot_request import NOTICE, Interruption
from bakehouse.imds.tree import find

AT = "2026-11-23T06:32:00Z"


@pytest.fixture
def instance() -> InstanceMetadata:
    interruption = Interruption(noticed_at=NOW, at=NOW + NOTICE)
    return metadata(spot_request_id="sir-0123456789abcdef0", interruption=interruption)


def test_the_notice_tells_what_is_done_and_when(instance: InstanceMetadata) -> None:
    assert text_at(instance, "latest/meta-data/spot/instance-action") == f'{{"action": "terminate", "time": "{AT}"}}'
    assert text_at(instance, "latest/meta-data/spot/termination-time") == AT


def test_each_name_of_a_notice_can_be_read(instance: InstanceMetadata) -> None:
    assert all(node is not None for _, node in crawl(instance, "latest/meta-data/spot/"))


def test_an_instance_that_stops_has_no_termination_time() -> None:
    stopping = Interruption(noticed_at=NOW, at=NOW + timedelta(seconds=1), action="stop")

    assert find(metadata(interruption=stopping), "latest/meta-data/spot/termination-time") is None


def test_without_a_notice_there_is_nothing() -> None:
    assert find(metadata(spot_request_id="sir-0123456789abcdef0"), "latest/meta-data/spot/instance-action") is None


def test_the_life_cycle_tells_of_spot(instance: InstanceMetadata) -> None:
    assert text_at(instance, "latest/meta-data/instance-life-cycle") == "spot"
    assert text_at(metadata(), "latest/meta-data/instance-life-cycle") == "on-demand"
