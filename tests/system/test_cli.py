"""The command line against a server that `bakehouse up` started."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.commands import Run, bakehouse
from tests.home_account import own_account
from typer.testing import CliRunner

from bakehouse.cli.main import app
from bakehouse.cli.terminal import CommandFailed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a simulating server that runs in the background."""
    # Longer than the address of a Unix socket may be.
    home = tmp_path_factory.mktemp("home") / ("a" * 100) / "home"
    started = bakehouse(home, "up", "--simulate", "--port", "0")
    assert started.returncode == 0, started.stderr
    yield home
    stopped = bakehouse(home, "down")
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs commands with the server in the background."""
    return Run(home, monkeypatch)


def client(home: Path) -> Any:
    return boto3.client("ec2", **own_account(home))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(2**20)
    return path


def test_up_says_what_runs_and_finds_it_running_the_second_time(run: Run) -> None:
    again = run("up")

    assert again.exception is None
    assert again.stdout == ""
    assert "answers at http://127.0.0.1:" in again.stderr
    assert "simulated" in again.stderr


def test_up_names_the_options_that_wait_for_the_next_start(run: Run) -> None:
    again = run("up", "--region", "eu-west-1", "--simulate", "--port", "0")

    assert "it ran already, without `--region`: first `bakehouse down`" in again.stderr


def test_up_is_content_with_the_options_that_a_server_has(run: Run) -> None:
    port = run.json("status")["endpoint_url"].rpartition(":")[2]

    assert "already" not in run("up", "--simulate", "--port", port).stderr


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("launch", "ami-0123456789abcdef0"), "`bakehouse image list`"),
        (("launch", "no such image"), "`bakehouse image list`"),
        (("launch", "debian-12"), "`bakehouse image build debian-12`"),
        (("console", "i-0123456789abcdef0"), "`aws ec2 describe-instances`"),
        (("ssh", "i-0123456789abcdef0"), "`aws ec2 describe-instances`"),
        (("image", "build", "debian-1"), "`bakehouse image catalog`"),
        (("image", "export", "ami-0123456789abcdef0", "/no such folder/disk"), "`bakehouse image list`"),
        (("image", "import", "/no such file", "--name", "none"), "name a file"),
        (("storage", "flatten", "vol-0123456789abcdef0"), "`aws ec2 describe-volumes`"),
    ],
)
def test_what_is_not_there_is_refused_with_the_next_step(run: Run, arguments: tuple[str, ...], step: str) -> None:
    assert step in run.failure(*arguments).hint


def test_the_next_step_is_with_the_home_that_was_named(tmp_path: Path, run: Run) -> None:
    home = tmp_path / "another home"

    assert run.failure("status", "--home", str(home)).hint == f"start one: `bakehouse up --home '{home}'`"


def test_a_server_that_ended_is_said_by_its_home(tmp_path: Path, run: Run) -> None:
    """The API of one that ran once is at an address where nobody answers now."""
    credentials = json.loads((run.home / "credentials.json").read_text())
    (tmp_path / "credentials.json").write_text(json.dumps(credentials | {"endpoint_url": "http://127.0.0.1:1"}))

    assert f"no server runs with `{tmp_path}`" in run.failure("image", "list", "--home", str(tmp_path)).message


def test_a_second_server_with_the_same_home_is_refused(run: Run) -> None:
    failure = run.failure("serve", "--simulate", "--port", "0")

    assert "another server runs with" in failure.message
    assert "`bakehouse down`" in failure.hint


def test_status_tells_what_runs(run: Run) -> None:
    status = run.json("status")

    assert status["simulated"] is True
    assert status["home"] == str(run.home)
    assert status["unfinished_sagas"] == []
    assert f"endpoint        {status['endpoint_url']}" in run.data("status")


def test_env_points_any_client_here(run: Run) -> None:
    lines = dict(line.removeprefix("export ").split("=", 1) for line in run.data("env").splitlines())

    assert lines == json.loads(run.data("env", "--json"))
    ec2 = boto3.client(
        "ec2",
        endpoint_url=lines["AWS_ENDPOINT_URL"],
        region_name=lines["AWS_DEFAULT_REGION"],
        aws_access_key_id=lines["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=lines["AWS_SECRET_ACCESS_KEY"],
    )
    assert len(ec2.describe_vpcs()["Vpcs"]) == 1


def test_env_is_what_a_shell_reads(home: Path) -> None:
    command = f'eval "$({sys.executable} -m bakehouse env --home {home})" && printf %s "$AWS_ACCESS_KEY_ID"'
    key_id = json.loads((home / "credentials.json").read_text())["access_key_id"]

    assert subprocess.check_output(["/bin/sh", "-c", command], text=True) == key_id


def test_configure_writes_a_profile_that_boto3_reads(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")

    run.data("configure", "--yes")

    session = boto3.Session(profile_name="bakehouse")
    assert len(session.client("ec2").describe_vpcs()["Vpcs"]) == 1
    assert (tmp_path / "config").read_text().startswith("[default]\nregion = eu-west-1\n")


def test_configure_asks_first(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    result = CliRunner().invoke(app, ["configure", "--home", str(home)], input="n\n")

    assert result.exit_code == 1
    assert not (tmp_path / "config").exists()


def test_an_account_is_made_and_listed_with_a_key_that_works(run: Run, tmp_path: Path) -> None:
    (made,) = run.json("account", "create", str(tmp_path))
    listed = {account["account_id"]: account["name"] for account in run.json("account", "list")}

    assert listed[made["account_id"]] == str(tmp_path)
    (key,) = made["access_keys"]
    assert key["secret_access_key"] in run.data("account", "list")
    sts = boto3.client(
        "sts",
        endpoint_url=json.loads((run.home / "credentials.json").read_text())["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )
    assert sts.get_caller_identity()["Account"] == made["account_id"]


def test_a_second_account_of_a_name_is_refused_and_the_first_one_named(run: Run, tmp_path: Path) -> None:
    name = str(tmp_path)  # another one at a second try of the test
    (made,) = run.json("account", "create", name)

    refusal = run.failure("account", "create", f" {name}")

    assert made["account_id"] in refusal.message
    assert "`bakehouse account list`" in refusal.message
    assert [it["name"] for it in run.json("account", "list")].count(name) == 1


def test_an_account_needs_a_name(run: Run) -> None:
    assert "name" in run.failure("account", "create", " ").message


def test_an_image_is_imported_listed_and_launched_by_its_name(run: Run, disk: Path) -> None:
    parameter = "/aws/service/test/disk"
    image_id = run.data("image", "import", str(disk), "--name", "disk", "--parameter", parameter).strip()
    listed = {image["image_id"]: image["name"] for image in run.json("image", "list")}
    instance_ids = run.data("launch", "disk", "--count", "2", "--name", "web", "--open", "80").split()

    assert listed[image_id] == "disk"
    assert image_id in run.data("image", "list")
    ec2 = client(run.home)
    assert ec2.describe_images(ImageIds=[image_id])["Images"][0]["PublicSsmParameterName"] == parameter
    (reservation,) = ec2.describe_instances(InstanceIds=instance_ids)["Reservations"]
    assert {instance["ImageId"] for instance in reservation["Instances"]} == {image_id}
    assert reservation["Instances"][0]["Tags"] == [{"Key": "Name", "Value": "web"}]
    key = run.home / "keys" / "bakehouse.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    (group,) = ec2.describe_security_groups(GroupNames=["bakehouse"])["SecurityGroups"]
    assert [entry["FromPort"] for entry in group["IpPermissions"]] == [22, 80]
    assert "fake" in run.data("console", instance_ids[0]) or run.data("console", instance_ids[0]) != ""


def test_a_spot_instance_is_interrupted_when_its_guest_was_told(run: Run, disk: Path) -> None:
    image_id = run.data("image", "import", str(disk), "--name", "for spot").strip()
    ways: list[list[str]] = [["--spot"], ["--spot"], []]
    spot_id, kept_id, other_id = (run.data("launch", image_id, *options).strip() for options in ways)
    ec2 = client(run.home)

    begin = datetime.now(UTC)
    told = datetime.fromisoformat(run.data("spot", "interrupt", kept_id).strip())
    run.data("spot", "interrupt", spot_id, "--in", "0")

    assert timedelta(seconds=118) < told - begin < timedelta(minutes=10)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[spot_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert "is not a running Spot Instance" in str(run.failure("spot", "interrupt", other_id))


def test_an_event_is_scheduled_and_canceled(run: Run, disk: Path) -> None:
    image_id = run.data("image", "import", str(disk), "--name", "for events").strip()
    instance_id = run.data("launch", image_id).strip()

    event_id = run.data("event", "schedule", instance_id, "system-reboot", "--in", "7200").strip()
    assert event_id.startswith("instance-event-")

    assert run("event", "cancel", instance_id, event_id).exception is None
    again = run("event", "cancel", instance_id, event_id)
    assert isinstance(again.exception, CommandFailed)


@pytest.mark.parametrize("file_format", ["qcow2", "raw", "vhd", "vmdk"])
def test_an_exported_image_can_be_imported_again(run: Run, disk: Path, tmp_path: Path, file_format: str) -> None:
    image_id = run.data("image", "import", str(disk), "--name", f"to be {file_format}").strip()
    file = tmp_path / "exported"

    exported = run.json("image", "export", image_id, str(file), "--format", file_format)

    assert exported == {"image_id": image_id, "path": str(file), "format": file_format, "bytes": file.stat().st_size}
    assert run.data("image", "import", str(file), "--name", f"was {file_format}").startswith("ami-")


def test_an_export_that_fails_leaves_no_file(run: Run, tmp_path: Path) -> None:
    failure = run.failure("image", "export", "ami-0123456789abcdef0", str(tmp_path / "file"))

    assert "InvalidAMIID.NotFound" in failure.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image", "import", "/nowhere", "--name", "x"], "there is no file `/nowhere`"),
        (["launch", "nothing"], "there is no image `nothing`"),
        (["launch", "ami-0123456789abcdef0"], "InvalidAMIID.NotFound"),
        (["console", "i-0123456789abcdef0"], "does not exist"),
        (["ssh", "i-0123456789abcdef0"], "InvalidInstanceID.NotFound"),
    ],
)
def test_a_command_that_cannot_do_its_work_says_why(run: Run, arguments: list[str], message: str) -> None:
    assert message in run.failure(*arguments).message


def test_a_wrong_checksum_is_refused_before_anything_is_sent(run: Run, disk: Path) -> None:
    failure = run.failure("image", "import", str(disk), "--name", "x", "--checksum", "sha256:" + "0" * 64)

    assert "not 0000" in failure.message


def test_a_name_that_an_image_has_is_refused(run: Run, disk: Path) -> None:
    run.data("image", "import", str(disk), "--name", "twice")

    assert "InvalidAMIName.Duplicate" in run.failure("image", "import", str(disk), "--name", "twice").message


def test_the_log_is_shown(run: Run) -> None:
    assert "Bakehouse" in run.data("logs")


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_port_that_is_taken_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    port = json.loads((home / "credentials.json").read_text())["endpoint_url"].rpartition(":")[2]

    failure = Run(tmp_path / "home", monkeypatch).failure(command, "--simulate", "--port", port)

    assert f"cannot serve on port {port}" in failure.message


def test_a_server_that_was_stopped_comes_back_with_everything(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    run = Run(home, monkeypatch)
    run.data("up", "--simulate", "--port", "0", "--region", "eu-west-1")
    image_id = run.data("image", "import", str(disk), "--name", "disk").strip()
    instance_id = run.data("launch", image_id).strip()
    run.data("down")
    assert not (home / "control.sock").exists()

    run.data("up")
    try:
        (reservation,) = client(home).describe_instances()["Reservations"]
        status = run.json("status")
    finally:
        run.data("down")

    assert reservation["Instances"][0]["InstanceId"] == instance_id
    assert (status["region"], status["simulated"], status["images"]) == ("eu-west-1", True, 1)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["env"]])
def test_a_quick_command_loads_nothing_that_it_does_not_use(home: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom bakehouse.__main__ import main\nsys.argv[1:] = " + repr([*arguments]) + "\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nfinally:\n    print(sorted(sys.modules), file=sys.stderr)\n"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"BAKEHOUSE_HOME": str(home)}, stderr=subprocess.PIPE, check=True
    ).stderr.decode()

    heavy = ["alembic", "asyncio", "bakehouse.bootstrap", "botocore", "cryptography", "httpx", "pyroute2", "sqlalchemy"]
    assert [name for name in (*heavy, "starlette", "uvicorn") if f"'{name}'" in loaded] == []


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--account", "1", "There is no account `1`"), ("--region", "mars-1", "There is no region `mars-1`")],
)
@pytest.mark.parametrize("command", ["create", "list"])
def test_a_key_is_of_an_account_and_a_region_that_are_there(
    run: Run, command: str, option: str, value: str, message: str
) -> None:
    assert message in run.failure("key", command, option, value).message
