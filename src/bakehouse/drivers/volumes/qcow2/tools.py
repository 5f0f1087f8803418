"""How the store calls qemu-img: its environment, its limits when a file is not to be trusted, its errors' names."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.ports.volumes import StorageFull

#: Messages are read for what they mean, so they must not be translated. One arena for all threads: glibc would reserve
#: 64 MiB of addresses for each of up to eight a core, and a conversion with its threads be over the limit below.
ENVIRONMENT: Final = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "MALLOC_ARENA_MAX": "1"}

#: What a parser of a hostile file may use, as OpenStack Nova and Cinder limit theirs: 1 GiB of addresses, 30 s of
#: processor time. Source: nova/privsep/qemu.py, QEMU_IMG_LIMITS; cinder/image/image_utils.py the same.
ADDRESS_SPACE_BYTES: Final = 1 << 30
INSPECTION_CPU_S: Final = 30

#: Last of all for the processor, and for a disk whose scheduler knows classes. Source: nice(1), ionice(1), class 3.
_PATIENT: Final = ("nice", "-n", "19", "ionice", "-c", "3")

_NO_SPACE_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_SPACE_MESSAGES: Final = tuple(os.strerror(number) for number in _NO_SPACE_ERRORS)


async def qemu_img(*arguments: str | Path, pass_fds: Sequence[int] = ()) -> None:
    """Run qemu-img on our own files.

    Raises:
        ProcessFailed: It says what is wrong.
    """
    await process.run(["qemu-img", *arguments], env=ENVIRONMENT, pass_fds=pass_fds)


def target_options(path: str, key_id: str) -> str:
    """Describe an encrypted file without a file below it, as qemu-img takes the target of a conversion."""
    name = path.replace(",", ",,")
    return f"driver=qcow2,file.driver=file,file.filename={name},encrypt.format=luks,encrypt.key-secret={key_id}"


async def patient_qemu_img(
    *arguments: str | Path, cwd: Path, check: bool = True, pass_fds: Sequence[int] = ()
) -> process.Completed:
    """Run qemu-img on our own files in the background: it gets what guests leave of processors and disks.

    Raises:
        ProcessFailed: It says what is wrong, and `check` is set.
    """
    return await process.run(
        [*_PATIENT, "qemu-img", *arguments], env=ENVIRONMENT, cwd=cwd, check=check, pass_fds=pass_fds
    )


async def confined_qemu_img(
    *arguments: str | Path,
    owner: tuple[int, int] | None,
    cpu_s: int | None = INSPECTION_CPU_S,
    on_line: Callable[[str], None] = lambda _: None,
) -> process.Completed:
    """Run qemu-img on a file from outside: limited in memory and time and, when we are root, as another user.

    Returns:
        How it ended, whatever the status; of its output only the end, so that a file cannot make it fill memory.
    """
    return await process.stream(
        [*_confinement(owner, cpu_s), "qemu-img", *arguments], on_line=on_line, env=ENVIRONMENT, check=False
    )


def _confinement(owner: tuple[int, int] | None, cpu_s: int | None) -> list[str]:
    drop = ["--no-new-privs"]
    if owner is not None:
        uid, gid = owner
        drop += [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    limits = [f"--as={ADDRESS_SPACE_BYTES}", "--core=0"]
    if cpu_s is not None:
        limits.append(f"--cpu={cpu_s}")
    return ["setpriv", *drop, "prlimit", *limits]


@contextmanager
def full_disk_named() -> Iterator[None]:
    """Turn every way in which the system says that a disk is full into the port's own exception."""
    try:
        yield
    except OSError as err:
        if err.errno not in _NO_SPACE_ERRORS:
            raise
        raise StorageFull(f"the disk is full: {err.strerror}") from err
    except process.ProcessFailed as err:
        if not says_no_space(err.stderr):
            raise
        raise StorageFull("the disk is full") from err


def says_no_space(output: str) -> bool:
    """Tell whether a tool failed because the disk is full."""
    return any(message in output for message in _NO_SPACE_MESSAGES)


def require_space(directory: Path, *, needed_bytes: int, reserve_bytes: int) -> None:
    """Refuse work that would leave less than the reserve free: manifests must be writable to the last.

    Raises:
        StorageFull: The message says how much is free, needed and reserved.
    """
    room = os.statvfs(directory)
    free_bytes = room.f_bavail * room.f_frsize
    if free_bytes < needed_bytes + reserve_bytes:
        raise StorageFull(
            f"{in_mib(free_bytes)} are free; {in_mib(needed_bytes)} are needed and {in_mib(reserve_bytes)} stay free"
        )


def in_mib(size_bytes: int) -> str:
    """Write a size for people."""
    return f"{size_bytes / (1 << 20):.1f} MiB"


def last_line(done: process.Completed, forget: Sequence[str] = ()) -> str:
    """Return the last line that a tool wrote, without the given strings: what it complains about."""
    lines = done.text.strip().splitlines()
    line = lines[-1].strip() if lines else f"status {done.returncode}"
    for text in ("qemu-img: ", *forget):
        line = line.replace(text, "")
    return line
