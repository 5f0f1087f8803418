"""AWS Signature Version 4: who sent a request, and that nothing of it was changed.

Source: AWS IAM User Guide, "AWS Signature Version 4 for API requests"; error codes from EC2's and STS's
common errors, wordings as AWS answers them. Signed headers and presigned URLs are taken, and version 2 where a request
says so (`sigv2`); temporary credentials with their session token; unsigned payloads are refused where no operation
of the service has them.
"""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final, cast

from bakehouse.protocol import sigv2
from bakehouse.protocol.canonical_request import canonical_request, split_query
from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import API_VERSIONS, Service
from bakehouse.protocol.signed_request import (
    FRESHNESS,
    Identity,
    LookupSession,
    SignedRequest,
    no_session,
    refuse_credentials,
    refuse_expired_session,
    refuse_signature,
)

_ALGORITHM: Final = "AWS4-HMAC-SHA256"

#: Longest life of a presigned URL, 7 days. Source: AWS IAM User Guide, X-Amz-Expires.
_MAX_EXPIRES_S: Final = 7 * 24 * 60 * 60

_SERVICES: Final[frozenset[str]] = frozenset(API_VERSIONS)

#: Claimed instead of a body's hash by clients of operations whose bodies are large.
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

#: Services with such an operation: PutSnapshotBlock, whose body has a checksum of its own. Source: `unsignedPayload`
#: of botocore's service models.
_MAY_LEAVE_BODIES_OUT: Final = frozenset({"ebs"})

#: What a request says of its service before anything of it is believed.
_CLAIMED_SERVICE: Final = re.compile(rb"(?:/|%2F)([a-z0-9-]{1,30})(?:/|%2F)aws4_request", re.ASCII | re.IGNORECASE)

_AMZ_DATE: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)

#: Six digits hold a week.
_EXPIRES: Final = re.compile(r"\d{1,6}", re.ASCII)

#: A client signs a dozen.
_MAX_SIGNED_HEADERS: Final = 100


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature; nothing of it is checked yet, but its form."""

    access_key_id: str
    scope_date: str
    region: str
    service: Service
    signed_headers: list[bytes]
    signature: str
    date: str
    expires_s: int | None
    query: list[tuple[bytes, bytes]]
    session_token: str | None = None

    @property
    def scope(self) -> str:
        return f"{self.scope_date}/{self.region}/{self.service}/aws4_request"


def claimed_service(headers: Sequence[tuple[bytes, bytes]], query: bytes) -> Service:
    """Return the service that a request says to be for, to refuse it in that service's form; EC2 if it says none."""
    authorization = next((value for name, value in headers if name.lower() == b"authorization"), b"")
    found = _CLAIMED_SERVICE.search(authorization) or _CLAIMED_SERVICE.search(query)
    service = found[1].decode() if found else ""
    return cast("Service", service) if service in _SERVICES else "ec2"


def verify(
    request: SignedRequest,
    lookup_secret: Callable[[str], str | None],
    now: datetime,
    lookup_session: LookupSession = no_session,
) -> Identity:
    """Return who signed the request, having verified all of the signature.

    Args:
        request: The request as received.
        lookup_secret: Access key id to its secret key; None for a key that does not exist or is not active.
        now: The present time, aware.
        lookup_session: Access key id and session token to the key's secret and end; None where they do not belong
            together or were never issued.

    Raises:
        ProtocolError: What `sigv2.verify` raises; `MissingAuthenticationToken` (403, no signature),
            `IncompleteSignature` (400, not well formed), `AuthFailure` (EC2, 401) or `InvalidClientTokenId` (others,
            403) for an unknown key or a token that is not its own, `RequestExpired` (EC2, 400) for a date too far from
            `now` or credentials that have ended, `ExpiredToken` (others, 403) for these, else `SignatureDoesNotMatch`
            (403).
    """
    headers = _headers_by_name(request.headers)
    query = split_query(request.query) if request.query else []
    claim = _read_claim(query, headers)
    if claim is None:
        if sigv2.is_signed_so(request):
            return sigv2.verify(request, lookup_secret, now)
        raise ProtocolError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    moment = _read_date(claim)
    _check_freshness(claim, moment, now)
    token = claim.session_token or headers.get(b"x-amz-security-token", b"").decode("latin-1").strip() or None
    secret = _secret(claim, token, lookup_secret, lookup_session, now)

    try:
        canonical = canonical_request(
            method=request.method,
            path=request.path,
            query=claim.query,
            headers=headers,
            signed_headers=claim.signed_headers,
            payload_hash=_payload_hash(request.body, headers, claim.service),
        )
    except KeyError:  # a header that the client signed did not arrive
        refuse_signature()
    to_sign = f"{_ALGORITHM}\n{claim.date}\n{claim.scope}\n{sha256(canonical).hexdigest()}"
    key = _signing_key(secret, claim.scope_date, claim.region, claim.service)
    expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        refuse_signature()
    return Identity(claim.access_key_id, claim.region, claim.service, token)


def _secret(
    claim: _Claim,
    token: str | None,
    lookup_secret: Callable[[str], str | None],
    lookup_session: LookupSession,
    now: datetime,
) -> str:
    """Return what the request must be signed with, or refuse its key or its session."""
    if token is None:
        secret = lookup_secret(claim.access_key_id)
        return refuse_credentials(claim.service) if secret is None else secret
    session = lookup_session(claim.access_key_id, token)
    if session is None:
        refuse_credentials(claim.service)
    secret, expires_at = session
    if expires_at <= now:
        refuse_expired_session(claim.service)
    return secret


@lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _headers_by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by lower-case name; values of a repeated one joined by commas, each trimmed."""
    by_name: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        known = by_name.get(lower)
        by_name[lower] = value if known is None else b"%b,%b" % (known.strip(), value.strip())
    return by_name


def _read_claim(query: list[tuple[bytes, bytes]], headers: Mapping[bytes, bytes]) -> _Claim | None:
    """Return what the request says of its signature; None if it has none of this version."""
    authorization = headers.get(b"authorization")
    presigned = any(name == b"X-Amz-Algorithm" for name, _ in query)
    if authorization is not None and presigned:
        raise ProtocolError("IncompleteSignature", "A request is signed either by its headers or by its query.")
    if authorization is not None:
        return _claim_of_headers(authorization.decode("latin-1"), headers, query)
    if presigned:
        return _claim_of_query(query)
    return None


def _claim_of_headers(authorization: str, headers: Mapping[bytes, bytes], query: list[tuple[bytes, bytes]]) -> _Claim:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != _ALGORITHM:
        raise ProtocolError("IncompleteSignature", f"The only supported signature algorithm is {_ALGORITHM}.")
    given: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        given[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not given.get(name):
            raise ProtocolError("IncompleteSignature", f"Authorization header requires '{name}' parameter.")
    date = headers.get(b"x-amz-date")
    if date is None:
        raise ProtocolError("IncompleteSignature", "Authorization header requires existence of a 'X-Amz-Date' header.")
    return _claim(
        credential=given["Credential"],
        signed_headers=given["SignedHeaders"],
        signature=given["Signature"],
        date=date.decode("latin-1").strip(),
        must_sign=(b"host", b"x-amz-date"),
        query=query,
    )


def _claim_of_query(query: list[tuple[bytes, bytes]]) -> _Claim:
    given: dict[str, str] = {}
    for name, value in query:
        if name.startswith(b"X-Amz-"):
            key = name.decode("latin-1")
            if key in given:
                raise ProtocolError("IncompleteSignature", f"The query has '{key}' more than once.")
            given[key] = value.decode("latin-1")
    if given["X-Amz-Algorithm"] != _ALGORITHM:
        raise ProtocolError("IncompleteSignature", f"The only supported signature algorithm is {_ALGORITHM}.")
    for key in ("X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"):
        if not given.get(key):
            raise ProtocolError("IncompleteSignature", f"The query requires '{key}'.")
    # EC2 and STS take presigned URLs without a life too; then the date's freshness alone counts.
    expires = given.get("X-Amz-Expires", "")
    if expires and not (_EXPIRES.fullmatch(expires) and 0 < int(expires) <= _MAX_EXPIRES_S):
        raise ProtocolError("IncompleteSignature", f"X-Amz-Expires must be between 1 and {_MAX_EXPIRES_S} seconds.")
    claim = _claim(
        credential=given["X-Amz-Credential"],
        signed_headers=given["X-Amz-SignedHeaders"],
        signature=given["X-Amz-Signature"],
        date=given["X-Amz-Date"],
        must_sign=(b"host",),
        query=[(name, value) for name, value in query if name != b"X-Amz-Signature"],
        expires_s=int(expires) if expires else None,
    )
    return replace(claim, session_token=given.get("X-Amz-Security-Token"))


def _claim(
    *,
    credential: str,
    signed_headers: str,
    signature: str,
    date: str,
    must_sign: tuple[bytes, ...],
    query: list[tuple[bytes, bytes]],
    expires_s: int | None = None,
) -> _Claim:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):  # noqa: PLR2004 - key, date, region, service, terminator
        raise ProtocolError(
            "IncompleteSignature",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        )
    access_key_id, scope_date, region, service, terminator = parts
    if terminator != "aws4_request":
        refuse_signature("Credential should be scoped with a valid terminator: 'aws4_request'.")
    if service not in _SERVICES:
        refuse_signature(f"Credential should be scoped to a service of this endpoint: {', '.join(sorted(_SERVICES))}.")
    names = signed_headers.lower().encode().split(b";")
    if len(names) > _MAX_SIGNED_HEADERS or sorted(set(names)) != names:
        raise ProtocolError("IncompleteSignature", "SignedHeaders must be sorted, each header once.")
    for name in must_sign:
        if name not in names:
            refuse_signature(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")
    return _Claim(access_key_id, scope_date, region, cast("Service", service), names, signature, date, expires_s, query)


def _read_date(claim: _Claim) -> datetime:
    """Return the request's date; it must be of the day of its credential scope."""
    found = _AMZ_DATE.fullmatch(claim.date)
    try:
        year, month, day, hour, minute, second = map(int, found.groups() if found else ())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as err:
        raise ProtocolError(
            "IncompleteSignature", f"Date must be in ISO-8601 'basic format'. Got '{claim.date[:100]}'."
        ) from err
    if claim.date[:8] != claim.scope_date:
        refuse_signature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.scope_date[:100]}' != '{claim.date[:8]}', from '{claim.date}'."
        )
    return moment


def _check_freshness(claim: _Claim, moment: datetime, now: datetime) -> None:
    """Refuse a date that is too old or too far ahead; a presigned URL lives as long as it says."""
    oldest = now - (FRESHNESS if claim.expires_s is None else timedelta(seconds=claim.expires_s))
    if oldest <= moment <= now + FRESHNESS:
        return
    if claim.service == "ec2":
        raise ProtocolError("RequestExpired", "Request has expired.")
    now_text = _basic(now)
    if moment < oldest:
        refuse_signature(f"Signature expired: {claim.date} is now earlier than {_basic(oldest)} ({now_text} - 15 min.)")
    newest = _basic(now + FRESHNESS)
    refuse_signature(f"Signature not yet current: {claim.date} is still later than {newest} ({now_text} + 15 min.)")


def _basic(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _payload_hash(body: bytes, headers: Mapping[bytes, bytes], service: Service) -> str:
    """Return the hash of the body that came; one that the client claims must be the same.

    So the streaming markers, which only S3 knows, are refused, and `UNSIGNED-PAYLOAD` where the service has no
    operation that takes it. Whether the operation is that one is seen when it is known.
    """
    claimed = headers.get(b"x-amz-content-sha256")
    if claimed == UNSIGNED_PAYLOAD.encode() and service in _MAY_LEAVE_BODIES_OUT:
        return UNSIGNED_PAYLOAD
    payload_hash = sha256(body).hexdigest()
    if claimed is not None and claimed.strip() != payload_hash.encode():
        refuse_signature()
    return payload_hash
