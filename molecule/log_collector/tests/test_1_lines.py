"""Every line arrives as it was written, with the labels that the runbook's queries need."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.integration.ask import get, logql, wait_for
from tests.integration.boxes import Box

testinfra_hosts = ["ansible://monitoring"]

Find = Callable[..., list[str]]
Write = Callable[..., None]

API_LOG = "/var/log/koprogo/api.log"
LABELS = {"deployment": "test", "host": "logs-app1"}


def streams(host: Any) -> list[dict[str, str]]:
    return list(json.loads(get(host, "http://127.0.0.1:3100/loki/api/v1/series"))["data"])


def test_the_runbooks_queries_word_for_word(
    find: Find, app: Box, marker: str, write: Write
) -> None:
    write(app, 200, marker=marker)
    find(f'{{job="koprogo-api"}} |= "{marker}"', expected=200)
    for query, expected in (
        ('{job="koprogo-api"} |= "ERROR" | json', 20),
        ('{job="koprogo-api"} | json | duration_ms > 1000', 40),
        ('{job="koprogo-api"} |= "401" | json | path="/api/v1/auth/login"', 50),
    ):
        lines = find(query, expected=expected)
        assert len([line for line in lines if marker in line]) == expected, query


def test_equal_lines_of_one_millisecond_are_all_kept_and_in_order(
    host: Any, find: Find, app: Box, marker: str, write: Write
) -> None:
    write(app, 1000, marker=marker)
    lines = find(f'{{job="koprogo-api"}} |= "{marker}"', expected=1000)
    written = app.sh(f"grep {marker} {API_LOG}").splitlines()
    assert len(set(written)) < len(written), "the test has to write equal lines"
    assert lines == written
    # The time is the line's own, but for the digits below its milliseconds.
    for nanoseconds, text in logql(host, f'{{job="koprogo-api"}} |= "{marker}"', since=3600):
        said = datetime.fromisoformat(json.loads(text)["timestamp"])
        assert nanoseconds // 1_000_000 == round(said.timestamp() * 1000)


def test_a_line_is_left_as_it_is(find: Find, app: Box, marker: str) -> None:
    line = f'  no JSON, {marker}, "quotes" \\ back, tab\t, $HOME ${{x}} é, trailing  '
    app.sh(f"cat >> {API_LOG} <<'EOF'\n{line}\nEOF")
    assert find(f'{{job="koprogo-api"}} |= "{marker}"', expected=1) == [line]


def test_an_entry_of_several_lines_is_one(find: Find, app: Box, marker: str) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    entry = (
        f"{now} UTC [42] koprogo@koprogo_db ERROR:  relation missing {marker}\n\tLINE 1\n\tLINE 2"
    )
    end = f"{now} UTC [42] LOG:  after it"
    app.sh(f"cat >> /var/log/postgresql/postgresql-17-main.log <<'EOF'\n{entry}\n{end}\nEOF")
    find(f'{{job="postgresql"}} |= "{marker}"', expected=1)
    assert entry in find('{job="postgresql"} |= "ERROR" | logfmt', expected=1)


def test_a_file_of_the_users_own(host: Any, find: Find, app: Box, marker: str) -> None:
    said = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
    entry = f"[{said.strftime('%d/%b/%Y:%H:%M:%S +0000')}] {marker}\nsecond line"
    app.sh(f"cat >> /var/log/batch/night.log <<'EOF'\n{entry}\nEOF")
    assert find(f'{{job="batch"}} |= "{marker}"', expected=1) == [entry]
    [(nanoseconds, _text)] = logql(host, f'{{job="batch"}} |= "{marker}"', since=3600)
    assert nanoseconds // 1_000_000_000 == int(said.timestamp())


def test_the_journal_of_both_hosts(find: Find, app: Box, mon: Box, marker: str) -> None:
    for box in (app, mon):
        box.sh(f"logger -p auth.info -t sshd 'Failed password for root {marker}'")
        box.sh(f"logger -p daemon.err -t batch 'two\tcolumns {marker}'")
        host = f'host="{box.name}"'
        message = f"Failed password for root {marker}"
        assert find(f'{{job="auth", {host}}} |= "{marker}"', expected=1) == [message]
        message = f"two\tcolumns {marker}"
        assert find(f'{{job="system", {host}}} |= "{marker}"', expected=1) == [message]
    # What systemd says about a unit is with the unit's own words.
    assert find('{job="loki", host="logs-mon1"} |= "Started"', expected=1)
    assert find('{job="log_collector", host="logs-app1"} |= "Started"', expected=1)


def test_nobody_writes_in_the_name_of_a_unit(find: Find, mon: Box, marker: str) -> None:
    """Root may speak about one of a unit's processes; a field that the sender made up counts for nothing."""
    made_up = f"MESSAGE=made up {marker}\nUNIT=loki.service\nOBJECT_SYSTEMD_UNIT=loki.service\n"
    about = f"MESSAGE=about {marker}\nOBJECT_PID=$(systemctl show -P MainPID loki)\n"
    mon.sh(f"printf '{made_up}' | setpriv --reuid=nobody --clear-groups logger --journald")
    mon.sh(f'printf "{about}" | logger --journald')
    found = find(f'{{job=~".+"}} |= "{marker}"', expected=2)
    assert sorted(found) == [f"about {marker}", f"made up {marker}"]
    assert find(f'{{job="loki"}} |= "{marker}"', expected=1) == [f"about {marker}"]


def test_three_labels_and_few_streams(host: Any) -> None:
    found = streams(host)
    assert {frozenset(stream) for stream in found} == {frozenset({"job", "host", "deployment"})}
    assert {"job": "koprogo-api", **LABELS} in found
    assert {"job": "auth", **LABELS, "host": "logs-mon1"} in found
    assert len(found) < 20
    # A query that counts has one series for each kind of line, not for each line.
    query = urlencode({"query": 'count_over_time({job="koprogo-api"}[1h])'})
    answer = json.loads(get(host, f"http://127.0.0.1:3100/loki/api/v1/query?{query}"))
    assert 0 < len(answer["data"]["result"]) < 10


def test_old_lines_are_left_out_and_new_ones_beside_them_are_not(
    find: Find, app: Box, marker: str
) -> None:
    lines = []
    for age in (400, 9, 0):
        said = (datetime.now(UTC) - timedelta(days=age)).isoformat().replace("+00:00", "Z")
        lines.append(json.dumps({"timestamp": said, "message": f"{marker} {age}"}))
    app.sh(f"cat >> {API_LOG} <<'EOF'\n" + "\n".join(lines) + "\nEOF")
    assert find(f'{{job="koprogo-api"}} |= "{marker}"', expected=1) == lines[2:]


def test_loki_refuses_nothing_that_the_collectors_send(host: Any, mon: Box, app: Box) -> None:
    metrics = get(host, "http://127.0.0.1:3100/metrics")
    refused = [line for line in metrics.splitlines() if line.startswith("loki_discarded_samples")]
    assert [line for line in refused if not line.endswith(" 0")] == []
    for box in (mon, app):
        own = box.sh(
            'python3 -c "import urllib.request as u;'
            "print(u.urlopen('http://127.0.0.1:8888/metrics').read().decode())\""
        )
        assert "otelcol_exporter_sent_log_records" in own
        assert "otelcol_exporter_send_failed_log_records_total" not in own


def test_memory_and_sockets(mon: Box, app: Box) -> None:
    for box in (mon, app):
        for name, most in (("otelcol", 150), ("rsyslogd", 20), ("loki", 500)):
            resident = box.sh(f"ps -o rss= -C {name} || true").split()
            assert all(int(size) < most * 1024 for size in resident), (box.name, name, resident)
    sockets = app.sh("ss -ltnH")
    assert "127.0.0.1:8888" in sockets
    assert "4318" not in sockets


def test_a_line_takes_seconds(
    app: Box, marker: str, write: Write, count: Callable[[str], int]
) -> None:
    started = time.monotonic()
    write(app, 1, marker=marker)
    wait_for(lambda: count(f'{{job="koprogo-api"}} |= "{marker}"') == 1, seconds=10, what="a line")
    assert time.monotonic() - started < 10
