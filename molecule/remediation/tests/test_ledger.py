"""Two at once, a killed run, a clock that was set back, and a ledger that was damaged."""

from __future__ import annotations

import contextlib
import json
import subprocess
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
    broken_api,
    host_of,
    killed,
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
def slow(box: str, phase: str, seconds: int) -> Iterator[None]:
    """The API takes a while in C(ExecStartPre) or C(ExecStop)."""
    host = host_of(box)
    folder = "/run/systemd/system/koprogo-api.service.d"
    host.check_output(
        f"mkdir -p {folder} && printf '[Service]\\n{phase}=sleep {seconds}\\n' > {folder}/slow.conf"
        " && systemctl daemon-reload"
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


def test_of_two_at_once_one_acts_and_the_other_says_why_not() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output(f"rm -rf {RECORDS}; koprogo-api faults on errors rate=1.0 status=500")
    before = starts(box)
    time.sleep(8)
    with slow(box, "ExecStop", 8), ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(remediate, "high_error_rate", box=box, remediation_window="5s")
            for _ in range(2)
        ]
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
    told_of = [record["outcome"] for record in records(box, "HighErrorRate")]
    assert sorted(told_of) == ["refused", "resolved"]


def test_a_start_under_way_is_waited_for_and_not_begun_anew() -> None:
    box = BOXES[0]
    before = starts(box)
    with slow(box, "ExecStartPre", 12):
        host_of(box).check_output("systemctl restart --no-block koprogo-api")
        outcome = remediate("api_down", box=box)
    assert outcome.rc == 0, outcome.text
    assert "healthy. nothing to do was found" in outcome.text
    assert (starts(box), ledger(box)) == (before + 1, [])


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
    host.check_output("systemctl stop koprogo-api")
    with slow(box, "ExecStartPre", 6), ThreadPoolExecutor(1) as pool:
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


# Takes one connection, tells it, and never answers.
MUTE = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", 9))
listening.settimeout(60)
held = listening.accept()
print("asked", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def mute(box: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that does not answer on port 9; its output ends when it was asked."""
    process = subprocess.Popen(
        ["docker", "exec", box, "python3", "-c", MUTE], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(
            lambda: host_of(box).socket("tcp://127.0.0.1:9").is_listening,
            seconds=10,
            what="the mute daemon",
        )
        yield process
    finally:
        host_of(box).run("pkill -f create_server")
        process.wait(timeout=20)


def test_a_run_that_is_killed_in_any_phase_is_never_called_resolved() -> None:
    box = BOXES[0]
    host = host_of(box)
    nobody = "http://127.0.0.1:9"
    # Whoever looks for them finds records of dead runs abandoned after a second.
    brief: dict[str, object] = {"remediation_silence_seconds": 1, "remediation_hold": 0}
    waiting = brief | {"remediation_prometheus_url": nobody, "remediation_verify_timeout": 30}

    def told() -> list[str]:
        return [record.get("outcome", "") for record in records(box, f"ApiDown-{box}")]

    host.check_output(f"rm -rf {RECORDS}; systemctl stop koprogo-api")
    in_guard = brief | {"remediation_prometheus_url": nobody}
    in_silence: dict[str, object] = {"remediation_alertmanager_url": nobody}
    for phase, options in (("guard", in_guard), ("silence", in_silence)):
        with mute(box) as asked, killed("api_down", box=box, **options):
            assert asked.stdout is not None
            assert asked.stdout.readline() == "asked\n"
        assert not host.service("koprogo-api").is_running
        assert ledger(box) == []
        assert told() == ([] if phase == "guard" else [""])
    with killed("api_down", box=box, **waiting):
        wait_for(lambda: len(phases(box)) == 2, seconds=60, every=0.2, what="the act")
        time.sleep(3)
    assert phases(box) == [("begin", ""), ("end", "resolved")]
    (state,) = task(box, "remediation_ledger")["states"]
    assert (state["last_outcome"], state["ineffective"]) == ("inconclusive", 1)
    assert told() == ["inconclusive", ""]
    assert remediate("api_down", box=box, **brief).rc == 0
    assert told() == ["inconclusive", "inconclusive"]
    assert phases(box)[-1] == ("verdict", "inconclusive")
    # With the last word in the ledger the record has it, too.
    host.check_output(f"rm -rf {LEDGER}*; systemctl stop koprogo-api")
    with killed("api_down", box=box, **brief):
        wait_for(lambda: len(phases(box)) == 3, seconds=60, every=0.1, what="the verdict")
    time.sleep(1)
    again = remediate("api_down", box=box, **brief)
    assert again.rc == 0, again.text
    assert phases(box)[-1] == ("verdict", "resolved")
    assert told() == ["inconclusive", "inconclusive", "resolved"]


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


def test_a_breaker_opens_waits_for_a_human_and_the_unit_recovers() -> None:
    box = BOXES[0]
    host = host_of(box)
    limits = {"breaker_after": 1, "cool_down": 30}
    closing: dict[str, Any] = {"state": "closed", "action": "restart:koprogo-api"}

    def again(*, check: bool = False, **options: object) -> dict[str, Any]:
        return task(box, "service_recovery", check=check, **RESTART | limits | options)

    def restarts() -> int:
        return int(host.check_output("systemctl show -P NRestarts koprogo-api"))

    with broken_api(box):
        assert again()["outcome"] == "not_resolved"
        # systemd tries by itself; a restart by hand would begin to count anew.
        wait_for(lambda: restarts() > 0, seconds=20, what="systemd's own restarts")
        before = restarts()
        refused = again()
        assert (refused["refused"], refused["code"]) == (True, "breaker_open"), refused
        assert "1 runs in a row did not help" in refused["msg"]
        assert restarts() >= before
        unreasoned = task(box, "remediation_ledger", reason=" ", **closing)
        assert "expected a sentence for those who read the ledger" in unreasoned["msg"]
        assert again(check=True)["code"] == "breaker_open"
    closed = [
        task(box, "remediation_ledger", reason="the program was put back", **closing)
        for _ in range(2)
    ]
    assert [result["changed"] for result in closed] == [True, False]
    host.check_output("systemctl stop koprogo-api")
    wait = again(check=True)
    assert wait["code"] == "cool_down", wait
    time.sleep(wait["guard"]["state"]["cool_down_left"])
    assert again(check=True, budget=1)["code"] == "budget"
    assert again()["outcome"] == "resolved"
    assert healthy(box)
    assert phases(box) == [
        ("begin", ""),
        ("end", "not_resolved"),
        ("refused", "refused"),
        ("breaker", "closed"),
        ("begin", ""),
        ("end", "resolved"),
    ]
    (state,) = task(box, "remediation_ledger")["states"]
    assert (state["breaker"], state["ineffective"]) == ("closed", 0)


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
            # Somebody put an older copy back: the chain of what is left holds.
            shell(
                f"sed -i '$d' {LEDGER} && sed -i '$d' {LEDGER}; cd /srv/store && "
                "head -c 500K /dev/zero > 5.gpg && touch -d '-50 days' 5.gpg"
            ),
            look(),
            reclaim("backups", "*.gpg"),
            hosts=box,
        )[box]
    finally:
        host_of(box).run("umount /srv/store")
    torn, healed, damaged, final, cut = (done[n] for n in (3, 5, 7, 12, 15))
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
    assert cut["health"]["damaged_lines"] == []
    (problem,) = cut["health"]["problems"]
    assert problem.endswith("were written: the end is missing")
    # Without the end its breaker and its cool-down would not be known.
    assert done[16]["code"] == "no_ledger", done[16]
    # The damaged line is still there for who wants to know.
    assert "BEGIN" in host_of(box).file(LEDGER).content_string.splitlines()[1]
