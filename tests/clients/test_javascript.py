"""The AWS SDK for JavaScript in Node: `flows/javascript_flow.mjs`, with a login in the middle of it."""

import shutil
from pathlib import Path

import pytest
from tests.clients.client import Client
from tests.clients.programs import distribution_program, node_modules
from tests.vm.host import GROUP_NAME, KEY_NAME, Host

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

FLOW = Path(__file__).parent / "flows" / "javascript_flow.mjs"


def test_an_instance_s_life_with_a_login(real_client: Client, host: Host) -> None:
    # Node looks for modules beside the script.
    script = shutil.copy(FLOW, real_client.folder)
    (real_client.folder / "node_modules").symlink_to(node_modules() / "node_modules")
    argv = [distribution_program("node"), script, host.image(), KEY_NAME, GROUP_NAME]
    key_file = host.home / "test.pem"

    said = real_client.run_around(argv, lambda address: real_client.ssh(address, key_file, "hostname"))

    assert said.startswith("ip-172-31-")
