"""The demo: bakes an image, installs an application on an instance, images the instance, and launches the result.

Every step checks what it claims. Run by `script/demo`, which sees to the packages first.
"""

import argparse
import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.config
from demo_guest import Guest, wait
from rich.console import Console
from rich.table import Table

from bakehouse.cli.home import control

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.literals import InstanceTypeType

HERE: Final = Path(__file__).resolve().parent
DIRECTORY: Final = HERE.parent / "examples" / "employee-directory"
BAKEHOUSE: Final = [sys.executable, "-m", "bakehouse"]
NAME: Final = "bakehouse-demo"
EMPLOYEE: Final = {"name": "Ada Lovelace", "job_title": "Analyst", "location": "London", "email": "ada@example.com"}

#: An instance has its full system up in about a minute under emulation on two cores; this is for worse days.
BOOT_DEADLINE_S: Final = 600
SSH_DEADLINE_S: Final = 300

#: Architecture -> the smallest type that carries a full system.
INSTANCE_TYPES: "Final[dict[str, InstanceTypeType]]" = {
    "x86_64": "t2.micro",
    "i386": "t2.micro",
    "arm64": "t4g.micro",
}

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Demo:
    """What was done so far."""

    home: Path
    quick: bool
    architecture: str = "x86_64"
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    instance_ids: list[str] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)

    @property
    def recipe(self) -> str:
        """The image that the demo bakes."""
        return "minimal" if self.quick else "debian-12"

    @property
    def instance_type(self) -> "InstanceTypeType":
        """What the demo's instances are."""
        return INSTANCE_TYPES[self.architecture]

    def check(self, claim: str, holds: bool) -> None:  # noqa: FBT001 - a check is a claim and whether it holds
        """Count a claim and say whether it holds."""
        if holds:
            self.passed += 1
            console.print(f"   [green]✓[/] {claim}")
        else:
            self.failures.append(claim)
            console.print(f"   [bold red]✗ {claim}[/]")

    def step(self, words: str, do: Callable[[], Any]) -> Any:
        """Do one step of the story and take its time."""
        console.print(f"[bold]{words}[/]")
        begin = time.monotonic()
        result = do()
        self.steps.append((words, time.monotonic() - begin))
        return result

    def bakehouse(self, *arguments: str, quiet: bool = False) -> str:
        """Run a command of Bakehouse and return what it printed."""
        argv = [*BAKEHOUSE, *arguments, "--home", str(self.home)]
        done = subprocess.run(
            argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True
        )
        if done.returncode != 0:
            raise DemoStopped(f"`{' '.join(arguments)}` failed" + (f": {done.stderr.strip()}" if quiet else ""))
        return done.stdout.strip()


class DemoStopped(Exception):
    """The story cannot go on. The text says why."""


def main() -> int:
    """Tell the story, or clear up after it."""
    arguments = _arguments()
    demo = Demo(home=arguments.home.absolute(), quick=arguments.quick, architecture=arguments.arch)
    if arguments.clean:
        return clean(demo)
    try:
        tell(demo)
    except DemoStopped as err:
        demo.check(str(err), holds=False)
    except Exception:  # noqa: BLE001 - the last line and the exit status must say it, whatever it was
        console.print_exception()
        demo.check("the story was told to its end", holds=False)
    table = Table("step", "seconds", box=None, header_style="bold")
    for words, seconds in demo.steps:
        table.add_row(words, f"{seconds:.1f}")
    console.print()
    console.print(table)
    if arguments.no_keep:
        clean(demo)
    else:
        say_how_to_go_on(demo)
    print(f"demo: {demo.passed} checks passed, {len(demo.failures)} failed")
    return 1 if demo.failures else 0


def tell(demo: Demo) -> None:
    """Do everything, in order."""
    client_of = _load("client")
    demo.step("Start Bakehouse", lambda: start(demo))
    ec2 = ec2_client(demo)
    image_id = demo.step(f"Bake the {demo.recipe} image for {demo.architecture}", lambda: bake(demo, ec2))
    group_id = demo.step("Make a key pair and a security group", lambda: prepare(demo, ec2))
    first = demo.step("Launch an instance", lambda: launch(demo, ec2, image_id, group_id))
    demo.step("Connect by SSH", lambda: connect(demo, first))
    demo.step("Add an employee through the web form", lambda: add_employee(demo, client_of, first))
    console.print(f"   open it in a browser: [bold]{first.url}[/]")
    copy_id = demo.step("Image the running instance", lambda: image_running(demo, ec2, first))
    twins = demo.step("Launch two more from that image", lambda: launch_twins(demo, ec2, copy_id, group_id))
    demo.step("Compare the three", lambda: compare(demo, client_of, [first, *twins]))
    for guest in twins:
        console.print(f"   open it in a browser: [bold]{guest.url}[/]")


def start(demo: Demo) -> dict[str, Any]:
    """Start the server and say what it runs machines with."""
    demo.bakehouse("up", "--port", str(_free_port(demo)))
    with control(demo.home) as server:
        status: dict[str, Any] = server.get("/status")
    hypervisor = status["hypervisor"]
    demo.check(
        f"the accelerator was proved: {hypervisor['accelerator']}",
        holds=hypervisor["accelerator"] in ("kvm", "tcg") and not status["simulated"],
    )
    return status


def ec2_client(demo: Demo) -> "EC2Client":
    """Return an unmodified boto3 client, pointed here by what `bakehouse env` says."""
    os.environ.update(json.loads(demo.bakehouse("env", "--json")))
    return boto3.client("ec2", config=botocore.config.Config(read_timeout=300, retries={"max_attempts": 0}))


def bake(demo: Demo, ec2: "EC2Client") -> str:
    """Build the image, or find it built."""
    image_id = demo.bakehouse("image", "build", demo.recipe, "--arch", demo.architecture)
    image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
    demo.check(f"{image_id} is available: {image['Name']}", holds=image["State"] == "available")
    demo.check(f"it is for {demo.architecture}", holds=image["Architecture"] == demo.architecture)
    return image_id


def prepare(demo: Demo, ec2: "EC2Client") -> str:
    """Make a key pair whose private half only this user can read, and a group open on 22 and 80."""
    key_file = _key_file(demo)
    ec2.delete_key_pair(KeyName=NAME)
    pair = ec2.create_key_pair(KeyName=NAME, KeyType="ed25519")
    key_file.parent.mkdir(mode=0o700, exist_ok=True)
    key_file.unlink(missing_ok=True)
    key_file.touch(mode=0o600)
    key_file.write_text(pair["KeyMaterial"] + "\n")
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [NAME]}])["SecurityGroups"]
    if not found:
        group_id = ec2.create_security_group(GroupName=NAME, Description="SSH and HTTP from everywhere")["GroupId"]
        for port in (22, 80):
            ec2.authorize_security_group_ingress(
                GroupId=group_id, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
            )
        found = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    ports = sorted(rule["FromPort"] for rule in found[0]["IpPermissions"])
    demo.check(f"{found[0]['GroupId']} lets in TCP ports {ports}", holds=ports == [22, 80])
    return found[0]["GroupId"]


def launch(demo: Demo, ec2: "EC2Client", image_id: str, group_id: str) -> Guest:
    """Launch the first instance with the user data that installs the application."""
    user_data = _load("user_data")
    script = user_data.minimal() if demo.quick else user_data.full()
    answer = ec2.run_instances(
        ImageId=image_id,
        InstanceType=demo.instance_type,
        MinCount=1,
        MaxCount=1,
        KeyName=NAME,
        SecurityGroupIds=[group_id],
        UserData=script,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": f"{NAME}-1"}]}],
    )
    instance_id = answer["Instances"][0]["InstanceId"]
    begin = time.monotonic()
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id])
    waited = time.monotonic() - begin
    demo.check(f"{instance_id} is running at the waiter's first poll", holds=waited < 5)
    guest = guest_of(demo, ec2, instance_id)
    demo.check("it answers on its SSH port", holds=wait(guest.host_key, deadline_s=BOOT_DEADLINE_S))
    return guest


def connect(demo: Demo, guest: Guest) -> None:
    """Log in with the key, and see that the guest knows who it is."""
    wait(lambda patience: guest.ssh("true", patience) is not None, deadline_s=SSH_DEADLINE_S)
    name = guest.ssh("hostname")
    demo.check(f"SSH with the key works; the host name is {name}", holds=bool(name))
    console.print(f"   {guest.ssh_words}")


def add_employee(demo: Demo, client: ModuleType, guest: Guest) -> None:
    """Wait for the application, fill in its form, and read the list back."""
    client.wait_until_healthy(guest.url, BOOT_DEADLINE_S)
    demo.check(f"the application answers at {guest.url}", holds=True)
    client.add_employee(guest.url, **EMPLOYEE, photo=_picture())
    names = [employee["name"] for employee in client.employees(guest.url)]
    demo.check(f"{EMPLOYEE['name']} is in the directory", holds=EMPLOYEE["name"] in names)


def image_running(demo: Demo, ec2: "EC2Client", guest: Guest) -> str:
    """Make an image of the instance while it runs."""
    name = f"{NAME}-{int(time.time())}"
    begin = time.monotonic()
    image_id = ec2.create_image(InstanceId=guest.instance_id, Name=name, NoReboot=True)["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id])
    seconds = time.monotonic() - begin
    demo.check(f"{image_id} was available {seconds:.2f} s after the call", holds=seconds < 1)
    state = ec2.describe_instances(InstanceIds=[guest.instance_id])["Reservations"][0]["Instances"][0]["State"]["Name"]
    demo.check(f"{guest.instance_id} went on running", holds=state == "running")
    return image_id


def launch_twins(demo: Demo, ec2: "EC2Client", image_id: str, group_id: str) -> list[Guest]:
    """Launch two instances at once, without user data: what they serve comes from the image."""
    answer = ec2.run_instances(
        ImageId=image_id,
        InstanceType=demo.instance_type,
        MinCount=2,
        MaxCount=2,
        KeyName=NAME,
        SecurityGroupIds=[group_id],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": f"{NAME}-twin"}]}],
    )
    ids = [instance["InstanceId"] for instance in answer["Instances"]]
    ec2.get_waiter("instance_running").wait(InstanceIds=ids)
    demo.check(f"{' and '.join(ids)} are running", holds=True)
    return [guest_of(demo, ec2, instance_id) for instance_id in ids]


def compare(demo: Demo, client: ModuleType, guests: list[Guest]) -> None:
    """See that all serve the same directory, and that each is somebody else."""
    for guest in guests:
        client.wait_until_healthy(guest.url, BOOT_DEADLINE_S)
        names = [employee["name"] for employee in client.employees(guest.url)]
        demo.check(f"{guest.instance_id} serves {EMPLOYEE['name']}", holds=EMPLOYEE["name"] in names)
        wait(lambda patience, guest=guest: guest.ssh("true", patience) is not None, deadline_s=SSH_DEADLINE_S)
    shown = [(client.instance(guest.url) or {}).get("instance_id") for guest in guests]
    demo.check("each page shows its own instance id", holds=shown == [guest.instance_id for guest in guests])
    host_names = [guest.ssh("hostname") for guest in guests]
    demo.check(f"each has its own host name: {', '.join(map(str, host_names))}", holds=_all_differ(host_names))
    host_keys = [guest.host_key() for guest in guests]
    demo.check("each has its own SSH host key", holds=_all_differ(host_keys))
    demo.check("each has its own private address", holds=_all_differ([guest.private_ip for guest in guests]))
    demo.check("each has its own public address", holds=_all_differ([guest.public_ip for guest in guests]))


def say_how_to_go_on(demo: Demo) -> None:
    """Name the commands to look around and to clear up."""
    bakehouse = "bakehouse" if shutil.which("bakehouse") else ".venv/bin/bakehouse"
    aws = "aws" if shutil.which("aws") else ".venv/bin/aws"
    here = "" if demo.home == _default_home() else f" --home {demo.home}"
    instance_id = demo.instance_ids[-1] if demo.instance_ids else "i-..."
    console.print(
        f"""
[bold]Look around[/]
  export BAKEHOUSE_HOME={demo.home}
  {bakehouse} configure    # writes the AWS profile `bakehouse`, if you agree
  {aws} --profile bakehouse ec2 describe-images --owners self
  {aws} --profile bakehouse ec2 describe-instances
  {bakehouse} ssh {instance_id} -i {_key_file(demo)}
  {bakehouse} console {instance_id}
[bold]Stop and remove[/]
  {bakehouse} down         # stops everything; `up` brings it back
  script/demo --clean{here}
"""
    )


def clean(demo: Demo) -> int:
    """Stop the demo's server and machines and remove its home. Built images stay in the cache, for the next time."""
    if demo.home.exists():
        demo.bakehouse("down", quiet=True)
        shutil.rmtree(demo.home)
    console.print(f"removed {demo.home}")
    return 0


def guest_of(demo: Demo, ec2: "EC2Client", instance_id: str) -> Guest:
    """Return where an instance is reached."""
    instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    demo.instance_ids.append(instance_id)
    with control(demo.home) as server:
        ssh, http = (server.get(f"/instances/{instance_id}/reach/{port}") for port in (22, 80))
    return Guest(
        instance_id=instance_id,
        public_ip=instance["PublicIpAddress"],
        private_ip=instance["PrivateIpAddress"],
        ssh_port=ssh["host_port"],
        http_port=http["host_port"],
        user="ec2-user" if demo.quick else "admin",
        key_file=_key_file(demo),
    )


def _key_file(demo: Demo) -> Path:
    return demo.home / "keys" / f"{NAME}.pem"


def _all_differ(values: list[Any]) -> bool:
    return all(values) and len(set(values)) == len(values)


def _picture() -> bytes:
    """Return a small PNG: a square in the colour of crust."""
    size = 64
    rows = b"".join(b"\0" + bytes((196, 134, 62)) * size for _ in range(size))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _load(name: str) -> ModuleType:
    """Import a module of the example, which is not a package."""
    spec = importlib.util.spec_from_file_location(f"employee_directory_{name}", DIRECTORY / f"{name}.py")
    if spec is None or spec.loader is None:
        raise DemoStopped(f"there is no {DIRECTORY / name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _free_port(demo: Demo) -> int:
    """Return the port the home has had before, else the usual one if nobody listens there, else any."""
    settings = demo.home / "settings.json"
    if settings.exists():
        port: int = json.loads(settings.read_text())["port"]
        return port
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", 8773)) == 0 else 8773


def _default_home() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/bakehouse-demo")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "bakehouse-demo"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="use the minimal image")
    parser.add_argument("--arch", choices=INSTANCE_TYPES, default="x86_64", help="what the machines are")
    parser.add_argument("--no-keep", action="store_true", help="stop and remove everything at the end")
    parser.add_argument("--clean", action="store_true", help="stop and remove what an earlier demo left")
    parser.add_argument("--home", type=Path, default=_default_home(), help="where the demo's server keeps its things")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
