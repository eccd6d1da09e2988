"""Two at once, a killed run, a clock that was set back, and a ledger that was damaged."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration import million
from tests.integration.ask import wait_for
from tests.integration.play import run_tasks
from tests.integration.remedy import (
    BOXES,
    HEALTH,
    LEDGER,
    RECORDS,
    host_of,
    ledger,
    records,
    remediate,
    run_script,
    task,
)

testinfra_hosts = ["ansible://database"]

LOCK = "/run/koprogo-remediation.lock"
RESTART: dict[str, Any] = {"unit": "koprogo-api.service", "health_url": HEALTH}
# Ansible's own shell around a module, whose child the module is.
MODULE = "'^/bin/sh -c /usr/bin/python3 && sleep 0'"

# Rewrites the times of a ledger, sums and chain included, as a clock that ran ahead would have written them.
AHEAD = """
import hashlib, json, sys
path, seconds, boot = sys.argv[1], float(sys.argv[2]), sys.argv[3]
def plain(body):
    return json.dumps(body, sort_keys=True, separators=(",", ":"))
lines, last = [], ""
for line in open(path):
    body = json.loads(line) | {"prev": last}
    del body["sum"]
    body["unix"] += seconds
    body["boot"] = boot or body["boot"]
    last = hashlib.sha256(plain(body).encode()).hexdigest()
    lines.append(plain(body | {"sum": last}) + "\\n")
open(path, "w").writelines(lines)
"""


@contextlib.contextmanager
def slow_start(box: str, seconds: int) -> Iterator[None]:
    """The API takes a while to start, and is stopped."""
    host = host_of(box)
    folder = "/run/systemd/system/koprogo-api.service.d"
    host.check_output(
        f"mkdir -p {folder} && printf '[Service]\\nExecStartPre=sleep {seconds}\\n' > {folder}/slow.conf"
        " && systemctl daemon-reload && systemctl stop koprogo-api"
    )
    try:
        yield
    finally:
        host.check_output(f"rm {folder}/slow.conf && systemctl daemon-reload")


def phases(box: str) -> list[tuple[str, str]]:
    return [(row["phase"], row.get("outcome", "")) for row in ledger(box)]


def starts(box: str) -> int:
    said = host_of(box).run("journalctl -o cat -u koprogo-api | grep -c ^Started").stdout
    return int(said)


def outcomes(box: str) -> dict[str, str]:
    """How each run against C(ApiDown) ended, by its record."""
    return {record["id"]: record["outcome"] for record in records(box, f"ApiDown-{box}")}


def test_of_two_at_once_one_acts_and_the_other_says_why_not() -> None:
    box = BOXES[0]
    before, recorded = starts(box), outcomes(box)
    with slow_start(box, 8), ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(remediate, "api_down", box=box) for _ in range(2)]
        refused, acted = sorted((run.result() for run in runs), key=lambda run: -run.rc)
    assert (acted.rc, refused.rc) == (0, 2), refused.text + acted.text
    told = "another remediation runs on this host: restart:koprogo-api, process"
    assert told in refused.text, refused.text[-2000:]
    assert starts(box) == before + 1
    assert sorted(phases(box)) == [
        ("begin", ""),
        ("end", "resolved"),
        ("refused", "refused"),
        ("verdict", "resolved"),
    ]
    (row,) = [row for row in ledger(box) if row["phase"] == "refused"]
    assert row["code"] == "locked"
    # Each has its record, though they began in the same second.
    new = [how for run, how in outcomes(box).items() if run not in recorded]
    assert sorted(new) == ["refused", "resolved"]


def test_a_killed_run_has_done_nothing_or_counts_as_aborted() -> None:
    box = BOXES[1]
    host = host_of(box)
    host.check_output(f"rm -rf {LOCK} {RECORDS}")
    # Before it acts: it waits for an answer of the API, which hangs.
    host.check_output("koprogo-api faults on hang")
    pid = host.check_output("systemctl show -P MainPID koprogo-api")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(task, box, "service_recovery", **RESTART)
        wait_for(
            lambda: host.run(f"sleep 1; pkill -9 -P $(pgrep -f {MODULE})").rc == 0,
            seconds=20,
            every=0.2,
            what="the module",
        )
        assert run.result()["failed"]
    assert host.check_output("systemctl show -P MainPID koprogo-api") == pid
    assert ledger(box) == []
    # While systemd restarts: nothing keeps the next run from that.
    with slow_start(box, 6), ThreadPoolExecutor(1) as pool:
        killed = pool.submit(remediate, "api_down", box=box)
        wait_for(
            lambda: "start-pre" in host.check_output("systemctl show -P SubState koprogo-api"),
            seconds=40,
            every=0.2,
            what="the restart",
        )
        host.check_output(f"kill -9 {json.loads(host.file(LOCK).content_string)['pid']}")
        outcome = killed.result()
        assert outcome.rc == 2, outcome.text
        assert "INCONCLUSIVE" in outcome.text
        assert phases(box) == [("begin", "")]
        # The record has what was begun, although nobody could tell its end.
        (record,) = records(box, f"ApiDown-{box}")
        assert record["outcome"] == "inconclusive"
        assert [row["phase"] for row in record["actions"]] == ["begin"]
        # systemd has its order: nobody has to act again.
        wait_for(lambda: healthy(box), seconds=20, what="the API's health")
    again = task(box, "service_recovery", **RESTART)
    assert (again["condition"], again["changed"]) == ("healthy", False), again
    host.check_output("systemctl stop koprogo-api")
    refused = task(box, "service_recovery", **RESTART)
    assert refused["code"] == "cool_down", refused
    assert "may again in" in refused["msg"]
    assert phases(box) == [("begin", ""), ("end", "aborted"), ("refused", "refused")]
    (state,) = task(box, "remediation_ledger")["states"]
    assert (state["last_outcome"], state["ineffective"]) == ("aborted", 1)


def healthy(box: str) -> bool:
    ask = f"import urllib.request as u; u.urlopen('{HEALTH}', timeout=2)"
    return bool(host_of(box).run(f'python3 -c "{ask}"').rc == 0)


def test_a_run_that_is_killed_while_it_deletes_is_finished_by_the_next() -> None:
    box = BOXES[0]
    host = host_of(box)
    count = 100_000
    choice: dict[str, Any] = {
        "path": "/srv/many",
        "free_inodes_percent": 90,
        "cool_down": 30,
        "policies": [{"kind": "logs", "roots": ["/srv/many"], "patterns": ["*.log"]}],
    }
    host.check_output(
        f"mkdir -p /srv/many && mount -t tmpfs -o size=50m,nr_inodes={count + 210} tmpfs /srv/many"
    )

    def left() -> int:
        return int(host.check_output("find /srv/many -type f | wc -l"))

    try:
        run_script(box, million, "make", "/srv/many", str(count))
        with ThreadPoolExecutor(1) as pool:
            killer = pool.submit(run_script, box, million, "kill", "/srv/many", "2000")
            killed = task(box, "disk_reclaim", **choice)
            killer.result()
        begun = time.monotonic()
        assert killed["failed"], killed
        assert count * 0.1 < left() <= count - 2000
        assert phases(box) == [("begin", "")]
        refused = task(box, "disk_reclaim", **choice)
        assert refused["code"] == "cool_down", refused
        assert phases(box) == [("begin", ""), ("end", "aborted"), ("refused", "refused")]
        time.sleep(max(0, 30 - (time.monotonic() - begun)))
        done = task(box, "disk_reclaim", **choice)
        assert done["target_reached"], done
        assert phases(box)[3:] == [("begin", ""), ("end", "resolved")]
    finally:
        host.run("umount /srv/many")


def test_a_clock_that_was_set_back_neither_locks_out_nor_lets_in() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output("systemctl stop koprogo-api")
    assert task(box, "service_recovery", **RESTART)["outcome"] == "resolved"
    host.check_output("systemctl stop koprogo-api")
    # A day ahead, in this boot: the boot's own clock counts, not the day.
    host.check_output(f"python3 -c %s {LEDGER} 86400 ''", AHEAD)
    predicted = task(box, "service_recovery", check=True, **RESTART)
    assert (predicted["refused"], predicted["code"]) == (True, "cool_down"), predicted
    assert 60 < predicted["guard"]["state"]["cool_down_left"] < 120
    # In an earlier boot: no less than the age of this one has gone by.
    host.check_output(f"python3 -c %s {LEDGER} 0 earlier", AHEAD)
    age = float(host.check_output("cut -d' ' -f1 /proc/uptime"))
    predicted = task(box, "service_recovery", check=True, **RESTART)
    assert predicted["guard"]["state"]["cool_down_left"] == pytest.approx(max(0, 120 - age), abs=9)
    assert predicted["guard"]["ledger"]["damaged_lines"] == []


def test_a_damaged_ledger_is_told_healed_where_it_can_be_and_stops_what_is_destructive() -> None:
    box = BOXES[1]

    def look() -> dict[str, Any]:
        return {"koprogo.observability.remediation_ledger": {}}

    def vouch(reason: str) -> dict[str, Any]:
        options = {"state": "trusted", "reason": reason}
        return {"koprogo.observability.remediation_ledger": options}

    def shell(command: str) -> dict[str, Any]:
        return {"ansible.builtin.shell": command}

    def reclaim(kind: str, pattern: str) -> dict[str, Any]:
        policy = {"kind": kind, "roots": ["/srv/store"], "patterns": [pattern]}
        options = {"path": "/srv/store", "free_percent": 90, "policies": [policy]}
        return {"koprogo.observability.disk_reclaim": options}

    prepare = (
        "mkdir -p /srv/store && mount -t tmpfs -o size=4m tmpfs /srv/store && cd /srv/store && "
        "for n in 1 2 3 4; do head -c 500K /dev/zero > $n.gpg && touch -d -3$n\\ days $n.gpg; done; "
        "head -c 500K /dev/zero > old.log && touch -d '-40 days' old.log"
    )
    try:
        done = run_tasks(
            shell(prepare),
            vouch("provisioned"),
            # A crash cut off the last line.
            shell(f"head -c 99 {LEDGER} >> {LEDGER}"),
            look(),
            reclaim("logs", "*.log"),
            look(),
            # Something wrote into the middle.
            shell(f"sed -i '2s/begin/BEGIN/' {LEDGER}"),
            look(),
            reclaim("backups", "*.gpg"),
            shell("ls /srv/store"),
            vouch("looked at: a line was changed"),
            reclaim("backups", "*.gpg"),
            look(),
            shell("ls /srv/store"),
            hosts=box,
        )[box]
    finally:
        host_of(box).run("umount /srv/store")
    torn, healed, damaged, final = (done[n] for n in (3, 5, 7, 12))
    assert (torn["health"]["torn_bytes"], torn["health"]["trusted"]) == (99, True)
    assert done[4]["freed"]["inodes"] == 1, done[4]
    assert healed["health"] == {**healed["health"], "torn_bytes": 0, "trusted": True, "entries": 3}
    assert (damaged["health"]["damaged_lines"], damaged["health"]["trusted"]) == ([2], False)
    assert damaged["health"]["problems"] == ["damaged lines: 2"]
    # What is lossy goes on, what is destructive waits for a human.
    refused = done[8]
    assert refused["code"] == "no_ledger", refused
    assert "Look at it, then vouch for it" in refused["msg"]
    assert done[9]["stdout_lines"] == ["1.gpg", "2.gpg", "3.gpg", "4.gpg"]
    assert done[11]["freed"]["inodes"] == 1, done[11]
    assert done[13]["stdout_lines"] == ["1.gpg", "2.gpg", "3.gpg"]
    assert final["health"]["trusted"]
    # The damaged line is still there for who wants to know.
    assert "BEGIN" in host_of(box).file(LEDGER).content_string.splitlines()[1]
