"""Each of the eight fires for a real fault within its time, and its remediation ends fault and alert."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.panel_check import FOLDER, check, span_of, summary
from lab.panels import load
from tests.integration.alert_watcher import Watcher
from tests.integration.ask import targets_up, wait_for
from tests.integration.faults import (
    BOX,
    DATABASE,
    FAULTS,
    LIMITED,
    log_in_wrongly,
    make_database_errors,
)
from tests.integration.live_remedy import (
    Work,
    active_silences,
    assert_complete,
    begin,
    command_of,
    incidents,
    playbook_of,
    told_of,
)
from tests.integration.panels import stack_of
from tests.integration.play import run_playbook
from tests.integration.receivers import Receivers
from tests.integration.remedy import LEDGER, RECORDS, host_of, remediate, task

Tell = Callable[[str], None]
testinfra_hosts = ["ansible://monitoring"]

SCRAPE = EVALUATION = 15
# A daemon that hangs is known to be down when the scrape gives up.
SCRAPE_TIMEOUT = 10
# Fault: alert, its `for`, and how long until the condition holds, beyond a scrape.
TOGETHER = {
    "disk": ("DiskFull", 60, 0),
    # Rules of another group record the rates, an evaluation earlier.
    "errors": ("HighErrorRate", 60, EVALUATION),
    # A request that waits counts when the API gives up, and they must be one in a hundred of all.
    "runaway query": ("SlowApi", 30, 75),
    "memory": ("MemoryExhaustion", 60, 0),
    # Four fifths of the window.
    "processor": ("HighCpu", 30, 60),
    "connections": ("DatabaseConnectionsHigh", 30, 0),
}
FROM_LOGS = ("ApiErrorBurst", "ApiSlowRequests", "FailedLogins", "DatabaseErrors")
EIGHT = ("ApiDown", "DatabaseDown", *(alert for alert, _hold, _further in TOGETHER.values()))


def make(fault: str) -> float:
    """Start a fault; return when."""
    began = time.time()
    BOX.sh(FAULTS[fault][0])
    return began


def property_of(unit: str, name: str) -> str:
    return BOX.sh(f"systemctl show --value --property {name} {unit}").strip()


def assert_escalated(record: dict[str, Any], slack: Receivers) -> None:
    """People hear of it: by Slack, and by the alert itself, which nothing silences any more."""
    alert, outcome = record["alert"], record["outcome"]
    texts = [entry["body"]["text"] for entry in slack.of("slack")]
    assert any(f"{alert} on {BOX.name}: {outcome} (ada)" in text for text in texts), texts
    assert not active_silences(alert)
    assert told_of(alert)
    assert all(not status["silencedBy"] for status in told_of(alert))


def fire(watcher: Watcher, tell: Tell, *, api: str, database: str) -> None:
    """Make both faults, and wait until both alerts fire in time."""
    for alert in ("ApiDown", "DatabaseDown"):
        assert alert not in watcher.fired
        watcher.quiet.pop(alert, None)
    began = {fault: make(fault) for fault in (api, database)}
    for fault, alert, hold in ((database, "DatabaseDown", 30), (api, "ApiDown", 60)):
        limit = SCRAPE + EVALUATION + hold + 5 + (SCRAPE_TIMEOUT if fault == "API hung" else 0)
        seconds = watcher.wait_fired(alert, began[fault] + limit + 30) - began[fault]
        tell(f"{alert} ({fault}): {seconds:.0f} s from fault to firing, at most {limit} s")
        assert seconds <= limit
        assert watcher.seen[alert]["annotations"]["remediation"] == command_of(alert)


def test_1_nothing_fires_on_a_healthy_server_but_the_watchdog(host: Any, watcher: Watcher) -> None:
    wait_for(lambda: targets_up(host), seconds=90, what="all targets up")
    watcher.wait_fired("Watchdog", time.time() + 60)
    time.sleep(2 * (SCRAPE + EVALUATION))
    assert set(watcher.fired) == {"Watchdog"}


def test_2_independent_faults_at_once(watcher: Watcher, tell: Tell) -> None:
    log_in_wrongly()
    make_database_errors()
    began = {fault: make(fault) for fault in TOGETHER}
    for fault, (alert, hold, further) in TOGETHER.items():
        limit = SCRAPE + EVALUATION + hold + further + 5
        # Looked at later than it happens, for the watcher notes the time itself.
        seconds = watcher.wait_fired(alert, began[fault] + limit + 30) - began[fault]
        tell(f"{alert}: {seconds:.0f} s from fault to firing, at most {limit} s")
        assert seconds <= limit
        assert watcher.seen[alert]["annotations"]["remediation"] == command_of(alert)
    for alert in FROM_LOGS:
        seconds = watcher.wait_fired(alert, began["disk"] + 300) - began["disk"]
        tell(f"{alert}: {seconds:.0f} s from fault to firing")
    for one in watcher.seen.values():
        for text in one["annotations"].values():
            assert "no value" not in text
            assert "%!" not in text
            assert "<error" not in text


def test_3_what_a_remediation_cannot_cure_escalates_and_counts(
    pool: ThreadPoolExecutor, works: dict[str, Work], slack: Receivers
) -> None:
    # It begins to be watched now, for five minutes and through what comes meanwhile.
    works["HighErrorRate"] = begin(pool, "HighErrorRate")
    # What spins goes on to spin with less weight: the host's others gain, the alert stays.
    outcome = begin(pool, "HighCpu", remediation_verify_timeout=5).end()
    assert outcome.rc == 2, outcome.text
    assert "NOT_RESOLVED. it acted, and the alert still fires" in outcome.text
    assert property_of("spinner", "CPUWeight") == "20"
    record = incidents("HighCpu")[-1]
    assert_complete(record, alert="HighCpu", outcome="not_resolved")
    assert_escalated(record, slack)
    states = {row["action"]: row for row in task(BOX.name, "remediation_ledger")["states"]}
    assert states["renice:spinner"]["ineffective"] == 1
    assert states["renice:spinner"]["last_outcome"] == "not_resolved"


def test_4_each_remediation_ends_its_fault_and_its_alert(
    pool: ThreadPoolExecutor, works: dict[str, Work], watcher: Watcher, tell: Tell
) -> None:
    pids = {unit: property_of(unit, "MainPID") for unit in ("hoarder", "spinner")}
    began = time.time()
    # First what takes the processors from the other remediations.
    works["HighCpu"] = begin(pool, "HighCpu", remediation_cpu_action="restart")
    works["SlowApi"] = begin(pool, "SlowApi")
    for alert in ("DatabaseConnectionsHigh", "MemoryExhaustion", "DiskFull"):
        # Which disk is full is told by the alert itself.
        works[alert] = begin(pool, alert, remediation_disk_path="")
    for alert in ("DatabaseConnectionsHigh", "MemoryExhaustion", "DiskFull"):
        works.pop(alert).resolve()
        watcher.wait_quiet(alert, time.time() + 5)
        tell(
            f"{alert}: resolved {watcher.quiet[alert] - began:.0f} s after the first of them began"
        )
    # The oldest logs went, as many as were needed, and what isn't named stayed.
    assert BOX.sh(f"ls {LIMITED} {LIMITED}/log").split() == [
        *(f"{LIMITED}:", "full", "log", "lost+found", f"{LIMITED}/log:"),
        *(f"app.log.{n}" for n in (3, 4, 5)),
    ]
    assert all(property_of(unit, "MainPID") != pid for unit, pid in pids.items())
    assert property_of("runaway", "ActiveState") != "active"


def test_5_a_hung_api_is_restarted_and_a_stopped_exporter_is_left_to_people(
    pool: ThreadPoolExecutor, watcher: Watcher, slack: Receivers, tell: Tell
) -> None:
    fire(watcher, tell, api="API hung", database="exporter stopped")
    # As the alert says it, letter by letter.
    api = begin(pool, "ApiDown", command=watcher.seen["ApiDown"]["annotations"]["remediation"])
    outcome = remediate("database_down", box=BOX.name, remediation_verify_timeout=5)
    assert outcome.rc == 2, outcome.text
    assert "NOT_RESOLVED. nothing to do was found, and the alert still fires" in outcome.text
    record = incidents("DatabaseDown")[-1]
    assert_complete(record, alert="DatabaseDown", outcome="not_resolved")
    assert_escalated(record, slack)
    BOX.sh(FAULTS["exporter stopped"][1])
    ended = time.time()
    assert api.resolve()["evidence"]["prediction"]["condition"] == "hung"
    assert "ApiDown" not in watcher.fired
    watcher.wait_quiet("DatabaseDown", ended + SCRAPE + EVALUATION + 15)


def test_6_a_stopped_database_comes_back_and_then_the_killed_api(
    pool: ThreadPoolExecutor, watcher: Watcher, slack: Receivers, tell: Tell
) -> None:
    fire(watcher, tell, api="API killed", database="PostgreSQL stopped")
    refused = remediate("api_down", box=BOX.name)
    assert refused.rc == 2, refused.text
    assert "REFUSED. the cause is elsewhere (PostgreSQL: 127.0.0.1:5432" in refused.text
    record = incidents("ApiDown")[-1]
    assert_complete(record, alert="ApiDown", outcome="refused")
    assert_escalated(record, slack)
    assert property_of("koprogo-api", "Result") == "signal"
    both = [begin(pool, alert) for alert in ("DatabaseDown", "ApiDown")]
    for work in both:
        work.resolve()
        assert work.alert not in watcher.fired


def test_7_what_looks_back_ends_with_its_window(works: dict[str, Work], watcher: Watcher) -> None:
    for alert in ("HighErrorRate", "SlowApi", "HighCpu"):
        works.pop(alert).resolve()
        assert alert not in watcher.fired
    assert "Watchdog" in watcher.fired
    # Alerts, remediations and the API's starts mark the time on each dashboard.
    bare = {uid: {**board, "panels": []} for uid, board in load(FOLDER).items()}
    outcomes = check(stack_of(host_of(BOX.name)), bare, span_of(30), {})
    marks = [one for one in outcomes if "/annotation/" in one.address]
    assert len(marks) == 3 * len(bare)
    assert {mark.state for mark in marks} == {"data"}, summary(marks)


def test_8_a_second_run_on_a_healthy_host_changes_and_deletes_nothing(watcher: Watcher) -> None:
    books = [f"playbooks/remediate/{playbook_of(alert)}.yml" for alert in EIGHT]
    before = _traces()
    outcome = run_playbook(*books, "-l", BOX.name, "-e", "remediation_hold=0")
    assert outcome.rc == 0, outcome.text
    for alert in EIGHT:
        assert f"{alert} on {BOX.name}: healthy. nothing to do was found" in outcome.text
    assert "changed=0 " in outcome.text
    after = _traces()
    assert after["files"] >= before["files"], before["files"] - after["files"]
    assert {**after, "files": set()} == {**before, "files": set()}
    assert not set(EIGHT) & set(watcher.fired)


def _traces() -> dict[str, Any]:
    """What a remediation could delete, restart or write down."""
    units = ("koprogo-api", DATABASE, "hoarder", "spinner")
    return {
        "files": set(BOX.sh(f"find {LIMITED} /var/log /var/backups -type f").split("\n")),
        "units": [property_of(unit, "MainPID") for unit in units],
        "ledger": BOX.sh(f"cat {LEDGER}"),
        "records": BOX.sh(f"ls {RECORDS}"),
    }
