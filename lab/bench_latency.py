# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m lab bench-latency``: api_latency_info's reader beside jq on a generated log of 1 GB.

Both extract time, method, route, status and duration of every line; the reader also makes the
quantiles, the failing routes and the slowest requests of them. CPU seconds are compared: wall time
depends on what else the machine does.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.bench_page import put, table
from lab.paths import ROOT
from lab.sample_api.koprogo_api.logline import event_line, request_line
from lab.shell import install_packages

__all__ = ["Run", "bench_latency", "generate", "section"]

_SIZE = 1_000_000_000
_ROUTES = (
    "/api/v1/buildings",
    "/api/v1/buildings/{building_id}",
    "/api/v1/expenses",
    "/api/v1/expenses/{expense_id}/validate",
    "/api/v1/payments/{payment_id}/pay",
    "/api/v1/users",
    "/health",
)
_READER = """
import json, resource, sys
sys.path.insert(0, sys.argv[2])
from ansible_collections.koprogo.observability.plugins.module_utils._latency import Window, read_log
window = Window.of(since="2025-01-01", until="2027-01-01", duration="1h")
found = read_log(sys.argv[1], window)
print(json.dumps([found["lines"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
_JQ = "[.timestamp, .method, .route, .status, .duration_ms] | @tsv"


def generate(path: Path, size: int) -> int:
    """Write about ``size`` bytes of the sample API's lines; return their number."""
    chance, lines, moment = random.Random(7), 0, 1_763_830_000.0  # noqa: S311 - dice
    with path.open("w", encoding="ascii") as log:
        # 20,000 different lines are made, and their times moved on for each copy.
        block = []
        for number in range(20_000):
            route = chance.choice(_ROUTES)
            status = chance.choices((200, 201, 404, 500), (90, 5, 4, 1))[0]
            moment += 0.0011
            block.append(
                request_line(
                    moment=moment,
                    remote_addr=f"192.0.2.{number % 250}",
                    method=chance.choice(("GET", "POST")),
                    path=route.replace("{", str(number)).replace("}", ""),
                    route=route,
                    status=status,
                    duration_ms=chance.lognormvariate(2.5, 1.2),
                    user_agent='Mozilla/5.0 "odd"' if number % 500 == 0 else "koprogo-cli/1.1",
                    request_id=f"{chance.getrandbits(128):032x}",
                    message=f"GET {route} answered {status}",
                )
                if number % 400
                else event_line(moment=moment, level="ERROR", logger="db", message="slow pool")
            )
        text = "\n".join(block) + "\n"
        for _copy in range(max(1, size // len(text))):
            log.write(text)
            lines += len(block)
    return lines


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds of a command: on the clock, and of the processor."""

    wall: float
    cpu: float


def _timed(argv: list[str]) -> tuple[Run, str]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall=time.monotonic() - started, cpu=cpu), done.stdout


def section(runs: Mapping[str, Run], *, size: int, lines: int, memory: float) -> str:
    """The section of the page. ``size`` in bytes, ``memory`` in MiB."""
    ours = runs["api_latency_info"]
    rows = [
        (name, f"{run.wall:.1f} s", f"{run.cpu:.1f} s", f"{run.cpu / ours.cpu:.2f}")
        for name, run in runs.items()
    ]
    text = (
        f"Time, method, route, status and duration of {lines} lines, {size / 1e6:.0f} MB; ours also makes "
        "the quantiles, the failing routes and the slowest requests of them."
    )
    head = ("", "wall", "CPU", "CPU, api_latency_info = 1")
    return "\n".join(
        (
            "## api_latency_info beside jq",
            "",
            text,
            "",
            *table(head, rows),
            "",
            f"Memory of api_latency_info: {memory:.0f} MiB.",
        )
    )


def bench_latency() -> None:
    """Measure, and write the section."""
    if shutil.which("jq") is None:
        install_packages(["jq"], "jq was not found, beside which the log's reader is measured")
    with tempfile.TemporaryDirectory(prefix="koprogo-bench-") as folder:
        path = Path(folder) / "api.log"
        lines = generate(path, _SIZE)
        # jq's output goes nowhere: only its reading is compared.
        script = 'jq -r "$1" "$2" > /dev/null'
        ours, answer = _timed([sys.executable, "-c", _READER, str(path), str(ROOT / "collections")])
        runs = {
            "api_latency_info": ours,
            "jq": _timed(["sh", "-c", script, "sh", _JQ, str(path)])[0],
            "grep -c": _timed(["grep", "-c", "duration_ms", str(path)])[0],
        }
        size = path.stat().st_size
    _counted, memory = json.loads(answer)
    put(section(runs, size=size, lines=lines, memory=memory / 1024))
