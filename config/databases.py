"""The database that an address names, with the options that each kind needs."""

from pathlib import Path

import environ


def database(url: str, folder: Path) -> dict[str, object]:
    """A `DATABASES` entry for `url`, without one for a file in `folder`.

    SQLite: write-ahead log, immediate transactions, without which concurrent writers end in
    "database is locked", writers that wait in line (`config.sqlite3`), and what is deleted is
    overwritten, so that what was erased is not left in the file. PostgreSQL: psycopg's pool,
    since connections cannot persist under ASGI.
    """
    config = environ.Env.db_url_config(url or f"sqlite:///{folder / 'parley.sqlite3'}")
    if config["ENGINE"].endswith("sqlite3"):
        config["ENGINE"] = "config.sqlite3"
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            " PRAGMA secure_delete=ON;",
        }
        # A file for tests too: shared in-memory databases lock whole tables between threads.
        config["TEST"] = {"NAME": str(folder / "test.sqlite3")}
    elif config["ENGINE"].endswith("postgresql"):
        config["OPTIONS"] = {
            # By itself the pool waits longer from try to try, up to five minutes: as long again as
            # the database was away. After two seconds it gives up, and tries at the next request.
            "pool": {"min_size": 1, "max_size": 10, "timeout": 5, "reconnect_timeout": 2},
            # A host that vanished is noticed in seconds; by default it takes a quarter of an hour.
            "connect_timeout": 5,
            "tcp_user_timeout": 15_000,  # milliseconds
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
    config["CONN_MAX_AGE"] = 0
    return config
