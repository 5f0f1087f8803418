"""Servers and machines killed at the worst moments, and what the next server makes of it. Every machine is real.

The guests are of one sector and boot in a quarter of a second, so that every step of the journaled changes is tried.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.vm.boot_sector import DISK_BYTES, SECTOR
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host, running_host
from tests.vm.wholeness import assert_whole

from bakehouse.sagas.catalogue import SAGAS

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(120)]

CRASH_AT = "BAKEHOUSE_CRASH_AT"

#: What a recovered instance has as before.
KEPT = ("PrivateIpAddress", "PublicIpAddress", "LaunchTime", "NetworkInterfaces", "BlockDeviceMappings")


@dataclass(frozen=True)
class Story:
    """A request that begins a saga, the state of the instance that it is about, and the state it leads to."""

    saga: str
    before: str
    act: Callable[[Host, Guest], Any]
    after: str


def image_of(host: Host, guest: Guest, *, reboot: bool) -> None:
    name = f"{guest.instance_id} at {time.monotonic_ns()}"
    host.ec2.create_image(InstanceId=guest.instance_id, Name=name, NoReboot=not reboot)


def copy_of(host: Host) -> None:
    name = f"copy at {time.monotonic_ns()}"
    host.ec2.copy_image(Name=name, SourceRegion="us-east-1", SourceImageId=host.images["sector"])


def snapshot_copy(host: Host) -> None:
    (image,) = host.ec2.describe_images(ImageIds=[host.images["sector"]])["Images"]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    host.ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot_id)


STORIES = {
    "run": Story("run_instance", "", lambda host, _: sector(host), "running"),
    "image": Story("create_image", "running", lambda host, it: image_of(host, it, reboot=False), "running"),
    "image with reboot": Story("create_image", "running", lambda host, it: image_of(host, it, reboot=True), "running"),
    "copy": Story("copy_image", "running", lambda host, _: copy_of(host), "running"),
    "copy of a snapshot": Story("copy_snapshot", "running", lambda host, _: snapshot_copy(host), "running"),
    "stop": Story(
        "stop_instance", "running", lambda host, it: host.ec2.stop_instances(InstanceIds=[it.instance_id]), "stopped"
    ),
    "start": Story(
        "start_instance", "stopped", lambda host, it: host.ec2.start_instances(InstanceIds=[it.instance_id]), "running"
    ),
    "terminate": Story(
        "terminate_instance",
        "running",
        lambda host, it: host.ec2.terminate_instances(InstanceIds=[it.instance_id]),
        "terminated",
    ),
}


def points(title: str) -> list[tuple[str, str]]:
    """Return where a story is cut short. From the catalogue, so that a step that is new is tried too."""
    saga = SAGAS[STORIES[title].saga]
    return [(title, f"{saga.name}:{step.name}:{moment}") for step in saga.steps for moment in ("before", "after")]


#: Taken in turns: a server that recovers from one saga's crash can then be the one that crashes in the next.
POINTS = [point for turn in zip_longest(*map(points, STORIES)) for point in turn if point is not None]


#: An instance whose machine was killed is stopped then, not recovered.
STAYS_DOWN: Final[Any] = {"MaintenanceOptions": {"AutoRecovery": "disabled"}}


def sector(host: Host, **request: Any) -> Guest:
    return host.launch(host.images["sector"], **request)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A server of these tests' own, with an image that is small enough to be booted again and again."""
    disk = tmp_path_factory.mktemp("disk") / "disk.raw"
    disk.write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
    with running_host() as made:
        made.images["sector"] = made.bakehouse("image", "import", str(disk), "--name", "sector").stdout.strip()
        yield made


@pytest.fixture
def subject(host: Host, request: pytest.FixtureRequest) -> Guest | None:
    """An instance in the state that the story begins with."""
    before = STORIES[request.node.callspec.params["title"]].before
    if not before:
        return None
    for instance_id, state in host.states().items():
        if state == before:
            return host.guest(instance_id)
    guest = sector(host)
    guest.wait_for_console("K")
    if before == "stopped":
        host.ec2.stop_instances(InstanceIds=[guest.instance_id], Force=True)
        guest.wait_for_state("stopped")
    return guest


@pytest.mark.parametrize(("title", "point"), POINTS)
def test_a_server_killed_at_any_step_leaves_nothing_half_made(
    host: Host, subject: Guest | None, title: str, point: str
) -> None:
    story = STORIES[title]
    known = host.states().keys()
    if host.environment != {CRASH_AT: point}:
        restart(host, {CRASH_AT: point})
    assert host.server is not None

    with suppress(BotoCoreError):
        story.act(host, subject or host.guest(""))
    host.server.wait_until_gone()
    assert host.start(next_crash(title, point))

    assert_whole(host)
    states = host.states()
    (changed,) = [subject.instance_id] if subject else states.keys() - known
    assert states[changed] == story.after


def next_crash(title: str, point: str) -> dict[str, str]:
    """Return what the next point needs, unless the recovery from this one would run into it."""
    following = POINTS.index((title, point)) + 1
    if following == len(POINTS) or STORIES[POINTS[following][0]].saga == STORIES[title].saga:
        return {}
    return {CRASH_AT: POINTS[following][1]}


def restart(host: Host, environment: dict[str, str] | None = None) -> None:
    host.kill()
    assert host.start(environment)


def test_every_image_made_in_a_crash_boots(host: Host) -> None:
    images = available_images(host)
    assert len(images) > len([title for title, _ in POINTS if STORIES[title].saga in ("copy_image", "create_image")])

    for image_id in images:
        clone = host.launch(image_id)
        clone.wait_for_console("K")
        host.ec2.terminate_instances(InstanceIds=[clone.instance_id])


def available_images(host: Host) -> list[str]:
    """Return the images that can be launched, the newest last."""
    found = host.ec2.describe_images(Owners=["self"], Filters=[{"Name": "state", "Values": ["available"]}])["Images"]
    return [image["ImageId"] for image in sorted(found, key=lambda image: image["CreationDate"])]


@pytest.mark.parametrize("delay_ms", [0, 5, 10, 20, 40])
def test_a_machine_killed_while_its_image_is_made_leaves_nothing_half_made(host: Host, delay_ms: int) -> None:
    guest = sector(host, **STAYS_DOWN)
    guest.wait_for_console("K")

    def kill_soon() -> None:
        time.sleep(delay_ms / 1000)
        os.kill(guest.machine_record()["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill_soon)
    killer.start()
    with suppress(ClientError):
        image_of(host, guest, reboot=False)
    killer.join()

    guest.wait_for_state("stopped")
    assert_whole(host)
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_console("K")
    host.launch(available_images(host)[-1]).wait_for_console("K")
    host.clear()


def test_an_instance_whose_machine_was_killed_is_recovered_with_its_address(host: Host) -> None:
    guest = sector(host)
    guest.wait_for_console("K")
    before: Any = guest.describe()
    killed = guest.machine_record()["pid"]

    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: guest.machine_record().get("pid", killed) != killed, "its machine runs again")

    guest.wait_for_state("running")
    guest.wait_for_console("K")
    after: Any = guest.describe()
    assert [after[name] for name in KEPT] == [before[name] for name in KEPT]
    assert_whole(host)


def test_an_instance_whose_machine_was_just_killed_is_terminated_at_once(host: Host) -> None:
    guest = sector(host, **STAYS_DOWN)
    os.kill(guest.machine_record()["pid"], signal.SIGKILL)

    host.ec2.terminate_instances(InstanceIds=[guest.instance_id])

    guest.wait_for_state("terminated", timeout_s=10)


def test_a_server_killed_again_and_again_keeps_what_runs(host: Host) -> None:
    guest = sector(host)
    machine = guest.machine_record()["pid"]

    for _ in range(3):
        restart(host)

    assert guest.machine_record()["pid"] == machine
    assert guest.state() == "running"
    assert_whole(host)
