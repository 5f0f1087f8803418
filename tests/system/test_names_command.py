"""`bakehouse names`, as it speaks of what a server tells."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.commands import Commands

from bakehouse.bootstrap import host_resolver
from bakehouse.cli import name_commands
from bakehouse.drivers.network.linux.host_resolver import change_for

NAME = "ec2-127-16-0-10.compute-1.bakehouse.internal"
IN_USE = {"address": "127.16.0.10", "name": NAME, "instance_id": "i-0123456789abcdef0"}


class Desk(Commands):
    """Somebody at a terminal of a host whose resolver can be taught, or cannot."""

    prefix = ("names", "--home", "/nowhere")

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "bakehouse.conf"
        self.proven_after = False
        self.told: dict[str, Any] = {
            "domain": "bakehouse.internal",
            "proven": False,
            "server": "127.0.0.1:8753",
            "serves": True,
            "problem": "",
            "names": [IN_USE],
        }
        self.change: Any = replace(change_for("dnsmasq", "127.0.0.1:8753"), path=self.file, command=("true",))
        monkeypatch.setattr(name_commands, "control", self._control)
        monkeypatch.setattr(host_resolver, "resolver_change", lambda _server: self.change)

    @contextmanager
    def _control(self, _home: Path) -> Iterator[Any]:
        yield self

    def get(self, _path: str) -> Any:
        proven = self.told["proven"] or (self.proven_after and self.file.exists())
        return {**self.told, "proven": proven}

    def said(self, *arguments: str) -> str:
        return self.succeeded(*arguments).output


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_host_that_does_not_resolve_is_told_what_to_do(desk: Desk) -> None:
    said = desk.said()

    assert "does not resolve these names" in said
    assert "bakehouse names --install" in said
    assert "server=/bakehouse.internal/127.0.0.1#8753" in said


def test_a_host_that_resolves_needs_nothing(desk: Desk) -> None:
    desk.told["proven"] = True

    said = desk.said()

    assert "resolves these names" in said
    assert "--install" not in said


def test_a_host_whose_resolver_cannot_be_taught_may_write_them_down(desk: Desk) -> None:
    desk.change = None

    assert "bakehouse names --hosts" in desk.said()
    assert "--hosts" in desk.failure("--install").hint


def test_lines_for_the_hosts_file_are_printed(desk: Desk) -> None:
    assert desk.said("--hosts") == f"127.16.0.10 {NAME} # i-0123456789abcdef0\n"
    assert json.loads(desk.said("--hosts", "--output", "json")) == [IN_USE]


def test_programs_are_told_the_step_too(desk: Desk) -> None:
    told = json.loads(desk.said("--output", "json"))

    assert told["step"]["path"] == str(desk.file)
    assert (told["proven"], told["names"]) == (False, [IN_USE])


@pytest.mark.parametrize("user", [0, 1000])
def test_root_alone_teaches_the_resolver(desk: Desk, monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    desk.proven_after = True

    if user:
        assert "root" in desk.failure("--install").message
        assert not desk.file.exists()
        return
    assert "resolves these names" in desk.said("--install")
    assert "127.0.0.1#8753" in desk.file.read_text()
    assert "does not resolve these names" in desk.said("--uninstall")
    assert not desk.file.exists()


def test_a_resolver_that_was_taught_in_vain_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert "still does not resolve" in desk.failure("--install").message


def test_a_resolver_that_does_not_take_it_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    desk.change = replace(desk.change, command=("false",))

    assert "was not changed" in desk.failure("--install").message


def test_without_a_name_server_there_is_nothing_to_teach(desk: Desk) -> None:
    desk.told |= {"server": None, "serves": False, "problem": "no name server is wanted here"}

    assert "none (no name server is wanted here)" in desk.said()
    assert "BAKEHOUSE_NAME_SERVER" in desk.failure("--install").hint
