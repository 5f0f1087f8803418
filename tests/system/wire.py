"""Requests below boto3: signed by hand, changed after signing, or not signed at all."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.server import RunningServer

VERSION = "2016-11-15"

Parameters = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.body)  # noqa: S314 - it is our own

    @property
    def code(self) -> str | None:
        """The error code of a refusal; None of a success."""
        return self.root.findtext(".//{*}Code")

    def texts(self, tag: str) -> list[str]:
        """The texts of all elements of that name, in any namespace."""
        return [found.text or "" for found in self.root.iterfind(f".//{{*}}{tag}")]


class _Signer(SigV4Auth):
    """Signs at another time, or leaves headers out."""

    def __init__(self, *arguments: Any, age: timedelta, without: frozenset[str]) -> None:
        super().__init__(*arguments)
        self._age = age
        self._without = without

    def add_auth(self, request: Any) -> None:
        request.context["timestamp"] = (datetime.now(UTC) - self._age).strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)  # type: ignore[attr-defined] # the stubs leave it out
        canonical_request = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical_request), request)
        self._inject_signature_to_request(request, signature)  # type: ignore[attr-defined]

    def headers_to_sign(self, request: Any) -> Any:
        headers = super().headers_to_sign(request)
        for name in self._without:
            del headers[name]
        return headers


class Wire:
    """Sends requests of one account."""

    def __init__(self, running: RunningServer, account: str, *, region: str = "us-east-1") -> None:
        key = running.access_key(account)
        self.url = running.url + "/"
        self.credentials = Credentials(key.id, key.secret)
        self.region = region

    def signed(
        self,
        action: str,
        parameters: Parameters = (),
        *,
        method: str = "POST",
        service: str = "ec2",
        credentials: Credentials | None = None,
        age: timedelta = timedelta(),
        without: frozenset[str] = frozenset(),
    ) -> AWSRequest:
        """Return a signed request that was not sent yet."""
        text = urlencode([("Action", action), ("Version", VERSION), *_pairs(parameters)])
        if method == "GET":
            request = AWSRequest("GET", f"{self.url}?{text}")
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            request = AWSRequest("POST", self.url, headers=headers, data=text)
        signer = _Signer(credentials or self.credentials, service, self.region, age=age, without=without)
        signer.add_auth(request)
        return request

    def sign(self, request: AWSRequest) -> AWSRequest:
        """Sign any request for EC2."""
        SigV4Auth(self.credentials, "ec2", self.region).add_auth(request)
        return request

    def presigned(self, action: str, parameters: Parameters = (), *, expires_s: int = 60) -> AWSRequest:
        """Return a request whose URL holds its signature."""
        text = urlencode([("Action", action), ("Version", VERSION), *_pairs(parameters)])
        request = AWSRequest("GET", f"{self.url}?{text}")
        SigV4QueryAuth(self.credentials, "ec2", self.region, expires=expires_s).add_auth(request)
        return request

    def send(self, request: AWSRequest, *, change: Callable[[Any], None] | None = None) -> Answer:
        """Send a request, changed after it was signed if `change` is given."""
        prepared = request.prepare()
        if change is not None:
            change(prepared)
        headers = {name: _text(value) for name, value in prepared.headers.items() if name != "Content-Length"}
        body: Any = prepared.body or b""
        with httpx.Client(verify=False, trust_env=False) as client:  # noqa: S501 - there is no TLS, and to load it is slow
            response = client.request(prepared.method, prepared.url, headers=headers, content=body)
        return Answer(response.status_code, response.content)

    def ask(self, action: str, parameters: Parameters = (), **how: Any) -> Answer:
        """Sign a request, send it and return the answer."""
        return self.send(self.signed(action, parameters, **how))


def _pairs(parameters: Parameters) -> list[tuple[str, str]]:
    return list(parameters.items() if isinstance(parameters, Mapping) else parameters)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


#: A UUID as EC2 writes request ids.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
