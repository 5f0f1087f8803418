"""Clients that do what comes to their minds, somebody who kills programs meanwhile, and what was acknowledged.

Random by a seed, so that what is done is the same again; when, is the host's affair.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.config
from botocore.exceptions import BotoCoreError, ClientError
from tests.home_account import own_account
from tests.vm.host import Host

from bakehouse.drivers import process

#: Programs of a segment, by what their command lines have.
NETWORK_PROGRAMS: Final = ("dnsmasq", "bakehouse.drivers.network.linux.agent")
MOST_VOLUMES: Final = 3
MOST_IMAGES: Final = 4


@dataclass
class Acknowledged:
    """What clients were told, by id. What a client was not told of, since the server died, is in no list."""

    instances: dict[str, set[str]] = field(default_factory=dict)
    """Their states: several where a request had no answer, or a machine was killed."""
    tags: dict[str, str] = field(default_factory=dict)
    """Instance id to its tag's value."""
    volumes: set[str] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    kills: int = 0
    """Of machines, so far."""
    faults: list[BaseException] = field(default_factory=list)


class Client:
    """Has an instance, does random things with it, its volumes and its images, and writes down what was acknowledged.

    Args:
        host: Where.
        known: What was acknowledged, to all clients.
        seed: Of its choices.
        over: Set when it is to end.
    """

    def __init__(self, host: Host, known: Acknowledged, seed: str, over: threading.Event) -> None:
        self._name = seed
        config = botocore.config.Config(read_timeout=120, retries={"max_attempts": 0})
        self._ec2: Any = boto3.client("ec2", **own_account(host.home), config=config)
        self._first_image = host.images["sector"]
        self._known = known
        self._random = random.Random(seed)
        self._over = over
        self._instance_id = ""
        self._volumes: list[str] = []
        self._snapshots: list[str] = []
        self._images: list[str] = []

    def run(self) -> None:
        """Do one thing after the other."""
        deeds = [
            *(self._stop, self._start, self._reboot, self._tag, self._terminate),
            *(self._create_image, self._create_image, self._copy_image, self._deregister),
            *(self._create_snapshot, self._delete_snapshot),
            *(self._create_volume, self._attach, self._detach, self._delete_volume),
        ]
        while not self._over.is_set():
            try:
                self._random.choice(deeds)() if self._instance_id else self._launch()
            except ClientError:
                pass  # not in this state, or a program that it needed was killed
            except BotoCoreError:
                time.sleep(0.1)  # no server
            except Exception as err:  # noqa: BLE001 - the test shows it
                self._known.faults.append(err)
                return

    def _launch(self) -> None:
        image_id = self._random.choice([self._first_image, *self._images])
        token = f"{self._name}-{time.monotonic_ns()}"
        kills = self._known.kills
        launched = self._until_answered(
            lambda: self._ec2.run_instances(
                ImageId=image_id, InstanceType="t2.nano", MinCount=1, MaxCount=1, ClientToken=token
            )
        )
        if launched is not None:
            self._instance_id = launched["Instances"][0]["InstanceId"]
            self._is(kills, "running")

    def _until_answered(self, ask: Callable[[], Any]) -> Any:
        """Ask again, which a client token makes harmless, until there is an answer or no time any more."""
        while True:
            try:
                return ask()
            except BotoCoreError:
                if self._over.is_set():
                    return None
                time.sleep(0.1)

    def _change(self, operation: str, after: str, **more: Any) -> None:
        kills = self._known.kills
        self._known.instances[self._instance_id] |= {after}
        try:
            getattr(self._ec2, operation)(InstanceIds=[self._instance_id], **more)
        except ClientError:
            return  # refused; what its state is by now, is not known
        self._is(kills, after)

    def _is(self, kills: int, state: str) -> None:
        """Write down a state that was acknowledged; an instance whose machine was killed meanwhile may be stopped."""
        killed = kills != self._known.kills and state != "terminated"
        self._known.instances[self._instance_id] = {state, "running", "stopped"} if killed else {state}

    def _stop(self) -> None:
        self._change("stop_instances", "stopped", Force=self._random.random() < 1 / 2)

    def _start(self) -> None:
        self._change("start_instances", "running")

    def _reboot(self) -> None:
        self._ec2.reboot_instances(InstanceIds=[self._instance_id])

    def _terminate(self) -> None:
        self._change("terminate_instances", "terminated")
        self._instance_id = ""

    def _tag(self) -> None:
        value = str(self._random.random())
        self._known.tags.pop(self._instance_id, None)
        self._ec2.create_tags(Resources=[self._instance_id], Tags=[{"Key": "chaos", "Value": value}])
        self._known.tags[self._instance_id] = value

    def _create_image(self) -> None:
        if len(self._images) < MOST_IMAGES:
            name = f"{self._name} {time.monotonic_ns()}"
            no_reboot = self._random.random() < 1 / 2
            made = self._ec2.create_image(InstanceId=self._instance_id, Name=name, NoReboot=no_reboot)
            self._got(made["ImageId"], self._known.images, self._images)

    def _copy_image(self) -> None:
        if self._images:
            source = self._random.choice(self._images)
            name = f"copy {self._name} {time.monotonic_ns()}"
            made = self._ec2.copy_image(Name=name, SourceRegion="us-east-1", SourceImageId=source)
            self._got(made["ImageId"], self._known.images, self._images)

    def _deregister(self) -> None:
        self._delete("deregister_image", "ImageId", self._known.images, self._images, DeleteAssociatedSnapshots=True)

    def _create_snapshot(self) -> None:
        if self._volumes:
            made = self._ec2.create_snapshot(VolumeId=self._random.choice(self._volumes))
            self._got(made["SnapshotId"], self._known.snapshots, self._snapshots)

    def _delete_snapshot(self) -> None:
        self._delete("delete_snapshot", "SnapshotId", self._known.snapshots, self._snapshots)

    def _create_volume(self) -> None:
        if len(self._volumes) < MOST_VOLUMES:
            made = self._ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)
            self._got(made["VolumeId"], self._known.volumes, self._volumes)

    def _attach(self) -> None:
        if self._volumes:
            device = self._random.choice(["/dev/sdf", "/dev/sdg"])
            volume_id = self._random.choice(self._volumes)
            self._ec2.attach_volume(VolumeId=volume_id, InstanceId=self._instance_id, Device=device)

    def _detach(self) -> None:
        if self._volumes:
            self._ec2.detach_volume(VolumeId=self._random.choice(self._volumes), Force=True)

    def _delete_volume(self) -> None:
        self._delete("delete_volume", "VolumeId", self._known.volumes, self._volumes)

    def _got(self, resource_id: str, known: set[str], own: list[str]) -> None:
        known.add(resource_id)
        own.append(resource_id)

    def _delete(self, operation: str, parameter: str, known: set[str], own: list[str], **more: Any) -> None:
        """Delete one of ours; it is neither there for sure nor gone for sure when nobody answers."""
        if not own:
            return
        resource_id = self._random.choice(own)
        known.discard(resource_id)
        try:
            getattr(self._ec2, operation)(**{parameter: resource_id}, **more)
        except ClientError:
            known.add(resource_id)
            raise
        except BotoCoreError:
            own.remove(resource_id)
            raise
        own.remove(resource_id)
        self._known.deleted.add(resource_id)


class Killer:
    """Kills the server, machines, programs of networks, and all at once, and starts the server again.

    Args:
        host: Whose.
        known: What was acknowledged; a machine that is killed runs again, or is stopped.
        seed: Of its choices.
        over: Set when it is to end.
    """

    def __init__(self, host: Host, known: Acknowledged, seed: str, over: threading.Event) -> None:
        self._host = host
        self._known = known
        self._random = random.Random(seed)
        self._over = over

    def run(self) -> None:
        """Kill now and then."""
        deeds = [self._server, self._server, self._machine, self._network_program, self._network, self._everything]
        try:
            while not self._over.wait(self._random.uniform(0.5, 4)):
                self._random.choice(deeds)()
        except Exception as err:  # noqa: BLE001 - the test shows it
            self._known.faults.append(err)

    def _server(self) -> None:
        self._host.kill()
        time.sleep(self._random.uniform(0, 0.5))
        assert self._host.start(), "the server does not start"

    def _machine(self) -> None:
        machines = [pid for pid, line in self._programs() if "qemu-system" in line]
        if machines:
            self._kill(self._random.choice(machines))

    def _network_program(self) -> None:
        if programs := self._network_programs():
            self._kill(self._random.choice(programs))

    def _network(self) -> None:
        for pid in self._network_programs():
            self._kill(pid)

    def _everything(self) -> None:
        self._host.kill()
        for pid, line in self._programs():
            if "qemu-system" in line or any(mark in line for mark in NETWORK_PROGRAMS):
                self._kill(pid)
        assert self._host.start(), "the server does not start"

    def _network_programs(self) -> list[int]:
        return [pid for pid, line in self._programs() if any(mark in line for mark in NETWORK_PROGRAMS)]

    def _programs(self) -> Iterator[tuple[int, str]]:
        for pid in self._host.processes():
            try:
                yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended

    def _kill(self, pid: int) -> None:
        # An instance whose machine ends is recovered, some times a day, or stopped.
        self._known.kills += 1
        for instance_id, states in list(self._known.instances.items()):
            if states != {"terminated"}:
                self._known.instances[instance_id] = states | {"running", "stopped"}
        born = process.start_time(pid)
        if born is not None:
            os.kill(pid, signal.SIGKILL)
