# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge what was found on all hosts. See the module's documentation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import CATALOGUE
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import remembered
from ansible_collections.koprogo.observability.plugins.plugin_utils._stack_report import (
    Row,
    counts,
    failures,
    rows,
    table,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import omitted

_OBSERVED = ("__verify_host", "__verify_monitoring")
_WIDEST = 180


def _no_answer(host: str, observed: Mapping[str, Any]) -> dict[str, str]:
    """The check that stands for a host that couldn't be looked at."""
    reason = str(observed.get("msg") or "the task didn't run").strip().splitlines()[0]
    return {
        "check": "host answers",
        "where": host,
        "result": "failed",
        "evidence": reason,
        "look": f"on the control node: ansible {host} -m ansible.builtin.ping",
    }


def _omitted(
    hosts: Iterable[str], groups: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """What the inventory leaves out on purpose is said, not passed over."""
    return [
        {
            "check": f"{component.name} runs",
            "where": host,
            "result": "skipped",
            "evidence": "left out by koprogo_omit",
            "look": "",
        }
        for host in hosts
        for component in CATALOGUE
        if component.name in omitted(hostvars[host])
        if not component.groups or any(host in groups.get(name, []) for name in component.groups)
    ]


class ActionModule(ActionBase):
    """Works on the control node only."""

    _requires_connection = False
    _supports_check_mode = True
    TRANSFERS_FILES = False

    @staticmethod
    def _collect(
        variables: Iterable[str], hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """All checks: variable by variable, host by host."""
        checks: list[dict[str, Any]] = []
        silent: set[str] = set()
        for variable in variables:
            for host in hosts:
                observed = hostvars[host].get(variable) or {}
                if "checks" in observed:
                    checks += observed["checks"]
                elif not observed.get("skipped") and host not in silent:
                    silent.add(host)
                    checks.append(_no_answer(host, observed))
        return checks

    @staticmethod
    def _show(found: list[Row], wrong: list[str]) -> None:
        display = Display()
        width = min(shutil.get_terminal_size((140, 24)).columns, _WIDEST)
        number = counts(found)
        display.display(f"\n{table(found, width)}")
        for place, text in enumerate(wrong, start=1):
            display.display(f"\n{place}. {text}", color="red")
        total = f"{number['passed']} ok, {number['failed']} failed, {number['skipped']} skipped"
        display.display(f"\n{total}", color="red" if wrong else "green")

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Collect, show, write the report, and fail if anything is wrong."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        hosts = task_vars["ansible_play_hosts_all"]
        hostvars = remembered(task_vars["hostvars"])
        checks = self._collect(args.get("observed") or _OBSERVED, hosts, hostvars)
        found = rows(checks + _omitted(hosts, task_vars["groups"], hostvars))
        wrong = failures(found) if checks else ["nothing was checked"]
        self._show(found, wrong)

        result.update(
            changed=False,
            ok=not wrong,
            counts=counts(found),
            failures=wrong,
            rows=[row.as_result() for row in found],
        )
        if args.get("report"):
            self._write_report(str(args["report"]), result)
        if wrong and args.get("fail", True):
            result.update(failed=True, msg=f"{len(wrong)} of {len(found)} checks failed.")
        return result

    @staticmethod
    def _write_report(path: str, result: Mapping[str, Any]) -> None:
        report = {key: result[key] for key in ("ok", "counts", "failures", "rows")}
        try:
            Path(path).write_text(
                json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8"
            )
        except OSError as error:
            raise AnsibleActionFail(
                f"report: expected a file that can be written, found {path}: {error.strerror}"
            ) from error
