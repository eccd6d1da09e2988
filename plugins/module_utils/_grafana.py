# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The password of Grafana's administrator: ask whether it holds, set it where it does not."""

from __future__ import annotations

import base64
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

__all__ = ["Administrator", "PasswordError", "check_password"]

# What Grafana itself calls too short.
_SHORTEST = 5


class PasswordError(KoprogoError):
    """Grafana does not take the password; the old one is still valid."""


def check_password(password: str) -> None:
    """Refuse what Grafana would refuse, or read differently, before anything is asked."""
    if len(password) < _SHORTEST:
        raise InputError(
            f"password: expected at least {_SHORTEST} characters, found {len(password)}."
        )
    if any(ord(char) < 32 or ord(char) == 127 for char in password):
        raise InputError("password: expected one line without control characters.")


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """The first account of one Grafana. ``timeout`` is in seconds."""

    url: str
    user: str
    password: str
    timeout: float = 30.0

    def accepted(self) -> bool:
        """Whether Grafana takes the password; waits for a Grafana that is still starting."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return self._ask()
            except ServiceError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)

    def _ask(self) -> bool:
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        request = urllib.request.Request(  # noqa: S310 - the URL is the operator's own
            f"{self.url.rstrip('/')}/api/user", headers={"Authorization": f"Basic {credentials}"}
        )
        try:
            # Never by a proxy of the environment: the password is in the request.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=10) as response:
                status = int(response.status)
        except urllib.error.HTTPError as exc:
            status = exc.code
        except (urllib.error.URLError, http.client.HTTPException, OSError) as exc:
            raise ServiceError(
                f"{self.url}: expected Grafana to answer within {self.timeout:g} s, found: "
                f"{getattr(exc, 'reason', exc)}."
            ) from exc
        if status in (200, 401):
            return status == 200
        raise ServiceError(
            f"{self.url}/api/user: expected status 200 or 401, found {status}.", status=status
        )

    def set_password(self, runner: Runner, command: Sequence[str], *, run_as: str) -> None:
        """Set it by Grafana's own command, which reads it from its standard input."""
        result = runner.run(command, user=run_as, stdin=f"{self.password}\n", timeout=60)
        if not result.ok:
            raise PasswordError(
                f"Grafana refuses the new password of {self.user}; the old one stays valid: "
                f"{result.output.strip() or 'it printed nothing'}",
                rc=result.rc,
            )
        if not self.accepted():
            raise PasswordError(
                f"Grafana's command reported success, but {self.url} does not take the new password of "
                f"{self.user}. Is {self.user} the first account, and does the server use the same database?"
            )
