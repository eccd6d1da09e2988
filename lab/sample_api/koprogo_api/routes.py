# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product's routes. Each one asks PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from .database import Database
from .passwords import hash_password, verify_password

__all__ = ["LOGIN_PATH", "Routes", "digest", "json_response"]

LOGIN_PATH = "/api/v1/auth/login"
SESSIONS_PER_USER = 3
# Verified when the user is unknown, so that an unknown user takes as long as a wrong password.
_NOBODY = hash_password("nobody", "nobody")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def digest(token: str) -> str:
    """Tokens are stored hashed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def json_response(data: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.json_response(text=json.dumps(data, default=_plain), status=status)


def _listed(rows: Sequence[Mapping[str, Any]]) -> web.Response:
    return json_response({"items": [dict(row) for row in rows]})


def _one(row: Mapping[str, Any] | None, what: str, status: int = 200) -> web.Response:
    if row is None:
        return json_response({"error": f"no such {what}"}, 404)
    return json_response(dict(row), status)


def _limit(request: web.Request) -> int:
    raw = request.query.get("limit", "20")
    if not raw.isdecimal() or not 1 <= int(raw) <= 100:
        raise web.HTTPBadRequest(reason="limit: expected a whole number from 1 to 100")
    return int(raw)


async def _body(request: web.Request, **expected: type) -> list[Any]:
    """Read a JSON object and return the expected fields in order; 400 if one is wrong."""
    try:
        data = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(reason="expected a JSON object") from None
    values = []
    for name, kind in expected.items():
        value = data.get(name) if isinstance(data, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise web.HTTPBadRequest(reason=f"{name}: expected a {kind.__name__}")
        values.append(value)
    return values


class Routes:
    """The handlers, bound to the database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def table(self) -> list[tuple[str, str, Handler]]:
        """Method, path template, handler. The template is the metrics' `path` label."""
        return [
            ("POST", LOGIN_PATH, self.login),
            ("POST", "/api/v1/auth/logout", self.logout),
            ("GET", "/api/v1/buildings", self.buildings),
            ("GET", r"/api/v1/buildings/{building_id:\d{1,9}}", self.building),
            ("GET", "/api/v1/expenses", self.expenses),
            ("POST", "/api/v1/expenses", self.create_expense),
            ("GET", r"/api/v1/expenses/{expense_id:\d{1,9}}", self.expense),
            ("POST", r"/api/v1/expenses/{expense_id:\d{1,9}}/validate", self.validate_expense),
            ("GET", "/api/v1/payments", self.payments),
            ("POST", r"/api/v1/payments/{payment_id:\d{1,9}}/pay", self.pay),
            ("GET", "/api/v1/users", self.users),
            ("POST", "/api/v1/users", self.create_user),
            ("GET", "/api/v1/reports/charges", self.report),
        ]

    async def authenticate(self, request: web.Request) -> int | None:
        """The user of the request's bearer token, or None. Marks the session as seen."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return None
        found = await self._db.row(
            "SELECT user_id, last_seen_at < now() - interval '1 minute' AS old"
            " FROM sessions WHERE token_hash = $1 AND expires_at > now()",
            digest(token),
        )
        if found is None:
            return None
        if found["old"]:
            await self._db.row(
                "UPDATE sessions SET last_seen_at = now() WHERE token_hash = $1", digest(token)
            )
        return int(found["user_id"])

    async def login(self, request: web.Request) -> web.StreamResponse:
        """200 with a token, or 401."""
        email, password = await _body(request, email=str, password=str)
        user = await self._db.row("SELECT id, password_hash FROM users WHERE email = $1", email)
        stored = user["password_hash"] if user else _NOBODY
        right = await asyncio.to_thread(verify_password, password, stored)
        if user is None or not right:
            return json_response({"error": "wrong e-mail or password"}, 401)
        token = secrets.token_urlsafe(24)
        async with self._db.connection() as connection, connection.transaction():
            await connection.execute(
                "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions"
                " WHERE user_id = $1 ORDER BY last_seen_at DESC OFFSET $2)",
                user["id"],
                SESSIONS_PER_USER - 1,
            )
            await connection.execute(
                "INSERT INTO sessions (token_hash, user_id) VALUES ($1, $2)",
                digest(token),
                user["id"],
            )
        return json_response({"token": token, "user_id": user["id"]})

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """End the session of the token."""
        token = request.headers["Authorization"].partition(" ")[2]
        await self._db.row("DELETE FROM sessions WHERE token_hash = $1", digest(token))
        return web.Response(status=204)

    async def buildings(self, request: web.Request) -> web.StreamResponse:
        """The buildings, with the number of their expenses."""
        return _listed(
            await self._db.rows(
                "SELECT b.id, b.name, b.address, b.units, count(e.id) AS expenses"
                " FROM buildings b LEFT JOIN expenses e ON e.building_id = b.id"
                " GROUP BY b.id ORDER BY b.id LIMIT $1",
                _limit(request),
            )
        )

    async def building(self, request: web.Request) -> web.StreamResponse:
        """One building."""
        number = int(request.match_info["building_id"])
        return _one(
            await self._db.row(
                "SELECT id, name, address, units FROM buildings WHERE id = $1", number
            ),
            "building",
        )

    async def expenses(self, request: web.Request) -> web.StreamResponse:
        """The newest expenses; `?status=pending` or `validated` narrows them."""
        status = request.query.get("status", "")
        if status not in ("", "pending", "validated"):
            raise web.HTTPBadRequest(reason="status: expected pending or validated")
        return _listed(
            await self._db.rows(
                "SELECT id, building_id, label, amount, created_at, validated_at FROM expenses"
                " WHERE $1 = '' OR (validated_at IS NOT NULL) = ($1 = 'validated')"
                " ORDER BY created_at DESC, id DESC LIMIT $2",
                status,
                _limit(request),
            )
        )

    async def create_expense(self, request: web.Request) -> web.StreamResponse:
        """A new expense of a building; 201, or 404 for an unknown building."""
        building, label, amount = await _body(request, building_id=int, label=str, amount=int)
        return _one(
            await self._db.row(
                "INSERT INTO expenses (building_id, created_by, label, amount)"
                " SELECT id, $2, $3, $4 FROM buildings WHERE id::bigint = $1"
                " RETURNING id, building_id, label, amount, created_at, validated_at",
                building,
                request["user_id"],
                label[:200],
                Decimal(max(0, min(amount, 1_000_000))),
            ),
            "building",
            201,
        )

    async def expense(self, request: web.Request) -> web.StreamResponse:
        """One expense."""
        number = int(request.match_info["expense_id"])
        return _one(
            await self._db.row(
                "SELECT id, building_id, label, amount, created_at, validated_at"
                " FROM expenses WHERE id = $1",
                number,
            ),
            "expense",
        )

    async def validate_expense(self, request: web.Request) -> web.StreamResponse:
        """Validate a pending expense; 409 if it was validated before."""
        number = int(request.match_info["expense_id"])
        done = await self._db.row(
            "UPDATE expenses SET validated_at = now() WHERE id = $1 AND validated_at IS NULL"
            " RETURNING id, created_at, validated_at",
            number,
        )
        if done is None and await self._db.row("SELECT 1 FROM expenses WHERE id = $1", number):
            return json_response({"error": "already validated"}, 409)
        return _one(done, "expense")

    async def payments(self, request: web.Request) -> web.StreamResponse:
        """The payments, those due last first."""
        return _listed(
            await self._db.rows(
                "SELECT id, building_id, user_id, amount, due_date, paid_at FROM payments"
                " ORDER BY due_date DESC, id LIMIT $1",
                _limit(request),
            )
        )

    async def pay(self, request: web.Request) -> web.StreamResponse:
        """Mark a payment as paid; paying twice changes nothing."""
        number = int(request.match_info["payment_id"])
        return _one(
            await self._db.row(
                "UPDATE payments SET paid_at = coalesce(paid_at, now()) WHERE id = $1"
                " RETURNING id, due_date, paid_at",
                number,
            ),
            "payment",
        )

    async def users(self, request: web.Request) -> web.StreamResponse:
        """The newest users; never their hashes."""
        return _listed(
            await self._db.rows(
                "SELECT id, email, created_at FROM users ORDER BY created_at DESC, id LIMIT $1",
                _limit(request),
            )
        )

    async def create_user(self, request: web.Request) -> web.StreamResponse:
        """A new user; 409 if the e-mail address is taken."""
        email, password = await _body(request, email=str, password=str)
        stored = await asyncio.to_thread(hash_password, password, secrets.token_hex(8))
        made = await self._db.row(
            "INSERT INTO users (email, password_hash) VALUES ($1, $2)"
            " ON CONFLICT (email) DO NOTHING RETURNING id, email, created_at",
            email[:200],
            stored,
        )
        if made is None:
            return json_response({"error": "e-mail address taken"}, 409)
        return json_response(dict(made), 201)

    async def report(self, request: web.Request) -> web.StreamResponse:
        """Charges per building and month. `?detail=full` is the slow one, in the database."""
        seconds = 1.2 if request.query.get("detail") == "full" else 0.02
        return _listed(
            await self._db.rows(
                "SELECT b.name, to_char(e.created_at, 'YYYY-MM') AS month,"
                " sum(e.amount) AS charges, count(*) AS expenses"
                " FROM expenses e JOIN buildings b ON b.id = e.building_id,"
                " (SELECT pg_sleep($1)) AS work"
                " GROUP BY b.name, month ORDER BY month DESC, b.name LIMIT 100",
                seconds,
            )
        )
