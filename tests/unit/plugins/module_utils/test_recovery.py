"""When a restart is the answer, when it is refused, and what a hang looks like."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import (
    Ledger,
    RefusedError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_cluster import (
    Cluster,
    PostgresqlRecovery,
    choose,
    clusters,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_log import (
    corruption_signs,
    last_words,
)
from ansible_collections.koprogo.observability.plugins.module_utils._remedy import (
    IneffectiveError,
    Remedy,
    require_effect,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner
from ansible_collections.koprogo.observability.plugins.module_utils._unit_recovery import (
    Dependency,
    Health,
    UnitRecovery,
)

UNIT = "koprogo-api.service"
DOWN = {"psql": (2, "No such file or directory"), "pg_isready": (2, "")}


class Host(Runner):
    """A systemd that keeps one unit's state and remembers what it was told."""

    def __init__(self, *, active: str = "active", sub: str = "running", cures: bool = True) -> None:
        super().__init__()
        self.active, self.sub, self.load, self.result = active, sub, "loaded", "success"
        self.cures = cures
        self.told: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}

    def run(self, argv: Sequence[str], **_options: Any) -> Result:
        text = " ".join(argv)
        rc, out = 0, ""
        for key, (code, output) in self.answers.items():
            if key in text:
                return Result(argv=list(argv), rc=code, stdout=output, stderr="", seconds=0.0)
        if "systemctl show" in text:
            out = (
                f"LoadState={self.load}\nActiveState={self.active}\nSubState={self.sub}\n"
                f"Result={self.result}\nExecMainStartTimestampMonotonic=0\n"
            )
        elif "systemctl" in text and "show" not in text:
            self.told.append(text.removeprefix("systemctl --no-ask-password "))
            if " restart " in text and self.cures:
                self.active, self.sub = "active", "running"
        return Result(argv=list(argv), rc=rc, stdout=out, stderr="", seconds=0.0)


@contextlib.contextmanager
def endpoint(status: int = 200, body: str = "{}") -> Iterator[str]:
    """A health endpoint on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/health"


def recovery(host: Host, **options: Any) -> UnitRecovery:
    given: dict[str, Any] = {
        "unit": UNIT,
        "health_timeout": 0.3,
        "grace": 0.0,
        "wait": 0.5,
        "settle": 0.0,
    }
    return UnitRecovery(runner=host, sleep=lambda _seconds: None, **(given | options))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, "healthy"),
        ({"active": "failed", "sub": "failed"}, "down"),
        ({"active": "inactive", "sub": "dead"}, "down"),
        ({"active": "activating", "sub": "auto-restart"}, "down"),
        ({"active": "activating", "sub": "start-pre"}, "starting"),
    ],
)
def test_the_unit_alone_tells_where_there_is_no_endpoint(
    state: dict[str, str], expected: str
) -> None:
    assert recovery(Host(**state)).look()["condition"] == expected  # type: ignore[arg-type]


def test_a_process_that_runs_and_answers_nothing_is_hung() -> None:
    with silence() as url:
        seen = recovery(Host(), health_url=url).look()
    assert seen["condition"] == "hung"
    assert "timed out" in seen["health"]["detail"]


def test_what_answers_badly_is_unwell_and_may_be_restarted() -> None:
    with endpoint(500, "boom") as url:
        mine = recovery(Host(), health_url=url)
        seen = mine.look()
    assert (seen["condition"], seen["health"]["status"]) == ("unwell", 500)
    assert mine.refusal(seen) == ("", "")


@pytest.mark.parametrize("url", ["127.0.0.1:8080/health", "file:///etc/hostname", "http:///health"])
def test_a_health_endpoint_that_is_no_web_address_is_an_error(url: str) -> None:
    with pytest.raises(InputError, match=f"health_url must begin with http:// .* found '{url}'"):
        recovery(Host(), health_url=url)


@pytest.mark.parametrize("option", ["health_timeout", "grace", "wait", "settle"])
@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_seconds_that_no_wait_can_have_are_an_error(option: str, seconds: float) -> None:
    with pytest.raises(InputError, match=f"^{option}: expected from .* found {seconds:g}"):
        recovery(Host(), **{option: seconds})


@pytest.mark.parametrize("options", [{"unit": "koprogo-*"}, {"allow": [UNIT, "*.service"]}])
def test_a_pattern_restarts_nothing(options: dict[str, Any]) -> None:
    host = Host(active="failed", sub="failed")
    with pytest.raises(InputError, match="expected the name of one unit"):
        recovery(host, **options)
    assert not host.told


@contextlib.contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """A TLS endpoint whose certificate nobody has signed."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"),
            *("-keyout", str(folder / "key"), "-out", str(folder / "crt")),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_that_tells_of_the_question_restarts_nothing(tmp_path: Path) -> None:
    for status in (301, 404, 403):
        with endpoint(status) as url:
            mine = recovery(Host(), health_url=url)
            seen = mine.look()
        code, reason = mine.refusal(seen)
        assert (seen["condition"], code) == ("unclear", "unclear")
        assert f"found status {status}. Correct the option health_url." in reason
    with untrusted(tmp_path) as url:
        mine = recovery(Host(), health_url=url)
        assert "certificate verify failed" in mine.refusal(mine.look())[1]
    mine = recovery(Host(), health_url="http://no-such-host.invalid/health")
    assert mine.refusal(mine.look())[0] == "unclear"
    # Nobody listens although the unit runs: that is the service.
    with silence() as url:
        pass
    assert recovery(Host(), health_url=url).look()["condition"] == "hung"


def test_a_unit_on_its_way_up_is_waited_for_and_then_left_alone() -> None:
    host = Host(active="activating", sub="start-pre")
    mine = recovery(host, wait=0.1)
    code, reason = mine.refusal(mine.look())
    assert code == "starting"
    assert "koprogo-api.service is activating (start-pre) after 0.1 s still" in reason

    def comes_up(_seconds: float) -> None:
        host.active, host.sub = "active", "running"

    mine.sleep = comes_up
    assert mine.look()["condition"] == "healthy"


def test_a_service_that_blames_its_database_is_not_restarted() -> None:
    with endpoint(503, '{"status":"unavailable","reason":"database: connection refused"}') as url:
        mine = recovery(Host(), health_url=url)
        code, reason = mine.refusal(mine.look())
        assert code == "dependency"
        assert "database: connection refused" in reason
        # Its dependencies answer: what it says is its own trouble.
        with socket.create_server(("127.0.0.1", 0)) as database:
            address = f"127.0.0.1:{database.getsockname()[1]}"
            needs = [Dependency(name="PostgreSQL", tcp=address)]
            mine = recovery(Host(), health_url=url, depends_on=needs)
            assert mine.refusal(mine.look()) == ("", "")


def test_the_dependency_that_is_the_cause_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    needs = [Dependency(name="PostgreSQL", tcp=f"127.0.0.1:{free}")]
    mine = recovery(Host(active="failed", sub="failed"), depends_on=needs)
    code, reason = mine.refusal(mine.look())
    assert code == "dependency"
    assert f"PostgreSQL: 127.0.0.1:{free} does not answer" in reason


def test_another_owner_of_the_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        mine = recovery(Host(active="failed", sub="failed"), port=port)
        code, reason = mine.refusal(mine.look())
    assert code == "port_taken"
    assert port in reason


def test_masked_and_unlisted_units_are_left() -> None:
    host = Host(active="failed", sub="failed")
    for allow in ([], ["other.service"]):
        mine = recovery(host, allow=allow)
        assert mine.refusal(mine.look())[0] == "not_allowed"
    host.load = "masked"
    mine = recovery(host)
    assert mine.refusal(mine.look())[0] == "masked"


def test_a_process_that_is_gone_meanwhile_has_no_state() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    assert recovery(Host())._process(gone.pid) == {}


def test_a_unit_that_does_not_exist() -> None:
    host = Host()
    host.load = "not-found"
    with pytest.raises(InputError, match=r"found none named koprogo-api\.service"):
        recovery(host).look()


def test_a_restart_clears_the_start_limit_and_waits_for_health() -> None:
    host = Host(active="failed", sub="failed")
    with endpoint() as url:
        outcome, gained = recovery(host, health_url=url).restart()
    assert host.told == [f"reset-failed -- {UNIT}", f"restart -- {UNIT}"]
    assert (outcome, gained["condition_after"], gained["problem"]) == ("resolved", "healthy", "")


def test_a_restart_that_does_not_help_says_so() -> None:
    outcome, gained = recovery(Host(active="failed", sub="failed", cures=False)).restart()
    assert outcome == "not_resolved"
    assert "it died again" in gained["problem"]
    with silence() as url:
        outcome, gained = recovery(Host(), health_url=url).restart()
    assert outcome == "not_resolved"
    assert "not well within" in gained["problem"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "x"}, "expected one of tcp, url and unit for x, found 0"),
        ({"name": "x", "tcp": "a:1", "unit": "b"}, "found 2"),
        ({"name": "x", "tcp": "nothing"}, "expected host:port for x, found 'nothing'"),
        ({"name": "x", "unit": "b*"}, "unit of x: expected the name of one unit"),
        ({"name": "x", "unit": "b", "timeout": 0.0}, "timeout of x: expected from 0.1 to 300"),
        ({"name": "x", "url": "db1:80"}, "url of x must begin with http:// .* found 'db1:80'"),
    ],
)
def test_a_wrong_dependency_is_explained(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Dependency.of(options)


# PostgreSQL

LISTING = (
    "15 main 5432 online postgres /var/lib/postgresql/15/main /var/log/postgresql/15.log\n"
    "17 other 5433 down,recovery postgres /var/lib/postgresql/17/other /var/log/postgresql/17.log\n"
)


def test_the_clusters_of_the_host_and_the_one_that_is_meant() -> None:
    host = Host()
    host.answers["pg_lsclusters"] = (0, LISTING)
    found = clusters(host)
    assert [c.unit for c in found] == ["postgresql@15-main.service", "postgresql@17-other.service"]
    assert choose(found, version="17").port == choose(found, port=5433).port == 5433
    for options, wanted in (
        ({}, "any/any (port any)"),
        ({"name": "main", "port": 5433}, "any/main (port 5433)"),
        ({"version": "16"}, "16/any (port any)"),
    ):
        known = "15/main (port 5432), 17/other (port 5433)"
        with pytest.raises(InputError, match=re.escape(f"found {wanted}, and here are {known}.")):
            choose(found, **options)
    host.answers["pg_lsclusters"] = (127, "")
    with pytest.raises(InputError, match="Expected Debian's pg_lsclusters"):
        clusters(host)


@pytest.mark.parametrize(
    ("line", "signs", "full"),
    [
        ("ERROR:  invalid page in block 3 of relation base/5/16384", 1, 0),
        ("ERROR:  could not read block 3 in file", 1, 0),
        ("WARNING:  page verification failed, calculated checksum 1 but expected 2", 1, 0),
        ("PANIC:  could not locate a valid checkpoint record", 1, 0),
        ("FATAL:  database files are incompatible with server", 1, 0),
        ("PANIC:  could not write to file: No space left on device", 0, 1),
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', 0, 1),
        ("LOG:  database system was not properly shut down; automatic recovery in progress", 0, 0),
        ("LOG:  invalid record length at 0/1529B18: wanted 24, got 0", 0, 0),
        ("FATAL:  the database system is starting up", 0, 0),
        ("STATEMENT:  SELECT 'invalid page in block 1'", 0, 0),
        ('ERROR:  invalid input syntax for type integer: "PANIC"', 0, 0),
        (
            "LOG:  duration: 1000.1 ms  statement: INSERT INTO n VALUES ('PANIC:  at the disco')",
            0,
            0,
        ),
        ("DETAIL:  parameters: $1 = 'PANIC:  at the disco'", 0, 0),
        ("ERROR:  XX001: invalid page in block 3 of relation base/5/16384", 1, 0),
        ("LOG:  00000: invalid checkpoint record", 1, 0),
        ("ERROR:  could not access status of transaction 12345", 1, 0),
        ('DETAIL:  Could not open file "pg_xact/0000": No such file or directory.', 1, 0),
        ('ERROR:  index "users_pkey" contains unexpected zero page at block 0', 1, 0),
        ("ERROR:  found xmin 5 from before relfrozenxid 7", 1, 0),
        ('ERROR:  could not write block 7 of "base/5/16384": Input/output error', 1, 0),
        ('ERROR:  could not open file "base/5/16384": Too many open files', 0, 0),
        ("PANIC:  n'a pas pu écrire : Aucun espace disponible sur le périphérique", 0, 1),
        ("PANIC:  could not write: Geen ruimte meer over op apparaat", 0, 1),
        (
            "PANIC:  konnte nicht schreiben: Auf dem Gerät ist kein Speicherplatz mehr verfügbar",
            0,
            1,
        ),
        ("PANIC:  53100: could not write", 0, 1),
    ],
)
def test_signs_of_damage_are_told_from_a_full_disk(line: str, signs: int, full: int) -> None:
    text = f"2026-01-31 11:59:00.000 UTC [17] {line}"
    found = corruption_signs([text])
    assert (len(found[0]), len(found[1])) == (signs, full)


@pytest.mark.parametrize(
    ("line", "signs", "full"),
    [
        (',"SELECT",2026-01-31 11:59:00 UTC,3/4,0,ERROR,XX001,"invalid page in block 3",,,', 1, 0),
        (
            ',"",2026-01-31 11:59:00 UTC,,0,PANIC,XX000,"could not locate a valid checkpoint record"',
            1,
            0,
        ),
        (
            ',"SELECT",2026-01-31 11:59:00 UTC,3/4,0,ERROR,42P01,"relation ""PANIC"" is not there"',
            0,
            0,
        ),
        (',"INSERT",2026-01-31 11:59:00 UTC,3/4,0,ERROR,53100,"could not extend file"', 0, 1),
        ('{"error_severity":"ERROR","state_code":"XX002","message":"index is odd"}', 1, 0),
        ('{"error_severity":"LOG","message":"x","detail":"PANIC:  y"}', 0, 0),
    ],
)
def test_signs_of_damage_in_csv_and_json(line: str, signs: int, full: int) -> None:
    found = corruption_signs([line])
    assert (len(found[0]), len(found[1])) == (signs, full)


def test_old_signs_do_not_count() -> None:
    line = "2026-01-31 11:59:00.000 UTC [17] PANIC:  x"
    assert corruption_signs([line], since=datetime(2026, 2, 1, tzinfo=UTC)) == ([], [])
    assert corruption_signs([line], since=datetime(2026, 1, 1, tzinfo=UTC))[0] == [line]
    # A time that can't be read counts.
    assert corruption_signs(["17 PANIC:  x"], since=datetime(2026, 2, 1, tzinfo=UTC))[0]


def postgresql(tmp_path: Path, host: Host, **options: Any) -> PostgresqlRecovery:
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True, exist_ok=True)
    log = tmp_path / "pg.log"
    log.touch()
    cluster = Cluster(
        version="15",
        name="main",
        port=5432,
        status="down",
        owner="postgres",
        data=str(data),
        log=str(log),
    )
    given: dict[str, Any] = {
        "wait": 0.2,
        "settle": 0.0,
        "min_free_bytes": 0,
        "proc": str(tmp_path / "proc"),
    }
    return PostgresqlRecovery(
        cluster=cluster, runner=host, sleep=lambda _seconds: None, **(given | options)
    )


@pytest.mark.parametrize("option", ["wait", "settle", "signs_within"])
def test_a_server_is_waited_for_a_time_that_can_be(tmp_path: Path, option: str) -> None:
    with pytest.raises(InputError, match=f"^{option}: expected from 0 to .* found nan"):
        postgresql(tmp_path, Host(), **{option: float("nan")})


@pytest.mark.parametrize(
    ("answer", "isready", "expected"),
    [
        ((0, "1\n"), 0, "ready"),
        ((2, "FATAL:  the database system is starting up"), 1, "starting"),
        ((2, "FATAL:  the database system is in recovery mode"), 1, "starting"),
        ((2, "FATAL:  le système de bases de données se lance"), 1, "starting"),
        ((2, "FATAL:  sorry, too many clients already"), 0, "full"),
        ((2, "FATAL:  désolé, trop de clients sont déjà connectés"), 0, "closed"),
        ((2, 'FATAL:  pg_hba.conf rejects connection for host "[local]"'), 0, "closed"),
        ((2, "fe_sendauth: no password supplied"), 0, "closed"),
        ((2, "connection to server failed: timeout expired"), 2, "hung"),
        ((124, ""), 2, "hung"),
        ((1, "ERROR:  canceling statement due to statement timeout"), 0, "slow"),
        ((2, "No such file or directory"), 2, "down"),
        ((-9, ""), 2, "unclear"),
        ((126, "Cannot allocate memory"), 2, "unclear"),
        ((2, "No such file or directory"), 124, "unclear"),
    ],
)
def test_what_the_server_says(
    tmp_path: Path, answer: tuple[int, str], isready: int, expected: str
) -> None:
    host = Host()
    host.answers = {"psql": answer, "pg_isready": (isready, "")}
    assert postgresql(tmp_path, host).ask()[0] == expected


def test_a_postmaster_that_lives_is_not_down_for_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many wait to be let in as the kernel lets wait: the next one gets EAGAIN."""

    class Crowded(Host):
        asked = 0

        def run(self, argv: Sequence[str], **options: Any) -> Result:
            self.asked += argv[0] == "psql"
            self.answers |= {"psql": (0, "1\n")} if self.asked > 2 else DOWN
            return super().run(argv, **options)

    host = Crowded()
    mine = postgresql(tmp_path, host)
    # A postmaster of the unit, that lives and listens in the folder that is asked.
    lines = ["4711", "/data", "0", "5432", mine.socket]
    Path(mine.cluster.data, "postmaster.pid").write_text("\n".join(lines) + "\n")
    (tmp_path / "proc" / "4711").mkdir(parents=True)
    (tmp_path / "proc" / "4711" / "comm").write_text("postgres\n")
    monkeypatch.setattr(mine.systemd, "pids", lambda _unit: {4711})
    assert mine.ask()[0] == "hung"
    assert mine.look()["condition"] == "ready"


def test_what_could_not_be_asked_is_left_alone(tmp_path: Path) -> None:
    host = Host()
    host.answers = {"psql": (126, "Cannot allocate memory"), "pg_isready": (2, "")}
    mine = postgresql(tmp_path, host)
    code, reason = mine.refusal(mine.look())
    assert code == "unclear"
    assert "Cannot allocate memory" in reason


@pytest.mark.parametrize("automatic", [True, False])
def test_who_stopped_it_may_be_at_work_on_it(tmp_path: Path, *, automatic: bool) -> None:
    host = Host(active="inactive", sub="dead")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host, automatic=automatic)
    assert mine.refusal(mine.look())[0] == ("stopped" if automatic else "")


@pytest.mark.parametrize("mode", ["manual", "disabled", "auto"])
def test_a_cluster_that_others_start_is_left_to_them(tmp_path: Path, mode: str) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    conf = tmp_path / "15" / "main" / "start.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"# Automatic startup configuration\n\n{mode}\n")
    mine = postgresql(tmp_path, host, settings=str(tmp_path))
    assert mine.refusal(mine.look())[0] == ("" if mode == "auto" else "manual")


@pytest.mark.parametrize("automatic", [True, False])
def test_without_a_log_nobody_knows_of_damage(tmp_path: Path, *, automatic: bool) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host, automatic=automatic)
    Path(mine.cluster.log).unlink()
    assert mine.refusal(mine.look())[0] == ("no_log" if automatic else "")


def test_the_logging_collectors_files_are_read(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host)
    data = Path(mine.cluster.data)
    (data / "log").mkdir()
    (data / "current_logfiles").write_text("stderr log/pg.log\ncsvlog log/pg.csv\n")
    (data / "log" / "pg.log").touch()
    (data / "log" / "pg.csv").write_text('a,b,PANIC,XX000,"could not read the control file"\n')
    # As pg_lsclusters shows it where the collector runs.
    mine.cluster = replace(mine.cluster, log="log/postgresql-%Y-%m-%d_%H%M%S.log,log/x.csv")
    seen = mine.look()
    assert seen["logs"] == [str(data / "log" / name) for name in ("pg.log", "pg.csv")]
    assert mine.refusal(seen)[0] == "corruption"


def test_what_was_rotated_a_moment_ago_counts(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host)
    Path(f"{mine.cluster.log}.1").write_text("PANIC:  could not locate a valid checkpoint record\n")
    assert mine.refusal(mine.look())[0] == "corruption"


def test_a_panic_in_an_unknown_language_on_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host, min_free_bytes=2**60)
    Path(mine.cluster.log).write_text("PANIC:  levy on täynnä\n")
    assert mine.refusal(mine.look())[0] == "disk_full"
    Path(mine.cluster.log).write_text("PANIC:  could not locate a valid checkpoint record\n")
    assert mine.refusal(mine.look())[0] == "corruption"


def test_a_server_that_is_only_busy_is_not_restarted(tmp_path: Path) -> None:
    host = Host()
    host.answers = {"psql": (1, "ERROR:  canceling statement due to statement timeout")}
    mine = postgresql(tmp_path, host)
    assert mine.refusal(mine.look())[0] == "overloaded"


def test_a_server_that_serves_others_is_never_restarted(tmp_path: Path) -> None:
    host = Host()
    host.answers = {"psql": (2, "FATAL:  pg_hba.conf rejects connection"), "pg_isready": (0, "")}
    mine = postgresql(tmp_path, host)
    code, reason = mine.refusal(mine.look())
    assert code == "no_access"
    assert "pg_hba.conf rejects connection" in reason
    assert host.told == []


def test_without_its_programs_nothing_is_said_about_a_server(tmp_path: Path) -> None:
    host = Host()
    host.answers = {"psql": (127, "psql: not found"), "pg_isready": (127, "pg_isready: not found")}
    with pytest.raises(InputError, match="postgresql-client"):
        postgresql(tmp_path, host).look()


def test_one_silence_of_a_service_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Health(state="silent"), Health(state="silent"), Health(state="ok")])
    mine = recovery(Host())
    monkeypatch.setattr(mine, "ask", lambda: next(answers))
    assert mine.look()["condition"] == "healthy"


def test_one_silence_of_a_server_is_no_hang(tmp_path: Path) -> None:
    class Slow(Host):
        def run(self, argv: Sequence[str], **options: Any) -> Result:
            self.answers["psql"] = (0, "1\n") if self.asked else (124, "")
            self.asked += "psql" in " ".join(argv)
            return super().run(argv, **options)

        asked = 0

    assert postgresql(tmp_path, Slow()).look()["condition"] == "ready"


def test_a_postmaster_in_another_folder_is_not_down(tmp_path: Path) -> None:
    host = Host()
    host.answers |= DOWN
    mine = postgresql(tmp_path, host)
    seen = mine.look()
    lock = {"state": "held", "ours": True, "pid": 4711, "socket": "/run/elsewhere"}
    code, reason = mine.refusal(seen | {"lock_file": lock})
    assert code == "no_access"
    assert "/run/elsewhere" in reason


def test_another_name_of_the_same_folder_is_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var-run").symlink_to("run")
    host = Host()
    host.answers |= DOWN
    mine = postgresql(tmp_path, host, socket=str(tmp_path / "var-run"))
    lock = {"state": "held", "ours": True, "pid": 4711, "socket": str(tmp_path / "run")}
    assert mine.refusal(mine.look() | {"lock_file": lock})[0] != "no_access"


def test_damage_stops_it(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host)
    Path(mine.cluster.log).write_text("PANIC:  could not locate a valid checkpoint record\n")
    code, reason = mine.refusal(mine.look())
    assert code == "corruption"
    assert "disaster recovery" in reason
    assert host.told == []


def test_a_full_disk_is_remedied_first(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host, min_free_bytes=2**60)
    code, reason = mine.refusal(mine.look())
    assert code == "disk_full"
    assert "remediation of DiskFull first" in reason


def test_a_recovery_under_way_is_not_interrupted(tmp_path: Path) -> None:
    host = Host()
    host.answers |= {"psql": (2, "the database system is starting up"), "pg_isready": (1, "")}
    mine = postgresql(tmp_path, host)
    assert mine.refusal(mine.look())[0] == "recovering"


@pytest.mark.parametrize(
    ("command", "state", "explained"),
    [
        ("postgres", "held", ""),
        ("bash", "stale", "pid 4711 is bash now"),
        ("", "stale", "no process has pid 4711"),
    ],
)
def test_the_lock_file_is_explained(
    tmp_path: Path, command: str, state: str, explained: str
) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    mine = postgresql(tmp_path, host)
    Path(mine.cluster.data, "postmaster.pid").write_text("4711\n/data\n")
    if command:
        (tmp_path / "proc" / "4711").mkdir(parents=True)
        (tmp_path / "proc" / "4711" / "comm").write_text(f"{command}\n")
    seen = mine.look()
    assert seen["lock_file"]["state"] == state
    assert explained in seen["lock_file"]["explanation"]
    assert (mine.refusal(seen)[0] == "locked") is (state == "held")


def test_ready_is_an_answer_and_not_an_active_unit(tmp_path: Path) -> None:
    host = Host(active="failed", sub="failed")
    host.answers |= DOWN
    outcome, gained = postgresql(tmp_path, host).restart()
    assert (outcome, host.active) == ("not_resolved", "active")
    assert "no answer to a query" in gained["problem"]
    host.answers["psql"] = (0, "1\n")
    assert postgresql(tmp_path, host).restart()[0] == "resolved"
    assert not any("pg_resetwal" in text for text in host.told)


def test_a_server_that_gave_up_is_quoted() -> None:
    lines = [
        "2026-11-22 03:00:00.000 UTC [1] FATAL:  long ago",
        '2026-11-22 03:04:05.000 UTC [7] LOG:  invalid value for parameter "shared_buffers": "plenty"',
        '2026-11-22 03:04:05.000 UTC [7] FATAL:  configuration file "x.conf" contains errors',
        "2026-11-22 03:04:06.000 UTC [9] ada@db FATAL:  the database system is starting up",
        "pg_ctl: could not start server",
    ]
    since = datetime(2026, 11, 22, 3, 4, tzinfo=UTC)
    assert last_words(lines, since=since) == (
        'invalid value for parameter "shared_buffers": "plenty"; '
        'configuration file "x.conf" contains errors'
    )
    assert last_words(lines[:1], since=since) == ""


# The way through every module that acts


def remedy(**changes: Any) -> Remedy:
    given: dict[str, Any] = {
        "name": "restart:x",
        "reversibility": "safe",
        "needed": True,
        "evidence": {"seen": 1},
        "prediction": {"restarts": 1},
        "act": lambda: ("resolved", {"seconds": 1.0}),
    }
    return Remedy(**(given | changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger.jsonl"), locks=[str(tmp_path / "lock")])


def test_nothing_to_do_leaves_no_trace(ledger: Ledger) -> None:
    result = remedy(needed=False).run({}, check=False, ledger=ledger)
    assert (result["changed"], result["outcome"], result["guard"]) == (False, "", {})
    assert ledger.read().entries == []


def test_an_act_is_written_down_and_then_cools_down(ledger: Ledger) -> None:
    predicted = remedy().run({}, check=True, ledger=ledger)
    assert (predicted["changed"], predicted["prediction"]) == (True, {"restarts": 1})
    assert ledger.read().entries == []
    result = remedy().run({}, check=False, ledger=ledger)
    assert (result["changed"], result["outcome"], result["seconds"]) == (True, "resolved", 1.0)
    assert [entry["phase"] for entry in ledger.read().entries] == ["begin", "end"]
    with pytest.raises(RefusedError, match=r"it ran at .* and may again in"):
        remedy().run({}, check=False, ledger=ledger)
    again = remedy().run({}, check=True, ledger=ledger)
    assert (again["changed"], again["refused"], again["code"]) == (False, True, "cool_down")


def test_a_refusal_touches_nothing_and_in_check_mode_is_only_said(ledger: Ledger) -> None:
    def act() -> tuple[str, dict[str, Any]]:
        raise AssertionError

    forbidden = remedy(refusal="the cause is elsewhere", code="dependency", act=act)
    said = forbidden.run({}, check=True, ledger=ledger)
    assert (said["changed"], said["refused"], said["code"]) == (False, True, "dependency")
    with pytest.raises(RefusedError, match="Refused restart:x: the cause is elsewhere") as caught:
        forbidden.run({}, check=False, ledger=ledger)
    assert caught.value.as_result()["code"] == "dependency"


def test_a_wrong_option_is_a_refusal_unless_something_was_done(ledger: Ledger) -> None:
    with pytest.raises(InputError) as wrong:
        remedy().run({"budget": 99}, check=False, ledger=ledger)
    result = wrong.value.as_result()
    assert (result["refused"], result["code"]) == (True, "input")
    assert ledger.read().entries == []

    def act() -> tuple[str, dict[str, Any]]:
        raise InputError("psql is gone")

    with pytest.raises(KoprogoError, match="psql is gone") as late:
        remedy(act=act).run({}, check=False, ledger=ledger)
    assert "refused" not in late.value.as_result()
    assert ledger.read().entries[-1]["outcome"] == "failed"


def test_what_did_not_help_is_a_failure_with_all_evidence(ledger: Ledger) -> None:
    useless = remedy(act=lambda: ("not_resolved", {"problem": "it died again"}))
    result = useless.run({}, check=False, ledger=ledger)
    with pytest.raises(IneffectiveError, match="did not help: it died again") as caught:
        require_effect(result, "x")
    assert caught.value.as_result()["outcome"] == "not_resolved"
