"""Loki as a package of a pinned repository: what it keeps and deletes, whom it alerts, what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.ask import get, logql, wait_for
from tests.integration.boxes import Box, docker
from tests.integration.play import run_playbook
from tests.integration.receivers import receiving

testinfra_hosts = ["ansible://monitoring"]

CONVERGE = "molecule/loki/converge.yml"
LOKI = "http://127.0.0.1:3100"
BOX = Box("loki-box1")
PUSH = (
    "import json,sys,time,urllib.request as u;"
    "b={'streams':[{'stream':{'job':sys.argv[1]},"
    "'values':[[str(time.time_ns()+i),sys.argv[2]+' '+str(i)] for i in range(int(sys.argv[3]))]}]};"
    "r=u.Request('http://127.0.0.1:3100/loki/api/v1/push',json.dumps(b).encode(),"
    "{'Content-Type':'application/json'});u.urlopen(r)"
)


def push(job: str, text: str, lines: int) -> None:
    docker("exec", BOX.name, "python3", "-c", PUSH, job, text, str(lines))


def chunks() -> list[str]:
    return BOX.sh("find /var/lib/loki/chunks/fake -type f 2>/dev/null || true").split()


def configure(*mode: str, **variables: Any) -> Any:
    return run_playbook(CONVERGE, "--tags", "loki_configure", "-e", json.dumps(variables), *mode)


def test_it_is_the_repositorys_package_and_never_ran_with_its_defaults() -> None:
    assert "install ok installed 3.7.8" in BOX.sh("dpkg-query -W -f '${Status} ${Version}' loki")
    source = BOX.sh("cat /etc/apt/sources.list.d/koprogo-grafana-labs.sources")
    assert "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----" in source
    assert "gpg" not in BOX.sh("ls /etc/apt/trusted.gpg.d | grep -v debian-archive || true")
    journal = BOX.sh("journalctl -u loki --no-pager -o cat")
    # The package's own script asked for a start; the first real one had our configuration.
    assert "/tmp/loki" not in BOX.sh("ls -d /tmp/loki 2>&1 || true").split(":")[0]
    assert journal.count("Started loki.service") >= 1
    assert "unmet condition check" in journal or "ConditionPathExists" in journal
    assert BOX.sh("stat -c '%U:%G %a' /var/lib/loki").strip() == "loki:loki 750"


def test_the_retention_deletes_chunks_and_lines(host: Any) -> None:
    push("short", "soon gone", 50)
    assert len(logql(host, '{job="short"}', since=60)) == 50
    wait_for(chunks, seconds=60, what="a chunk on the disk")
    # Loki hands its index to the compactor every quarter of an hour, and when it starts.
    BOX.sh("systemctl restart loki")
    deadline = 240
    wait_for(lambda: not chunks(), seconds=deadline, what="the chunks to be deleted")
    assert logql(host, '{job="short"}', since=3600) == []
    metrics = get(host, f"{LOKI}/metrics")
    assert 'loki_compactor_apply_retention_operation_total{status="success"}' in metrics
    # Since its start, nothing to complain of in its own words.
    said = BOX.sh(
        "journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID loki)"
    ).splitlines()
    errors = [line for line in said if "level=error" in line and "empty ring" not in line]
    assert errors == []


def test_the_ruler_alerts(host: Any) -> None:
    with receiving(BOX, "127.0.0.1:9193") as receivers:
        push("alarming", "ERROR", 3)
        wait_for(receivers.all, seconds=60, what="the alert")
        heard = receivers.all()
    assert {entry["path"] for entry in heard} == {"/api/v2/alerts"}
    assert [entry["errors"] for entry in heard] == [[]] * len(heard)
    labels = heard[0]["body"][0]["labels"]
    assert (labels["alertname"], labels["job"]) == ("ErrorsInTheLog", "alarming")
    rules = json.loads(get(host, f"{LOKI}/prometheus/api/v1/rules"))["data"]["groups"]
    assert sorted(group["name"] for group in rules) == ["koprogo-logs", "lab"]


def test_it_reports_to_nobody_and_nobody_deletes(host: Any) -> None:
    config = get(host, f"{LOKI}/config")
    assert "reporting_enabled: false" in config
    assert "deletion_mode: filter-only" in config
    assert "retention_enabled: true" in config
    assert "delete_request_store: filesystem" in config


def test_a_secret_is_in_its_file_only(host: Any) -> None:
    del host
    assert BOX.sh("stat -c '%U:%G %a' /etc/koprogo/loki/environment").strip() == "root:loki 640"
    assert "s3cret-Value" not in BOX.sh("cat /etc/koprogo/loki/loki.yml; systemctl cat loki")
    assert "s3cret-Value" not in BOX.sh(
        "tr '\\0' ' ' < /proc/$(systemctl show -P MainPID loki)/cmdline"
    )
    outcome = configure("--check", "--diff", loki_environment={"OBJECT_KEY": "s3cret-Other"})
    assert outcome.rc == 0, outcome.text
    assert "s3cret" not in outcome.text


@pytest.mark.parametrize("mode", [(), ("--check", "--diff")], ids=["real", "check"])
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"limits_config": {"no_such_limit": 1}}, "no_such_limit"),
        ({"compactor": {"delete_request_store": ""}}, "delete-request-store"),
    ],
)
def test_a_wrong_configuration_is_refused(
    mode: tuple[str, ...], overrides: dict[str, Any], expected: str
) -> None:
    before = BOX.sh("readlink /etc/koprogo/loki; systemctl show -P InvocationID loki")
    outcome = configure(*mode, loki_config_overrides=overrides)
    assert outcome.rc != 0
    assert expected in outcome.text
    assert "nothing was changed" in outcome.text
    assert BOX.sh("readlink /etc/koprogo/loki; systemctl show -P InvocationID loki") == before


def test_a_rule_that_is_no_logql_is_rolled_back(host: Any) -> None:
    before = BOX.sh("readlink /etc/koprogo/loki")
    bad = {"bad": {"groups": [{"name": "b", "rules": [{"alert": "B", "expr": "sum(rate({}"}]}]}}
    outcome = configure(loki_rules=bad)
    assert outcome.rc != 0, "Loki took a rule that it cannot evaluate"
    assert BOX.sh("readlink /etc/koprogo/loki") == before
    assert "ready" in get(host, f"{LOKI}/ready")
