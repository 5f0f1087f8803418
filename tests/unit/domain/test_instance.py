"""The instance's state machine."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance import (
    STATE_CODES,
    TRANSITIONS,
    Instance,
    InstanceEvent,
    InstanceState,
    next_state,
    user_initiated,
)

NOW = datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)
INSTANCE = Instance(
    id="i-00000000000000001",
    account_id="111122223333",
    region="us-east-1",
    reservation_id="r-00000000000000001",
    launch_index=0,
    image_id="ami-00000000000000001",
    type="t3.micro",
    architecture="x86_64",
    state=InstanceState.PENDING,
    launched_at=NOW,
    availability_zone="us-east-1a",
    vpc_id="vpc-00000000000000001",
    subnet_id="subnet-00000000000000001",
    network_interface_id="eni-00000000000000001",
    root_device_name="/dev/xvda",
)


@pytest.mark.parametrize("event", InstanceEvent)
@pytest.mark.parametrize("state", InstanceState)
def test_every_pair_of_state_and_event_has_a_row_or_is_refused(state: InstanceState, event: InstanceEvent) -> None:
    instance = replace(INSTANCE, state=state)
    expected = TRANSITIONS.get((state, event))
    if expected is not None:
        assert next_state(instance, event) is expected
        return

    with pytest.raises(Ec2Error) as refusal:
        next_state(instance, event)

    assert refusal.value.code == "IncorrectInstanceState"
    assert instance.id in refusal.value.message


@pytest.mark.parametrize("state", InstanceState)
def test_every_state_can_end_in_terminated(state: InstanceState) -> None:
    reached = {state}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more

    assert InstanceState.TERMINATED in reached


def test_nothing_leads_out_of_terminated() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is InstanceState.TERMINATED} == {
        InstanceState.TERMINATED
    }


def test_every_state_has_a_code_of_its_own() -> None:
    assert len(set(STATE_CODES.values())) == len(InstanceState)


def test_the_reason_of_a_request_is_written_as_ec2_does() -> None:
    assert user_initiated(NOW) == "User initiated (2026-11-23 06:18:09 GMT)"
