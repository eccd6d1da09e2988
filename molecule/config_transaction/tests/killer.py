"""Runs on the host: kill a transaction with SIGKILL ahead of each of its steps, look, let it heal.

Usage: killer.py. Prints one JSON document: the steps, and what was wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# The test copies what is needed beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from steps import Steps  # type: ignore[import-not-found]

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._activation import Service
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Store
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._transaction import Transaction
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    ARGUMENT_SPEC,
    Request,
)

SET = Path("/etc/koprogo/prometheus")
URL = "http://127.0.0.1:9090"
FOREIGN = "rules/theirs.yml"


def request(number: int) -> Request:
    """One of two configurations, which differ in every file, in links and in which files exist."""
    current = {path.name: path.read_text() for path in SET.glob("systemd.conf")}
    files = {
        "prometheus.yml": f"global: {{scrape_interval: {20 + number}s}}\nrule_files: [rules/*.yml]\n",
        f"rules/only{number}.yml": f"groups: [{{name: g{number}, rules: []}}]\n",
        "systemd.conf": current["systemd.conf"],
        f"journal{number}.conf": f"[Journal]\n# {number}\n",
    }
    rows = [
        {"path": path, "content": text, "on_change": "reload", "secret": False}
        for path, text in files.items()
    ]
    options: dict[str, Any] = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
    return Request.from_options(
        options
        | {
            "name": "prometheus",
            "group": "prometheus",
            "files": rows,
            "links": {
                "/etc/systemd/system/prometheus.service.d/50-koprogo.conf": "systemd.conf",
                f"/etc/systemd/journald.conf.d/{number}.conf": f"journal{number}.conf",
            },
            "validate": [["promtool", "check", "config", "{set}/prometheus.yml"]],
            "unit": "prometheus.service",
            "reload": "sighup",
            "probe": [
                {"url": f"{URL}/-/ready"},
                {
                    "url": f"{URL}/metrics",
                    "metric": "prometheus_config_last_reload_success_timestamp_seconds",
                    "after_action": True,
                },
            ],
        }
    )


class CountingRunner(Runner):
    """Commands are steps as well."""

    def __init__(self, before: Callable[[str], None]) -> None:
        """Announce each command."""
        super().__init__()
        self._before = before

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        """Announce, run, announce that it ended."""
        self._before(f"before {argv[0]}")
        result = super().run(argv, **options)
        self._before(f"after {argv[0]}")
        return result


def transact(wanted: Request, before: Callable[[str], None] = lambda _step: None) -> bool:
    """One run; whether it changed anything."""
    runner = CountingRunner(before)
    real = vars(_io)["os"]
    vars(_io)["os"] = Steps(before)
    try:
        return (
            Transaction(
                wanted,
                store=Store("prometheus"),
                runner=runner,
                service=Service(wanted, Systemd(runner), masker=wanted.masker()),
            )
            .run()
            .changed
        )
    finally:
        vars(_io)["os"] = real


def killed_at(wanted: Request, at: int) -> str:
    """Run in a child that dies ahead of step number ``at``; the step's name, empty if it ended."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        left = at

        def before(step: str) -> None:
            nonlocal left
            if left == 0:
                os.write(write_end, step.encode())
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        try:
            transact(wanted, before)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        name = pipe.read()
    _pid, status = os.waitpid(child, 0)
    return name if os.WIFSIGNALED(status) else ""


def on_disk() -> dict[str, str]:
    """Our files as a daemon sees them, and theirs."""
    return {
        str(path.relative_to(SET)): path.read_text()
        for path in SET.rglob("*")
        if path.is_file() and path.name != ".manifest.json"
    }


def running_interval() -> str:
    """What Prometheus itself says it runs with; one that was killed in a restart may take a moment."""
    for _try in range(50):
        try:
            with urllib.request.urlopen(f"{URL}/api/v1/status/config", timeout=10) as answer:  # noqa: S310
                text: str = json.load(answer)["data"]["yaml"]
        except OSError:
            time.sleep(0.2)
        else:
            return text.split("scrape_interval: ")[1].split(maxsplit=1)[0]
    return "no answer"


def expected(wanted: Request, theirs: Mapping[str, str]) -> dict[str, str]:
    """The files of a whole set."""
    return {**theirs, **{file.path: file.data.decode() for file in wanted.files}}


def main() -> None:
    """Go through all steps, back and forth between the two configurations."""
    theirs = {FOREIGN: "groups: []\n"}
    transact(request(0))
    (SET / FOREIGN).write_text(theirs[FOREIGN])
    names: list[str] = []
    wrong: list[str] = []
    while True:
        number = (len(names) + 1) % 2
        old, new = request(1 - number), request(number)
        name = killed_at(new, len(names))
        if on_disk() not in (expected(old, theirs), expected(new, theirs)):
            wrong.append(f"{len(names)} {name}: a mixture: {sorted(on_disk())}")
        if running_interval() not in (f"{20 + number}s", f"{21 - number}s"):
            wrong.append(f"{len(names)} {name}: Prometheus runs with {running_interval()}")
        transact(new)
        if on_disk() != expected(new, theirs) or running_interval() != f"{20 + number}s":
            wrong.append(f"{len(names)} {name}: not healed")
        if transact(new):
            wrong.append(f"{len(names)} {name}: not idempotent after healing")
        if not name:
            break
        names.append(name)
    links = sorted(str(path) for path in Path("/etc/systemd/journald.conf.d").iterdir())
    sets = sorted(path.name for path in Path("/etc/koprogo/.sets").glob("*prometheus-*"))
    json.dump({"steps": names, "wrong": wrong, "links": links, "sets": sets}, sys.stdout)


if __name__ == "__main__":
    main()
