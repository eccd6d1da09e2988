# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Make a service take up its configuration, and find out whether it is well with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    ProbeError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    Probe,
    await_probes,
    fetch,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import UnitState
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    Reload,
    Request,
)

__all__ = ["Manager", "Outcome", "Service", "last_words"]

# A unit that systemd had to start again this often after we touched it is in a crash loop.
_CRASHES = 3

# A daemon without a probe has to survive this many seconds to count as started.
_SETTLE = 1.0


class Manager(Protocol):
    """What a service needs of systemd; see Systemd."""

    def state(self, unit: str) -> UnitState: ...
    def daemon_reload(self) -> None: ...
    def restart(self, unit: str) -> None: ...
    def reload(self, unit: str) -> None: ...
    def stop(self, unit: str) -> None: ...
    def signal(self, unit: str, signal: str) -> None: ...
    def journal(self, unit: str, *, lines: int = 15) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done to the service, and the evidence that it is well."""

    action: str = "none"
    probes: list[dict[str, Any]] = field(default_factory=list)


class Service:
    """One component's service, or nothing at all where the request names no unit."""

    def __init__(
        self,
        request: Request,
        manager: Manager,
        *,
        masker: Masker,
        await_probes: Callable[..., list[dict[str, Any]]] = await_probes,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Act through the given manager; the callables exist for tests."""
        self.unit = request.unit
        self._reload: Reload = request.reload
        self._probes: Sequence[Probe] = request.probes
        self._manager = manager
        self._masker = masker
        self._await = await_probes
        self._sleep = sleep
        self._clock = clock
        self.found: UnitState | None = None
        # systemd counts automatic restarts until somebody restarts the unit: earlier ones say nothing.
        self._restarts_before = 0

    def observe(self) -> None:
        """Look at the unit before anything is touched: a failed change returns to this state."""
        if self.found is None and self.unit is not None:
            self.found = self._manager.state(self.unit)

    @property
    def found_state(self) -> str:
        """The unit's state before anything was touched, empty without a unit."""
        return self.found.active if self.found else ""

    def predict(self, action: str) -> str:
        """Return what an action will amount to in the state in which the unit was found."""
        if action == "none":
            return "none"
        self.observe()
        if self.found is None:
            return "reload" if self._reload.kind == "url" else "none"
        if not self.found.exists or self.found.active in ("inactive", "deactivating"):
            # Not running: component_service starts it, with the new configuration.
            return "none"
        return self._feasible(action, self.found)

    def apply(self, action: str, *, daemon_reload: bool) -> Outcome:
        """Carry out what predict returned, then wait until the service is well.

        Raises ServiceError or ProbeError with the service's own last words.
        """
        if daemon_reload:
            self._manager.daemon_reload()
        planned = self.predict(action)
        if planned == "none":
            # Without a unit the probes are all there is to judge a change by.
            judged = action != "none" and self.unit is None and bool(self._probes)
            return Outcome(probes=self._wait(None) if judged else [])
        return self._act(planned)

    def let_go(self, action: str, *, daemon_reload: bool) -> tuple[Outcome, str]:
        """Carry out what predict returned after everything of ours is gone, and say how it went wrong.

        It may be that the service can't run under its own configuration, and never could.
        """
        try:
            return self.apply(action, daemon_reload=daemon_reload), ""
        except KoprogoError as error:
            words = "\n".join([error.message, *last_words(self, error)[-8:]])
            return Outcome(action=self.predict(action)), words

    def restore(self, action: str, *, daemon_reload: bool, found: str | None) -> Outcome:
        """Bring the service back after the previous set is in place again.

        Without ``found`` that set is whole, and the service has to be well with it. Otherwise
        nothing of ours was there before, and the unit returns to the state ``found``.
        """
        if daemon_reload:
            self._manager.daemon_reload()
        planned = self.predict(action)
        if planned == "none":
            return Outcome()
        if found is None or self.unit is None:
            return self._act(planned)
        if found == "active":
            self._manager.restart(self.unit)
            return Outcome(action="restart")
        self._manager.stop(self.unit)
        return Outcome(action="stop")

    def journal(self) -> list[str]:
        """Return the last words of the service, masked."""
        if self.unit is None:
            return []
        return [self._masker.text(line) for line in self._manager.journal(self.unit, lines=15)]

    def _act(self, planned: str) -> Outcome:
        if self.unit is not None:
            state = self._manager.state(self.unit)
            planned = self._feasible(planned, state)
            self._restarts_before = 0 if planned == "restart" else state.restarts
        acted_at = self._clock()
        if planned == "restart" and self.unit is not None:
            self._manager.restart(self.unit)
        elif self._reload.kind == "url":
            self._post()
        elif self._reload.kind == "sighup" and self.unit is not None:
            self._manager.signal(self.unit, "HUP")
        elif self.unit is not None:
            self._manager.reload(self.unit)
        return Outcome(action=planned, probes=self._wait(acted_at, restarted=planned == "restart"))

    def _feasible(self, action: str, state: UnitState) -> str:
        """A unit that does not run, or cannot reload, is restarted instead."""
        if action != "reload":
            return action
        if not state.running or (self._reload.kind == "systemctl" and not state.can_reload):
            return "restart"
        return "reload"

    def _post(self) -> None:
        reload = self._reload
        answer = fetch(
            reload.url, method=reload.method, headers=reload.headers, timeout=reload.timeout
        )
        if answer.error or answer.status != reload.status:
            said = answer.error or f"{answer.status}: {' '.join(answer.body.split())[:500]}"
            raise ServiceError(
                self._masker.text(
                    f"{reload.method} {reload.url} did not reload the configuration, expected "
                    f"status {reload.status}, found {said}"
                )
            )

    def _wait(self, acted_at: float | None, *, restarted: bool = False) -> list[dict[str, Any]]:
        evidence = []
        if self._probes:
            evidence = self._await(
                self._probes, acted_at=acted_at, given_up=self._hopeless, masker=self._masker
            )
        elif restarted:
            self._settle()
        if self.unit is not None:
            state = self._manager.state(self.unit)
            if not state.running:
                raise ProbeError(f"{state.describe()}, expected it to run", probes=evidence)
        return evidence

    def _settle(self) -> None:
        """Many daemons report success to systemd before they read their configuration."""
        steps = 5
        for _step in range(steps):
            self._sleep(_SETTLE / steps)
            if reason := self._hopeless(crashes=1):
                raise ProbeError(reason)

    def _hopeless(self, crashes: int = _CRASHES) -> str:
        if self.unit is None:
            return ""
        state = self._manager.state(self.unit)
        crashed = state.restarts - self._restarts_before >= crashes
        return state.describe() if state.dead or crashed else ""


def last_words(service: Service, error: KoprogoError) -> list[str]:
    """Return the journal of a failure, from the error or from the service."""
    found = error.evidence.get("journal") or service.journal()
    return [str(line) for line in found]
