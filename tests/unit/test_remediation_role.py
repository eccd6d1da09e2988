"""What the role remediation makes of what its modules say, by its own variables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.role_lab import loaded, templated


def valued(name: str, **known: Any) -> Any:
    """One of the role's variables, where these are known."""
    given = {"inventory_hostname": "db1", "ansible_check_mode": False} | known
    expression = loaded("remediation", "vars/main.yml")[name]
    return templated("remediation", expression, remediation_alert="DiskFull", **given)


def seen(*mounts: str) -> dict[str, Any]:
    """What alert_info says of a host; of several file systems a later one is fuller."""
    return {
        "alerts": [
            {"alertstate": "firing", "mountpoint": mount, "value": 0.09 - 0.01 * number}
            for number, mount in enumerate(mounts)
        ]
    }


@pytest.mark.parametrize(
    ("before", "named", "path"),
    [
        (seen(), "", "/"),
        (seen("/"), "", "/"),
        (seen("/", "/data"), "", "/data"),
        (seen("/", "/data"), "/var/log", "/var/log"),
        ({"skipped": True}, "", "/"),
    ],
)
def test_the_fullest_file_system_is_helped(before: dict[str, Any], named: str, path: str) -> None:
    known = {"__remediation_before": before, "remediation_disk_path": named}
    assert valued("__remediation_disk_path", **known) == path


@pytest.mark.parametrize(
    ("after", "outcome", "elsewhere"),
    [
        ({"outcome": "not_resolved", **seen("/", "/data")}, "not_resolved", "/ "),
        ({"outcome": "not_resolved", **seen("/data")}, "not_resolved", ""),
        ({"outcome": "resolved", "alerts": []}, "resolved", ""),
        ({"outcome": "inconclusive", "msg": "no answer"}, "inconclusive", "/srv, / "),
        (None, "not_resolved", "/srv, / "),
    ],
)
def test_where_the_alert_fires_too_is_told(
    after: dict[str, Any] | None, outcome: str, elsewhere: str
) -> None:
    known: dict[str, Any] = {
        "__remediation_before": seen("/", "/srv", "/data"),
        "__remediation_disk": {"file_system": "/data"},
        "__remediation_act": {"changed": True, "target_reached": after is not None},
        "remediation_prometheus_url": "http://127.0.0.1:9090",
    }
    if after is not None:
        known["__remediation_alert"] = after
    verdict = valued("__remediation_verdict", **known)
    assert verdict["outcome"] == outcome
    assert (f"fires for {elsewhere}too" in verdict["reason"]) is bool(elsewhere)
