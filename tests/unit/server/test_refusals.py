"""What a client hears of an exception."""

import pytest

from bakehouse.domain.errors import incorrect_state
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.ports.volumes import StorageFull, VolumeInUse
from bakehouse.sagas.engine import SagaFailed
from bakehouse.server.refusals import refusal_of
from bakehouse.store.store import StoreUnavailable


@pytest.mark.parametrize("failure", [NetworkUnavailable, MonitorLost, VolumeInUse, SagaFailed])
def test_a_failure_of_the_host_is_tried_again_by_clients_and_says_what_failed(failure: type[Exception]) -> None:
    refusal = refusal_of(failure("i-0123456789abcdef0 is not there."), "a request")

    assert (refusal.code, refusal.status) == ("ServiceUnavailable", 503)
    assert ": i-0123456789abcdef0 is not there. " in refusal.message


def test_a_failure_of_a_kind_of_network_is_one_of_the_network() -> None:
    class NoTap(NetworkUnavailable):
        pass

    assert refusal_of(NoTap("there is no /dev/net/tun"), "a request").code == "ServiceUnavailable"


def test_a_full_disk_is_no_capacity() -> None:
    refusal = refusal_of(StorageFull("no space left"), "a request")

    assert (refusal.code, refusal.status) == ("InsufficientVolumeCapacity", 500)


def test_a_key_that_is_gone_is_named_as_a_launch_names_it() -> None:
    refusal = refusal_of(KeyUnavailable("there is no such key"), "a request")

    assert (refusal.code, refusal.status) == ("InvalidKMSKey.InvalidState", 400)


def test_records_that_cannot_be_written_are_tried_again() -> None:
    refusal = refusal_of(StoreUnavailable("the database could not be written"), "a request")

    assert (refusal.code, refusal.status) == ("Unavailable", 503)


def test_a_refusal_is_told_as_it_is() -> None:
    refusal = refusal_of(incorrect_state("It is stopped."), "a request")

    assert (refusal.code, refusal.message, refusal.status) == ("IncorrectState", "It is stopped.", 400)


@pytest.mark.parametrize("error", [KeyError("secret"), RuntimeError("secret"), OSError(5, "secret")])
def test_what_nobody_expected_is_an_internal_error_and_says_nothing_else(error: Exception) -> None:
    refusal = refusal_of(error, "a request")

    assert (refusal.code, refusal.status) == ("InternalError", 500)
    assert "secret" not in refusal.message
