"""PostgreSQL: how a server connects to it, and how it knows that it alone writes there."""

import logging
import time
from typing import Final

from sqlalchemy import URL, Engine, PoolProxiedConnection, create_engine
from sqlalchemy.pool import NullPool

#: The upper half of the key of the lock that a server holds; the lower half is the schema's oid.
_LOCK: Final = 0x62616B65  # "bake"

#: How long to wait for the lock, and between two looks. The session of a server that was killed ends in milliseconds.
_LOCK_DEADLINE_S: Final = 5.0
_LOCK_POLL_S: Final = 0.02

#: What the client's side asks for, unless the URL says it otherwise. A host that has vanished is noticed in 15 seconds.
#: Source: PostgreSQL, libpq, Parameter Key Words.
_PARAMETERS: Final = {
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "fallback_application_name": "bakehouse",
    "keepalives_count": "3",
    "keepalives_idle": "6",
    "keepalives_interval": "3",
    "tcp_user_timeout": "15000",
}

#: What a session asks of the server's side. It too must notice a client that has vanished, or it keeps the lock for two
#: hours. Where commits are not waited for at all, these are; a stricter choice than `on` stays.
_SESSION: Final = """
SELECT set_config('tcp_keepalives_idle', '6', false),
       set_config('tcp_keepalives_interval', '3', false),
       set_config('tcp_keepalives_count', '3', false),
       CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
       current_schema()::regnamespace::oid::bigint
"""


class DatabaseUnusable(Exception):
    """There is no working with this database. The text tells why, `hint` the next step."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def postgresql_engine(url: URL) -> Engine:
    """Return an engine whose connections are really closed, so that none of before a restart is met again.

    Raises:
        DatabaseUnusable: psycopg is not installed.
    """
    # Said here once, by an error; the driver's own line would go to standard error as well, without a form.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    parameters = {name: value for name, value in _PARAMETERS.items() if name not in url.query}
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=parameters)
    except ImportError as err:
        raise DatabaseUnusable(
            f"the database is PostgreSQL, and its driver cannot be loaded: {err}",
            "install it: `pip install 'bakehouse[postgresql]'`; in a checkout `uv sync --extra postgresql`",
        ) from err


def claim(connection: PoolProxiedConnection) -> None:
    """Take the lock of the schema's only server, which is held until the connection ends.

    Whoever has it knows more than that no other server writes: what an earlier connection had under way, whose answer
    never came, is over, done or undone.

    Raises:
        DatabaseUnusable: Another server holds it, or there is no schema.
    """
    cursor = connection.cursor()
    cursor.execute(_SESSION)
    ((*_, schema),) = cursor.fetchall()
    if schema is None:
        raise DatabaseUnusable("the database has no schema for its tables", "make the one that `search_path` names")
    deadline = time.monotonic() + _LOCK_DEADLINE_S
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%(key)s)", {"key": _LOCK << 32 | schema})
        ((is_ours,),) = cursor.fetchall()
        connection.commit()
        if is_ours:
            return
        if time.monotonic() > deadline:
            raise DatabaseUnusable(
                "another server uses the database",
                "stop it, or name another database or schema by `BAKEHOUSE_DATABASE_URL`",
            )
        time.sleep(_LOCK_POLL_S)


def unusable(err: Exception) -> DatabaseUnusable:
    """Return what is to be said of a driver's error: there is no service, no permission, no such database."""
    reason = str(getattr(err, "orig", err)).strip().splitlines()[0]
    return DatabaseUnusable(
        f"the database cannot be used: {reason}",
        "is it there, and may this user make tables in it? `BAKEHOUSE_DATABASE_URL` says which it is",
    )


def is_connection_lost(err: Exception) -> bool:
    """Tell whether an error means that the connection ended or was never made: another may do better.

    Source: PostgreSQL, Appendix A, classes 08 (connection exception) and 57P (operator intervention: shut down,
    starting up). What libpq finds out by itself has no code.
    """
    is_operational = any(it.__name__ == "OperationalError" for it in type(err).__mro__)
    code = getattr(err, "sqlstate", None)
    return is_operational and (code is None or code.startswith(("08", "57P")))
