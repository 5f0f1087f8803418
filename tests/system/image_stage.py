"""A server on which accounts share images: what they get is told as the code of a refusal, or none."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from tests.server import RunningServer, server
from tests.system.image_permission_rules import DONE
from tests.system.sharing import Clock

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

NAMES = ("alice", "bob", "carol")

#: Numbers the runs, whose accounts are new ones.
RUNS = count()


def answer_of(ask: Callable[..., Any], **members: Any) -> str:
    """Return the code of a refusal, or what stands for none."""
    try:
        ask(**members)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return DONE


def launch(ec2: "EC2Client", image_id: str) -> str:
    """Launch an instance and terminate it; return the code of a refusal."""
    try:
        launched = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)
    except ClientError as error:
        return error.response["Error"]["Code"]
    ec2.terminate_instances(InstanceIds=[launched["Instances"][0]["InstanceId"]])
    return DONE


class Stage:
    """A server for all runs of the machine, which have accounts of their own, and a clock that only goes forward."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.running: RunningServer = self._stack.enter_context(server(folder / "home"))
        self.clock = Clock(self.running)
        self.disk = folder / "disk.raw"
        self.disk.write_bytes(bytes(1024**2))

    def close(self) -> None:
        self._stack.close()
