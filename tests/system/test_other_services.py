"""What all services beside EC2 have in common: signatures, names of errors, and that nothing ever fails."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.protocol.test_json_services import input_value, sent
from tests.server import RunningServer, server

from bakehouse.ec2.operations import SERVICES
from bakehouse.protocol.model import ServiceModel

MODELS: dict[str, ServiceModel] = {name: ServiceModel.load(name) for name in ("ebs", "rbin", "ssm")}
ANSWERED = [(service, name) for service in MODELS for name in SERVICES[service]]

#: How each service is asked for nothing that it has.
NOTHING = {
    "ebs": ("GET", "/snapshots/snap-0/blocks", {}),
    "rbin": ("GET", "/rules/0123456789a", {}),
    "ssm": ("POST", "/", {"X-Amz-Target": "AmazonSSM.GetParameter"}),
}


class Client:
    """Sends requests of one account, below boto3."""

    def __init__(self, running: RunningServer, account: str) -> None:
        key = running.access_key(account)
        self.url = running.url
        self.credentials = Credentials(key.id, key.secret)
        self.http = httpx.Client(verify=False, trust_env=False)  # noqa: S501 - there is no TLS, and to load it is slow

    def send(
        self,
        service: str,
        method: str,
        target: str,
        headers: Any = None,
        body: bytes = b"",
        *,
        credentials: Credentials | None = None,
    ) -> httpx.Response:
        request = AWSRequest(method, self.url + target, headers=headers or {}, data=body)
        SigV4Auth(credentials or self.credentials, service, "us-east-1").add_auth(request)
        return self.http.request(method, self.url + target, headers=dict(request.headers.items()), content=body)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home: Path = tmp_path_factory.mktemp("services") / "home"
    with server(home) as running:
        made = Client(running, "somebody")
        yield made
        made.http.close()


def named(response: httpx.Response) -> str:
    """The name of an error, where its service's clients look for it."""
    return str(response.headers.get("x-amzn-errortype") or json.loads(response.content)["__type"])


@pytest.mark.parametrize("service", MODELS)
def test_a_wrong_secret_is_refused_in_the_service_s_form(client: Client, service: str) -> None:
    method, target, headers = NOTHING[service]
    wrong = Credentials(client.credentials.access_key, "wrong")

    answer = client.send(service, method, target, headers, credentials=wrong)

    assert named(answer) == "InvalidSignatureException"
    assert answer.status_code == (400 if service == "ssm" else 403)
    assert answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("service", MODELS)
def test_an_unknown_key_is_refused_in_the_service_s_form(client: Client, service: str) -> None:
    method, target, headers = NOTHING[service]

    answer = client.send(service, method, target, headers, credentials=Credentials("AKIAUNKNOWN", "wrong"))

    assert named(answer) == "UnrecognizedClientException"


@pytest.mark.parametrize("service", MODELS)
def test_what_a_service_does_not_have_is_refused(client: Client, service: str) -> None:
    answer = client.send(service, "POST", "/nothing/at/all", {"X-Amz-Target": "AmazonSSM.Nothing"})

    assert named(answer) == "UnknownOperationException"
    assert answer.status_code == (400 if service == "ssm" else 404)


def test_a_body_that_is_not_signed_is_refused_but_for_blocks(client: Client) -> None:
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}

    started = client.send("ebs", "POST", "/snapshots", unsigned, b'{"VolumeSize": 1}')
    put = client.send("ebs", "PUT", "/snapshots/snap-0123456789abcdef0/blocks/1", unsigned, b"")

    assert (started.status_code, named(started)) == (403, "InvalidSignatureException")
    assert (put.status_code, named(put)) == (400, "ValidationException")


@pytest.mark.parametrize(
    "arn", ["arn:aws:rbin:us-east-1:123456789012:rule/0123456789a", "a b%/ä+~.*", "../..", "//", "."]
)
def test_whatever_stands_in_a_path_is_signed_as_clients_sign_it(client: Client, arn: str) -> None:
    answer = client.send("rbin", "GET", f"/tags/{quote(arn, safe='')}")

    assert named(answer) != "InvalidSignatureException"


TEXT = st.sampled_from(
    ["", "snap-0123456789abcdef0", "-1", "99999999999999999999", "NaN", "true", "ä", "\x00"]
) | st.text(max_size=12)


@pytest.mark.timeout(0)
@settings(max_examples=max(100, settings().max_examples), suppress_health_check=list(HealthCheck), deadline=None)
@given(
    operation=st.sampled_from(ANSWERED),
    seed=st.integers(0, 2**32),
    text=TEXT,
    way=st.sampled_from(["least", "everything"]),
)
def test_a_damaged_request_is_answered_or_refused_and_never_fails(
    client: Client, operation: tuple[Any, str], seed: int, text: str, way: str
) -> None:
    service, name = operation
    choice = random.Random(seed)
    request = sent(service, name, input_value(service, name, way))
    target = request.path.decode() + (f"?{request.query.decode()}" if request.query else "")
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in request.headers}
    body = request.body
    match choice.randrange(5):
        case 0:
            parts = target.split("/")
            parts[choice.randrange(1, len(parts))] = quote(text, safe="")
            target = "/".join(parts)
        case 1:
            target += ("&" if "?" in target else "?") + f"{quote(text, safe='')}={quote(text, safe='')}"
        case 2 if headers:
            headers[choice.choice(sorted(headers))] = quote(text)
        case 3:
            body = text.encode() + body[: choice.randrange(len(body) + 1)]
        case _:
            body = _with_text(body, text, choice)

    answer = client.send(service, request.method, target, headers, body)

    assert answer.status_code < 500, (name, target, headers, body[:200], answer.content)
    if answer.status_code >= 300:
        assert named(answer) not in {"InternalServerException", "InternalServerError", "InvalidSignatureException"}


def _with_text(body: bytes, text: str, choice: random.Random) -> bytes:
    """Replace a member of a JSON object."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    if isinstance(value, dict) and value:
        value[choice.choice(sorted(value))] = choice.choice([text, None, [text], {text: text}, 1e300, -1, True])
    return json.dumps(value).encode()
