"""How fast a volume may be at most."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedLimits:
    """What somebody asked for, and so is enforced. None: as fast as the host is, whatever figure the volume shows."""

    iops: int | None = None
    """Reads and writes a second."""
    throughput_mibps: int | None = None
    """MiB/s of both together."""
