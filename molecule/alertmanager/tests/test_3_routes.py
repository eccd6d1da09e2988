"""Where each alert goes, and which alert silences which, by the real programs of both releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from tests.integration.ask import get, wait_for
from tests.integration.boxes import Box
from tests.integration.cluster import CONFIG, NAMES, of, post

# Each alert of ours with the severities that it may have.
SEVERITIES = {
    "ApiDown": ("critical",),
    "HighErrorRate": ("critical",),
    "SlowApi": ("warning",),
    "ApiAvailabilityBurnRate": ("critical", "warning"),
    "ApiLatencyBurnRate": ("critical", "warning"),
    "ApiErrorBurst": ("warning",),
    "ApiSlowRequests": ("warning",),
    "DatabaseDown": ("critical",),
    "DatabaseConnectionsHigh": ("warning",),
    "DatabaseErrors": ("warning",),
    "DiskFull": ("critical",),
    "DiskFullPredicted": ("warning",),
    "MemoryExhaustion": ("critical",),
    "HighCpu": ("warning",),
    "FailedLogins": ("warning",),
    "AttackDetected": ("warning",),
    "ProtectionUnarmed": ("warning",),
    "Watchdog": ("none",),
    "TargetMissing": ("warning",),
    "ConfigurationReloadFailed": ("warning",),
    "RuleEvaluationFailing": ("warning",),
    "NotificationsFailing": ("critical",),
    "LokiUnhealthy": ("warning",),
    "LogCollectorUnhealthy": ("warning",),
    "LogStreamSilent": ("warning",),
    "ExporterScrapeErrors": ("warning",),
    "CertificateExpiring": ("warning",),
    "ProbeFailed": ("critical",),
}
RECEIVERS = {"critical": "critical", "warning": "warning", "info": "nowhere", "none": "heartbeat"}

API = {
    "SlowApi",
    "HighErrorRate",
    "ApiAvailabilityBurnRate",
    "ApiLatencyBurnRate",
    "ApiErrorBurst",
    "ApiSlowRequests",
}
# Alert: what it silences on its own deployment and host, whatever the job is.
SILENCED: dict[str, set[str]] = {
    "ApiDown": API - {"ApiAvailabilityBurnRate", "ApiLatencyBurnRate"},
    "HighErrorRate": {"ApiErrorBurst"},
    "SlowApi": {"ApiSlowRequests"},
    "DiskFull": {"DiskFullPredicted"},
    "LokiUnhealthy": {"LogStreamSilent"},
    "LogCollectorUnhealthy": {"LogStreamSilent"},
    "TargetMissing": {"ExporterScrapeErrors"},
}
Side = tuple[str, dict[str, str]]
HERE = {"host": "a"}
REFUSED, UNMEASURED = ({**HERE, "reason": reason} for reason in ("refused", "unmeasured"))
OF_DATABASE = sorted(API | {"DatabaseConnectionsHigh", "DatabaseErrors"})
# The first one fires too: whether the second one is silenced.
CASES: list[tuple[Side, Side, bool]] = [
    (("ApiDown", HERE), ("TargetMissing", {"host": "a", "job": "koprogo-api"}), True),
    (("ApiDown", HERE), ("TargetMissing", {"host": "b", "job": "koprogo-api"}), False),
    (("ApiDown", HERE), ("TargetMissing", {"host": "a", "job": "node"}), False),
    (("ApiDown", {}), ("TargetMissing", {"job": "koprogo-api"}), False),
    (("ApiDown", {}), ("SlowApi", {}), False),
    (("ApiDown", HERE), ("HighErrorRate", {"host": "b"}), False),
    (("ApiDown", HERE), ("ApiLatencyBurnRate", {"severity": "warning"}), True),
    (("ApiDown", HERE), ("ApiAvailabilityBurnRate", {"severity": "critical"}), False),
    *((("DatabaseDown", REFUSED), (name, {"host": "b"}), True) for name in OF_DATABASE),
    (("DatabaseDown", UNMEASURED), ("HighErrorRate", {"host": "b"}), False),
    (("DatabaseDown", UNMEASURED), ("ApiAvailabilityBurnRate", {}), False),
    (("DatabaseDown", HERE), ("TargetMissing", {"host": "a", "job": "postgresql"}), True),
    (("DatabaseDown", HERE), ("ExporterScrapeErrors", {"host": "a", "job": "postgresql"}), True),
    (("DatabaseDown", HERE), ("ExporterScrapeErrors", {"host": "a", "job": "node"}), False),
    (("DatabaseDown", HERE), ("ApiDown", HERE), False),
    (("LokiUnhealthy", HERE), ("TargetMissing", {"host": "a", "job": "loki"}), True),
    (("LokiUnhealthy", HERE), ("LogCollectorUnhealthy", {"host": "b", "reason": "full"}), True),
    (("LokiUnhealthy", HERE), ("LogCollectorUnhealthy", {"host": "b", "reason": "stuck"}), True),
    (("LokiUnhealthy", HERE), ("LogCollectorUnhealthy", {"host": "b", "reason": "down"}), False),
    (("LokiUnhealthy", HERE), ("LogCollectorUnhealthy", {"host": "b", "reason": "refused"}), False),
    (
        ("LogCollectorUnhealthy", HERE),
        ("TargetMissing", {"host": "a", "job": "log-collector"}),
        True,
    ),
    (
        ("TargetMissing", {"host": "a", "job": "metrics-gateway"}),
        ("TargetMissing", {"host": "a", "job": "node"}),
        True,
    ),
    (
        ("TargetMissing", {"host": "a", "job": "metrics-gateway"}),
        ("TargetMissing", {"host": "b", "job": "node"}),
        False,
    ),
    (
        ("DiskFull", {"host": "a", "mountpoint": "/"}),
        ("DiskFullPredicted", {"host": "a", "mountpoint": "/var"}),
        False,
    ),
    (
        ("DiskFull", {"host": "a", "mountpoint": "/"}),
        ("DiskFullPredicted", {"host": "b", "mountpoint": "/"}),
        False,
    ),
    (
        ("ApiLatencyBurnRate", {"severity": "critical"}),
        ("ApiLatencyBurnRate", {"severity": "warning"}),
        True,
    ),
]


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_alert_goes_where_its_severity_says(name: str) -> None:
    tests = [
        f"amtool config routes test --config.file={CONFIG} --verify.receivers={RECEIVERS[severity]} "
        f"alertname={alertname} deployment=test host=a severity={severity} "
        f">/dev/null 2>&1 || echo {alertname} {severity}"
        for alertname, severities in SEVERITIES.items()
        for severity in (*severities, *(["info"] if alertname != "Watchdog" else []))
    ]
    assert Box(name).sh("\n".join(tests)) == ""


def test_every_alert_of_the_catalogue_is_routed_here() -> None:
    assert set(SEVERITIES) == set(ALERTS)
    assert all(alert.severity in SEVERITIES[name] for name, alert in ALERTS.items())


@pytest.fixture(scope="module")
def silencer(name: str) -> Iterator[str]:
    """Another Alertmanager with the same configuration, which keeps what it would tell to itself."""
    box = Box(name)
    config = "/run/silencer.yml"
    box.sh(f"sed -E 's/group_wait: .*/group_wait: 1h/' {CONFIG} > {config}")
    box.sh(
        "systemd-run --quiet --collect --unit=silencer prometheus-alertmanager "
        f"--config.file={config} --storage.path=/run/silencer --cluster.listen-address= "
        "--web.listen-address=127.0.0.1:9193"
    )
    wait_for(lambda: ":9193 " in box.sh("ss -Hltn"), seconds=15, what="Alertmanager")
    yield "http://127.0.0.1:9193"
    box.sh("systemctl stop silencer")


def of_deployment(side: Side, deployment: str) -> dict[str, Any]:
    alertname, labels = side
    severity = SEVERITIES[alertname][0]
    place = {"deployment": deployment} if deployment else {}
    return {"labels": {"alertname": alertname, "severity": severity, **labels, **place}}


def suppressed(name: str, url: str, alerts: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Deployment and name of each alert that another one silences."""
    post(name, alerts, url)
    seen = json.loads(get(of(name), f"{url}/api/v2/alerts"))
    assert len(seen) >= len(alerts)
    return {
        (one["labels"].get("deployment", ""), one["labels"]["alertname"])
        for one in seen
        if one["status"]["inhibitedBy"]
    }


def test_each_alert_silences_its_symptoms_and_no_other(name: str, silencer: str) -> None:
    same = {"host": "a", "job": "node", "mountpoint": "/"}
    pairs = list(combinations(SEVERITIES, 2))
    alerts = [
        of_deployment((side, same), f"{one}-{other}")
        for one, other in pairs
        for side in (one, other)
    ]
    found = suppressed(name, silencer, alerts)
    expected = {
        (f"{one}-{other}", symptom)
        for one, other in pairs
        for cause, symptom in ((one, other), (other, one))
        if symptom in SILENCED.get(cause, set())
    }
    assert sorted(one for one in found if "-" in one[0]) == sorted(expected)


@pytest.mark.parametrize(("cause", "symptom", "silenced"), CASES)
def test_only_on_the_same_deployment_host_and_file_system(
    name: str, silencer: str, cause: Side, symptom: Side, silenced: bool
) -> None:
    number = CASES.index((cause, symptom, silenced))
    here, there = f"case{number}", f"stranger{number}"
    alerts = [
        of_deployment(cause, here),
        of_deployment(symptom, here),
        of_deployment(symptom, there),
    ]
    found = {one for one in suppressed(name, silencer, alerts) if one[0] in (here, there)}
    assert found == ({(here, symptom[0])} if silenced else set())


def test_what_has_no_deployment_silences_nothing(name: str, silencer: str) -> None:
    same = {"host": "a", "job": "koprogo-api", "mountpoint": "/"}
    alerts = [of_deployment((alertname, same), "") for alertname in SEVERITIES]
    assert {one for one in suppressed(name, silencer, alerts) if not one[0]} == set()
