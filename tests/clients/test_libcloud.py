"""Apache Libcloud's EC2 driver, which signs by version 2, part by part of `flows/libcloud_flow.py`."""

from pathlib import Path

import pytest
from tests.clients.client import Client
from tests.clients.programs import python_environment
from tests.system.shop import Shop
from tests.vm.host import GROUP_NAME, KEY_NAME, Host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLOW = Path(__file__).parent / "flows" / "libcloud_flow.py"
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

    status, name = run(real_client, "deploy", host.image(), KEY_NAME, key_file, GROUP_NAME).split()

    assert status == "0"
    assert name.startswith("ip-172-31-")
