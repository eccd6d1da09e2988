# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP service: metrics, log lines, authentication and faults around the routes."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from aiohttp import web

from .chaos import Chaos
from .clientaddr import client_address
from .config import Settings
from .database import Database, DatabaseUnavailableError
from .logfile import EventHandler, LineFile
from .logline import request_line
from .metrics import Metrics
from .routes import LOGIN_PATH, Handler, Routes, json_response

__all__ = ["Api", "serve"]

_LOG = logging.getLogger("koprogo.api")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
BODY_LIMIT = 64 * 1024
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Api:
    """One process of the API."""

    def __init__(self, settings: Settings, log: LineFile) -> None:
        self._settings = settings
        self._log = log
        self._metrics = Metrics()
        self._db = Database(settings, self._metrics)
        self._chaos = Chaos(settings.faults_file)
        self._routes = Routes(self._db)

    def application(self) -> web.Application:
        """The application, its middlewares outermost first."""
        # aiohttp marks a middleware by an attribute, which a bound method can't carry; a partial can.
        layers = [web.middleware(partial(layer)) for layer in (self._observe, self._guard)]
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=layers)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._render)
        for method, path, handler in self._routes.table():
            app.router.add_route(method, path, handler)
        app.cleanup_ctx.append(self._lifetime)
        return app

    async def _lifetime(self, _app: web.Application) -> AsyncIterator[None]:
        await self._db.open()
        watcher = asyncio.create_task(self._chaos.watch())
        _LOG.info("serving on %s:%s", self._settings.listen_host, self._settings.listen_port)
        yield
        _LOG.info("stopping")
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        await self._db.close()

    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer every request in JSON, count it, and write its line."""
        moment, started = time.time(), time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        message = ""
        response: web.StreamResponse
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            message = refused.reason
            response = json_response({"error": message}, refused.status)
            if "Allow" in refused.headers:
                response.headers["Allow"] = refused.headers["Allow"]
        except DatabaseUnavailableError as error:
            message = str(error)
            response = json_response({"error": message}, 503)
        except Exception as error:
            _LOG.exception("request %s failed", request_id)
            message = f"{type(error).__name__}: {error}"
            response = json_response({"error": "internal error", "request_id": request_id}, 500)
        response.headers["X-Request-ID"] = request_id
        seconds = time.perf_counter() - started
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else UNMATCHED
        # Labels take only known values: a client must not be able to make series.
        method = request.method if request.method in METHODS else "OTHER"
        self._metrics.observe_request(
            method=method, route=route, status=response.status, seconds=seconds
        )
        self._log.write(
            request_line(
                moment=moment,
                remote_addr=client_address(
                    request.remote or "",
                    request.headers.get("X-Forwarded-For"),
                    self._settings.trusted_proxies,
                ),
                method=request.method,
                path=request.path,
                route=route,
                status=response.status,
                duration_ms=seconds * 1000,
                user_agent=request.headers.get("User-Agent", ""),
                request_id=request_id,
                message=message or f"{request.method} {route} answered {response.status}",
            )
        )
        return response

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Faults first, then authentication; /health and /metrics have neither."""
        if not request.path.startswith("/api/"):
            return await handler(request)
        failed = await self._chaos.disturb(self._db)
        if failed is not None:
            return json_response({"error": "fault switched on"}, failed)
        if request.match_info.route.resource is not None and request.path != LOGIN_PATH:
            user = await self._routes.authenticate(request)
            if user is None:
                return json_response({"error": "authentication required"}, 401)
            request["user_id"] = user
        return await handler(request)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        """200 if the database answers, else 503 with the reason."""
        try:
            taken = await self._db.check()
        except DatabaseUnavailableError as error:
            return json_response({"status": "unavailable", "reason": str(error)}, 503)
        return json_response({"status": "ok", "database": {"duration_ms": round(taken, 3)}})

    async def _render(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=self._metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT."""
    log = LineFile(settings.log_file)
    logging.basicConfig(
        level=logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        handlers=[EventHandler(log), logging.StreamHandler(sys.stderr)],
    )
    web.run_app(
        Api(settings, log).application(),
        host=settings.listen_host,
        port=settings.listen_port,
        access_log=None,
        print=None,
        shutdown_timeout=5.0,
    )
    return 0
