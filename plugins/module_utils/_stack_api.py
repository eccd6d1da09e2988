# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A daemon's HTTP API on its own host, asked so that every odd answer becomes a readable check."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import ProbeError
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer, fetch
from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    Check,
    Question,
    failed,
)

__all__ = ["Api", "seconds"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(y|w|d|h|ms|m|s)")
_UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_EXCERPT = 200


class SilentError(ProbeError):
    """A daemon gives no HTTP answer at all."""


def seconds(text: str) -> float:
    """Seconds in a duration such as C(30d) or C(168h0m0s); 0 for anything else."""
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return 0.0
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, kw_only=True)
class Api:
    """A daemon's HTTP API on the loopback of the host C(where)."""

    url: str
    unit: str
    where: str
    headers: Mapping[str, str] | None = None
    fetch: Callable[..., Answer] = fetch

    @property
    def look(self) -> str:
        """The command that shows why it doesn't answer."""
        return f"systemctl status {self.unit}; journalctl -u {self.unit} -n 50 --no-pager"

    def text(self, path: str, **parameters: str) -> str:
        """Body of the answer to GET; ProbeError for no answer or another status than 200."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        answer = self.fetch(f"{self.url}{path}{query}", headers=self.headers, timeout=10.0)
        if answer.error:
            raise SilentError(f"{self.url} doesn't answer: {answer.error}")
        if answer.status != 200:
            body = " ".join(answer.body.split())[:_EXCERPT]
            raise ProbeError(f"{self.url}{path} answered {answer.status}: {body}")
        return answer.body

    def json(self, path: str, **parameters: str) -> Any:
        """The answer to GET as data."""
        text = self.text(path, **parameters)
        try:
            return json.loads(text)
        except ValueError as error:
            raise ProbeError(f"{self.url}{path} answered no JSON: {text[:_EXCERPT]}") from error

    def data(self, path: str, **parameters: str) -> Any:
        """The C(data) of an answer in the common form of Prometheus and Loki."""
        return self.json(path, **parameters)["data"]

    def asked(self, check: str, question: Question) -> Question:
        """The question; no usable answer becomes a failed check of that name."""

        def ask() -> list[Check]:
            try:
                return question()
            except SilentError as error:
                # The same check for every question: one row says it once.
                return [failed(f"{self.unit} answers", self.where, error.message, self.look)]
            except ProbeError as error:
                return [failed(check, self.where, error.message, self.look)]
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                evidence = f"{self.url} answered in an unknown form: {error!r}"
                return [failed(check, self.where, evidence, self.look)]

        return ask

    def curl(self, path: str, **parameters: str) -> str:
        """The command that asks the same by hand."""
        fields = "".join(f" --data-urlencode '{k}={v}'" for k, v in parameters.items())
        return f"curl -sG {self.url}{path}{fields}"

    def promtool(self, query: str) -> str:
        """The command that makes a PromQL query by hand, with the tool that Prometheus brings."""
        return f"promtool query instant {self.url} {shlex.quote(query)}"
