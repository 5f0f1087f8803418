"""Temporary credentials are taken with their own session token, while they live."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.credentials import Credentials
from tests.protocol.test_sigv4 import KEY_ID, NOW, SECRET, lookup, signed
from tests.protocol.test_sigv4_suite import DATE, SUITE, TEMPORARY, of_their_service, raw_request
from tests.protocol.test_sigv4_suite import SECRET as PUBLISHED_SECRET

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.signed_request import Identity
from bakehouse.protocol.sigv4 import verify

TEMPORARY_ID = "ASIAIOSFODNN7EXAMPLE"
TOKEN = "of-the-session"
SESSION = Credentials(TEMPORARY_ID, SECRET, TOKEN)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def _frozen_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)


def sessions(access_key_id: str, token: str) -> tuple[str, datetime] | None:
    return (SECRET, LATER) if (access_key_id, token) == (TEMPORARY_ID, TOKEN) else None


def refusal(credentials: Credentials, *, service: str = "ec2", at: datetime = NOW) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        verify(signed(credentials=credentials, service=service), lookup, at, sessions)
    return error.value


@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
def test_a_session_signs_in_headers_and_in_queries(signer: Any) -> None:
    request = signed(body="", credentials=SESSION, signer=signer)

    assert verify(request, lookup, NOW, sessions) == Identity(TEMPORARY_ID, "us-east-1", "ec2", TOKEN)


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(TEMPORARY_ID, SECRET),
        Credentials(TEMPORARY_ID, SECRET, "of-another"),
        Credentials(KEY_ID, SECRET, TOKEN),
    ],
)
def test_a_key_without_its_own_token_is_refused(credentials: Credentials) -> None:
    assert refusal(credentials).code == "AuthFailure"


def test_a_session_signs_with_its_own_secret() -> None:
    assert refusal(Credentials(TEMPORARY_ID, "wrong", TOKEN)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("service", "code"), [("ec2", "RequestExpired"), ("sts", "ExpiredToken")])
def test_a_session_ends(service: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: LATER)

    assert refusal(SESSION, service=service, at=LATER).code == code


@pytest.mark.parametrize("name", sorted(TEMPORARY - {"get-vanilla-with-session-token"}))
def test_a_published_signature_of_a_session_is_found_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_their_service(monkeypatch)

    def published(access_key_id: str, _token: str) -> tuple[str, datetime] | None:
        return (PUBLISHED_SECRET, datetime(2016, 1, 1, tzinfo=UTC)) if access_key_id == "AKIDEXAMPLE" else None

    assert verify(raw_request(SUITE[name]), lookup, DATE, published).access_key_id == "AKIDEXAMPLE"
