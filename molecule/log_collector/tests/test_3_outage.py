"""Nothing is lost and nothing comes twice: Loki down, the collector killed, files rotated meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.integration.ask import wait_for
from tests.integration.boxes import Box, docker

testinfra_hosts = ["ansible://monitoring"]

Find = Callable[..., list[str]]
Write = Callable[..., None]

API_LOG = "/var/log/koprogo/api.log"

LINES, RATE = 4500, 75


def test_an_outage_with_everything_going_wrong(
    app: Box, mon: Box, marker: str, write: Write, count: Callable[[str], int]
) -> None:
    """A minute: the writer writes on, files are moved, copied and cut, both collectors are killed."""
    writer = threading.Thread(
        target=write, args=(app, LINES), kwargs={"marker": marker, "rate": RATE}
    )
    writer.start()
    time.sleep(5)
    mon.sh("systemctl stop loki")
    time.sleep(8)
    app.sh("systemctl kill -s KILL log-collector")
    time.sleep(7)
    app.sh(f"mv {API_LOG} {API_LOG}.1")
    time.sleep(5)
    mon.sh("systemctl kill -s KILL log-collector")
    time.sleep(5)
    # A rotation while nobody looks.
    app.sh("systemctl stop log-collector")
    time.sleep(3)
    app.sh(f"mv {API_LOG} {API_LOG}.1")
    time.sleep(3)
    app.sh("systemctl start log-collector")
    time.sleep(7)
    # What logrotate calls copytruncate loses what is written in between: the writer is held for that.
    # The brackets keep the pattern from matching the shell that has it on its command line.
    held = f"'[p]ython3 - {API_LOG}'"
    app.sh(
        f"pkill -STOP -f {held}; cp {API_LOG} {API_LOG}.1 && : > {API_LOG}; pkill -CONT -f {held}"
    )
    time.sleep(5)
    app.sh("systemctl kill -s KILL log-collector-journal")
    writer.join()
    mon.sh("systemctl start loki")

    selector = f'{{job="koprogo-api", host="logs-app1"}} |= "{marker}"'
    wait_for(lambda: count(selector) >= LINES, seconds=90, what=f"{LINES} lines")
    time.sleep(5)
    assert count(selector) == LINES
    # On its way out it speaks of dropping what it was about to send; that is in the queue all the same.
    said = app.sh("journalctl -u log-collector --no-pager -o cat").splitlines()
    dropped = [line for line in said if "Dropping data" in line]
    assert [line for line in dropped if "interrupted due to shutdown" not in line] == []


def test_the_journal_goes_on_after_its_reader_was_killed(app: Box, find: Find, marker: str) -> None:
    burst = f"for i in $(seq 2000); do echo {marker} $i; done | systemd-cat -t burst"
    app.sh(f"({burst}) & sleep 0.2; systemctl kill -s KILL log-collector-journal; wait")
    query = f'{{job="system", host="logs-app1"}} |= "{marker}"'
    lines = find(query, expected=2000, seconds=60)
    assert len({*lines}) == 2000
    # The place in the journal is noted every ten entries.
    assert len(lines) <= 2010


def test_killed_hosts_come_back_with_everything(
    app: Box, mon: Box, find: Find, marker: str, write: Write
) -> None:
    """Lines that were taken but not delivered survive the end of both hosts."""
    mon.sh("systemctl stop loki")
    write(app, 100, marker=marker)
    time.sleep(3)
    docker("kill", app.name, mon.name)
    docker("start", app.name, mon.name)
    lines = find(f'{{host="logs-app1"}} |= "{marker}"', expected=100, seconds=120)
    assert len(lines) == 100
    for box, unit in ((mon, "loki"), (mon, "log-collector"), (app, "log-collector-journal")):
        assert box.sh(f"systemctl is-active {unit}").strip() == "active"
