# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m lab bench-protection``: how soon an attacker is kept out, and what the engines cost.

Scenario C(detection) makes the hosts and the attackers beside them; protection_probe.py measures on each
host, one after the other. KOPROGO_BENCH_TRIES is how often each attack is made.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.bench_page import put, table
from lab.demo import preparation
from lab.paths import ROOT
from lab.sample_api.koprogo_api.logline import request_line
from lab.shell import output, stream
from lab.steps import Clock, run_steps
from lab.venv import tool_environment

__all__ = ["bench_protection", "section"]

_HOSTS = {"Debian 12": "detect-box12", "Debian 13": "detect-box13"}
_TRIES = int(os.environ.get("KOPROGO_BENCH_TRIES", "10"))
_BURST = 20
_RATE, _SECONDS = 1000, 60
_PROBE = Path(__file__).with_name("protection_probe.py")
_LATENCIES = (
    ("SQL injection", "intrusion", "event", "line in eve.json"),
    ("SQL injection", "intrusion", "ban", "decision of CrowdSec"),
    ("SQL injection", "intrusion", "drop", "first dropped packet"),
    ("flood of API requests", "flood", "ban", "ban of fail2ban"),
    ("flood of API requests", "flood", "drop", "first dropped packet"),
)
_BURSTS = {"requests": "requests and answers over TCP", "datagrams": "datagrams"}


def section(found: Mapping[str, Mapping[str, Any]], tries: int = _TRIES) -> str:
    """The section of the page: of each release what the probe has found."""
    latencies, memory, bursts, load = [], [], [], []
    for release, figures in found.items():
        for attack, key, name, until in _LATENCIES:
            values = [one[name] for one in figures["bans"][key]]
            cells = (f"{statistics.median(values):.2f} s", f"{max(values):.2f} s")
            latencies.append((release, attack, until, *cells))
        memory += [(release, unit, f"{mib:.0f}") for unit, mib in figures["memory"].items()]
        bursts += [(release, _BURSTS[name], *_rates(one)) for name, one in figures["burst"].items()]
        load += [(release, unit, f"{100 * share:.0f} %") for unit, share in figures["load"].items()]
    lines = (
        "## Protection",
        "",
        f"Hosts of scenario `detection`, in containers on the machine that also attacks. Each attack {tries} "
        "times, from the moment before its request is sent, or the flood's 100 lines are in the API's log.",
        "",
        *table(("release", "attack", "until", "median", "worst"), latencies),
        "",
        "Memory of each engine's process after that, PSS: what it shares with others counts in parts.",
        "",
        *table(("release", "engine", "MiB"), memory),
        "",
        f"What the attacker can send with one core for {_BURST} s, requests one after the other, and what "
        "the sensor has lost of it by its own counters. Attacker, server and sensor share the cores.",
        "",
        *table(("release", "packets", "seen a second", "lost", "share"), bursts),
        "",
        f"CPU of who reads the API's log at {_RATE} lines a second for {_SECONDS} s, of one core.",
        "",
        *table(("release", "reader", "CPU"), load),
    )
    return "\n".join(lines)


def _rates(burst: Mapping[str, float]) -> Sequence[str]:
    share = burst["lost"] / burst["seen"] if burst["seen"] else 0.0
    rate = burst["seen"] / burst["seconds"]
    return f"{rate:.0f}", f"{burst['lost']:.0f}", f"{100 * share:.1f} %"


def _line() -> str:
    """A line of the API's log; the host puts address and time in."""
    path = "/api/v1/buildings"
    line = request_line(
        moment=0,
        remote_addr="ADDRESS",
        method="GET",
        path=path,
        route=path,
        status=200,
        duration_ms=4.2,
        user_agent="Mozilla/5.0",
        request_id="0",
        message=f"GET {path} answered 200",
    )
    return line.replace("1970-01-01T00:00:00.000Z", "TIME")


def _probe(host: str, part: str, **options: Any) -> Any:
    argv = ["docker", "exec", "-i", host, "python3", "-", json.dumps({"part": part, **options})]
    text = output(argv, stdin=_PROBE.read_text(encoding="utf-8"), timeout=1800)
    return json.loads(text.splitlines()[-1])


def measure(host: str) -> dict[str, Any]:
    """All figures of one host."""
    return {
        "bans": _probe(host, "bans", tries=_TRIES, line=_line()),
        "memory": _probe(host, "memory"),
        "burst": _probe(host, "burst", seconds=_BURST),
        "load": _probe(host, "load", rate=_RATE, seconds=_SECONDS, line=_line()),
    }


def _molecule(command: str) -> int:
    argv = ("molecule", command, "--scenario-name", "detection")
    return stream(argv, cwd=ROOT, env=tool_environment())


def bench_protection() -> int:
    """Make the hosts, measure, write the section, and remove the hosts."""
    run_steps(preparation(), Clock())
    try:
        if code := _molecule("converge"):
            return code
        found = {}
        for release, host in _HOSTS.items():
            found[release] = measure(host)
            print(release, found[release], flush=True)
        put(section(found))
    finally:
        _molecule("destroy")
    return 0
