import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.waiting import until

from bakehouse.drivers import process

DEADLINE_S = 30


async def test_run_returns_what_the_tool_wrote() -> None:
    done = await process.run(["sh", "-c", "cat; echo talk >&2"], stdin=b"data")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"talk\n")


async def test_a_tool_without_input_reads_an_empty_file() -> None:
    done = await process.run(["cat"])

    assert done.stdout == b""


async def test_a_failure_carries_status_and_message() -> None:
    with pytest.raises(process.ProcessFailed) as failure:
        await process.run(["sh", "-c", "echo no such bread >&2; exit 3"])

    assert (failure.value.returncode, failure.value.stderr) == (3, "no such bread")


async def test_a_failure_is_told_in_a_few_lines_however_long_the_command() -> None:
    with pytest.raises(process.ProcessFailed) as failure:
        await process.run(["false", *["crumb"] * 10_000])

    assert len(str(failure.value)) < 400


async def test_a_failure_unchecked_is_returned() -> None:
    done = await process.run(["sh", "-c", "exit 3"], check=False)

    assert done.returncode == 3


async def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(process.ProgramNotFound, match="no-such-program-here"):
        await process.run(["no-such-program-here"])


async def test_a_file_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").touch(mode=0o600)

    with pytest.raises(process.ProgramNotFound, match="plain"):
        await process.run([tmp_path / "plain"])


async def test_a_missing_directory_is_not_mistaken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await process.run(["true"], cwd=tmp_path / "missing")


async def test_a_tool_out_of_time_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    with pytest.raises(process.ProcessTimedOut):
        await process.run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout_s=0.5)

    await _until_gone(int(pid_file.read_text()))


async def test_a_cancelled_tool_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(process.run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"]))
    pid = int(await _content(pid_file))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _until_gone(pid)


async def test_stream_hands_over_lines_of_both_outputs_and_carriage_returns() -> None:
    lines: list[str] = []

    await process.stream(["sh", "-c", r"printf 'a\nb'; printf '\r10%%\n\nend' >&2"], on_line=lines.append)

    assert lines == ["a", "b", "10%", "end"]


async def test_a_failed_stream_carries_the_end_of_the_output() -> None:
    with pytest.raises(process.ProcessFailed, match="burnt"):
        await process.stream(["sh", "-c", "echo burnt; exit 1"], on_line=lambda _line: None)


async def test_a_detached_program_writes_to_its_log_in_its_own_session(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = await process.spawn_detached(["sh", "-c", "echo ready; exec sleep 60"], log=log)
    try:
        assert await _content(log) == "ready\n"
        assert os.getsid(pid) == pid
        assert log.stat().st_mode & 0o777 == 0o600
    finally:
        os.kill(pid, signal.SIGKILL)
    await _until_gone(pid)


async def test_a_detached_program_that_ended_is_no_zombie(tmp_path: Path) -> None:
    pid = await process.spawn_detached(["true"], log=tmp_path / "log")

    await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_a_detached_program_gets_the_descriptors_it_is_passed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        await process.spawn_detached(
            [sys.executable, "-c", f"import os; os.write({writing}, b'here')"],
            log=tmp_path / "log",
            pass_fds=(writing,),
        )
        os.close(writing)
        assert await asyncio.to_thread(os.read, reading, 16) == b"here"
    finally:
        os.close(reading)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
async def test_a_program_of_another_user_has_none_of_our_groups() -> None:
    done = await process.run(["sh", "-c", "id -u; id -G"], user=process.UnixUser(65534, 65534))

    assert done.text.split() == ["65534", "65534"]


async def test_a_process_is_known_by_pid_and_start_time() -> None:
    started = process.start_time(os.getpid())

    assert started is not None
    assert process.is_running(os.getpid(), started)
    assert not process.is_running(os.getpid(), started + 1)


async def test_waiting_for_a_process_gives_up_in_time() -> None:
    started = process.start_time(os.getpid())

    assert started is not None
    assert not await process.wait_until_gone(os.getpid(), started, timeout_s=0.01)


async def test_waiting_for_a_process_ends_when_it_does(tmp_path: Path) -> None:
    pid = await process.spawn_detached(["sleep", "60"], log=tmp_path / "log")
    started = process.start_time(pid)
    assert started is not None
    waiting = asyncio.create_task(process.wait_until_gone(pid, started, timeout_s=DEADLINE_S))

    os.kill(pid, signal.SIGTERM)

    assert await waiting


async def _content(file: Path) -> str:
    await until(lambda: file.exists() and file.read_text().endswith("\n"))
    return await asyncio.to_thread(file.read_text)


async def _until_gone(pid: int) -> None:
    started = process.start_time(pid)
    if started is not None:
        assert await process.wait_until_gone(pid, started, timeout_s=DEADLINE_S)
