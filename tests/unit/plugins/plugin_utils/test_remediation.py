"""Which hosts a run may have, when a fleet is left alone, and how a run ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.plugin_utils._remediation import (
    OUTCOMES,
    fleet_problem,
    inventory_flags,
    limit_problem,
    mount_points,
    outcome_of,
)

KNOWN = ["api1", "api2", "db1", "web-1.example.org"]


@pytest.mark.parametrize(
    ("sources", "flags"),
    [
        (["/project/inventories/demo"], ""),
        (["/project/inventories/production"], "-i inventories/production"),
        (["/project/inventories/demo/hosts.yml"], "-i inventories/demo/hosts.yml"),
        (["/projects/hosts"], "-i /projects/hosts"),
        (["/project/my hosts", "api1,"], "-i 'my hosts' -i api1,"),
        (["inventories/production"], "-i inventories/production"),
        ([], ""),
    ],
)
def test_a_command_names_the_inventory_that_it_needs(sources: list[str], flags: str) -> None:
    usual = ["/project/inventories/demo"]
    assert inventory_flags(sources, project="/project", usual=usual) == flags


def problem(limit: str, *, played: list[str] | None = None, maximum: int = 1) -> str:
    names = [name.strip() for name in limit.split(",")]
    return limit_problem(
        limit,
        known=KNOWN,
        played=names if played is None else played,
        members=["api1", "api2", "web-1.example.org"],
        group="api",
        maximum=maximum,
    )


@pytest.mark.parametrize(
    ("limit", "maximum"),
    [("api1", 1), ("api1, api2", 2), ("api1,api1", 1), ("web-1.example.org", 1)],
)
def test_hosts_that_are_named_exactly_get_through(limit: str, maximum: int) -> None:
    assert problem(limit, maximum=maximum) == ""


@pytest.mark.parametrize(
    "limit",
    ["all", "*", "api*", "!api1", "api1:!api2", "api1:api2", "api1,!db1", "&api", "~api.*", "@hosts",
     "api", "unknown", "api[12]", "API1", "api1,", "api1 api2", "{{ x }}", "localhost", "api1\n"],
)  # fmt: skip
def test_all_else_is_refused(limit: str) -> None:
    said = limit_problem(
        limit, known=KNOWN, played=["api1", "api2"], members=KNOWN, group="all", maximum=9
    )
    assert said


@given(st.text(max_size=30))
def test_whatever_gets_through_is_hosts_of_the_play_only(limit: str) -> None:
    if not limit_problem(
        limit, known=KNOWN, played=["api1"], members=KNOWN, group="all", maximum=9
    ):
        assert {name.strip() for name in limit.split(",")} == {"api1"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (problem(""), "expected --limit with the alert's host, found none"),
        (problem("*"), "found '*'"),
        (problem("api1", played=KNOWN), "expected a play on api1 alone, found api1, api2, db1"),
        (problem("api1,api2"), "expected at most 1 hosts in one run, found 2"),
        (problem("db1"), "expected hosts of the group api, found db1"),
    ],
)
def test_the_reason_is_said(said: str, expected: str) -> None:
    assert expected in said


@pytest.mark.parametrize(
    ("firing", "members", "refused"),
    [
        (["a", "b"], "abc", True),
        (["a"], "abc", False),
        (["a", "b"], "abcd", False),
        (["a", "b", "c"], "abcd", True),
        (["a", "a", "a"], "abc", False),
        # What isn't of the group doesn't count, and two hosts can't tell.
        (["x", "y", "z"], "abc", False),
        (["a", "b"], "ab", False),
        (["a"], "a", False),
        ([], "abc", False),
    ],
)
def test_a_shared_cause_leaves_the_fleet_alone(
    firing: list[str], members: str, refused: bool
) -> None:
    said = fleet_problem(firing, members=list(members), share=0.5, group="api")
    assert bool(said) is refused


@pytest.mark.parametrize(
    ("unknown", "hosts", "automatic", "said"),
    [
        ("", 9, True, ""),
        ("Prometheus does not answer", 1, False, ""),
        ("Prometheus does not answer", 1, True, "an automatic run"),
        ("Prometheus does not answer", 2, False, "a run on 2 hosts"),
    ],
)
def test_a_fleet_that_nobody_sees_is_met_by_a_human_and_one_host_at_a_time(
    unknown: str, hosts: int, automatic: bool, said: str
) -> None:
    found = fleet_problem(
        [],
        members=list("abc"),
        share=0.5,
        group="api",
        unknown=unknown,
        hosts=hosts,
        automatic=automatic,
    )
    assert bool(found) is bool(said)
    assert said in found


def test_why_it_is_inconclusive_is_said() -> None:
    verdict = outcome_of([{"changed": True}], alert="unknown", check=False, unknown="no rule X")
    assert verdict["outcome"] == "inconclusive"
    assert verdict["reason"].endswith("whether the alert is gone: no rule X")


def test_a_host_that_was_lost_is_no_success() -> None:
    lost = {"changed": False, "unreachable": True, "msg": "connection refused"}
    verdict = outcome_of([lost], alert="gone", check=False)
    assert verdict["outcome"] == "inconclusive"
    assert "was lost while it was helped: connection refused" in verdict["reason"]


def test_a_target_that_is_not_reached_names_the_policies_that_did_not_act() -> None:
    done = {"policy": "old_logs", "status": "done", "reason": ""}
    skipped = {"policy": "docker", "status": "skipped", "reason": "no Docker here"}
    refused = {"policy": "backups", "status": "refused", "reason": "its budget is spent"}
    act = {"changed": True, "target_reached": False, "policies": [done, skipped, refused]}
    reason = outcome_of([act], alert="gone", check=False)["reason"]
    assert reason == (
        "not all that may go went: policy backups was refused (its budget is spent); "
        "the target is not reached"
    )


def alert_of(mount: str, state: str = "firing", **more: Any) -> dict[str, Any]:
    return {"alertname": "DiskFull", "mountpoint": mount, "alertstate": state, **more}


@pytest.mark.parametrize(
    ("alerts", "found", "firing"),
    [
        ([], [], []),
        ([{"alertname": "ApiDown", "alertstate": "firing"}], [], []),
        (
            [alert_of("/", value=0.09), alert_of("/data", value=0.01)],
            ["/data", "/"],
            ["/data", "/"],
        ),
        ([alert_of("/b", "pending", value=0.0), alert_of("/c", value=0.09)], ["/c", "/b"], ["/c"]),
        (
            # Both its bytes and its inodes lack.
            [alert_of("/b", value=0.08), alert_of("/a", value=0.05), alert_of("/b", value=0.02)],
            ["/b", "/a"],
            ["/b", "/a"],
        ),
        ([alert_of("/z", value=0.09), alert_of("/a")], ["/z", "/a"], ["/z", "/a"]),
    ],
)
def test_the_fullest_file_system_is_helped_first(
    alerts: list[dict[str, Any]], found: list[str], firing: list[str]
) -> None:
    assert mount_points(alerts) == found
    assert mount_points(alerts, firing=True) == firing


@pytest.mark.parametrize(
    ("act", "alert", "check", "outcome"),
    [
        ({"changed": True, "target_reached": True}, "firing", False, "not_resolved"),
        ({"changed": True, "target_reached": True}, "gone", False, "not_resolved"),
        ({"changed": False, "outcome": ""}, "gone", False, "not_resolved"),
        ({"refused": True, "reason": "its budget is spent"}, "unasked", False, "refused"),
        ({"changed": True, "target_reached": False}, "unasked", False, "not_resolved"),
        ({"changed": True, "target_reached": False}, "unasked", True, "predicted"),
    ],
)
def test_other_file_systems_that_are_full_are_always_told(
    act: dict[str, Any], alert: str, check: bool, outcome: str
) -> None:
    verdict = outcome_of([act], alert=alert, check=check, elsewhere=["/data", "/srv"])
    assert verdict["outcome"] == outcome
    assert ". The alert fires for /data, /srv too, which this run left alone" in verdict["reason"]


ACTED = {"changed": True, "outcome": "resolved"}
NOTHING = {"changed": False, "outcome": ""}


@pytest.mark.parametrize(
    ("act", "alert", "check", "outcome"),
    [
        (ACTED, "gone", False, "resolved"),
        (ACTED, "unasked", False, "resolved"),
        (ACTED, "firing", False, "not_resolved"),
        (ACTED, "unknown", False, "inconclusive"),
        (NOTHING, "gone", False, "healthy"),
        (NOTHING, "firing", False, "not_resolved"),
        ({"changed": True, "outcome": "not_resolved", "msg": "x"}, "gone", False, "not_resolved"),
        ({"refused": True, "msg": "Refused x"}, "gone", False, "refused"),
        ({"refused": True, "reason": "x"}, "gone", True, "refused"),
        (InputError("roots: found none.").as_result(), "gone", False, "refused"),
        ({"msg": "PostgreSQL does not answer"}, "gone", False, "inconclusive"),
        ({"changed": True, "target_reached": False}, "gone", False, "not_resolved"),
        ({"changed": True, "target_reached": False}, "unasked", True, "predicted"),
        ({"changed": True, "target_reached": True}, "gone", False, "resolved"),
        (ACTED, "unasked", True, "predicted"),
        (NOTHING, "unasked", True, "predicted"),
    ],
)
def test_how_a_run_ended(act: dict[str, Any], alert: str, check: bool, outcome: str) -> None:
    verdict = outcome_of([act], alert=alert, check=check)
    assert verdict["outcome"] == outcome
    assert outcome in OUTCOMES
    assert verdict["reason"]
