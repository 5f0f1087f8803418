"""Who may ask: signatures over the wire. Nothing of a refused request is done."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.server import RunningServer
from tests.system.refusals import contents
from tests.system.wire import UUID, VERSION, Answer, Wire

GROUP = {"GroupName": "web", "GroupDescription": "d"}
ACTION = "CreateSecurityGroup"

Ask = Callable[[Wire], Answer]


def other_secret(wire: Wire) -> Credentials:
    return Credentials(wire.credentials.access_key, "x" * 40)


def changed(**values: Any) -> Callable[[Any], None]:
    """Return a change of a signed request: of `body`, `url`, `method`, or of a header given as `X_Amz_Date`."""

    def change(request: Any) -> None:
        for name, value in values.items():
            if name in ("body", "url", "method"):
                setattr(request, name, value(getattr(request, name)))
            else:
                header = name.replace("_", "-")
                request.headers[header] = value(request.headers.get(header))

    return change


def without(header: str) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        del request.headers[header]

    return change


def text_of(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def another_second(date: str) -> str:
    return date[:-2] + ("1Z" if date[-2] == "0" else "0Z")


def send(how: Callable[[Any], None]) -> Ask:
    return lambda wire: wire.send(wire.signed(ACTION, GROUP), change=how)


REFUSED: dict[str, tuple[Ask, int, str]] = {
    "another secret": (
        lambda wire: wire.ask(ACTION, GROUP, credentials=other_secret(wire)),
        403,
        "SignatureDoesNotMatch",
    ),
    "an unknown key": (
        lambda wire: wire.ask(ACTION, GROUP, credentials=Credentials("AKIAIOSFODNN7EXAMPLE", "x" * 40)),
        401,
        "AuthFailure",
    ),
    "a session token": (
        lambda wire: wire.ask(
            ACTION,
            GROUP,
            credentials=Credentials(wire.credentials.access_key, wire.credentials.secret_key, "token"),
        ),
        401,
        "AuthFailure",
    ),
    "16 minutes old": (lambda wire: wire.ask(ACTION, GROUP, age=timedelta(minutes=16)), 400, "RequestExpired"),
    "16 minutes ahead": (lambda wire: wire.ask(ACTION, GROUP, age=-timedelta(minutes=16)), 400, "RequestExpired"),
    "host not signed": (
        lambda wire: wire.ask(ACTION, GROUP, without=frozenset({"host"})),
        403,
        "SignatureDoesNotMatch",
    ),
    "date not signed": (
        lambda wire: wire.ask(ACTION, GROUP, without=frozenset({"X-Amz-Date"})),
        403,
        "SignatureDoesNotMatch",
    ),
    "another body": (send(changed(body=lambda body: text_of(body).replace("web", "db"))), 403, "SignatureDoesNotMatch"),
    "a longer body": (send(changed(body=lambda body: text_of(body) + "&VpcId=vpc-1")), 403, "SignatureDoesNotMatch"),
    "another query": (send(changed(url=lambda url: url + "?VpcId=vpc-1")), 403, "SignatureDoesNotMatch"),
    "another path": (send(changed(url=lambda url: url + "path")), 403, "SignatureDoesNotMatch"),
    "another host": (send(changed(Host=lambda _host: "ec2.amazonaws.com")), 403, "SignatureDoesNotMatch"),
    "another date": (
        send(changed(X_Amz_Date=lambda date: another_second(text_of(date)))),
        403,
        "SignatureDoesNotMatch",
    ),
    "no date": (send(without("X-Amz-Date")), 400, "IncompleteSignature"),
    "no signature": (send(without("Authorization")), 403, "MissingAuthenticationToken"),
    "another region": (
        send(changed(Authorization=lambda value: text_of(value).replace("us-east-1", "eu-west-1"))),
        403,
        "SignatureDoesNotMatch",
    ),
    "another service": (
        send(changed(Authorization=lambda value: text_of(value).replace("/ec2/", "/s3/"))),
        403,
        "SignatureDoesNotMatch",
    ),
    "a cut signature": (send(changed(Authorization=lambda value: text_of(value)[:-1])), 403, "SignatureDoesNotMatch"),
    "half a header": (
        send(changed(Authorization=lambda value: text_of(value).split(",")[0])),
        400,
        "IncompleteSignature",
    ),
    "another algorithm": (
        send(changed(Authorization=lambda value: text_of(value).replace("AWS4-HMAC-SHA256", "AWS3"))),
        400,
        "IncompleteSignature",
    ),
}


@pytest.fixture
def ready(wire: Wire) -> Wire:
    """Requests of an account that has used its region already, so that a refusal can leave nothing new."""
    assert wire.ask("DescribeVpcs").status == 200
    return wire


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_is_not_signed_as_it_came_is_refused_and_not_done(
    ready: Wire, shared: RunningServer, case: str
) -> None:
    ask, status, code = REFUSED[case]
    before = contents(shared)

    answer = ask(ready)

    assert (answer.status, answer.code) == (status, code)
    assert contents(shared) == before


@pytest.mark.parametrize("age", [timedelta(minutes=14), -timedelta(minutes=14)])
def test_a_clock_may_be_fourteen_minutes_off(ready: Wire, age: timedelta) -> None:
    assert ready.ask(ACTION, GROUP, age=age).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_get_and_post_are_answered_alike(ready: Wire, method: str) -> None:
    answer = ready.ask(ACTION, {**GROUP, "VpcId": ""}, method=method)

    assert answer.status == 200
    assert len(answer.texts("groupId")) == 1


def test_parameters_may_stand_in_the_query_of_a_post(ready: Wire) -> None:
    request = AWSRequest("POST", f"{ready.url}?Action=DescribeVpcs&Version={VERSION}")

    assert ready.send(ready.sign(request)).texts("isDefault") == ["true"]


def test_a_presigned_url_is_enough(ready: Wire) -> None:
    answer = ready.send(ready.presigned("DescribeVpcs"))

    assert answer.texts("isDefault") == ["true"]


def test_a_changed_presigned_url_is_refused_and_not_done(ready: Wire, shared: RunningServer) -> None:
    before = contents(shared)

    answer = ready.send(ready.presigned(ACTION, GROUP), change=changed(url=lambda url: url.replace("web", "db")))

    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert contents(shared) == before


def test_a_presigned_url_that_would_live_too_long_is_refused(ready: Wire) -> None:
    answer = ready.send(ready.presigned("DescribeVpcs", expires_s=8 * 24 * 60 * 60))

    assert (answer.status, answer.code) == (400, "IncompleteSignature")


def test_a_signature_of_another_account_s_key_is_that_account_s(shared: RunningServer, ready: Wire) -> None:
    other = Wire(shared, "somebody else")

    assert other.ask("DescribeVpcs").texts("vpcId") != ready.ask("DescribeVpcs").texts("vpcId")


def test_a_request_without_anything_is_refused(shared: RunningServer) -> None:
    response = httpx.get(shared.url)

    assert response.status_code == 403
    assert Answer(response.status_code, response.content).code == "MissingAuthenticationToken"


def test_an_unknown_action_is_refused(ready: Wire) -> None:
    answer = ready.ask("MakeCoffee")

    assert (answer.status, answer.code) == (400, "InvalidAction")


def test_an_action_of_another_service_is_refused(ready: Wire) -> None:
    assert ready.ask("DescribeVpcs", service="sts").code == "InvalidAction"
    assert ready.ask("GetCallerIdentity").code == "InvalidAction"


def test_a_body_of_more_than_a_mebibyte_is_refused(ready: Wire) -> None:
    answer = ready.ask(ACTION, {"GroupName": "a" * 2**20, "GroupDescription": "d"})

    assert answer.status == 413


def test_answers_say_what_they_are_and_which(ready: Wire) -> None:
    request: Any = ready.signed("DescribeVpcs").prepare()
    response = httpx.post(request.url, headers=dict(request.headers), content=request.body)

    assert response.headers["content-type"] == "text/xml;charset=UTF-8"
    assert UUID.fullmatch(response.headers["x-amzn-requestid"])
    assert Answer(200, response.content).texts("requestId") == [response.headers["x-amzn-requestid"]]
    assert Answer(200, response.content).root.tag == f"{{http://ec2.amazonaws.com/doc/{VERSION}/}}DescribeVpcsResponse"


def test_empty_values_are_not_given(ready: Wire) -> None:
    answer = ready.ask("DescribeSubnets", {"SubnetId": "", "MaxResults": "", "NextToken": "", "DryRun": ""})

    assert len(answer.texts("subnetId")) == 3
