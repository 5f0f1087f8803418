"""Apache Libcloud's EC2 driver, which signs by version 2, part by part of `flows/libcloud_flow.py`."""

import json
import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.clients.client import SSH_PORT, Client
from tests.clients.programs import python_environment
from tests.system.shop import Shop
from tests.vm.host import GROUP_NAME, KEY_NAME, Host

from bakehouse.protocol.signed_request import SignedRequest
from bakehouse.protocol.sigv4 import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLOWS = Path(__file__).parent / "flows"
FLOW = FLOWS / "libcloud_flow.py"
#: In this order, on one node.
PARTS = ("life", "volumes", "images", "networks", "address", "end")


def run(client: Client, part: str, *arguments: str) -> str:
    port = client.url.rsplit(":")[-1]
    return client.run([python_environment("libcloud") / "python", FLOW, port, part, *arguments])


def test_a_node_s_whole_life(client: Client, shop: Shop) -> None:
    run(client, "start", shop.image_id)
    for part in PARTS:
        run(client, part)


def test_a_deployment_runs_its_script_in_the_guest(real_client: Client, host: Host) -> None:
    key_file = str(host.home / "test.pem")

    status, name = run(real_client, "deploy", host.image(), KEY_NAME, key_file, GROUP_NAME, str(SSH_PORT)).split()

    assert status == "0"
    assert name.startswith("ip-172-31-")


def test_whatever_its_signer_signs_is_found_right() -> None:
    parameters = [_parameters(random.Random(seed)) for seed in range(500)]
    argv: list[str | Path] = [
        python_environment("libcloud") / "python",
        FLOWS / "libcloud_signatures.py",
        "KEY",
        "SECRET",
        "8773",
    ]
    done = subprocess.run(argv, input=json.dumps(parameters), capture_output=True, text=True, timeout=60, check=True)

    for signed in json.loads(done.stdout):
        query = urlencode(signed).encode()
        request = SignedRequest("GET", b"/", query, [(b"host", b"127.0.0.1:8773")], b"")
        assert verify(request, {"KEY": "SECRET"}.get, datetime.now(UTC)).access_key_id == "KEY"


def _parameters(chosen: random.Random) -> dict[str, str]:
    letters = "aZ09.-_~ +&=%/?:#[]@!$'()*,;\\\"<>\n\tä€𝄞"
    names = {"".join(chosen.choices(letters, k=chosen.randint(1, 8))) for _ in range(chosen.randint(0, 6))}
    return {name: "".join(chosen.choices(letters, k=chosen.randint(0, 12))) for name in names}
