"""boto3 as scripts use it: `flows/boto3_flow.py`, with a login in the middle of it.

Every waiter and paginator that it has for what is answered here is run by tests/system/test_waiters_and_paginators.py.
"""

import sys
from pathlib import Path

import pytest
from tests.clients.client import Client
from tests.vm.host import GROUP_NAME, KEY_NAME, Host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLOW = Path(__file__).parent / "flows" / "boto3_flow.py"


def test_an_instance_s_life_with_a_login(real_client: Client, host: Host) -> None:
    key_file = host.home / "test.pem"
    argv: list[str | Path] = [sys.executable, FLOW, host.image(), KEY_NAME, GROUP_NAME]

    said = real_client.run_around(argv, lambda address: real_client.ssh(address, key_file, "hostname"))

    assert said.startswith("ip-172-31-")
