"""The qcow2 store on a disk that is really full: a small tmpfs in a mount namespace of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("full_disk.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_make_namespaces() -> bool:
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_make_namespaces(), reason="this host lets nobody make a namespace")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("full")
    disk, image = directory / "disk", directory / "image"
    disk.mkdir()
    image.write_bytes(os.urandom(4 << 20))
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$3" "$4" "$1" "$2"'
    words: list[str | Path] = [*NAMESPACE, "sh", "-c", script, "sh", disk, image, sys.executable, PROGRAM]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_everything_that_needs_room_is_refused(outcome: dict[str, Any]) -> None:
    assert outcome["refused"] == ["import", "create", "snapshot"]


def test_no_snapshot_is_recorded(outcome: dict[str, Any]) -> None:
    assert outcome["snapshots"] == []


def test_nothing_half_made_is_left(outcome: dict[str, Any]) -> None:
    assert outcome["left_over"] == []


def test_with_room_again_the_same_call_succeeds(outcome: dict[str, Any]) -> None:
    assert outcome["afterwards"] == ["snap-a"]
