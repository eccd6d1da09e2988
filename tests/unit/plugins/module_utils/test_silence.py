# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences have an end and a subject, and are made once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer
from ansible_collections.koprogo.observability.plugins.module_utils._silence import (
    Silences,
    Wish,
    matchers_of,
)


def matcher(value: str, *, name: str = "alertname", **options: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "regex": False, "equal": True, **options}


class Alertmanager:
    """Keeps silences as Alertmanager does."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.rows: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.error = ""

    def __call__(self, url: str, *, method: str, data: bytes | None, **_options: Any) -> Answer:
        self.asked.append(method)
        if self.error:
            return Answer(status=0, body="", error=self.error)
        if method == "GET":
            return Answer(status=200, body=json.dumps(list(self.rows.values())))
        if method == "DELETE":
            self.rows[url.rpartition("/")[2]]["status"] = {"state": "expired"}
            return Answer(status=200, body="")
        body = json.loads(data or b"")
        if body.get("id"):
            self.rows[body["id"]]["status"] = {"state": "expired"}
        name = f"id-{len(self.rows)}"
        self.rows[name] = {**body, "id": name, "status": {"state": "active"}}
        return Answer(status=200, body=json.dumps({"silenceID": name}))

    def silences(self) -> Silences:
        return Silences("http://127.0.0.1:9093/", fetch=self, now=lambda: self.now)

    def active(self) -> list[str]:
        return [name for name, row in self.rows.items() if row["status"]["state"] == "active"]


def wish(duration: float = 600.0) -> Wish:
    return Wish(
        matchers=matchers_of([matcher("ApiDown"), matcher("api1", name="host")]),
        comment="remediation",
        author="ada",
        duration=duration,
    )


def test_created_once_extended_late_and_ended() -> None:
    server = Alertmanager()
    silences = server.silences()
    assert silences.present(wish(), check=True)["action"] == "create"
    assert server.active() == []
    assert silences.present(wish(), check=False)["action"] == "create"
    assert silences.present(wish(), check=False)["action"] == "none"
    server.now += 250
    assert not silences.present(wish(), check=False)["changed"]
    server.now += 60
    told = silences.present(wish(), check=False)
    assert (told["action"], told["ends_at"]) == ("extend", "2027-01-15T08:15:10.000Z")
    assert server.active() == [told["silence_id"]]
    assert silences.absent(wish().matchers, "remediation", check=True)["action"] == "expire"
    assert len(server.active()) == 1
    assert silences.absent(wish().matchers, "remediation", check=False)["action"] == "expire"
    assert server.active() == []
    assert silences.absent(wish().matchers, "remediation", check=False)["action"] == "none"


def test_a_strangers_silence_is_left_alone() -> None:
    server = Alertmanager()
    server.silences().present(wish(), check=False)
    assert not server.silences().absent(wish().matchers, "another", check=False)["changed"]
    assert len(server.active()) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [matcher("")],
        [matcher(".*", regex=True)],
        [matcher(".+", regex=True)],
        [matcher("(a|.*)", regex=True)],
        [matcher("ApiDown"), matcher(".*", name="host", regex=True)],
        [matcher("ApiDown", equal=False)],
        [matcher("none-such", regex=True, equal=False)],
        [matcher("(", regex=True)],
        [matcher("x", name="not a label")],
    ],
)
def test_a_silence_of_everything_is_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError):
        matchers_of(rows)


def test_useful_matchers_pass() -> None:
    rows = [matcher("Api.*|SlowApi", regex=True), matcher("critical", name="severity", equal=False)]
    assert len(matchers_of(rows)) == 1 + 1


@pytest.mark.parametrize("duration", [0.0, -5.0, 59.0, 8 * 86_400.0, float("nan"), float("inf")])
def test_an_end_is_needed(duration: float) -> None:
    with pytest.raises(InputError, match="duration"):
        wish(duration).check()


def test_a_silent_alertmanager_is_an_error() -> None:
    server = Alertmanager()
    server.error = "refused"
    with pytest.raises(ProbeError, match="does not answer"):
        server.silences().present(wish(), check=False)
