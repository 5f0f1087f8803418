"""The folder of a server."""

import os
from pathlib import Path


def prepare_home(home: Path) -> None:
    """Make the home. As root others may pass through it, to the disks of machines, and list nothing."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
