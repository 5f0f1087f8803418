"""The AWS SDK for JavaScript in Node: `flows/javascript_flow.mjs`, with a login in the middle of it."""

import shutil
import subprocess
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

    with subprocess.Popen(
        argv,
        env=real_client.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stdout is not None
        address = node.stdout.readline().strip()
        said = real_client.ssh(address, host.home / "test.pem", "hostname") if address else ""
        _, errors = node.communicate(timeout=120)

    assert node.returncode == 0, errors
    assert said.startswith("ip-172-31-")
