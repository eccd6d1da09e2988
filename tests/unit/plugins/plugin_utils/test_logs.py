"""The log collector's configuration, from the inventory to receivers, queues and the door."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils import _logs

GROUPS = {"all": ["mon1", "mon2", "app1"], "monitoring": ["mon1", "mon2"], "api": ["app1"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "mon1": {"koprogo_address": "192.0.2.1"},
    "mon2": {"ansible_host": "2001:db8::2", "log_collector_door_port": 14318},
    "app1": {},
}
SINGLE = {"all": ["box"], "monitoring": ["box"], "api": ["box"], "database": ["box"]}
TLS = {"ca_file": "/ca", "cert_file": "/crt", "key_file": "/key"}


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "labels": {"host": "h", "deployment": "test"},
        "door": "192.0.2.1:4318",
        "tls": TLS,
        "destinations": ["https://192.0.2.1:4318"],
        "local": "http://127.0.0.1:3100/otlp",
        "api_log": "/var/log/api.log",
        "postgresql_log": "/var/log/pg-*.log",
        "remediation_log": "/var/log/remediation.log",
        "files": [],
        "journal": "/spool/journal.jsonl",
        "journal_jobs": {},
        "max_age": 3600,
        "max_line_kib": 256,
        "queue_mib": 512,
        "memory_mib": 200,
        "port": 8888,
        "data": "/data",
        **changes,
    }


def config(host: str, groups: dict[str, list[str]], **changes: Any) -> dict[str, Any]:
    return _logs.collector_config(settings(**changes), host=host, groups=groups)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("mon1", ["http://127.0.0.1:3100/otlp", "https://[2001:db8::2]:14318"]),
        ("mon2", ["https://192.0.2.1:4318", "http://127.0.0.1:3100/otlp"]),
        ("app1", ["https://192.0.2.1:4318", "https://[2001:db8::2]:14318"]),
    ],
)
def test_every_host_delivers_to_each_monitoring_host(host: str, expected: list[str]) -> None:
    assert _logs.destinations(host, GROUPS, HOSTVARS) == expected


def test_a_single_server_has_no_door() -> None:
    found = config("box", SINGLE, destinations=["http://127.0.0.1:3100/otlp"])
    assert "otlp/door" not in found["receivers"]
    assert list(found["service"]["pipelines"]) == ["logs/host"]
    [exporter] = found["exporters"].values()
    assert "tls" not in exporter


def test_a_monitoring_host_demands_certificates_and_keeps_others_lines_to_itself() -> None:
    found = config("mon1", GROUPS, destinations=["http://127.0.0.1:3100/otlp", "https://peer:4318"])
    door = found["receivers"]["otlp/door"]["protocols"]["http"]
    assert door["endpoint"] == "192.0.2.1:4318"
    assert door["tls"]["client_ca_file"] == "/ca"
    pipelines = found["service"]["pipelines"]
    assert pipelines["logs/door"]["exporters"] == ["otlp_http/http_127_0_0_1_3100_otlp"]
    outlets = [p["exporters"] for name, p in pipelines.items() if name != "logs/door"]
    assert outlets == [["otlp_http/http_127_0_0_1_3100_otlp"], ["otlp_http/https_peer_4318"]]


def test_a_destination_that_is_down_keeps_no_line_from_another_one() -> None:
    found = config("app1", GROUPS, destinations=["https://a:1", "https://b:1"])
    pipelines = list(found["service"]["pipelines"].values())
    assert len(pipelines) == 2
    first, second = pipelines[0], pipelines[1]
    assert len(first["receivers"]) == len(second["receivers"]) == 3
    assert not {*first["receivers"]} & {*second["receivers"]}
    # With a twin more the host goes on at its places in the files.
    alone = config("app1", GROUPS, destinations=["https://a:1"])["service"]["pipelines"]
    assert [one["receivers"] for one in alone.values()] == [first["receivers"]]
    assert all(len(pipeline["exporters"]) == 1 for pipeline in pipelines)


def test_other_hosts_have_no_door_and_use_their_certificate() -> None:
    found = config("app1", GROUPS)
    assert "otlp/door" not in found["receivers"]
    [exporter] = found["exporters"].values()
    assert exporter["tls"]["cert_file"] == "/crt"


def test_groups_say_what_is_collected() -> None:
    def jobs(host: str, groups: dict[str, list[str]]) -> set[str]:
        receivers = config(host, groups)["receivers"]
        return {r["resource"]["job"] for name, r in receivers.items() if name != "otlp/door"}

    everywhere = {"system", "koprogo-remediation"}
    assert jobs("mon1", GROUPS) == everywhere
    assert jobs("app1", GROUPS) == {*everywhere, "koprogo-api"}
    assert jobs("box", SINGLE) == {*everywhere, "koprogo-api", "postgresql"}


def test_every_queue_is_on_disk_waits_and_retries_for_ever() -> None:
    for exporter in config("app1", GROUPS)["exporters"].values():
        queue = exporter["sending_queue"]
        assert queue["storage"] == "file_storage/queue"
        assert queue["block_on_overflow"] is True
        assert queue["num_consumers"] == 1
        assert queue["queue_size"] == 512 * 1024 * 1024
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_a_queue_keeps_its_name_when_destinations_come_and_go() -> None:
    alone = config("app1", GROUPS, destinations=["https://b:1"])["exporters"]
    beside = config("app1", GROUPS, destinations=["https://a:1", "https://b:1"])["exporters"]
    assert set(alone) < set(beside)


def test_every_pipeline_names_only_what_exists() -> None:
    several = {"destinations": ["https://a:1", "https://b:1"]}
    for host, groups in (("mon1", GROUPS), ("app1", GROUPS), ("box", SINGLE)):
        found = config(host, groups, **(several if host == "app1" else {}))
        for pipeline in found["service"]["pipelines"].values():
            for kind in ("receivers", "processors", "exporters"):
                assert set(pipeline[kind]) <= set(found[kind]), (host, kind)
        assert set(found["service"]["extensions"]) == set(found["extensions"])


def test_rotated_files_are_followed_too() -> None:
    source = {"job": "x", "paths": ["/a/*.log"]}
    found = _logs.file_receiver(source, {}, max_age=1, max_line_kib=1)
    assert found["include"] == ["/a/*.log", "/a/*.log.1"]


def test_a_dollar_sign_of_the_user_stays_one() -> None:
    source = {"job": "x", "paths": ["/a"], "time_regex": "^(?P<time>.*)$", "line_start": "^${"}
    found = _logs.file_receiver(source, {}, max_age=1, max_line_kib=1)
    assert found["operators"][0]["regex"] == "^(?P<time>.*)$$"
    assert found["multiline"]["line_start_pattern"] == "^$${"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"remote_addr":"::1","timestamp":"2026-01-02T03:04:05.678Z"}',
            "2026-01-02T03:04:05.678Z",
        ),
        ('{"time": "2026-01-02T03:04:05Z", "timestamp":"no"}', "2026-01-02T03:04:05Z"),
        # A client's text cannot look like the key: inside a text the quote is escaped.
        (
            r'{"user_agent":"\"timestamp\":\"1999\"","ts":"2026-01-02T03:04:05Z"}',
            "2026-01-02T03:04:05Z",
        ),
        ("no time at all", None),
    ],
)
def test_the_time_of_a_json_line(line: str, expected: str | None) -> None:
    source = {"job": "x", "paths": ["/a"]}
    regex = _logs.file_receiver(source, {}, max_age=1, max_line_kib=1)["operators"][0]["regex"]
    match = re.search(regex, line)
    assert (match["time"] if match else None) == expected


def test_every_component_has_a_job_and_users_may_add() -> None:
    jobs = _logs.journal_jobs({"nginx.service": "nginx", "loki.service": "mine"})
    assert jobs["prometheus.service"] == "prometheus"
    assert jobs["nginx.service"] == "nginx"
    assert jobs["loki.service"] == "mine"
    # The API's file is the job that the runbook's queries parse as JSON.
    assert jobs["koprogo-api.service"] != "koprogo-api"
