"""Options of roles are judged before the first role runs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import CATALOGUE
from ansible_collections.koprogo.observability.plugins.plugin_utils._options import (
    missing_errors,
    option_errors,
    variable_errors,
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
    errors = missing_errors(role, component.needs, variables)
    assert [error.split(":")[0] for error in errors] == missing


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"koprogo_protct": True}, "koprogo_protct: unknown option; did you mean koprogo_protect?"),
        ({"koprogo_zzz": 1}, "koprogo_zzz: unknown option; expected one of koprogo_deployment, "),
        ({"koprogo_protect": "maybe"}, "'koprogo_protect' is of type str"),
        ({"koprogo_api_port": "web"}, "'koprogo_api_port' is of type str"),
        ({"koprogo_api_port": 0}, "koprogo_api_port: expected a TCP port from 1 to 65535, found"),
        ({"koprogo_remediation_max_hosts": "all"}, "'koprogo_remediation_max_hosts' is of type"),
        ({"koprogo_allowlist": {}}, "'koprogo_allowlist' is of type dict"),
    ],
)
def test_the_inventorys_own_variables_are_judged(variables: dict[str, Any], words: str) -> None:
    (error,) = variable_errors(variables)
    assert words in error


def test_sound_variables_of_the_inventory() -> None:
    texts = {"koprogo_protect": "true", "koprogo_api_port": "8081", "koprogo_omit": ["grafana"]}
    assert variable_errors(texts) == []
