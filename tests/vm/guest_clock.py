"""How long a guest stood still: the longest gap between the times that it writes, in a window of the host's time.

The guest writes its kernel's clock some thousand times a second. An emulated guest shares its processors with
everything else on the host, so only the window that matters is looked at, and by comparison with others.
"""

import subprocess
import time
from collections.abc import Callable
from itertools import pairwise

from tests.vm.guest import Guest, wait_for

#: One reading of the kernel's clock in nanoseconds, by a shell's own words: no program is started.
_READ = "{ read -r _; read -r _; read -r _ _ now _; } < /proc/timer_list"
_WRITE = f"""
n=0
while [ $n -lt 4000 ]; do
  {_READ}
  echo "$now"
  n=$((n + 1))
done > /root/stamps
mv /root/stamps /root/stamps.whole
"""
_ANSWER = f'while read -r _; do {_READ}; echo "$now"; done'
_PINGS = 20


def longest_gap_ms(guest: Guest, meanwhile: Callable[[], object]) -> float:
    """Do something while the guest writes the time; return the longest gap that overlaps with it."""
    guest.run(f"rm -f /root/stamps*; setsid sh -c '{_WRITE}' < /dev/null > /dev/null 2>&1 &")
    begin = time.monotonic()
    meanwhile()
    end = time.monotonic()
    wait_for(
        lambda: guest.try_to_run("test -e /root/stamps.whole").returncode == 0,
        "all times are written",
        timeout_s=60,
        poll_s=0.5,
    )
    stamps = [int(line) / 1e9 for line in guest.run("cat /root/stamps.whole").split()]
    offset, error = _clock_offset(guest)
    first, last = begin + offset - error, end + offset + error
    assert stamps[0] < last < stamps[-1], "the guest did not write all the while"
    return max(after - before for before, after in pairwise(stamps) if after > first and before < last) * 1000


def _clock_offset(guest: Guest) -> tuple[float, float]:
    """Return the guest's clock minus ours in seconds, and by how much that may be wrong. The quickest answer counts."""
    best = (0.0, float("inf"))
    with subprocess.Popen(
        guest.ssh_command(_ANSWER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        for _ in range(_PINGS):
            begin = time.monotonic()
            asked.stdin.write("\n")
            said = int(asked.stdout.readline()) / 1e9
            end = time.monotonic()
            best = min(best, (said - (begin + end) / 2, (end - begin) / 2), key=lambda it: it[1])
    return best
