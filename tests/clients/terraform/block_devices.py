"""Block devices, as images and instances have them: the attributes of a block, and EC2's members."""

from typing import Final

EBS_MEMBERS: Final = {
    "encrypted": "Encrypted",
    "iops": "Iops",
    "snapshot_id": "SnapshotId",
    "throughput": "Throughput",
    "volume_size": "VolumeSize",
    "volume_type": "VolumeType",
}
