# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL behind a small pool. Every wait is bounded; every failure is one exception."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from .config import Settings
from .metrics import Metrics

__all__ = ["Database", "DatabaseUnavailableError"]

CONNECT_SECONDS = 2.0
ACQUIRE_SECONDS = 3.0
QUERY_SECONDS = 10.0
HEALTH_SECONDS = 2.0

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)


class DatabaseUnavailableError(Exception):
    """The database can't be asked now; the message says why."""


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


class Database:
    """The pool opens its connections on demand, so the API starts while the database is down."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool; no connection yet."""
        options: dict[str, Any] = {}
        if not self._settings.db_host.startswith("/"):
            options["ssl"] = self._settings.db_ssl
        if self._settings.db_passfile is not None:
            options["passfile"] = str(self._settings.db_passfile)
        self._pool = await asyncpg.create_pool(
            host=self._settings.db_host,
            port=self._settings.db_port,
            database=self._settings.db_name,
            user=self._settings.db_user,
            min_size=0,
            max_size=self._settings.db_pool_max,
            timeout=CONNECT_SECONDS,
            command_timeout=QUERY_SECONDS,
            server_settings={"application_name": "koprogo-api"},
            **options,
        )
        self._metrics.db_connections.set_function(self._in_use)

    async def close(self) -> None:
        """Close the pool, gently but not for ever."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def _in_use(self) -> float:
        return float(self._pool.get_size() - self._pool.get_idle_size())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection; what happens on it is one observed query."""
        started = time.perf_counter()
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except _UNAVAILABLE as error:
            raise DatabaseUnavailableError(f"database: {_reason(error)}") from error
        finally:
            self._metrics.db_query.observe(time.perf_counter() - started)

    async def rows(self, query: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        """All rows of a query."""
        async with self.connection() as connection:
            found: Sequence[Mapping[str, Any]] = await connection.fetch(query, *arguments)
            return found

    async def row(self, query: str, *arguments: object) -> Mapping[str, Any] | None:
        """The first row of a query, or None."""
        async with self.connection() as connection:
            found: Mapping[str, Any] | None = await connection.fetchrow(query, *arguments)
            return found

    async def check(self) -> float:
        """Ask the database something; return the time in milliseconds or raise."""
        started = time.perf_counter()
        question = asyncio.create_task(self.row("SELECT 1"))
        # Not asyncio.timeout: the driver's own clean-up after a cancellation can wait much longer.
        answered, _ = await asyncio.wait({question}, timeout=HEALTH_SECONDS)
        if not answered:
            question.add_done_callback(lambda late: late.cancelled() or late.exception())
            question.cancel()
            raise DatabaseUnavailableError(f"database: no answer in {HEALTH_SECONDS:g} s")
        question.result()
        return (time.perf_counter() - started) * 1000
