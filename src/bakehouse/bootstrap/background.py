"""A server in the background, begun without importing what it is made of: `bakehouse up` waits for it anyhow."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bakehouse.bootstrap.home import prepare_home
from bakehouse.drivers.process import spawn_detached


async def start_in_background(home: Path, arguments: Sequence[str]) -> int:
    """Start `bakehouse serve` so that it outlives the caller, with its log in the home; return its pid."""
    prepare_home(home)
    argv = [sys.executable, "-m", "bakehouse", "serve", f"--home={home}", *arguments]
    return await spawn_detached(argv, log=home / "serve.log")
