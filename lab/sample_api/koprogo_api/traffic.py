# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded traffic generator: loopback only, a fixed rate, for a fixed time."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import Counter, deque
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .config import ConfigurationError, is_loopback
from .mix import Step, choose, client_for, percentile

__all__ = ["LAB_PASSWORD", "MAX_RATE", "MAX_SECONDS", "Traffic", "check_target"]

# The password of the seeded users. It opens nothing but invented data.
LAB_PASSWORD = "koprogo-lab"  # noqa: S105
# A part of the seeded users, so that those who stay away are seen to.
USERS = 80
MAX_RATE = 50.0
MAX_SECONDS = 24 * 3600.0
IN_FLIGHT = 20
REPORT_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0


def check_target(target: str) -> str:
    """Only plain HTTP on a literal loopback address; anything else is refused."""
    parts = urlsplit(target)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"target: expected http:// on a loopback address, found {target!r}"
        )
    return target.rstrip("/")


class Traffic:
    """One run of the generator."""

    def __init__(self, *, target: str, rate: float, seconds: float, seed: int) -> None:
        if not 0 < rate <= MAX_RATE:
            raise ConfigurationError(f"rate: expected up to {MAX_RATE:g} a second, found {rate:g}")
        if not 0 < seconds <= MAX_SECONDS:
            raise ConfigurationError(
                f"duration: expected up to {MAX_SECONDS:g} s, found {seconds:g}"
            )
        self._target = check_target(target)
        self._rate = rate
        self._seconds = seconds
        self._random = random.Random(seed)  # noqa: S311 - reproducible traffic
        self._tokens: dict[int, str] = {}
        self._pending: deque[int] = deque(maxlen=50)
        self._answers: Counter[str] = Counter()
        self._durations: deque[float] = deque(maxlen=5000)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Send requests at the rate until the time is over or SIGTERM comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        flying: set[asyncio.Task[None]] = set()
        end = report = time.monotonic()
        end += self._seconds
        report += REPORT_SECONDS
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(self._target, timeout=timeout) as session:
            while time.monotonic() < end and not self._stop.is_set():
                if len(flying) < IN_FLIGHT:
                    task = asyncio.create_task(self._one(session, choose(self._random)))
                    flying.add(task)
                    task.add_done_callback(flying.discard)
                else:
                    # An API that hangs must not make a queue that hits it all at once later.
                    self._answers["not sent"] += 1
                if time.monotonic() >= report:
                    self._report()
                    report += REPORT_SECONDS
                await self._pause(self._random.expovariate(self._rate))
            if flying:
                await asyncio.wait(flying, timeout=TIMEOUT_SECONDS)
        self._report()
        return 0

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(min(seconds, 5.0 / self._rate)):
                await self._stop.wait()
        except TimeoutError:
            return

    def _report(self) -> None:
        figures = {f"p{share * 100:g}_ms": round(percentile(self._durations, share) * 1000, 1)
                   for share in (0.5, 0.95, 0.99)}  # fmt: skip
        print(json.dumps({"answers": dict(sorted(self._answers.items())), **figures}), flush=True)

    async def _send(
        self, session: Any, method: str, path: str, *, user: int | None, body: object = None
    ) -> tuple[int, Any]:
        address, agent = client_for(self._random)
        headers = {"X-Forwarded-For": address, "User-Agent": agent}
        if user is not None:
            headers["Authorization"] = f"Bearer {await self._token(session, user)}"
        started = time.monotonic()
        try:
            async with session.request(method, path, headers=headers, json=body) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._answers[type(error).__name__] += 1
            return 0, None
        self._durations.append(time.monotonic() - started)
        self._answers[str(response.status)] += 1
        if response.status == 401 and user is not None:
            self._tokens.pop(user, None)
        is_json = response.content_type == "application/json"
        return int(response.status), json.loads(text) if is_json and text else None

    async def _token(self, session: Any, user: int) -> str:
        if user not in self._tokens:
            await self._login(session, user, LAB_PASSWORD)
        return self._tokens.get(user, "none")

    async def _login(self, session: Any, user: int, password: str) -> None:
        body = {"email": f"user{user}@example.org", "password": password}
        status, answer = await self._send(
            session, "POST", "/api/v1/auth/login", user=None, body=body
        )
        if status == 200:
            self._tokens[user] = answer["token"]

    async def _one(self, session: Any, step: Step) -> None:
        user = self._random.randint(1, USERS)
        building = self._random.randint(1, 12)
        match step.name:
            case "login":
                await self._login(session, user, LAB_PASSWORD)
            case "login_failed":
                await self._login(session, user, "guessed")
            case "expense_create":
                body = {
                    "building_id": building,
                    "label": "Lift maintenance",
                    "amount": 80 + building,
                }
                status, made = await self._send(
                    session, "POST", "/api/v1/expenses", user=user, body=body
                )
                if status == 201:
                    self._pending.append(made["id"])
            case "expense_validate":
                number = self._pending.popleft() if self._pending else building
                path = f"/api/v1/expenses/{number}/validate"
                await self._send(session, "POST", path, user=user)
            case "payment_pay":
                path = f"/api/v1/payments/{self._random.randint(1, 1200)}/pay"
                await self._send(session, "POST", path, user=user)
            case "user_create":
                name = f"new{time.time_ns()}@example.org"
                body = {"email": name, "password": LAB_PASSWORD}
                await self._send(session, "POST", "/api/v1/users", user=user, body=body)
            case other:
                path = {
                    "buildings": "/api/v1/buildings",
                    "building": f"/api/v1/buildings/{building}",
                    "expenses": "/api/v1/expenses?limit=50",
                    "payments": "/api/v1/payments",
                    "users": "/api/v1/users",
                    "report": "/api/v1/reports/charges",
                    "report_full": "/api/v1/reports/charges?detail=full",
                    "unknown": f"/wp-login-{building}.php",
                }[other]
                await self._send(session, "GET", path, user=user)
