"""The server's log: lines for people, on standard output, which goes to `serve.log` in the background."""

import os
import sys

import structlog


def configure_log() -> None:
    """Write tracebacks without the values of variables, which structlog shows by default: keys are among them."""
    *processors, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )
    structlog.configure(processors=[*processors, renderer])
