"""The doors' filters: what they refuse, they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.filter.certificates import (
    alternative_names,
    checked_request,
    expiry_metrics,
)
from ansible_collections.koprogo.observability.plugins.filter.doors import (
    path_with_query,
    resolved_address,
    resolved_doors,
)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ({}, "/metrics"),
        ({"path": "/probe", "params": {}}, "/probe"),
        (
            {
                "path": "/probe",
                "params": {"module": ["m"], "target": ["http://127.0.0.1:80/a?b=c d"]},
            },
            "/probe?module=m&target=http%3A%2F%2F127.0.0.1%3A80%2Fa%3Fb%3Dc+d",
        ),
        ({"params": {"a": ["1", "2"]}}, "/metrics?a=1&a=2"),
    ],
)
def test_a_module_has_one_path(module: dict[str, Any], expected: str) -> None:
    assert path_with_query(module) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: resolved_address("no such name"), "'no such name': expected an address or a name"),
        (
            lambda: resolved_doors({"logs": {"port": 1, "sources": ["no such name"]}}, {}),
            "door 'logs': expected 'no such name'",
        ),
        (lambda: alternative_names(["a b"]), "'a b': expected a host name"),
        (
            lambda: checked_request("x", common_name="db1", names=["DNS:db1"], fingerprint=""),
            "signing request of db1: expected one for DNS:db1",
        ),
        (lambda: expiry_metrics("x", "y"), "certificates in PEM format"),
    ],
)
def test_refusals_name_what_was_found(call: Callable[[], object], expected: str) -> None:
    with pytest.raises(AnsibleFilterError, match=expected):
        call()


def test_names_are_given_once() -> None:
    assert alternative_names(["db1", "192.0.2.1", "db1"]) == ["DNS:db1", "IP:192.0.2.1"]
