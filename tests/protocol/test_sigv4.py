"""Signatures made by botocore's own signers are found right, and nothing of a signed request can be changed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore import auth
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.signed_request import FRESHNESS, Identity, SignedRequest
from bakehouse.protocol.sigv4 import claimed_service, verify

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)
HOST = "127.0.0.1:8773"

Change = Callable[[SignedRequest], SignedRequest]


@pytest.fixture(autouse=True)
def _frozen_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: NOW)


def lookup(access_key_id: str) -> str | None:
    return {KEY_ID: SECRET}.get(access_key_id)


def signed(
    *,
    body: str = "Action=DescribeInstances&Version=2016-11-15",
    query: str = "",
    path: str = "/",
    method: str = "POST",
    service: str = "ec2",
    headers: dict[str, str] | None = None,
    credentials: Credentials | None = None,
    signer: Any = SigV4Auth,
) -> SignedRequest:
    """A request as botocore signs it and urllib3 would send it."""
    request = AWSRequest(
        method=method,
        url=f"http://{HOST}{path}" + (f"?{query}" if query else ""),
        data=body,
        headers={"Host": HOST, **(headers or {})},
    )
    signer(credentials or Credentials(KEY_ID, SECRET), service, "us-east-1").add_auth(request)
    prepared: Any = request.prepare()
    url = urlsplit(prepared.url)
    raw = prepared.body or b""
    return SignedRequest(
        method=method,
        path=url.path.encode(),
        query=url.query.encode(),
        headers=[
            (name.encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in prepared.headers.items()
        ],
        body=raw if isinstance(raw, bytes) else raw.encode(),
    )


def with_header(request: SignedRequest, name: bytes, value: bytes | None) -> SignedRequest:
    kept = [(known, old) for known, old in request.headers if known.lower() != name.lower()]
    return replace(request, headers=kept if value is None else [*kept, (name, value)])


def header(request: SignedRequest, name: bytes) -> bytes:
    return next(value for known, value in request.headers if known.lower() == name.lower())


def edit_authorization(old: bytes, new: bytes) -> Change:
    def change(request: SignedRequest) -> SignedRequest:
        authorization = header(request, b"Authorization")
        assert old in authorization
        return with_header(request, b"Authorization", authorization.replace(old, new))

    return change


def refusal(request: SignedRequest, now: datetime = NOW) -> ProtocolError:
    with pytest.raises(ProtocolError) as refused:
        verify(request, lookup, now)
    return refused.value


@pytest.mark.parametrize("service", ["ebs", "ec2", "rbin", "ssm", "sts"])
def test_a_request_signed_in_its_headers_names_its_signer(service: Any) -> None:
    assert verify(signed(service=service), lookup, NOW) == Identity(KEY_ID, "us-east-1", service)


def test_a_presigned_url_names_its_signer() -> None:
    request = signed(method="GET", body="", query="Action=DescribeRegions", signer=SigV4QueryAuth)

    assert verify(request, lookup, NOW) == Identity(KEY_ID, "us-east-1", "ec2")


TEXT = st.text(st.characters(codec="utf-8"))
PARAMETERS = st.dictionaries(TEXT.filter(lambda name: name and not name.startswith("X-Amz-")), TEXT, max_size=6)


@given(parameters=PARAMETERS)
def test_whatever_botocore_signs_in_headers_is_found_right(parameters: dict[str, str]) -> None:
    form = urlencode(parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        posted = signed(body=form)
        # botocore signs a query as it is, so it has to be encoded the one right way
        got = signed(method="GET", body="", query=urlencode(parameters, quote_via=quote, safe="-_.~"))

    assert verify(posted, lookup, NOW).access_key_id == KEY_ID
    assert verify(got, lookup, NOW).access_key_id == KEY_ID


@given(parameters=PARAMETERS)
def test_whatever_botocore_presigns_is_found_right(parameters: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        request = signed(method="GET", body="", query=urlencode(parameters), signer=SigV4QueryAuth)

    assert verify(request, lookup, NOW).access_key_id == KEY_ID


@given(path=st.text("abc/.%20~ä", max_size=12), value=st.text(" \tab", max_size=8))
def test_paths_and_header_blanks_are_made_canonical_as_botocore_does(path: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        request = signed(path="/" + quote(path, safe="/%"), headers={"X-Amz-Meta": f"a{value}b"})

    assert verify(request, lookup, NOW).access_key_id == KEY_ID


def test_blanks_of_a_query_may_be_written_as_plus() -> None:
    request = signed(method="GET", body="", query="Action=DescribeTags&Filter.1.Value.1=two%20words")

    assert verify(replace(request, query=request.query.replace(b"%20", b"+")), lookup, NOW).service == "ec2"


def test_the_order_of_the_query_does_not_matter() -> None:
    request = signed(method="GET", body="", query="Action=DescribeTags&Version=2016-11-15")

    assert verify(replace(request, query=b"Version=2016-11-15&Action=DescribeTags"), lookup, NOW).service == "ec2"


CHANGES: dict[str, Change] = {
    "method": lambda request: replace(request, method="GET"),
    "path": lambda request: replace(request, path=b"/latest"),
    "query": lambda request: replace(request, query=b"DryRun=true"),
    "body": lambda request: replace(request, body=request.body + b"&DryRun=true"),
    "empty body": lambda request: replace(request, body=b""),
    "signed header": lambda request: with_header(request, b"X-Amz-Meta", b"other"),
    "missing signed header": lambda request: with_header(request, b"X-Amz-Meta", None),
    "second value of a signed header": lambda request: replace(
        request, headers=[*request.headers, (b"x-amz-meta", b"more")]
    ),
    "host": lambda request: with_header(request, b"Host", b"example.com"),
    "region": edit_authorization(b"/us-east-1/", b"/eu-west-1/"),
    "service": edit_authorization(b"/ec2/", b"/sts/"),
    "signature": edit_authorization(b"Signature=", b"Signature=0"),
    "signature of other characters": edit_authorization(b"Signature=", "Signature=ä".encode()),
    "another service": edit_authorization(b"/ec2/", b"/s3/"),
    "terminator": edit_authorization(b"aws4_request", b"aws5_request"),
    "scope date": edit_authorization(b"/20261123/", b"/20261122/"),
    "unsigned host": edit_authorization(b";host;", b";"),
    "unsigned date": edit_authorization(b"x-amz-date;", b""),
    "claimed body hash": lambda request: with_header(request, b"X-Amz-Content-Sha256", b"0" * 64),
    "unsigned payload": lambda request: with_header(request, b"X-Amz-Content-Sha256", b"UNSIGNED-PAYLOAD"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_signed_request_that_was_changed_is_refused(change: Change) -> None:
    request = signed(headers={"X-Amz-Meta": "value", "Content-Type": "application/x-www-form-urlencoded"})
    assert verify(request, lookup, NOW).access_key_id == KEY_ID

    refused = refusal(change(request))

    assert (refused.code, refused.http_status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Action=DescribeRegions", b"Action=DescribeInstances"),
        (b"us-east-1", b"us-west-2"),
        (b"X-Amz-Expires=3600", b"X-Amz-Expires=7200"),
        (b"X-Amz-Signature=", b"X-Amz-Signature=0"),
    ],
)
def test_a_presigned_url_that_was_changed_is_refused(old: bytes, new: bytes) -> None:
    request = signed(method="GET", body="", query="Action=DescribeRegions", signer=SigV4QueryAuth)
    assert old in request.query

    refused = refusal(replace(request, query=request.query.replace(old, new)))

    assert refused.code == "SignatureDoesNotMatch"


def test_a_presigned_url_with_another_body_is_refused() -> None:
    request = signed(method="GET", body="", query="Action=DescribeRegions", signer=SigV4QueryAuth)

    assert refusal(replace(request, body=b"DryRun=true")).code == "SignatureDoesNotMatch"


def test_an_unsigned_payload_is_refused_even_if_the_signature_covers_the_word() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})

    assert refusal(request).code == "SignatureDoesNotMatch"


def test_an_unsigned_payload_is_taken_where_the_service_has_an_operation_for_it() -> None:
    request = signed(service="ebs", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})

    assert verify(replace(request, body=b"whatever"), lookup, NOW).service == "ebs"
    assert refusal(with_header(request, b"X-Amz-Content-SHA256", b"UNSIGNED")).code == "SignatureDoesNotMatch"
    for service in ("rbin", "ssm", "sts"):
        other = signed(service=service, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
        assert refusal(other).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("service", ["ebs", "ec2", "rbin", "ssm", "sts"])
@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
def test_a_request_says_which_service_it_is_for(service: Any, signer: Any) -> None:
    request = signed(service=service, signer=signer, body="")

    assert claimed_service(request.headers, request.query) == service


@pytest.mark.parametrize("authorization", [b"", b"Basic aaa", b"Credential=a/b/c/s3/aws4_request", b"/aws4_request"])
def test_a_request_for_no_service_of_ours_is_refused_as_ec2_does(authorization: bytes) -> None:
    assert claimed_service([(b"Authorization", authorization)], b"") == "ec2"


def test_a_body_hash_that_is_right_is_accepted() -> None:
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert verify(signed(body="", headers={"X-Amz-Content-SHA256": digest}), lookup, NOW).service == "ec2"


@pytest.mark.parametrize("age", [FRESHNESS, -FRESHNESS])
def test_a_date_is_fresh_for_fifteen_minutes_either_way(age: timedelta) -> None:
    assert verify(signed(), lookup, NOW + age).access_key_id == KEY_ID


@pytest.mark.parametrize("age", [FRESHNESS + timedelta(seconds=1), -FRESHNESS - timedelta(seconds=1)])
def test_a_stale_or_future_date_is_refused(age: timedelta) -> None:
    assert refusal(signed(), NOW + age).code == "RequestExpired"


def test_sts_calls_a_stale_date_an_expired_signature() -> None:
    refused = refusal(signed(service="sts"), NOW + timedelta(hours=1))

    assert refused.code == "SignatureDoesNotMatch"
    assert refused.message == (
        "Signature expired: 20261123T061809Z is now earlier than 20261123T070309Z (20261123T071809Z - 15 min.)"
    )


def test_a_presigned_url_lives_as_long_as_it_says() -> None:
    request = signed(method="GET", body="", query="Action=DescribeRegions", signer=SigV4QueryAuth)

    assert verify(request, lookup, NOW + timedelta(seconds=3600)).access_key_id == KEY_ID
    assert refusal(request, NOW + timedelta(seconds=3601)).code == "RequestExpired"


@pytest.mark.parametrize(
    ("service", "code", "status"), [("ec2", "AuthFailure", 401), ("sts", "InvalidClientTokenId", 403)]
)
def test_an_unknown_key_is_refused_in_the_words_of_its_service(service: str, code: str, status: int) -> None:
    refused = refusal(signed(service=service, credentials=Credentials("AKIAUNKNOWN", SECRET)))

    assert (refused.code, refused.http_status) == (code, status)


def test_a_wrong_secret_is_refused() -> None:
    assert refusal(signed(credentials=Credentials(KEY_ID, "wrong"))).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
def test_a_token_of_no_session_is_refused(signer: Any) -> None:
    request = signed(body="", credentials=Credentials(KEY_ID, SECRET, "a-session-token"), signer=signer)

    assert refusal(request).code == "AuthFailure"


def test_a_request_without_a_signature_is_refused() -> None:
    refused = refusal(with_header(signed(), b"Authorization", None))

    assert (refused.code, refused.http_status) == ("MissingAuthenticationToken", 403)


MALFORMED: dict[str, Change] = {
    "two signatures": lambda request: replace(request, query=b"X-Amz-Algorithm=AWS4-HMAC-SHA256"),
    "other algorithm": edit_authorization(b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA512"),
    "basic": lambda request: with_header(request, b"Authorization", b"Basic dXNlcjpwYXNz"),
    "no credential": edit_authorization(b"Credential=", b"Credentials="),
    "no signature": edit_authorization(b"Signature=", b"Sign="),
    "no signed headers": edit_authorization(b"SignedHeaders=", b"Headers="),
    "credential of four parts": edit_authorization(b"/us-east-1", b""),
    "credential with an empty part": edit_authorization(b"us-east-1", b""),
    "unsorted headers": edit_authorization(b"host;x-amz-date", b"x-amz-date;host"),
    "headers twice": edit_authorization(b"host;x-amz-date", b"host;host;x-amz-date"),
    "no date": lambda request: with_header(request, b"X-Amz-Date", None),
    "date in words": lambda request: with_header(request, b"X-Amz-Date", b"yesterday"),
    "date that is none": lambda request: with_header(request, b"X-Amz-Date", b"20261399T061809Z"),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_signature_is_refused_as_incomplete(change: Change) -> None:
    refused = refusal(change(signed()))

    assert (refused.code, refused.http_status) == ("IncompleteSignature", 400)


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "soon", "1e3", "9" * 5000, "0000003600", "\u0663"])
def test_a_presigned_url_may_not_live_longer_than_a_week(expires: str) -> None:
    request = signed(method="GET", body="", query="Action=DescribeRegions", signer=SigV4QueryAuth)
    query = request.query.replace(b"X-Amz-Expires=3600", b"X-Amz-Expires=" + quote(expires).encode())

    assert refusal(replace(request, query=query)).code == "IncompleteSignature"


@given(
    authorization=st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b"AWS4-HMAC-SHA256 " + tail),
    date=st.binary(max_size=20),
    query=st.binary(max_size=40),
    path=st.binary(max_size=20),
)
def test_arbitrary_bytes_are_refused_and_never_fail(
    authorization: bytes, date: bytes, query: bytes, path: bytes
) -> None:
    headers = [(b"authorization", authorization), (b"x-amz-date", date), (b"host", b"here")]

    refusal(SignedRequest("POST", path, query, headers, b""))


@given(edits=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2)), min_size=1, max_size=3))
def test_a_damaged_authorization_is_refused_and_never_fails(edits: list[tuple[int, bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda: NOW)
        request = signed()
    authorization = header(request, b"Authorization")
    for position, inserted in edits:
        authorization = authorization[:position] + inserted + authorization[position + 1 :]

    with suppress(ProtocolError):  # an edit may change nothing
        verify(with_header(request, b"Authorization", authorization), lookup, NOW)
