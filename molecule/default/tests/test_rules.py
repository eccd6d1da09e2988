"""The rules that Prometheus has loaded, against the series that it has really scraped."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

from tests.integration.ask import get, get_many, wait_for
from tests.metric_contract import selectors

testinfra_hosts = ["ansible://monitoring"]

API = "http://127.0.0.1:9090/api/v1"
# How a selector begins, and why a healthy fleet in containers may have nothing for it.
MAY_BE_EMPTY = {
    "koprogo_suricata_": "protection is not wanted here",
    "koprogo_fail2ban_": "protection is not wanted here",
    "koprogo_crowdsec_": "protection is not wanted here",
    "cs_": "protection is not wanted here",
    'up{job="crowdsec"}': "protection is not wanted here",
    'http_requests_total{job="koprogo-api",path=~"/health|': "no question for its health failed",
    'loki_request_duration_seconds_count{job="loki",route!="ready",status_code=~"5': "Loki is well",
    "otelcol_exporter_send_failed_log_records_total": "Loki has refused no line for good",
    "pg_settings_reserved_connections": "PostgreSQL 16 brought it",
    'probe_success{job="probe"}': "it is scenario single that asks an address of its own",
    # Scenario alerts gives its host disks, and fills them.
    "node_filesystem_": "all file systems of a container are the machine's",
    "instance_mountpoint:node_filesystem_": "all file systems of a container are the machine's",
}


def test_every_selector_of_the_loaded_rules_selects_what_was_scraped(host: Any) -> None:
    groups = json.loads(get(host, f"{API}/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    asked = {str(one): rule["name"] for rule in rules for one in selectors(rule["query"])}
    assert len(rules) > 60
    assert len(asked) > 90
    missing: dict[str, str] = {}

    def all_there() -> bool:
        missing.clear()
        span = {"start": time.time() - 900, "end": time.time()}
        urls = [f"{API}/series?{urlencode({'match[]': one, **span})}" for one in asked]
        for (one, name), (status, body) in zip(asked.items(), get_many(host, urls), strict=True):
            assert status == 200, body
            if not json.loads(body)["data"] and not one.startswith(tuple(MAY_BE_EMPTY)):
                missing[one] = name
        return not missing

    try:
        wait_for(all_there, seconds=120, what="a series for each selector", every=15)
    except AssertionError as error:
        raise AssertionError(f"nothing was scraped for {missing}") from error
