"""Serial consoles over the API's port, and the switch that opens them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import httpx
import pytest
from tests.server import RunningServer
from tests.system.shop import Shop
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bakehouse.drivers.hypervisor.fake import FakeHypervisor

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

DEADLINE_S = 30


@pytest.fixture
def instance_id(shop: Shop) -> str:
    """A running instance whose account has enabled access."""
    shop.ec2.enable_serial_console_access()
    return str(shop.launch()["InstanceId"])


def signed_url(
    running: RunningServer,
    account: str,
    instance_id: str,
    *,
    region: str = "us-east-1",
    service: str = "ec2",
    expires_s: int = 60,
) -> str:
    """Return a presigned URL of an instance's console."""
    key = running.access_key(account)
    request = botocore.awsrequest.AWSRequest("GET", f"{running.url}/serial-console/{instance_id}")
    credentials = botocore.credentials.Credentials(key.id, key.secret)
    botocore.auth.SigV4QueryAuth(credentials, service, region, expires=expires_s).add_auth(request)
    return str(request.url)


@contextmanager
def console(url: str) -> Iterator[ClientConnection]:
    with connect(url.replace("http://", "ws://"), proxy=None) as socket:
        yield socket


def seen(socket: ClientConnection, text: bytes) -> None:
    """Read until a text has come."""
    read = b""
    while text not in read:
        message = socket.recv(timeout=DEADLINE_S)
        read += message if isinstance(message, bytes) else b""


def refusal(url: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused, console(url):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body or b"")["error"]


def test_access_is_disabled_at_first(alice: "EC2Client") -> None:
    status = alice.get_serial_console_access_status()

    assert (status["SerialConsoleAccessEnabled"], status["ManagedBy"]) == (False, "account")


def test_access_can_be_enabled(alice: "EC2Client") -> None:
    assert alice.enable_serial_console_access()["SerialConsoleAccessEnabled"]

    assert alice.get_serial_console_access_status()["SerialConsoleAccessEnabled"]


def test_access_can_be_disabled_again(alice: "EC2Client") -> None:
    alice.enable_serial_console_access()

    assert not alice.disable_serial_console_access()["SerialConsoleAccessEnabled"]

    assert not alice.get_serial_console_access_status()["SerialConsoleAccessEnabled"]


def test_access_is_enabled_for_one_account_in_one_region(
    shared: RunningServer, alice: "EC2Client", bob: "EC2Client", request: pytest.FixtureRequest
) -> None:
    alice.enable_serial_console_access()

    elsewhere = shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1")
    assert not bob.get_serial_console_access_status()["SerialConsoleAccessEnabled"]
    assert not elsewhere.get_serial_console_access_status()["SerialConsoleAccessEnabled"]


def test_a_presigned_url_opens_the_console(shop: Shop, instance_id: str) -> None:
    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        seen(socket, b"login: ")
        socket.send(b"whoever")

        seen(socket, b"whoever")


def test_several_watch_one_console(shop: Shop, instance_id: str) -> None:
    url = signed_url(shop.running, shop.name, instance_id)
    with console(url) as first, console(url) as second:
        first.send(b"from the first")

        seen(second, b"from the first")


@pytest.mark.parametrize(
    ("said", "read"), [('{"break": true}', b"\0"), ('{"sysrq": "h"}', b"\0h")], ids=["a break", "sysrq"]
)
def test_a_client_sends(shop: Shop, instance_id: str, said: str, read: bytes) -> None:
    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        socket.send(said)

        seen(socket, read)


@pytest.mark.parametrize("said", ["", "[]", "7", '{"sysrq": "xx"}', '{"sysrq": 7}', '{"break": 1}', "{}"])
def test_what_means_nothing_does_nothing(shop: Shop, instance_id: str, said: str) -> None:
    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        seen(socket, b"login: ")
        socket.send(said)
        socket.send(b"next")

        seen(socket, b"next")


def test_a_console_ends_with_its_machine(shop: Shop, instance_id: str) -> None:
    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        seen(socket, b"login: ")
        shop.ec2.terminate_instances(InstanceIds=[instance_id])

        assert json.loads(socket.recv(timeout=DEADLINE_S)) == {"ended": True}


def test_a_console_is_closed_while_access_is_disabled(shop: Shop, instance_id: str) -> None:
    shop.ec2.disable_serial_console_access()

    url = signed_url(shop.running, shop.name, instance_id)
    assert refusal(url) == (HTTPStatus.FORBIDDEN, "SerialConsoleAccessDisabledException")


def test_a_url_of_another_instance_is_refused(shop: Shop, instance_id: str) -> None:
    url = signed_url(shop.running, shop.name, instance_id)

    changed = url.replace(instance_id, shop.launch()["InstanceId"])
    assert refusal(changed) == (HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch")


def test_a_url_that_was_changed_is_refused(shop: Shop, instance_id: str) -> None:
    url = signed_url(shop.running, shop.name, instance_id, expires_s=60)

    changed = url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")
    assert refusal(changed) == (HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch")


def test_a_url_that_has_expired_is_refused(shop: Shop, instance_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_aware: long_ago)
    url = signed_url(shop.running, shop.name, instance_id, expires_s=60)

    assert refusal(url)[1] in ("RequestExpired", "SignatureDoesNotMatch")


def test_a_request_that_is_not_signed_is_refused(shop: Shop, instance_id: str) -> None:
    unsigned = f"{shop.running.url}/serial-console/{instance_id}"

    assert refusal(unsigned) == (HTTPStatus.FORBIDDEN, "MissingAuthenticationToken")


def test_a_signature_for_another_service_is_refused(shop: Shop, instance_id: str) -> None:
    url = signed_url(shop.running, shop.name, instance_id, service="sts")

    assert refusal(url) == (HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch")


def test_another_accounts_instance_is_not_found(
    shop: Shop, instance_id: str, bob: "EC2Client", request: pytest.FixtureRequest
) -> None:
    bob.enable_serial_console_access()

    url = signed_url(shop.running, f"bob of {request.node.nodeid}", instance_id)
    assert refusal(url) == (HTTPStatus.BAD_REQUEST, "InvalidInstanceID.NotFound")


def test_a_stopped_instance_has_no_console(shop: Shop, instance_id: str) -> None:
    shop.ec2.stop_instances(InstanceIds=[instance_id], Force=True)

    url = signed_url(shop.running, shop.name, instance_id)
    assert refusal(url) == (HTTPStatus.BAD_REQUEST, "IncorrectInstanceState")


def test_a_browser_gets_a_page_that_needs_nothing_from_elsewhere(shop: Shop, instance_id: str) -> None:
    page = httpx.get(signed_url(shop.running, shop.name, instance_id))

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not any(mark in page.text for mark in ("src=", "href=", "http:", "https:"))


def test_a_page_is_refused_without_a_signature(shop: Shop, instance_id: str) -> None:
    answer = httpx.get(f"{shop.running.url}/serial-console/{instance_id}")

    assert (answer.status_code, answer.json()["error"]) == (HTTPStatus.FORBIDDEN, "MissingAuthenticationToken")


def test_a_guest_that_writes_later_is_heard(shop: Shop, instance_id: str) -> None:
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        seen(socket, b"login: ")
        hypervisor.write_console(instance_id, "later\n")

        seen(socket, b"later\n")


def test_a_terminal_is_not_asked_what_it_was_asked_before(shop: Shop, instance_id: str) -> None:
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    hypervisor.write_console(instance_id, "# \x1b[6n$ ")

    with console(signed_url(shop.running, shop.name, instance_id)) as socket:
        seen(socket, b"# \0\0\0\0$ ")
        hypervisor.write_console(instance_id, "% \x1b[6n$ ")
        seen(socket, b"% \x1b[6n$ ")
