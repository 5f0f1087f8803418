"""What must hold between records and host whenever a server has come up, whatever happened before."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tests.vm.guest import wait_for
from tests.vm.host import Host

from bakehouse.cli.home import control
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.drivers.volumes import qcow2_header

SETTLE_DEADLINE_S = 60
_LASTING = {"running", "stopped", "terminated"}


def assert_whole(host: Host) -> None:
    """Wait until no saga is unfinished, then hold records and host against each other."""
    wait_for(lambda: _unfinished(host) == [], "no saga is unfinished", timeout_s=SETTLE_DEADLINE_S)
    states = host.states()
    assert set(states.values()) <= _LASTING
    assert running_machines(host) == {it for it, state in states.items() if state == "running"}
    assert plugged_interfaces(host) == len(running_machines(host))
    store = host.home / "volumes"
    _assert_volumes(host, store)
    _assert_snapshots(host, store)
    _assert_images(host)


def running_machines(host: Host) -> set[str]:
    """Return the machines that run: every QEMU of this home, recorded or not, by its name."""
    machines = [words[words.index("-name") + 1] for words in _command_lines(host) if "-name" in words]
    assert len(machines) == len(set(machines)), "a machine runs twice"
    return set(machines)


def plugged_interfaces(host: Host) -> int:
    """Return how many hosts the segments' name services know: one for each interface that is plugged."""
    told = [word for words in _command_lines(host) for word in words if word.startswith("--dhcp-hostsdir=")]
    return sum(1 for word in told for entry in Path(word.partition("=")[2]).iterdir() if entry.name[0] != ".")


def _assert_volumes(host: Host, store: Path) -> None:
    volumes = host.ec2.describe_volumes()["Volumes"]
    assert {volume["State"] for volume in volumes} <= {"in-use", "available"}
    assert _manifests(store / "volumes") == {volume["VolumeId"] for volume in volumes}
    for volume in volumes:
        _assert_chain(store, _manifest(store / "volumes", volume["VolumeId"])["top"])


def _assert_snapshots(host: Host, store: Path) -> None:
    snapshots = host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {snapshot["State"] for snapshot in snapshots} <= {"completed"}
    assert _manifests(store / "snapshots") == {snapshot["SnapshotId"] for snapshot in snapshots}
    for snapshot in snapshots:
        _assert_chain(store, _manifest(store / "snapshots", snapshot["SnapshotId"])["layer"])


def _assert_images(host: Host) -> None:
    known = {it["SnapshotId"] for it in host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    for image in host.ec2.describe_images(Owners=["self"])["Images"]:
        assert image["State"] in ("available", "failed")
        taken = {device["Ebs"]["SnapshotId"] for device in image["BlockDeviceMappings"] if "Ebs" in device}
        assert image["State"] == "failed" or (taken and taken <= known)


def _assert_chain(store: Path, layer: str | None) -> None:
    """Every layer below is there, and no reader would have to guess which."""
    while layer is not None:
        path = store / "layers" / layer
        assert path.is_file(), f"{layer} is missing"
        layer = qcow2_header.backing_name(path) if path.suffix == ".qcow2" else None


def _manifests(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.json")}


def _manifest(directory: Path, resource_id: str) -> dict[str, str]:
    manifest: dict[str, str] = json.loads((directory / f"{resource_id}.json").read_text())
    return manifest


def _unfinished(host: Host) -> list[str]:
    with control(host.home) as server:
        unfinished: list[str] = server.get("/status")["unfinished_sagas"]
    return unfinished


def _command_lines(host: Host) -> Iterator[list[str]]:
    """Yield the words of every program that has to do with this home: its own segments' are told by their tag."""
    marks = [str(host.home), *(f"/{tag}/" for tag in _segment_tags(host))]
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (directory / "cmdline").read_bytes().decode(errors="replace")
                if any(mark in line for mark in marks):
                    yield line.split("\0")


def _segment_tags(host: Host) -> list[str]:
    return [SegmentLayout(host.home, vpc_id).tag for vpc_id in SegmentLayout.existing(host.home)]
