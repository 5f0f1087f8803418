"""Requests signed by version 2, as libcloud signs them: by botocore's own signer, over the wire."""

from urllib.parse import urlencode

import httpx
import pytest
from botocore.auth import SigV2Auth
from botocore.awsrequest import AWSRequest
from tests.system.wire import VERSION, Answer, Wire


def ask(wire: Wire, action: str, *, host: str | None = None, secret: str | None = None) -> Answer:
    """Send a request that was signed for a host's name."""
    credentials = wire.credentials
    where = host or wire.url.removeprefix("http://").rstrip("/")
    request = AWSRequest("POST", f"http://{where}/", data={"Action": action, "Version": VERSION})
    credentials = type(credentials)(credentials.access_key, secret or credentials.secret_key)
    SigV2Auth(credentials).add_auth(request)
    headers = {"Host": where, "Content-Type": "application/x-www-form-urlencoded"}
    response = httpx.post(wire.url, headers=headers, content=urlencode(request.data or {}))
    return Answer(response.status_code, response.content)


def test_a_request_of_version_2_is_of_its_key_s_account_and_of_the_home_region(wire: Wire) -> None:
    assert ask(wire, "DescribeVpcs").texts("vpcId") == wire.ask("DescribeVpcs").texts("vpcId")
    assert ask(wire, "DescribeAvailabilityZones").texts("regionName") == ["us-east-1"] * 3


@pytest.mark.parametrize("host", ["ec2.eu-west-1.amazonaws.com", "eu-west-1.localhost:8773"])
def test_the_host_s_name_may_say_another_region(wire: Wire, host: str) -> None:
    assert ask(wire, "DescribeAvailabilityZones", host=host).texts("regionName") == ["eu-west-1"] * 3


def test_another_secret_is_refused(wire: Wire) -> None:
    answer = ask(wire, "DescribeVpcs", secret="x" * 40)

    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
