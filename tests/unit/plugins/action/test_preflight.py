# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the hosts compares a file with its checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.action.preflight import ActionModule

LOKI = {"component": "loki", "option": "loki_archive", "url": "https://u:p@x/l", "sha256": "0" * 64}
GRAFANA = {**LOKI, "component": "grafana", "option": "grafana_archive", "url": "https://x/g"}


class Action(ActionModule):
    """The plugin for a host that only listens."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def _execute_module(self, **keywords: Any) -> dict[str, Any]:
        self.asked += keywords["module_args"]["downloads"]
        return {"errors": []}

    def judges(self, *downloads: dict[str, str], missing: list[str]) -> dict[str, bool]:
        self._try(downloads, [one["option"] in missing for one in downloads], {})
        return {one["option"]: one["judged"] for one in self.asked}


def test_one_of_the_hosts_that_lack_a_file_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path))
    # The first host has Loki's archive already.
    first = Action().judges(LOKI, GRAFANA, missing=["grafana_archive"])
    assert first == {"grafana_archive": True}
    second = Action().judges(LOKI, GRAFANA, missing=["loki_archive", "grafana_archive"])
    assert second == {"loki_archive": True, "grafana_archive": False}
    third = Action().judges(LOKI, missing=["loki_archive"])
    assert third == {"loki_archive": False}
    # Another checksum for the same file is another question.
    other = Action().judges({**LOKI, "sha256": "1" * 64}, missing=["loki_archive"])
    assert other == {"loki_archive": True}
