"""Options of roles are judged before the first role runs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import CATALOGUE
from ansible_collections.koprogo.observability.plugins.plugin_utils._options import (
    missing_errors,
    option_errors,
)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"prometheus_retention": "15d", "prometheus_port": "9091"},
        {"prometheus_external_labels": {"region": "be"}},
        {"loki_retention": "not ours"},
    ],
)
def test_good_options(variables: dict[str, Any]) -> None:
    assert option_errors("prometheus", variables) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"prometheus_retenton": "15d"},
            ["prometheus_retenton", "did you mean prometheus_retention"],
        ),
        ({"prometheus_zzz": 1}, ["prometheus_zzz", "no such option"]),
        ({"prometheus_port": "web"}, ["prometheus_port", "int"]),
        ({"prometheus_install": "pip"}, ["prometheus_install", "package", "pip"]),
        ({"prometheus_rules": "x"}, ["prometheus_rules", "dict"]),
        ({"prometheus_retention": "forever"}, ["prometheus_retention", "duration", "forever"]),
    ],
)
def test_bad_options_are_named(variables: dict[str, Any], words: list[str]) -> None:
    errors = option_errors("prometheus", variables)
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]


def test_all_errors_come_at_once() -> None:
    bad = {"prometheus_port": "web", "prometheus_retention": "forever", "prometheus_zzz": 1}
    assert len(option_errors("prometheus", bad)) == 3


@pytest.mark.parametrize(
    ("role", "variables", "missing"),
    [
        ("grafana", {}, ["grafana_admin_password"]),
        ("grafana", {"grafana_admin_password": "x"}, []),
        (
            "prometheus",
            {"prometheus_install": "archive"},
            ["prometheus_archive", "prometheus_archive_sha256"],
        ),
        ("prometheus", {}, []),
    ],
)
def test_what_a_component_cannot_do_without(
    role: str, variables: dict[str, Any], missing: list[str]
) -> None:
    (component,) = (c for c in CATALOGUE if c.name == role)
    assert [error.split(":")[0] for error in missing_errors(component, variables)] == missing
