"""What becomes of memory that a long answer took."""

import platform
import subprocess
import sys

import pytest

#: Makes blocks of 5 MB in pairs, as a text and its bytes, and prints how many fresh pages ten pairs more took.
_PAIRS = """
import resource
{begin}
def fresh_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def make_pair():
    text = "x" * 5_000_000
    text.encode()
make_pair()
make_pair()
before = fresh_pages()
for _ in range(10):
    make_pair()
print(fresh_pages() - before)
"""


def _fresh_pages(begin: str) -> int:
    return int(
        subprocess.run([sys.executable, "-c", _PAIRS.format(begin=begin)], capture_output=True, check=True).stdout
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")
def test_a_long_answer_takes_the_memory_of_the_one_before() -> None:
    kept = _fresh_pages("from bakehouse.bootstrap.allocator import keep_freed_memory; keep_freed_memory()")

    assert kept < _fresh_pages("") / 10
