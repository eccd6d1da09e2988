# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long from a fault to the message on every channel, for each of the runbook's eight alerts.

A real Prometheus and a real Alertmanager with the configuration that the roles write, the lab's receivers
behind them. Each try is a host in a deployment of its own, so that none waits in the group of another; all
run at once, and begin at moments spread over a scrape interval. Run in the virtual environment.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab.bench_faults import FAULTS, Fault
from lab.bench_page import put, table
from lab.bench_product import (
    alert_defaults,
    seconds,
    seconds_of,
    start,
    write_alertmanager,
    write_rules,
)
from lab.binaries import ALERTMANAGER, ensure_binary
from lab.loopback import daemon, free_port, prometheus
from lab.receivers.__main__ import Receiver
from lab.shell import Argv, LabError

__all__ = ["Delay", "Try", "section"]

_TRIES = 10
#: Seconds of being well before the first fault: a rate needs two samples.
_WELL = 40
_GROUPS = ("api", "database")
_CHANNELS = {"critical": {"pagerduty", "slack", "sms"}, "warning": {"slack"}}
#: Seconds after the last fault until a missing message is an error.
_LONGEST = 240
# Debian's Alertmanager reads its own templates there and nowhere else. Only it sees the change.
_WITH_SHARE = 'mount --bind "$0" /usr/share && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class Try:
    """A host whose fault begins at a moment in seconds since 1970."""

    host: str
    fault: Fault
    began: float

    def page(self, now: float) -> str:
        """What it serves at a moment."""
        late = now - self.began
        return self.fault.page(_WELL + min(late, 0), max(late, 0))


@dataclass(frozen=True, kw_only=True)
class Delay:
    """An alert's seconds from fault to message in each try.

    product: the alert's C(for) by default, hold: the one here. condition: seconds until the expression
    holds. most: the seconds that may pass.
    """

    alert: str
    channels: Sequence[str]
    product: str
    hold: str
    condition: float
    most: float
    seconds: Sequence[float]


def _scrape() -> int:
    return seconds_of("prometheus", "scrape_interval")


def _evaluation() -> int:
    return seconds_of("prometheus", "evaluation_interval")


def _group_wait() -> int:
    return seconds_of("alertmanager", "group_wait")


def _tries() -> list[Try]:
    first = time.time() + _WELL
    return [
        Try(
            host=f"{fault.alert.lower()}-{number:02d}",
            fault=fault,
            began=first + number * _scrape() / _TRIES,
        )
        for fault in FAULTS
        for number in range(_TRIES)
    ]


def _serving(server: ThreadingHTTPServer) -> ThreadingHTTPServer:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def _hosts(tries: Sequence[Try]) -> ThreadingHTTPServer:
    """Every host's metrics on one port, at a path of its name."""
    by_path = {f"/{one.host}": one for one in tries}

    class Hosts(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = by_path[self.path].page(time.time()).encode()
            self.send_response(200 if body else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Eighty hosts say nothing that is worth a line."""

    return _serving(ThreadingHTTPServer(("127.0.0.1", 0), Hosts))


def _jobs(tries: Sequence[Try], port: int) -> list[dict[str, Any]]:
    return [
        {
            "job_name": job,
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{port}"],
                    "labels": {
                        "instance": one.host,
                        "host": one.host,
                        "deployment": one.host,
                        "__metrics_path__": f"/{one.host}",
                    },
                }
                for one in tries
                if one.fault.job == job
            ],
        }
        for job in sorted({one.fault.job for one in tries})
    ]


def _write_rules(folder: Path, tries: Sequence[Try]) -> None:
    """The rules for these hosts, with no other alerts than those that are measured."""
    wanted = {fault.alert: dict(fault.settings) for fault in FAULTS}
    alerts = {name: wanted.get(name, {"enabled": False}) for name in alert_defaults()}
    groups = {name: [one.host for one in tries if one.fault.group == name] for name in _GROUPS}
    groups |= {"monitoring": ["bench"], "all": ["bench", *(one.host for one in tries)]}
    hostvars = {host: {"koprogo_deployment": host} for host in groups["all"]}
    write_rules(folder, groups, hostvars, alerts)


def _receivers(record: Path) -> ThreadingHTTPServer:
    """The lab's receivers, which judge each message and write it down."""
    Receiver.record = record
    return _serving(ThreadingHTTPServer(("127.0.0.1", 0), Receiver))


def _told(record: Path, tries: Sequence[Try]) -> dict[str, dict[str, float]]:
    """Host to channel to when it was told first; LabError for a message that its service refuses."""
    found: dict[str, dict[str, float]] = {one.host: {} for one in tries}
    for line in record.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["errors"]:
            raise LabError(f"{entry['service']} refuses a message: {entry['errors']}")
        text = json.dumps(entry["body"])
        for one in tries:
            if one.host in text:
                found[one.host].setdefault(entry["service"], entry["at"])
    return found


def _channels_of(fault: Fault) -> set[str]:
    return _CHANNELS[alert_defaults()[fault.alert]["severity"]]


def _delays(tries: Sequence[Try], told: Mapping[str, Mapping[str, float]]) -> list[Delay]:
    defaults = alert_defaults()
    found = []
    for fault in FAULTS:
        channels = _channels_of(fault)
        mine = [one for one in tries if one.fault is fault]
        if missing := [one.host for one in mine if told[one.host].keys() != channels]:
            raise LabError(f"{fault.alert}: expected {channels} to be told, not so for {missing}.")
        product = defaults[fault.alert]["for"]
        hold = fault.settings.get("for", product)
        found.append(
            Delay(
                alert=fault.alert,
                channels=sorted(channels),
                product=product,
                hold=hold,
                condition=fault.condition,
                most=_scrape() + fault.condition + _evaluation() + seconds(hold) + _group_wait(),
                seconds=[max(told[one.host].values()) - one.began for one in mine],
            )
        )
    return found


def _measure(tries: Sequence[Try], folder: Path) -> list[Delay]:
    """Let the faults happen; LabError if one of them is not told on each of its channels."""
    record = folder / "received.jsonl"
    record.touch()
    (folder / "rules").mkdir()
    _write_rules(folder / "rules", tries)
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        receivers = stack.enter_context(_receivers(record))
        alertmanager = ensure_binary(*ALERTMANAGER)
        program: Argv = [
            *("unshare", "--map-root-user", "--mount", "sh", "-c", _WITH_SHARE),
            alertmanager.parents[1] / "share",
            alertmanager,
            f"--config.file={write_alertmanager(folder, _url(receivers))}",
            f"--storage.path={folder / 'silences'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ]
        log = folder / "alertmanager.log"
        stack.enter_context(daemon(program, log, f"http://{address}/-/ready"))
        hosts = stack.enter_context(_hosts(tries))
        config = {
            "global": {
                "scrape_interval": f"{_scrape()}s",
                "evaluation_interval": f"{_evaluation()}s",
            },
            "rule_files": ["rules/*.json"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]},
            "scrape_configs": _jobs(tries, hosts.server_port),
        }
        stack.enter_context(prometheus(folder, config))
        deadline = max(one.began for one in tries) + _LONGEST
        while time.time() < deadline:
            time.sleep(5)
            told = _told(record, tries)
            if all(told[one.host].keys() == _channels_of(one.fault) for one in tries):
                break
        return _delays(tries, _told(record, tries))


def section(delays: Sequence[Delay]) -> str:
    """The page's section."""
    rows = [
        (
            one.alert,
            ", ".join(one.channels),
            one.product if one.product == one.hold else f"{one.hold} ({one.product})",
            f"{one.condition:.0f} s" if one.condition else "",
            f"{one.most:.0f} s",
            f"{statistics.median(one.seconds):.0f} s",
            f"{max(one.seconds):.0f} s",
        )
        for one in delays
    ]
    head = ("alert", "told to", "`for`", "until it holds", "at most", "median", "worst")
    lines = [
        "## From fault to message",
        "",
        f"{len(delays[0].seconds)} tries of each of the runbook's eight, at moments spread over a "
        "scrape interval, until the last of its channels has the message. Prometheus 2.42, "
        "Alertmanager 0.25 and the lab's receivers on loopback, with the roles' rules, routes and "
        "waits. Where minutes were cut short, the product's own `for` is in brackets; and HighCpu "
        "looks at one minute instead of five. *At most* is the sum of a scrape "
        f"({_scrape()} s), what the expression needs until it holds, an evaluation ({_evaluation()} s), "
        f"`for`, and the wait for others of the group (`alertmanager_group_wait`, {_group_wait()} s).",
        "",
        *table(head, rows),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    start()
    tries = _tries()
    with tempfile.TemporaryDirectory(prefix="koprogo-bench-") as name:
        put(section(_measure(tries, Path(name))))


if __name__ == "__main__":
    main()
