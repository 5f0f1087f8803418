"""What status checks say follows from what was heard of a guest, and when."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.imds.samples import NOW, instance

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_health import (
    Health,
    guest_health,
    heard,
    host_health,
    machine_unheard,
    may_recover,
    recovered,
    unheard,
    volume_health,
)
from bakehouse.domain.instance_options import Maintenance

SOON = NOW + timedelta(seconds=30)
MINUTE = timedelta(minutes=1)


def after(silent: timedelta, known: Instance) -> Health:
    """Return the health of a guest that has been silent for so long since SOON."""
    return guest_health(unheard(known, SOON, SOON + silent))[0]


def test_a_new_guest_is_beginning_until_it_answers() -> None:
    assert guest_health(instance())[0] is Health.INITIALIZING
    assert guest_health(heard(instance(), SOON))[0] is Health.OK


def test_a_new_guest_has_five_minutes() -> None:
    assert after(4 * MINUTE, instance()) is Health.INITIALIZING
    assert after(5 * MINUTE, instance()) is Health.IMPAIRED


def test_a_guest_that_was_there_has_two_minutes() -> None:
    known = heard(instance(), SOON)

    assert after(MINUTE, known) is Health.OK
    assert after(2 * MINUTE, known) is Health.IMPAIRED


def test_an_impaired_guest_is_so_since_it_was_silent_first() -> None:
    known = unheard(heard(instance(), SOON), SOON, SOON + 2 * MINUTE)

    later = unheard(known, SOON + MINUTE, SOON + 9 * MINUTE)

    assert guest_health(later) == (Health.IMPAIRED, SOON)


def test_a_guest_that_answers_again_is_well() -> None:
    known = unheard(heard(instance(), SOON), SOON, SOON + 2 * MINUTE)

    assert guest_health(heard(known, SOON + 3 * MINUTE)) == (Health.OK, None)


def test_what_was_heard_before_a_start_does_not_count() -> None:
    silent = unheard(heard(instance(), SOON), SOON, SOON + 2 * MINUTE)
    started = replace(silent, launched_at=SOON + 3 * MINUTE)

    assert guest_health(started)[0] is Health.INITIALIZING


def test_what_changes_nothing_is_the_same_record() -> None:
    known = heard(instance(), SOON)

    assert heard(known, SOON + MINUTE) is known
    assert unheard(known, SOON, SOON + MINUTE) is known


@pytest.mark.parametrize("member", ["impaired_since", "storage_full_since"])
def test_a_guest_that_panicked_or_stands_still_is_impaired_though_it_answers(member: str) -> None:
    moments: dict[str, Any] = {member: SOON}
    assert guest_health(replace(heard(instance(), SOON), **moments)) == (Health.IMPAIRED, SOON)


def test_a_host_without_room_impairs_itself_and_volumes() -> None:
    full = instance(storage_full_since=SOON)

    assert host_health(full) == volume_health(full) == (Health.IMPAIRED, SOON)


@pytest.mark.parametrize("check", [guest_health, host_health, volume_health])
def test_checks_are_of_running_instances(check: Any) -> None:
    assert check(instance(state=InstanceState.STOPPED)) == (Health.NOT_APPLICABLE, None)


def test_a_machine_that_does_not_answer_for_half_a_minute_impairs_its_host() -> None:
    at_once = machine_unheard(instance(), SOON, SOON + timedelta(seconds=29))
    later = machine_unheard(instance(), SOON, SOON + timedelta(seconds=30))
    well = machine_unheard(later, None, SOON + MINUTE)

    assert host_health(at_once)[0] is Health.OK
    assert host_health(later) == (Health.IMPAIRED, SOON)
    assert host_health(well)[0] is Health.OK
    assert machine_unheard(later, SOON, SOON + MINUTE) is later


def test_an_instance_is_recovered_three_times_a_day() -> None:
    lost = instance(type="t3.micro")
    for _ in range(3):
        assert may_recover(lost, SOON)
        lost = recovered(lost, SOON)

    assert not may_recover(lost, SOON)
    assert may_recover(lost, SOON + timedelta(days=1))


def test_an_instance_is_not_recovered_against_its_owners_will() -> None:
    assert not may_recover(instance(maintenance=Maintenance(auto_recovery="disabled")), SOON)


def test_an_instance_of_a_type_with_local_disks_is_not_recovered() -> None:
    assert not may_recover(instance(type="m1.small"), SOON)
