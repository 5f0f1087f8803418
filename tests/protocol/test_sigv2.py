"""Signatures of version 2 made by botocore's signer are found right, and nothing of such a request can be changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

import pytest
from botocore.auth import SigV2Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.requests import COMMON_PARAMETERS
from bakehouse.protocol.signed_request import Identity, SignedRequest
from bakehouse.protocol.sigv4 import verify

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)
HOST = "127.0.0.1:8773"

Parameters = dict[str, str]
Encode = Callable[..., str]

TEXT = st.text(st.characters(codec="utf-8"))
PARAMETERS = st.dictionaries(TEXT.filter(lambda name: bool(name) and name not in COMMON_PARAMETERS), TEXT, max_size=6)


def lookup(access_key_id: str) -> str | None:
    return {KEY_ID: SECRET}.get(access_key_id)


def signed(
    parameters: Parameters | None = None,
    *,
    method: str = "POST",
    path: str = "/",
    quote_via: Encode = quote_plus,
    common: Parameters | None = None,
) -> SignedRequest:
    """A request as botocore's signer signs it, sent as a client would.

    `common` adds to the parameters of the signature, or replaces them; an empty value leaves one out.
    """
    credentials = Credentials(KEY_ID, SECRET)
    every = {
        "Action": "DescribeInstances",
        "Version": "2016-11-15",
        **(parameters or {}),
        "AWSAccessKeyId": KEY_ID,
        "SignatureVersion": "2",
        "SignatureMethod": "HmacSHA256",
        "Timestamp": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **(common or {}),
    }
    every = {name: value for name, value in every.items() if value or name in (parameters or {})}
    request = AWSRequest(method=method, url=f"http://{HOST}{path}")
    signer: Any = SigV2Auth(credentials)
    _, every["Signature"] = signer.calc_signature(request, every)
    text = urlencode(every, quote_via=quote_via).encode()
    return SignedRequest(
        method=method,
        path=path.encode(),
        query=text if method == "GET" else b"",
        headers=[(b"Host", HOST.encode())],
        body=text if method == "POST" else b"",
    )


def refusal(request: SignedRequest, now: datetime = NOW) -> tuple[str, int]:
    with pytest.raises(ProtocolError) as refused:
        verify(request, lookup, now)
    return refused.value.code, refused.value.http_status


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signed_request_names_its_signer_and_no_region(method: str) -> None:
    assert verify(signed(method=method), lookup, NOW) == Identity(KEY_ID, None, "ec2")


@given(parameters=PARAMETERS, quote_via=st.sampled_from([quote, quote_plus]), method=st.sampled_from(["GET", "POST"]))
def test_whatever_botocore_signs_is_found_right(parameters: Parameters, quote_via: Encode, method: str) -> None:
    request = signed(parameters, method=method, quote_via=quote_via)

    assert verify(request, lookup, NOW).access_key_id == KEY_ID


def test_a_whole_request_of_botocore_is_found_right() -> None:
    request = AWSRequest("POST", f"http://{HOST}/", data={"Action": "DescribeTags", "Filter.1.Name": "a b+c~ä"})
    SigV2Auth(Credentials(KEY_ID, SECRET)).add_auth(request)
    body = urlencode(request.data or {}).encode()

    identity = verify(SignedRequest("POST", b"/", b"", [(b"host", HOST.encode())], body), lookup, datetime.now(UTC))

    assert identity.access_key_id == KEY_ID


def test_parameters_may_stand_in_the_query_and_in_the_body() -> None:
    request = signed(quote_via=quote)
    first, _, rest = request.body.partition(b"&")

    assert verify(replace(request, query=first, body=rest), lookup, NOW).access_key_id == KEY_ID


def test_the_order_of_the_parameters_does_not_matter() -> None:
    request = signed()
    turned = b"&".join(reversed(request.body.split(b"&")))

    assert verify(replace(request, body=turned), lookup, NOW).access_key_id == KEY_ID


def test_the_host_is_signed_in_lower_case() -> None:
    request = replace(signed(), headers=[(b"HOST", b" 127.0.0.1:8773 ")])

    assert verify(request, lookup, NOW).access_key_id == KEY_ID


CHANGES: dict[str, Callable[[SignedRequest], SignedRequest]] = {
    "method": lambda request: replace(request, method="PUT"),
    "path": lambda request: replace(request, path=b"/latest"),
    "host": lambda request: replace(request, headers=[(b"Host", b"ec2.amazonaws.com")]),
    "no host": lambda request: replace(request, headers=[]),
    "value": lambda request: replace(request, body=request.body.replace(b"DescribeInstances", b"DescribeImages")),
    "another parameter": lambda request: replace(request, body=request.body + b"&DryRun=true"),
    "another parameter in the query": lambda request: replace(request, query=b"DryRun=true"),
    "one parameter less": lambda request: replace(request, body=request.body.replace(b"Version=2016-11-15&", b"", 1)),
    "date": lambda request: replace(request, body=request.body.replace(b"%3A09Z", b"%3A10Z")),
    "signature": lambda request: replace(request, body=request.body.replace(b"Signature=", b"Signature=0")),
    "signature of other characters": lambda request: replace(
        request, body=request.body.replace(b"Signature=", b"Signature=%C3%A4")
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_signed_request_that_was_changed_is_refused(change: Callable[[SignedRequest], SignedRequest]) -> None:
    request = signed()
    changed = change(request)

    assert changed != request
    assert refusal(changed) == ("SignatureDoesNotMatch", 403)


@given(at=st.integers(min_value=0), byte=st.integers(min_value=0, max_value=255))
def test_no_byte_of_a_signed_request_can_be_changed(at: int, byte: int) -> None:
    request = signed({"Filter.1.Name": "tag:a b"})
    position = at % len(request.body)
    body = request.body[:position] + bytes([byte]) + request.body[position + 1 :]
    if parse_qsl(body.decode("latin-1"), keep_blank_values=True) == parse_qsl(
        request.body.decode("latin-1"), keep_blank_values=True
    ):
        return  # another way of writing the same

    with pytest.raises(ProtocolError):
        verify(replace(request, body=body), lookup, NOW)


@pytest.mark.parametrize(
    ("common", "code"),
    [
        ({"SignatureMethod": "HmacSHA1"}, ("IncompleteSignature", 400)),
        ({"SignatureMethod": "HmacSHA512"}, ("IncompleteSignature", 400)),
        ({"SignatureMethod": ""}, ("IncompleteSignature", 400)),
        ({"SignatureVersion": "1"}, ("IncompleteSignature", 400)),
        ({"SignatureVersion": ""}, ("IncompleteSignature", 400)),
        ({"AWSAccessKeyId": ""}, ("IncompleteSignature", 400)),
        ({"Timestamp": ""}, ("IncompleteSignature", 400)),
        ({"Timestamp": "yesterday"}, ("IncompleteSignature", 400)),
        ({"Timestamp": "2026-02-30T00:00:00Z"}, ("IncompleteSignature", 400)),
        ({"Timestamp": "", "Expires": "1800000000"}, ("IncompleteSignature", 400)),
        ({"Expires": "2026-11-23T07:00:00Z"}, ("InvalidParameterCombination", 400)),
        ({"AWSAccessKeyId": "AKIAUNKNOWN"}, ("AuthFailure", 401)),
        ({"SecurityToken": "token"}, ("AuthFailure", 401)),
    ],
)
def test_a_signature_that_is_not_well_formed_is_refused(common: dict[str, str], code: tuple[str, int]) -> None:
    assert refusal(signed(common=common)) == code


def test_a_request_without_its_signature_is_refused() -> None:
    request = signed()
    body = b"&".join(pair for pair in request.body.split(b"&") if not pair.startswith(b"Signature="))

    assert refusal(replace(request, body=body)) == ("IncompleteSignature", 400)


def test_a_parameter_that_came_twice_is_refused() -> None:
    request = signed()

    assert refusal(replace(request, query=b"Action=DescribeInstances")) == ("InvalidQueryParameter", 400)


@pytest.mark.parametrize("written", ["2026-11-23T06:18:09Z", "2026-11-23T06:18:09.250Z", "2026-11-23T06:18:09"])
def test_a_date_may_have_a_fraction_and_no_zone(written: str) -> None:
    assert verify(signed(common={"Timestamp": written}), lookup, NOW).access_key_id == KEY_ID


@pytest.mark.parametrize("away", [timedelta(minutes=15), -timedelta(minutes=15)])
def test_a_clock_may_be_fifteen_minutes_off_and_no_more(away: timedelta) -> None:
    second = timedelta(seconds=1) if away > timedelta() else -timedelta(seconds=1)

    assert verify(signed(), lookup, NOW + away).access_key_id == KEY_ID
    assert refusal(signed(), NOW + away + second) == ("RequestExpired", 400)


def test_a_request_with_an_end_lives_until_then() -> None:
    request = signed(common={"Timestamp": "", "Expires": "2026-11-24T06:18:09Z"})

    assert verify(request, lookup, NOW + timedelta(days=1)).access_key_id == KEY_ID
    assert refusal(request, NOW + timedelta(days=1, seconds=1)) == ("RequestExpired", 400)


def test_a_form_that_only_mentions_a_signature_is_none() -> None:
    request = SignedRequest("POST", b"/", b"", [(b"Host", HOST.encode())], b"Action=X&Value=SignatureVersion")

    assert refusal(request) == ("MissingAuthenticationToken", 403)


def test_a_header_of_version_4_is_what_counts_beside_parameters_of_version_2() -> None:
    request = signed()
    headers = [*request.headers, (b"Authorization", b"AWS4-HMAC-SHA256 Credential=x")]

    assert refusal(replace(request, headers=headers)) == ("IncompleteSignature", 400)


def test_the_url_of_a_get_holds_all_of_it() -> None:
    request = signed(method="GET", quote_via=quote)
    url = urlsplit(f"http://{HOST}/?{request.query.decode()}")

    assert verify(replace(request, query=url.query.encode()), lookup, NOW).service == "ec2"
