"""A server that tests started outlives them in no case: nobody else would end it."""

import multiprocessing
import os
import select
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from tests.vm.server_process import ServerProcess

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(180)]


def test_a_server_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    heard, tell = context.Pipe(duplex=False)
    starter = context.Process(target=_start, args=(tmp_path, tell))
    starter.start()
    assert heard.poll(60)
    server = os.pidfd_open(heard.recv())

    starter.kill()

    ended, _, _ = select.select([server], [], [], 30)
    os.close(server)
    assert ended


def _start(home: Path, tell: Connection) -> None:
    """Start a server, tell its process id once it serves, and go on until killed."""
    server = ServerProcess.start(home, "--simulate", "--port=0", environment={})
    assert server.wait_until_up(), server.said()
    tell.send(server.pid)
    time.sleep(600)
