"""Commands on the server: serve, up, down, status, doctor, logs."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bakehouse.cli.home import HomeOption, control, home_of, is_running, settings_of, unusable_home, with_home
from bakehouse.cli.terminal import (
    CommandFailed,
    Output,
    OutputOption,
    note,
    print_facts,
    print_rows,
    print_text,
)
from bakehouse.server.home_lock import HomeInUse, is_locked

if TYPE_CHECKING:
    from bakehouse.server.control import ServerFacts

PortOption = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="TCP port on 127.0.0.1; 0 chooses one.")
]
RegionOption = Annotated[str | None, typer.Option("--region", help="The home region.")]
AcceleratorOption = Annotated[str | None, typer.Option("--accelerator", help="auto, kvm, tcg, or on macOS hvf.")]
SimulateOption = Annotated[bool | None, typer.Option("--simulate", help="Answer the whole API; boot nothing.")]

#: A server that has many machines to adopt takes seconds; one that does not answer by then never will.
_UP_DEADLINE_S: Final = 60
_DOWN_DEADLINE_S: Final = 120
_POLL_S: Final = 0.05

#: program -> (what it is for, the package that has it on Debian and Ubuntu).
_PROGRAMS: Final = {
    "qemu-system-x86_64": ("runs machines", "qemu-system-x86"),
    "qemu-img": ("makes disks", "qemu-utils"),
    "dnsmasq": ("answers the guests' DHCP and DNS", "dnsmasq-base"),
    "slirp4netns": ("lets guests reach outside without root", "slirp4netns"),
    "mmdebstrap": ("builds the debian-12 image", "mmdebstrap"),
    "syslinux": ("boots the minimal image", "syslinux"),
    "mcopy": ("writes boot partitions", "mtools"),
    "ssh": ("`bakehouse ssh`", "openssh-client"),
}


def serve(
    home: HomeOption = None,
    port: PortOption = None,
    region: RegionOption = None,
    accelerator: AcceleratorOption = None,
    simulate: SimulateOption = None,
) -> None:
    """Run the server in the foreground."""
    import asyncio

    from bakehouse.bootstrap.allocator import keep_freed_memory
    from bakehouse.bootstrap.log import configure_log
    from bakehouse.bootstrap.server import SerialPortTaken, serve_forever
    from bakehouse.reconcile.reconciler import RecordsLost
    from bakehouse.server.host_key import HostKeyUnreadable
    from bakehouse.store.postgresql import DatabaseUnusable

    where = home_of(home)
    settings = settings_of(where, port=port, region=region, accelerator=accelerator, simulate=simulate)
    configure_log()
    keep_freed_memory()
    try:
        asyncio.run(serve_forever(where, settings, ready=_announce))
    except HomeInUse as err:
        raise CommandFailed(
            str(err), f"stop it: `{with_home('bakehouse down', where)}`, or choose another `--home`"
        ) from err
    except DatabaseUnusable as err:
        raise CommandFailed(str(err), err.hint) from err
    except RecordsLost as err:
        records = "its database" if settings.database_url else f"`{where}/bakehouse.db`"
        raise CommandFailed(
            f"`{where}` has lost its records: {err}",
            f"put {records} back, or start anew: choose another `--home`, or remove this one",
        ) from err
    except SerialPortTaken as err:
        raise CommandFailed(str(err), "choose another: `BAKEHOUSE_SERIAL_CONSOLE_PORT=N`; 0 is any") from err
    except HostKeyUnreadable as err:
        raise CommandFailed(str(err), "put it back, or remove it: a new one is made") from err
    except OSError as err:
        if err.filename is not None:
            raise unusable_home(where, err) from err
        raise CommandFailed(
            f"cannot serve on port {settings.port}: {err.strerror or err}", "choose another: `--port N`"
        ) from err


def up(
    home: HomeOption = None,
    port: PortOption = None,
    region: RegionOption = None,
    accelerator: AcceleratorOption = None,
    simulate: SimulateOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start the server in the background, or say that it runs."""
    where = home_of(home)
    was_running = is_running(where)
    if not was_running:
        options = {
            "--port": port,
            "--region": region,
            "--accelerator": accelerator,
            "--simulate": simulate or None,
        }
        arguments = [f"{name}={value}" for name, value in options.items() if value is not None and value is not True]
        arguments += [name for name, value in options.items() if value is True]
        import asyncio

        from bakehouse.bootstrap.background import start_in_background

        try:
            pid = asyncio.run(start_in_background(where, arguments))
        except OSError as err:
            raise unusable_home(where, err) from err
        _wait_until_up(where, pid)
    with control(where) as server:
        status = server.get("/status")
    if output is Output.JSON:
        print_facts(output, status)
        return
    note(f"Bakehouse {status['version']} answers at {status['endpoint_url']}")
    if was_running:
        _say_what_waits(status, port=port, region=region, accelerator=accelerator, simulate=simulate)
    if status["simulated"]:
        note("simulated: the whole API answers, nothing boots")
        return
    hypervisor, network = status["hypervisor"], status["network"]
    if not hypervisor["guests"]:
        note(f"no machine can run here: {hypervisor['accelerator_reason']} What this host lacks: `bakehouse doctor`")
        return
    note(f"accelerator: {hypervisor['accelerator']} ({hypervisor['accelerator_reason']})")
    if not hypervisor["isolates"]:
        note("note: without hardware virtualization QEMU promises no isolation; run only guests that you trust")
    note(f"network: {network['mode']}; {network['public_addresses']}")


def _say_what_waits(
    status: Mapping[str, Any], *, port: int | None, region: str | None, accelerator: str | None, simulate: bool | None
) -> None:
    """Name the options that a server which runs already was started without."""
    chosen = ("auto", status["hypervisor"]["accelerator"])
    differs = {
        "--port": port not in (None, 0) and not status["endpoint_url"].endswith(f":{port}"),
        "--region": region not in (None, status["region"]),
        "--accelerator": not status["simulated"] and accelerator not in (None, *chosen),
        "--simulate": simulate and not status["simulated"],
    }
    if waiting := [name for name, it_does in differs.items() if it_does]:
        note(f"it ran already, without `{' '.join(waiting)}`: first `bakehouse down`, then `up` again")


def down(
    home: HomeOption = None,
    keep_machines: Annotated[bool, typer.Option("--keep-machines", help="Leave the machines running.")] = False,
) -> None:
    """Stop the server and its machines; everything is there again after `up`."""
    where = home_of(home)
    if not is_running(where):
        note(f"no server runs with `{where}`")
        return
    with control(where) as server:
        server.post("/shutdown", {"machines": not keep_machines})
    deadline = time.monotonic() + _DOWN_DEADLINE_S
    while is_locked(where):
        if time.monotonic() > deadline:
            raise CommandFailed("the server does not end", f"its log: `{with_home('bakehouse logs', where)}`")
        time.sleep(_POLL_S)
    note("stopped")


def status(home: HomeOption = None, output: OutputOption = Output.TEXT) -> None:
    """Say what runs."""
    with control(home_of(home)) as server:
        facts = server.get("/status")
    print_facts(output, facts if output is Output.JSON else _in_words(facts))


def _in_words(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person wants to know of a server's status, by the words for it."""
    hypervisor, network = status["hypervisor"], status["network"]
    limit = "" if status["memory_mib"] is None else f" of {status['memory_mib']}"
    shown = {
        "version": status["version"] + (" (simulated: nothing boots)" if status["simulated"] else ""),
        "endpoint": status["endpoint_url"],
        "region": status["region"],
        "home": status["home"],
        "pid": status["pid"],
        "instances": status["instances"],
        "guest memory": f"{status['memory_used_mib']}{limit} MiB",
        "images": status["images"],
        "volumes": status["volumes"],
        "snapshots": status["snapshots"],
        "in progress": status["unfinished_sagas"],
        "accelerator": f"{hypervisor['accelerator']} ({hypervisor['accelerator_reason']})",
        "network": f"{network['mode']}; {network['public_addresses']}",
        "serial console": f"{status['serial_console']}, {status['serial_host_key']}",
    }
    if status["simulated"]:
        del shown["accelerator"], shown["network"]
    return shown


def doctor(home: HomeOption = None, output: OutputOption = Output.TEXT) -> None:
    """Explain what this host can do, and what it lacks."""
    import asyncio

    from bakehouse.bootstrap.host_checks import examine_host

    where = home_of(home)
    rows = [
        {
            "check": program,
            "state": "ok" if shutil.which(program, path=_search_path()) else "missing",
            "detail": purpose if shutil.which(program, path=_search_path()) else f"{purpose}: install `{package}`",
        }
        for program, (purpose, package) in _PROGRAMS.items()
    ]
    rows += [
        {"check": check.name, "state": "ok" if check.fine else "problem", "detail": check.detail}
        for check in asyncio.run(examine_host(where, settings_of(where)))
    ]
    print_rows(output, rows, {"check": "CHECK", "state": "STATE", "detail": "DETAIL"})
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(1)


def logs(
    home: HomeOption = None, follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing.")] = False
) -> None:
    """Print the server's log."""
    path = home_of(home) / "serve.log"
    if not path.exists():
        start = with_home("bakehouse up", path.parent)
        raise CommandFailed(f"there is no `{path}`", f"start a server in the background: `{start}`")
    with path.open() as log:
        while True:
            for line in log:
                print_text(line.rstrip("\n"))
            if not follow:
                return
            time.sleep(0.2)


def _announce(facts: "ServerFacts") -> None:
    note(f"Bakehouse {facts.version} answers at {facts.endpoint_url}; home {facts.home}")


def _wait_until_up(home: Path, pid: int) -> None:
    deadline = time.monotonic() + _UP_DEADLINE_S
    while not is_running(home):
        if _has_ended(pid) or time.monotonic() > deadline:
            words, step = _last_words(home / "serve.log")
            look = f"its log: `{with_home('bakehouse logs', home)}`; this host: `{with_home('bakehouse doctor', home)}`"
            raise CommandFailed(f"the server did not start: {words}", step or look)
        time.sleep(_POLL_S)


def _last_words(log: Path) -> tuple[str, str]:
    """Return why a server ended, and its hint: its last error, or else its last line and no hint."""
    lines = log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not errors:
        return lines[-1], ""
    hints = [line.removeprefix("hint: ") for line in lines[errors[-1] :] if line.startswith("hint: ")]
    return lines[errors[-1]].removeprefix("error: "), "".join(hints[:1])


def _has_ended(pid: int) -> bool:
    """Tell whether a program that this process has started has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # it was waited for already
        return True


def _search_path() -> str:
    """Return PATH with the directories of administration, which ordinary users' shells leave out."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
