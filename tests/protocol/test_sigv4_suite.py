"""AWS's published Signature Version 4 test suite."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bakehouse.protocol import sigv4
from bakehouse.protocol.canonical_request import canonical_request, split_query
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.signed_request import SignedRequest
from bakehouse.protocol.sigv4 import verify

SUITE: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "vectors" / "sigv4_suite.json").read_text())

#: From the suite's own description.
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
DATE = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)

#: Cases whose signature covers a session token.
TEMPORARY = {name for name, case in SUITE.items() if "x-amz-security-token" in case["canonical_request"]}


def raw_request(case: dict[str, str]) -> SignedRequest:
    """The request of a case, with its signature in the header; the server has unfolded a continued header line."""
    head, _, body = case["request"].replace("\r\n", "\n").partition("\n\n")
    lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
    method, target = lines[0].removesuffix(" HTTP/1.1").split(" ", 1)
    path, _, query = target.partition("?")
    headers = [tuple(line.encode().split(b":", 1)) for line in lines[1:] if line]
    authorization = case["authorization"].strip().encode()
    return SignedRequest(
        method=method,
        path=path.encode(),
        query=query.encode(),
        headers=[*[(name, value) for name, value in headers], (b"Authorization", authorization)],
        body=body.encode(),
    )


def of_their_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigv4, "_SERVICES", frozenset({"service"}))


# That one case leaves it to the client to add the token header that the canonical request has.
@pytest.mark.parametrize("name", sorted(SUITE.keys() - {"get-vanilla-with-session-token"}))
def test_the_canonical_request_is_the_published_one(name: str) -> None:
    case = SUITE[name]
    request = raw_request(case)
    expected = case["canonical_request"].replace("\r", "")
    *_, signed_headers, payload_hash = expected.split("\n")

    canonical = canonical_request(
        method=request.method,
        path=request.path,
        query=split_query(request.query),
        headers=sigv4._headers_by_name(request.headers),
        signed_headers=signed_headers.encode().split(b";"),
        payload_hash=payload_hash,
    )

    assert canonical.decode() == expected


@pytest.mark.parametrize("name", sorted(SUITE.keys() - TEMPORARY))
def test_the_published_signature_is_found_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_their_service(monkeypatch)
    secrets: dict[str, Any] = {"AKIDEXAMPLE": SECRET}

    assert verify(raw_request(SUITE[name]), secrets.get, DATE).access_key_id == "AKIDEXAMPLE"


@pytest.mark.parametrize("name", sorted(TEMPORARY))
def test_a_published_signature_of_no_session_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_their_service(monkeypatch)

    with pytest.raises(ProtocolError):
        verify(raw_request(SUITE[name]), {"AKIDEXAMPLE": SECRET}.get, DATE)
