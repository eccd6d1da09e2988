"""Break the remediation scenario's hosts, and remedy them as the one on call does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import testinfra

from tests.integration.ask import wait_for
from tests.integration.boxes import docker
from tests.integration.each import on_each
from tests.integration.play import Outcome, run_playbook, run_tasks, start_playbook

__all__ = [
    "BOXES",
    "FLOOD",
    "HEALTH",
    "LEDGER",
    "RECORDS",
    "broken_api",
    "host_of",
    "killed",
    "ledger",
    "on_each_box",
    "psql",
    "records",
    "remediate",
    "run_script",
    "session",
    "task",
]

BOXES = ("remedy-box12", "remedy-box13")
on_each_box = on_each(lambda: BOXES)
RECORDS = "/var/lib/koprogo/remediation/incidents"
LEDGER = "/var/lib/koprogo/remediation/ledger.jsonl"
HEALTH = "http://127.0.0.1:8080/health"

# Opens connections and a transaction in each, says how many there were, and holds them.
FLOOD = """
import socket, struct, sys, time
def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body
held = []
for _ in range(int(sys.argv[1])):
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect("/var/run/postgresql/.s.PGSQL.5432")
        words = b"user\\0clerk\\0database\\0koprogo_db\\0application_name\\0flood\\0\\0"
        one.sendall(message(b"", struct.pack("!I", 196608) + words))
        if one.recv(1) == b"R":
            one.sendall(message(b"Q", b"BEGIN\\0"))
            held.append(one)
    except OSError:  # no slot is left
        break
print(len(held), flush=True)
time.sleep(120)
"""


def remediate(alert: str, *arguments: str, box: str = "", **variables: object) -> Outcome:
    """A remediation's playbook as the one on call types it."""
    limit = ["-l", box] if box else []
    return run_playbook(_playbook(alert), *limit, "-e", json.dumps(variables), *arguments)


@contextlib.contextmanager
def killed(alert: str, *, box: str, **variables: object) -> Iterator[None]:
    """A remediation under way, which is killed with all of its processes at the end of the block."""
    run = start_playbook(_playbook(alert), "-l", box, "-e", json.dumps(variables))
    try:
        yield
        assert run.poll() is None, "it has ended by itself"
    finally:
        # The parents first: they start no other one any more. Ansible's workers lead sessions of their own.
        for pid in [run.pid, *_children(run.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run.wait(timeout=20)


def _children(parent: int) -> list[int]:
    """All processes below one."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    found = [parent]
    for one in found:
        found += [pid for pid, above in pairs if above == one]
    return found[1:]


def _playbook(alert: str) -> str:
    return f"playbooks/remediate/{alert}.yml"


def task(box: str, module: str, *, check: bool = False, **options: object) -> dict[str, Any]:
    """The result of one module on one host, a failure too."""
    (result,) = run_tasks({f"koprogo.observability.{module}": options}, hosts=box, check=check)[box]
    return result


def host_of(box: str) -> Any:
    return testinfra.get_host(f"docker://{box}")


@contextlib.contextmanager
def broken_api(box: str) -> Iterator[None]:
    """The API's program ends at once with an error, whoever starts it."""
    host = host_of(box)
    program = "/usr/local/bin/koprogo-api"
    host.check_output(
        f"systemctl stop koprogo-api && mv {program} {program}.aside && "
        f"printf '#!/bin/sh\\necho no such setting >&2\\nexit 3\\n' > {program} && chmod +x {program}"
    )
    try:
        yield
    finally:
        host.check_output(f"mv {program}.aside {program}")


def psql(host: Any, query: str, *, port: int = 5432) -> str:
    command = f"runuser -u postgres -- psql -Atq -p {port} -d koprogo_db -c %s"
    return str(host.check_output(command, query)).strip()


@contextlib.contextmanager
def session(
    box: str, sql: str, *, name: str, user: str = "clerk", port: int = 5432, hold: int = 300
) -> Iterator[None]:
    """A client that sends SQL and then keeps its connection open for a while."""
    host = host_of(box)
    client = f"psql -q -h /var/run/postgresql -p {port} -U {user} -d koprogo_db"
    command = f'( echo "{sql}"; sleep {hold} ) | PGAPPNAME={name} {client}'
    connected = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"  # noqa: S608
    process = subprocess.Popen(
        ["docker", "exec", "-u", "postgres", box, "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(
            lambda: psql(host, connected, port=port) != "0", seconds=15, what=f"the session {name}"
        )
        time.sleep(1.2)
        yield
    finally:
        process.kill()
        host.run(f"pkill -f 'sleep {hold}'")


def run_script(box: str, program: ModuleType, *words: str) -> str:
    """The output of a module of this folder that is written to run on a host."""
    text = Path(str(program.__file__)).read_text(encoding="utf-8")
    return docker("exec", "-i", box, "python3", "-", *words, stdin=text)


def records(box: str, name: str) -> list[dict[str, Any]]:
    """The box's records whose names begin with an alert, or an alert and a host; oldest first."""
    host = host_of(box)
    paths = host.run(f"ls -d {RECORDS}/{name}-*/record.json").stdout.split()
    return [json.loads(host.file(path).content_string) for path in paths]


def ledger(box: str, *, root: str = "") -> list[dict[str, Any]]:
    text = host_of(box).run(f"cat {root}{LEDGER}").stdout
    return [json.loads(line) for line in text.splitlines()]
