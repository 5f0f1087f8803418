"""Clients, and somebody who kills everything there is at random moments: nothing acknowledged is lost, nothing is left.

The guests are of one sector. What single steps leave when they are cut short is told by `test_crash_safety.py`.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm.boot_sector import DISK_BYTES, SECTOR
from tests.vm.chaos import NETWORK_PROGRAMS, Acknowledged, Client, Killer
from tests.vm.guest import wait_for
from tests.vm.host import Host, running_host
from tests.vm.wholeness import assert_whole

from bakehouse.drivers.volumes import qcow2_header

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(400)]

CLIENTS = 3
CHAOS_S = 45


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A server of this test's own, with an image that boots in a moment."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
    with running_host() as made:
        made.images["sector"] = made.bakehouse("image", "import", str(disk), "--name", "sector").stdout.strip()
        yield made


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_nothing_that_was_acknowledged_is_lost_and_nothing_is_left(host: Host, seed: int) -> None:
    known = after_chaos(host, seed)

    wait_for(lambda: lasting(host), "everything is in a state that lasts", timeout_s=120)
    assert_whole_soon(host)
    assert_acknowledged(host, known)
    assert_one_of_each_program(host)
    wait_for(lambda: not unreached(host.home), "no layer is left that nothing needs", timeout_s=100)
    assert host.bakehouse("storage", "check").returncode == 0
    assert "Traceback" not in (host.home / "serve.log").read_text()
    for image in host.ec2.describe_images(Owners=["self"], Filters=[{"Name": "state", "Values": ["available"]}])[
        "Images"
    ]:
        clone = host.launch(image["ImageId"])
        clone.wait_for_console("K")
        host.ec2.terminate_instances(InstanceIds=[clone.instance_id])


def after_chaos(host: Host, seed: int) -> Acknowledged:
    known, over, killed_enough = Acknowledged(), threading.Event(), threading.Event()
    clients = [Client(host, known, f"{seed}-{number}", over) for number in range(CLIENTS)]
    killer = Killer(host, known, f"{seed}-killer", killed_enough)
    asking = [threading.Thread(target=client.run, daemon=True) for client in clients]
    killing = threading.Thread(target=killer.run, daemon=True)
    for thread in (*asking, killing):
        thread.start()
    time.sleep(CHAOS_S)
    killed_enough.set()  # first, so that there is a server for what clients still ask
    killing.join()
    over.set()
    for thread in asking:
        thread.join()
    assert known.faults == []
    return known


def assert_whole_soon(host: Host) -> None:
    """Give what was killed last the time until a sweep makes it again, and starts what was cut off by it anew."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return assert_whole(host)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def lasting(host: Host) -> bool:
    """Tell whether nothing is on its way to another state."""
    return (
        set(host.states().values()) <= {"running", "stopped", "terminated"}
        and {it["State"] for it in host.ec2.describe_images(Owners=["self"])["Images"]} <= {"available", "failed"}
        and {it["State"] for it in host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]} <= {"completed"}
        and {it["State"] for it in host.ec2.describe_volumes()["Volumes"]} <= {"available", "in-use"}
    )


def assert_acknowledged(host: Host, known: Acknowledged) -> None:
    found = {it["InstanceId"]: it for page in host.ec2.describe_instances()["Reservations"] for it in page["Instances"]}
    states = {it: found[it]["State"]["Name"] for it in known.instances}
    assert {it: state for it, state in states.items() if state not in known.instances[it]} == {}
    tags = {it: {tag["Value"] for tag in found[it].get("Tags", []) if tag["Key"] == "chaos"} for it in known.tags}
    assert tags == {it: {value} for it, value in known.tags.items()}
    there = {it["VolumeId"] for it in host.ec2.describe_volumes()["Volumes"]}
    there |= {it["SnapshotId"] for it in host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    there |= {it["ImageId"] for it in host.ec2.describe_images(Owners=["self"])["Images"]}
    assert (known.volumes | known.snapshots | known.images) - there == set()
    assert known.deleted & there == set()


def assert_one_of_each_program(host: Host) -> None:
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in host.processes()]
    assert [sum(program in line for line in lines) for program in NETWORK_PROGRAMS] == [1, 1]


def unreached(home: Path) -> set[str]:
    """Return the layers that no volume and no snapshot is made of."""
    store = home / "volumes"
    layers = {it.name for it in (store / "layers").iterdir()}
    ends = [json.loads(it.read_text())["top"] for it in (store / "volumes").glob("*.json")]
    ends += [json.loads(it.read_text())["layer"] for it in (store / "snapshots").glob("*.json")]
    reached: set[str] = set()
    for end in ends:
        layer: str | None = end
        while layer is not None and layer not in reached:
            reached.add(layer)
            is_raw = layer.endswith(".raw")
            layer = None if is_raw else qcow2_header.backing_name(store / "layers" / layer)
    return layers - reached
