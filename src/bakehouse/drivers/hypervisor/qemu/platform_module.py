"""A machine's trusted platform module: a `swtpm` process of its own, which QEMU talks to over a socket pair.

What the module keeps is a folder of the run directory, `tpm/`, which belongs to the user that QEMU runs as; beside it
`tpm.json` holds its public endorsement keys, read once, before a guest can change who may ask for them. The process
ends when QEMU's end of the socket is closed, by whatever; like QEMU it outlives the server.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.endorsement import TEMPLATES, endorsement_key, sized
from bakehouse.drivers.process import UnixUser
from bakehouse.ports.hypervisor import EndorsementKey

PROGRAM: Final = "swtpm"

#: It writes this file anew, so a name that is there means a module that was made.
_STATE: Final = "tpm2-00.permall"
#: Locked by the process for as long as it lives.
_LOCK: Final = ".lock"

#: From end to end it takes 40 ms; on a busy host a second.
_ANSWER_DEADLINE_S: Final = 20.0
#: Time for it to see that QEMU is gone, which takes some 5 ms, before it is killed.
_END_GRACE_S: Final = 2.0
_END_DEADLINE_S: Final = 5.0
_POLL_S: Final = 0.002

#: Source: TPM 2.0 Library, part 2, TPM_ST, TPM_CC, TPM_RH.
_NO_SESSIONS: Final = 0x8001
_SESSIONS: Final = 0x8002
_CREATE_PRIMARY: Final = 0x131
_FLUSH_CONTEXT: Final = 0x165
_ENDORSEMENT: Final = 0x4000000B
_PASSWORD_SESSION: Final = 0x40000009
_HEADER: Final = struct.Struct(">HII")

#: Linux' `struct flock`, with the lock's holder at its end.
_FLOCK: Final = struct.Struct("hhqqi4x")


class ModuleFailed(Exception):
    """The module could not be made, or did not answer."""


@dataclass(frozen=True, slots=True)
class ModuleFiles:
    """Where a machine's module keeps what it keeps, below its run directory."""

    folder: Path
    keys: Path
    log: Path


def is_installed() -> bool:
    """Tell whether this host has the program."""
    return shutil.which(PROGRAM) is not None


def control_argv(control: int) -> list[str]:
    """Return the command line of a module in the current folder, whose owner talks to it by a connected socket."""
    return [
        PROGRAM, "socket", "--tpm2",
        "--tpmstate", "dir=.,mode=0600",
        "--ctrl", f"type=unixio,clientfd={control}",
        "--terminate",
    ]  # fmt: skip


def command_argv(commands: int) -> list[str]:
    """Return the command line of a module that is started up and reads a guest's commands from a connected socket."""
    return [
        PROGRAM, "socket", "--tpm2",
        "--tpmstate", "dir=.,mode=0600",
        "--fd", str(commands),
        "--flags", "not-need-init,startup-clear",
    ]  # fmt: skip


async def start(files: ModuleFiles, user: UnixUser | None) -> tuple[socket.socket, int]:
    """Start a module, a new one where there is none, and return QEMU's end of its socket, and its process.

    The caller closes the socket, and ends the process if QEMU does not come so far as to use it: a module that nobody
    ever talked to does not see that its socket was closed.

    Raises:
        ModuleFailed: It could not be made. What a guest kept in it before is untouched.
        process.ProgramNotFound: It is not installed.
    """
    await wait_until_ended(files)
    if not files.keys.exists():
        await _make(files, user)
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            pid = await _spawn(control_argv(theirs.fileno()), theirs, files, user)
        except BaseException:
            ours.close()
            raise
    return ours, pid


def read_keys(files: ModuleFiles) -> Mapping[str, EndorsementKey]:
    """Return the module's endorsement keys by kind; nothing where there is no module."""
    try:
        publics = msgspec.json.decode(files.keys.read_bytes(), type=dict[str, bytes])
    except FileNotFoundError:
        return {}
    return {kind: endorsement_key(kind, public) for kind, public in publics.items()}


async def wait_until_ended(files: ModuleFiles) -> None:
    """Wait until a module whose QEMU is gone has ended; kill one that does not.

    Raises:
        ModuleFailed: It did not even obey SIGKILL.
    """
    begin = time.monotonic()
    while (holder := await asyncio.to_thread(_holder, files.folder / _LOCK)) is not None:
        waited_s = time.monotonic() - begin
        if waited_s > _END_DEADLINE_S:
            raise ModuleFailed(f"process {holder} still holds {files.folder}")
        if waited_s > _END_GRACE_S:
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)


async def _make(files: ModuleFiles, user: UnixUser | None) -> None:
    """Make a new module and keep its public endorsement keys. One that a crash left half made is made anew."""
    await asyncio.to_thread(_empty_folder, files.folder, user)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            await _spawn(command_argv(theirs.fileno()), theirs, files, user)
        ours.settimeout(0)
        try:
            async with asyncio.timeout(_ANSWER_DEADLINE_S):
                publics = {kind: await _create_primary(ours, template) for kind, template in TEMPLATES.items()}
        except (TimeoutError, OSError, struct.error) as err:
            raise ModuleFailed(f"`{PROGRAM}` did not answer") from err
    for kind, public in publics.items():
        endorsement_key(kind, public)
    await wait_until_ended(files)
    await asyncio.to_thread(_write_keys, files, publics)


async def _spawn(argv: list[str], end: socket.socket, files: ModuleFiles, user: UnixUser | None) -> int:
    return await process.spawn_detached(
        argv,
        log=files.log,
        pass_fds=[end.fileno()],
        cwd=files.folder,
        user=user,
    )


def _empty_folder(folder: Path, user: UnixUser | None) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def _write_keys(files: ModuleFiles, publics: Mapping[str, bytes]) -> None:
    """Put the keys on disk, behind the module that they are of."""
    for path in (files.folder / _STATE, files.folder):
        _sync(path)
    new = files.keys.with_suffix(".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(publics))
        file.flush()
        os.fsync(file.fileno())
    new.replace(files.keys)
    _sync(files.keys.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _create_primary(commands: socket.socket, template: bytes) -> bytes:
    """Let the module make the key of a template and return its public area; the key itself is let go of."""
    no_password = struct.pack(">I", _PASSWORD_SESSION) + sized(b"") + b"\0" + sized(b"")
    answer = await _command(
        commands,
        _SESSIONS,
        _CREATE_PRIMARY,
        struct.pack(">II", _ENDORSEMENT, len(no_password))
        + no_password
        + sized(sized(b"") + sized(b""))  # no password of its own, no data
        + sized(template)
        + sized(b"")
        + struct.pack(">I", 0),  # no outside information, no registers
    )
    handle, _, size = struct.unpack_from(">IIH", answer)
    await _command(commands, _NO_SESSIONS, _FLUSH_CONTEXT, struct.pack(">I", handle))
    return answer[10 : 10 + size]


async def _command(commands: socket.socket, tag: int, code: int, parameters: bytes) -> bytes:
    """Return what a module answers, without its header."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(commands, _HEADER.pack(tag, _HEADER.size + len(parameters), code) + parameters)
    answer = b""
    while len(answer) < _HEADER.size or len(answer) < _HEADER.unpack_from(answer)[1]:
        piece = await loop.sock_recv(commands, 4096)
        if not piece:
            raise ModuleFailed(f"`{PROGRAM}` ended before it answered")
        answer += piece
    _, _, failure = _HEADER.unpack_from(answer)
    if failure:
        raise ModuleFailed(f"`{PROGRAM}` refused command {code:#x}: {failure:#x}")
    return answer[_HEADER.size :]


def _holder(lock: Path) -> int | None:
    """Return the process that holds a file's lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid
