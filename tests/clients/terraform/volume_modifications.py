"""The wait that instances and volumes share."""

from tests.clients.terraform.provider import Ec2, only
from tests.clients.terraform.waiters import wait_for


def wait_until_modified(ec2: Ec2, volume_id: str) -> None:
    """Wait until a changed volume can be used, at full speed or not: waitVolumeModificationComplete."""

    def state() -> str:
        found = only(ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"])
        return "completed" if found["ModificationState"] == "optimizing" else str(found["ModificationState"])

    wait_for(state, "completed", "modifying")
