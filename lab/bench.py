# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: figures on this machine, each beside what it is compared with in the same run.

The page docs/benchmarks.md is written from them. Nothing here passes or fails.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.bench_page import PAGE, renewed
from lab.demo import preparation
from lab.hosts import SYSTEMD_OPTIONS
from lab.images import image_of
from lab.paths import ROOT, STATE
from lab.quality import modules
from lab.shell import LabError, answers, output, run
from lab.steps import Clock, run_steps
from lab.venv import tool, tool_environment

__all__ = ["Figures", "bench", "bench_alerts", "fleet", "page"]

_FOLDER = STATE / "bench"
_RECORD = _FOLDER / "runs.jsonl"
_LABEL = "koprogo.lab=bench"
_PAIRS = int(os.environ.get("KOPROGO_BENCH_PAIRS", "3"))
# Ten hosts take a machine of two cores half an hour: KOPROGO_BENCH_SIZES="1 3" leaves them out.
_SIZES = tuple(int(size) for size in os.environ.get("KOPROGO_BENCH_SIZES", "1 3 10").split())
_FOUR = {
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "node_exporter": "prometheus-node-exporter",
    "postgres_exporter": "prometheus-postgres-exporter",
}
# What else the groups of those four would bring.
_OTHERS = ("blackbox_exporter", "grafana", "log_collector", "loki", "sql_exporter")
# Measured on a machine of this kind, four components on one Debian 12 host, second run:
# prometheus-community/ansible 0.30.2 (https://github.com/prometheus-community/ansible).
_PEER = {"results": 196, "cpu": 28.0, "wall": 54.0}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run of a playbook: seconds, and task results of all hosts together."""

    wall: float
    cpu: float
    results: int
    changed: int
    hosts: int


def fleet(size: int, prefix: str = "bench") -> dict[str, list[str]]:
    """Group members for a fleet: one host in all groups, else one of each and the rest API hosts."""
    names = [f"{prefix}{size}-{number}" for number in range(1, size + 1)]
    if size == 1:
        return {"monitoring": names, "api": names, "database": names}
    return {"monitoring": names[:1], "database": names[1:2], "api": names[2:]}


def _inventory(groups: dict[str, list[str]], omit: Sequence[str] = ("grafana",)) -> Path:
    artifacts = json.loads((STATE / "artifacts.json").read_text(encoding="utf-8"))
    variables = {
        "ansible_connection": "community.docker.docker",
        "ansible_remote_tmp": "/dev/shm/.ansible/tmp",  # noqa: S108 - on the hosts, as ansible.cfg has it
        "koprogo_deployment": "bench",
        "koprogo_address": "{{ ansible_facts['default_ipv4']['address'] }}",
        "koprogo_omit": list(omit),
        "loki_install": "archive",
        "loki_archive": artifacts["loki"]["path"],
        "loki_archive_sha256": artifacts["loki"]["sha256"],
        "log_collector_install": "archive",
        "log_collector_archive": artifacts["otelcol"]["path"],
        "log_collector_archive_sha256": artifacts["otelcol"]["sha256"],
    }
    content = {"all": {"vars": variables}} | {
        name: {"hosts": {member: {} for member in members}} for name, members in groups.items()
    }
    folder = _FOLDER / "-".join(str(len(members)) for members in groups.values())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "hosts.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def _start(names: Sequence[str]) -> None:
    for name in names:
        _remove([name])
        options = ["--detach", "--name", name, "--hostname", name, "--label", _LABEL]
        image = image_of("debian12")
        output(["docker", "run", *options, *SYSTEMD_OPTIONS, image, "/sbin/init"])
    for name in names:
        deadline = time.monotonic() + 60
        while not answers(["docker", "exec", name, "systemctl", "is-system-running"]):
            if time.monotonic() > deadline:
                raise LabError(f"{name} did not boot: see docker logs {name}.")
            time.sleep(0.3)


def _remove(names: Sequence[str]) -> None:
    for name in names:
        answers(["docker", "rm", "--force", "--volumes", name])


def _play(inventory: Path, playbook: Path) -> Figures:
    """Run a playbook; CPU is user + system of the control node's processes."""
    _RECORD.unlink(missing_ok=True)
    environment = tool_environment() | {
        "RECORD_CHANGES": str(_RECORD),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "lab" / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record_changes",
        "ANSIBLE_CACHE_PLUGIN": "memory",
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run(
        [tool("ansible-playbook"), "-i", inventory, playbook],
        _FOLDER / "play.log",
        cwd=ROOT,
        env=environment,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    record = json.loads(_RECORD.read_text(encoding="utf-8").splitlines()[-1])
    hosts: list[dict[str, int]] = list(record["hosts"].values())
    return Figures(
        wall=wall,
        cpu=after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        results=sum(host["ok"] + host["skipped"] for host in hosts),
        changed=sum(host["changed"] for host in hosts),
        hosts=len(hosts),
    )


def _scale(board: Clock) -> tuple[dict[int, tuple[Figures, Figures]], dict[str, int]]:
    """First and second run of site.yml on fleets of each size, and the daemons' memory on three."""
    found: dict[int, tuple[Figures, Figures]] = {}
    memory: dict[str, int] = {}
    for size in _SIZES:
        groups = fleet(size)
        names = list(dict.fromkeys(name for members in groups.values() for name in members))
        board.say("scale", f"{size} hosts")
        _start(names)
        inventory = _inventory(groups)
        _play(inventory, ROOT / "lab" / "playbooks" / "sample.yml")
        first = _play(inventory, ROOT / "playbooks" / "site.yml")
        second = _play(inventory, ROOT / "playbooks" / "site.yml")
        for run_number, one in enumerate((first, second), start=1):
            board.say(
                "scale",
                f"run {run_number} on {size}: {one.results} results, {one.changed} changed, "
                f"CPU {one.cpu:.1f} s, {one.wall:.0f} s",
            )
        found[size] = (first, second)
        if size == 3:
            time.sleep(60)
            memory = _memory(names)
        _remove(names)
    return found, memory


_UNITS = (
    "prometheus",
    "prometheus-alertmanager",
    "loki",
    "log-collector",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-sql-exporter",
    "prometheus-blackbox-exporter",
    "prometheus-exporter-exporter",
)


def _memory(names: Sequence[str]) -> dict[str, int]:
    """Resident KiB of each unit's main process; the largest where several hosts run it."""
    found: dict[str, int] = {}
    for name in names:
        for unit in _UNITS:
            command = (
                f"pid=$(systemctl show --value -p MainPID {unit}); "
                "awk '/^VmRSS/ {print $2}' /proc/$pid/status 2>/dev/null || true"
            )
            text = output(["docker", "exec", name, "sh", "-c", command]).strip()
            if text.isdigit():
                found[unit] = max(found.get(unit, 0), int(text))
    return found


def _pairs(board: Clock) -> list[tuple[float, float]]:
    """Seconds of a first run of four components, and of the bare installation, in turn."""
    playbook = _FOLDER / "four.yml"
    # As site.yml has it: one package transaction, then the components.
    roles = [f"koprogo.observability.{role}" for role in ("packages", *_FOUR)]
    playbook.write_text(json.dumps([{"hosts": "all", "roles": roles}]) + "\n", encoding="utf-8")
    found = []
    for number in range(1, _PAIRS + 1):
        board.say("pairs", f"{number} of {_PAIRS}")
        names = ("bench-ours", "bench-bare")
        _start(names)
        for name in names:
            install = "apt-get update -q && apt-get install -qy --no-install-recommends postgresql"
            output(["docker", "exec", name, "sh", "-c", f"{install} >/dev/null 2>&1"])
            # The product's database, which the exporter reads.
            output(["docker", "exec", "-u", "postgres", name, "createdb", "koprogo_db"])
        groups = {"monitoring": [names[0]], "database": [names[0]]}
        inventory = _inventory(groups, omit=_OTHERS)
        ours = _play(inventory, playbook).wall
        bare = _bare(names[1], source=names[0])
        board.say("pairs", f"ours {ours:.1f} s, bare {bare:.1f} s")
        found.append((ours, bare))
        _remove(names)
    return found


def _bare(name: str, *, source: str) -> float:
    """Seconds of the limit: apt-get install of the same packages, the same files, four restarts."""
    files = _FOLDER / "files.tar"
    with files.open("wb") as target:
        target.write(
            output(
                ["docker", "exec", source, "sh", "-c", "tar -cf - /etc/koprogo | base64"]
            ).encode()
        )
    began = time.monotonic()
    command = f"apt-get update -q && apt-get install -qy --no-install-recommends {' '.join(_FOUR.values())}"
    output(["docker", "exec", name, "sh", "-c", f"({command}) >/dev/null 2>&1"])
    text = files.read_text(encoding="ascii")
    output(["docker", "exec", "-i", name, "sh", "-c", "base64 -d | tar -xf - -C /"], stdin=text)
    # Debian's PostgreSQL exporter knows no database yet, and has ended again and again meanwhile.
    output(["docker", "exec", name, "systemctl", "reset-failed"])
    output(["docker", "exec", name, "systemctl", "restart", *_FOUR.values()])
    return time.monotonic() - began


def page(
    scale: dict[int, tuple[Figures, Figures]],
    pairs: Sequence[tuple[float, float]],
    memory: dict[str, int],
) -> str:
    """The page of figures."""
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {os.cpu_count()} cores, {platform.machine()}; control node and hosts "
        "share them. Wall times depend on the machine and its mood, ratios and task results much less.",
        "",
        "## A run that changes nothing",
        "",
        "`site.yml`, second run. CPU is user + system seconds of the control node.",
        "",
        "| | hosts | task results (ok + skipped) | changed | control node CPU | wall |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size, (_first, second) in scale.items():
        lines.append(
            f"| all components | {size} | {second.results} ({second.results / size:.0f} a host) | "
            f"{second.changed} | {second.cpu:.1f} s | {second.wall:.0f} s |"
        )
    lines.append(
        f"| best peer, four components | 1 | {_PEER['results']} | 0 | "
        f"{_PEER['cpu']:.0f} s | {_PEER['wall']:.0f} s |"
    )
    lines += [
        "",
        "## First run of `site.yml`",
        "",
        "| hosts | task results | CPU | wall |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {size} | {first.results} | {first.cpu:.1f} s | {first.wall:.0f} s |"
        for size, (first, _second) in scale.items()
    ]
    lines += [
        "",
        "## First run of four components against the bare installation",
        "",
        "Prometheus, Alertmanager, node and PostgreSQL exporters on one host, beside `apt-get install` of "
        "the same packages, a copy of the same files and a restart. In turn, on fresh hosts.",
        "",
        "| pair | ours | bare | ratio |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {number} | {ours:.1f} s | {bare:.1f} s | {ours / bare:.2f} |"
        for number, (ours, bare) in enumerate(pairs, start=1)
    ]
    lines += [
        "",
        f"Median ratio: {ratio:.2f}.",
        "",
        "## Resident memory, three hosts, after a minute",
        "",
    ]
    lines += ["| unit | MiB |", "| --- | --- |"]
    lines += [f"| {unit} | {kib / 1024:.0f} |" for unit, kib in memory.items()]
    return "\n".join(lines) + "\n"


def bench() -> None:
    """Measure and write the page."""
    board = Clock()
    run_steps(preparation(), board)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    pairs = _pairs(board)
    scale, memory = _scale(board)
    text = page(scale, pairs, memory)
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)


def bench_alerts() -> int:
    """Measure rules, dashboards and notifications, and write their sections of the page."""
    return modules("lab.bench_rules", "lab.bench_notify")
