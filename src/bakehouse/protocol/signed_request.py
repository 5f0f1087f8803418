"""What every way of signing a request shares: the request as it came, who signed it, and the refusals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.model import Service

#: How far a request's date may be from ours, either way. Source: EC2 API Reference, RequestExpired.
FRESHNESS: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came over the wire, nothing decoded.

    Attributes:
        method: Such as `GET`, in capital letters.
        path: The path before `?`, percent-encoded as sent.
        query: What follows `?`, without it; empty if nothing does.
        headers: Name and value of each header, in the order sent; names in any case.
        body: The whole body.
    """

    method: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key signed a request, and what for.

    Attributes:
        access_key_id: Whose secret made the signature.
        region: The client's choice, not ours; None where the signature has no region.
        service: What the request is for.
        session_token: Of temporary credentials, which the key id stands for together with it; None for lasting ones.
    """

    access_key_id: str
    region: str | None
    service: Service
    session_token: str | None = None


#: Access key id and session token to secret and end of their credentials, or None.
LookupSession = Callable[[str, str], tuple[str, datetime] | None]


def no_session(_access_key_id: str, _token: str) -> None:
    """Know no temporary credentials."""


def refuse_expired_session(service: Service) -> NoReturn:
    """Raise the refusal of ended credentials. Source: EC2 API Reference, RequestExpired; STS, ExpiredToken."""
    if service == "ec2":
        raise ProtocolError("RequestExpired", "Request has expired.")
    raise ProtocolError("ExpiredToken", "The security token included in the request is expired", 403)


def refuse_signature(
    message: str = (
        "The request signature we calculated does not match the signature you provided. Check your AWS "
        "Secret Access Key and signing method. Consult the service documentation for details."
    ),
) -> NoReturn:
    """Raise the refusal of a signature that is not of this request."""
    raise ProtocolError("SignatureDoesNotMatch", message, 403)


def refuse_credentials(service: Service) -> NoReturn:
    """Raise the refusal of a key. Source: EC2 API Reference, AuthFailure; STS API Reference, InvalidClientTokenId."""
    if service == "ec2":
        message = "AWS was not able to validate the provided access credentials"
        raise ProtocolError("AuthFailure", message, 401)
    raise ProtocolError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
