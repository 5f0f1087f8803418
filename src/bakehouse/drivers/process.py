"""Starting programs: the only module that does, so that how it is done has one place.

Two kinds. A *tool* (`run`, `stream`) is started, awaited and gone: it dies with the task that awaits it.
A *detached* program (`spawn_detached`) outlives this process: it has its own session and log file, and
whoever wants it back later keeps its pid together with its start time, because a pid alone may be somebody
else's by then.
"""

import asyncio
import os
import shlex
import signal
import subprocess
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: How much of a failed program's error output goes into its exception.
STDERR_TAIL_BYTES: Final = 2000

#: How much of a streamed program's output is kept, for the exception when it fails.
STREAM_TAIL_BYTES: Final = 16 * 1024

#: How much of a command line goes into a message.
SHOWN_CHARACTERS: Final = 300

_READ_BYTES: Final = 64 * 1024

#: Of `/proc/<pid>/stat`, counted behind the command name in parentheses. Source: proc(5), fields 3 and 22.
_STAT_STATE: Final = 0
_STAT_START_TIME: Final = 19


@dataclass(frozen=True, slots=True)
class UnixUser:
    """Whom a program runs as when that is not who runs us, which only root may choose."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Further groups: those of the caller are never among them by themselves."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a tool ended. A negative `returncode` is the signal that killed it."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 shows as the replacement character."""
        return self.stdout.decode(errors="replace")


class ProcessFailed(Exception):
    """A program could not be started, ran too long, or ended with a status other than 0.

    Attributes:
        argv: The command line.
        returncode: The exit status; negative for a signal; None when it never ended by itself.
        stderr: The end of what it wrote to standard error, as text.
    """

    def __init__(self, argv: Sequence[str], returncode: int | None, stderr: str) -> None:
        super().__init__(argv, returncode, stderr)
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr

    def __str__(self) -> str:
        return f"`{_shown(self.argv)}` ended with status {self.returncode}: {self.stderr or 'no message'}"


class ProgramNotFound(ProcessFailed):
    """The program is not installed or may not be executed."""

    def __str__(self) -> str:
        return f"cannot start `{self.argv[0]}`: {self.stderr}"


class ProcessTimedOut(ProcessFailed):
    """The program was killed, with its children, because its time was up."""

    def __str__(self) -> str:
        return f"`{_shown(self.argv)}` took too long and was killed"


def _shown(argv: Sequence[str]) -> str:
    """Return a command line for people: whole scripts and hundreds of files are cut short."""
    return textwrap.shorten(shlex.join(argv), SHOWN_CHARACTERS, placeholder=" ...")


async def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    user: UnixUser | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a tool to its end and return what it wrote.

    When the awaiting task is cancelled, or the time is up, the tool and its children are killed first.

    Args:
        argv: The command line. No shell reads it.
        stdin: What the tool reads; nothing (end of file at once) by default.
        cwd: Directory to start in; ours by default.
        env: The whole environment; ours by default.
        timeout_s: Seconds until it is killed; unlimited by default.
        check: Whether a status other than 0 raises.
        user: Whom to become; ourselves by default.
        pass_fds: File descriptors that stay open in the tool.

    Raises:
        ProgramNotFound: Nothing was started.
        ProcessTimedOut: It ran for `timeout_s` and was killed.
        ProcessFailed: It ended with another status than 0, and `check` is set.
    """
    words = tuple(str(word) for word in argv)
    process = await _start(
        words,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=env,
        pass_fds=pass_fds,
        **_credentials(user),
    )
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError as err:
        raise ProcessTimedOut(words, None, "") from err
    finally:
        await _end(process)
    return _completed(words, process.returncode, stdout, stderr, check=check)


async def stream(
    argv: Sequence[str | Path],
    *,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run a tool to its end, handing over each line that it writes as soon as it is there.

    Standard output and standard error arrive as one stream, in `stdout` of the result only its end.
    A carriage return ends a line too, so that progress bars give their steps. Otherwise as `run`.

    Args:
        argv: The command line. No shell reads it.
        on_line: Called in the event loop with each line that is not empty, without its end.
        cwd: Directory to start in; ours by default.
        env: The whole environment; ours by default.
        timeout_s: Seconds until it is killed; unlimited by default.
        check: Whether a status other than 0 raises.
        pass_fds: File descriptors that stay open in the tool.

    Raises:
        ProgramNotFound: Nothing was started.
        ProcessTimedOut: It ran for `timeout_s` and was killed.
        ProcessFailed: It ended with another status than 0, and `check` is set.
    """
    words = tuple(str(word) for word in argv)
    process = await _start(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=env,
        pass_fds=pass_fds,
    )
    try:
        async with asyncio.timeout(timeout_s):
            tail = await _read_lines(process, on_line)
            returncode = await process.wait()
    except TimeoutError as err:
        raise ProcessTimedOut(words, None, "") from err
    finally:
        await _end(process)
    return _completed(words, returncode, tail, tail, check=check)


async def spawn_detached(
    argv: Sequence[str | Path],
    *,
    log: Path,
    pass_fds: Sequence[int] = (),
    user: UnixUser | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Start a program that outlives us, and return its pid.

    It has its own session, reads nothing, and appends what it writes to `log`. While our event loop runs it
    is reaped as soon as it ends, so its pid never stays behind as a zombie.

    Args:
        argv: The command line. No shell reads it.
        log: Receives standard output and standard error; made with mode 0600 if it is not there.
        pass_fds: File descriptors that stay open in the program, under the same numbers.
        user: Whom to become; ourselves by default.
        cwd: Directory to start in; ours by default.
        env: The whole environment; ours by default.

    Raises:
        ProgramNotFound: Nothing was started.
        OSError: The log cannot be opened, or the user not be changed. Nothing was started.
    """
    words = tuple(str(word) for word in argv)
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603, ASYNC220 - no shell; returns after the exec, 1 to 3 ms
            words,
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            cwd=cwd,
            env=env,
            **_credentials(user),
        )
    except (FileNotFoundError, PermissionError) as err:
        if err.filename not in (words[0], os.fsencode(words[0])):
            raise
        raise ProgramNotFound(words, None, err.strerror or "not found") from err
    finally:
        os.close(log_fd)
    _reap_when_it_ends(child.pid)
    # The child is reaped through its pidfd. Popen must not do it a second time (the pid may be another's by
    # then), nor warn that it forgets a running process: that is what this function is for.
    child.returncode = 0
    return child.pid


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None when it is gone or a zombie.

    Together with the pid it names one process for as long as the machine runs.
    """
    fields = _stat(pid)
    return None if fields is None or fields[_STAT_STATE] in (b"Z", b"X") else int(fields[_STAT_START_TIME])


def is_running(pid: int, started: int) -> bool:
    """Tell whether the process that had this pid and start time is still there."""
    return start_time(pid) == started


async def wait_until_gone(pid: int, started: int, *, timeout_s: float | None = None) -> bool:
    """Wait for the end of any process, our child or not.

    Returns:
        Whether it is gone; False when it still runs after `timeout_s` seconds.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        # Asked after the pidfd is held: from here on the pid cannot come to mean another process unnoticed.
        # A zombie is not gone yet: its other threads may still run and hold its files. The pidfd knows.
        fields = _stat(pid)
        if fields is None or int(fields[_STAT_START_TIME]) != started:
            return True
        loop.add_reader(pidfd, gone.set)
        async with asyncio.timeout(timeout_s):
            await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return True


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of `/proc/<pid>/stat` behind the command name, or None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and parentheses itself; the last parenthesis is the kernel's.
    return stat[stat.rindex(b")") + 1 :].split()


async def _start(words: tuple[str, ...], **options: Any) -> asyncio.subprocess.Process:  # noqa: ANN401 - Popen's
    """Start a tool as the leader of a session of its own, so that it can be killed with its children."""
    try:
        return await asyncio.create_subprocess_exec(*words, start_new_session=True, **options)
    except (FileNotFoundError, PermissionError) as err:
        if err.filename not in (words[0], os.fsencode(words[0])):
            raise
        raise ProgramNotFound(words, None, err.strerror or "not found") from err


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no tool behind when its caller was cancelled or its time was up."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())


async def _read_lines(process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> bytes:
    """Feed `on_line` until the end of the output; return the end of it."""
    output = process.stdout
    if output is None:
        return b""
    tail = rest = b""
    while chunk := await output.read(_READ_BYTES):
        tail = (tail + chunk)[-STREAM_TAIL_BYTES:]
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in filter(None, lines):
            on_line(line.decode(errors="replace"))
    if rest:
        on_line(rest.decode(errors="replace"))
    return tail


def _completed(
    words: tuple[str, ...], returncode: int | None, stdout: bytes, stderr: bytes, *, check: bool
) -> Completed:
    status = -1 if returncode is None else returncode
    if check and status != 0:
        tail = stderr[-STDERR_TAIL_BYTES:].decode(errors="replace").strip()
        raise ProcessFailed(words, status, tail)
    return Completed(words, status, stdout, stderr)


def _credentials(user: UnixUser | None) -> dict[str, Any]:
    """Return Popen's arguments to become a user wholly: never a user with the groups of the caller."""
    return {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": list(user.groups)}


def _reap_when_it_ends(pid: int) -> None:
    """Collect a child's exit status as soon as there is one, without a thread or a signal handler."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)

    def reap() -> None:
        loop.remove_reader(pidfd)
        try:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        finally:
            os.close(pidfd)

    loop.add_reader(pidfd, reap)
