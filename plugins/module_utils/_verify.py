# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Ask a running unit whether it is what it should be. Nothing here changes anything."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ProbeError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    Probe,
    await_probes,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._service import with_journal
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
    parse_endpoint,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import (
    Systemd,
    UnitState,
)

__all__ = ["Expectation", "Verifier", "parse_exposure"]

_OVERALL = re.compile(r"Overall exposure level for .+?: (\d+(?:\.\d+)?)")

# How many seconds a service must live to count as running, and one that was restarted.
_SETTLE = 1.0
_SETTLE_AGAIN = 2.0


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What must hold. ``listen_timeout`` is in seconds; a None is not judged."""

    unit: str
    listen: Sequence[str] = ()
    listen_udp: Sequence[str] = ()
    listen_any: bool = False
    probes: Sequence[Probe] = ()
    max_exposure: float | None = None
    enabled: bool = True
    listen_timeout: float = 10.0


@dataclass(kw_only=True)
class _Evidence:
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def parse_exposure(text: str) -> float | None:
    """Read the overall figure of ``systemd-analyze security``; its words differ by version."""
    match = _OVERALL.search(text)
    return float(match.group(1)) if match else None


class Verifier:
    """Verifies one unit; finds all that is wrong before it complains."""

    def __init__(
        self,
        wanted: Expectation,
        *,
        runner: Runner,
        systemd: Systemd,
        sockets: SocketTable,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the expected sockets, so that a mistake in them is found first."""
        self._wanted = wanted
        self._runner = runner
        self._systemd = systemd
        self._sockets = sockets
        self._sleep = sleep
        self._tcp = {parse_endpoint(item, option="listen") for item in wanted.listen}
        self._udp = {parse_endpoint(item, option="listen_udp") for item in wanted.listen_udp}
        self._found = _Evidence()

    def verify(self) -> dict[str, Any]:
        """Return the evidence, or raise ServiceError with all problems in its first sentence."""
        began, first = time.monotonic(), self._systemd.state(self._wanted.unit)
        if first.running:
            self._probe()
            self._judge_sockets()
            self._judge_exposure()
            self._outlast(first, began)
        last = self._systemd.state(self._wanted.unit)
        self._judge_state(first, last)
        evidence = {"unit": self._wanted.unit, **self._found.values}
        if self._found.problems:
            journal = self._systemd.journal(self._wanted.unit, lines=20) if last.exists else []
            sentence = (
                f"{self._wanted.unit} is not as it should be: {'; '.join(self._found.problems)}."
            )
            raise ServiceError(
                with_journal(sentence, journal),
                problems=self._found.problems,
                journal=journal,
                **evidence,
            )
        return evidence

    def _judge_state(self, first: UnitState, last: UnitState) -> None:
        found, wanted = self._found, self._wanted
        found.values |= {
            "active_state": last.active,
            "sub_state": last.sub,
            "pid": last.main_pid,
            "restarts": last.restarts,
            "enabled": last.enabled == "enabled",
        }
        if not last.exists:
            found.problems.insert(0, "there is no such unit")
            return
        if not last.running:
            why = last.describe().removeprefix(f"{wanted.unit} is ")
            found.problems.insert(0, f"expected it to be active, found {why}")
        elif last.restarts != first.restarts or (
            first.main_pid and last.main_pid != first.main_pid
        ):
            found.problems.insert(
                0, f"it restarts by itself (NRestarts {first.restarts}, then {last.restarts})"
            )
        if wanted.enabled and last.enabled in ("disabled", "masked", "enabled-runtime"):
            found.problems.append(f"expected it to be enabled at boot, found {last.enabled}")

    def _outlast(self, first: UnitState, began: float) -> None:
        """Let it live a while first: a service that dies runs until then, a crash loop mostly."""
        wanted = _SETTLE_AGAIN if first.restarts else _SETTLE
        left = wanted - first.age - (time.monotonic() - began)
        if left > 0:
            self._sleep(left)

    def _probe(self) -> None:
        try:
            self._found.values["probes"] = await_probes(
                self._wanted.probes, given_up=self._given_up
            )
        except ProbeError as exc:
            self._found.values["probes"] = exc.evidence.get("probes", [])
            self._found.problems.append(exc.message.rstrip("."))

    def _given_up(self) -> str:
        state = self._systemd.state(self._wanted.unit)
        return state.describe() if state.dead or state.sub == "auto-restart" else ""

    # Sockets

    def _judge_sockets(self) -> None:
        pids = self._systemd.pids(self._wanted.unit)
        self._found.values["memory_bytes"] = self._sockets.resident_bytes(pids)
        deadline = time.monotonic() + self._wanted.listen_timeout
        looks = 0
        while True:
            found = self._sockets.of(pids)
            tcp = {(item.address, item.port) for item in found if item.protocol == "tcp"}
            udp = {(item.address, item.port) for item in found if item.protocol == "udp"}
            missing, extra = self._compare(tcp, udp)
            looks += 1
            # What is missing may still come; what is too much may just be going.
            patient = time.monotonic() < deadline if missing else looks < 3
            if self._wanted.listen_any or not (missing or extra) or not patient or self._given_up():
                break
            self._sleep(0.2)
            pids = self._systemd.pids(self._wanted.unit)
        self._found.values["sockets"] = [str(item) for item in found]
        if self._wanted.listen_any:
            return
        self._found.problems += [
            f"expected it to listen on {item}{self._holder(item, pids)}" for item in missing
        ]
        self._found.problems += [f"it listens on {item}, which is not expected" for item in extra]

    def _compare(
        self, tcp: set[tuple[str, int]], udp: set[tuple[str, int]]
    ) -> tuple[list[Socket], list[Socket]]:
        def rows(protocol: str, endpoints: set[tuple[str, int]]) -> list[Socket]:
            return [
                Socket(protocol=protocol, address=address, port=port) for address, port in endpoints
            ]

        missing = rows("tcp", self._tcp - tcp) + rows("udp", self._udp - udp)
        extra = rows("tcp", tcp - self._tcp) + rows("udp", udp - self._udp)
        return sorted(missing), sorted(extra)

    def _holder(self, wanted: Socket, pids: list[int]) -> str:
        """Name the process that has taken a port; asked only when something is wrong."""
        holder = self._sockets.holder(wanted, but=pids)
        return f", but {holder} has that port" if holder else ""

    # Exposure

    def _judge_exposure(self) -> None:
        if self._wanted.max_exposure is None:
            return
        result = self._runner.run(
            ["systemd-analyze", "security", "--no-pager", "--", self._wanted.unit], timeout=30
        )
        exposure = parse_exposure(result.stdout)
        self._found.values["exposure"] = exposure
        if exposure is None:
            self._found.problems.append(
                f"systemd-analyze security gave no figure: {result.output[-200:]}"
            )
        elif exposure > self._wanted.max_exposure:
            self._found.problems.append(
                f"expected an exposure of at most {self._wanted.max_exposure:g} (systemd-analyze security), "
                f"found {exposure:g}"
            )
