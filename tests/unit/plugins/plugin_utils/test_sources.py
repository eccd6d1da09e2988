"""What a host fetches itself, and which runs would."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._sources import (
    downloads,
    selects,
    source_errors,
    vendors,
)

FACTS = {"ansible_facts": {"architecture": "x86_64"}}
ARCHIVE = {"loki_install": "archive", "loki_archive_sha256": "0" * 64}
URLS = {"amd64": "https://x/amd64.zip", "arm64": "https://x/arm64.zip"}


@pytest.mark.parametrize(
    ("run", "skip", "tags", "expected"),
    [
        (["all"], [], [], True),
        (["all"], [], ["loki_install"], True),
        (["all"], ["loki_install"], ["loki_install"], False),
        (["all"], ["loki_install"], [], True),
        (["loki_install"], [], ["loki_install"], True),
        (["loki_configure"], [], ["loki_install"], False),
        (["loki_install"], [], [], False),
        (["tagged"], [], ["loki_install"], True),
        (["tagged"], [], [], False),
        (["untagged"], [], [], True),
    ],
)
def test_tags_select_as_ansible_does(
    run: list[str], skip: list[str], tags: list[str], expected: bool
) -> None:
    assert selects({"ansible_run_tags": run, "ansible_skip_tags": skip}, tags) is expected


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, ""),
        (ARCHIVE | {"loki_archive": "/srv/loki.zip"}, ""),
        (ARCHIVE | {"loki_archive": "https://x/loki.zip"}, "https://x/loki.zip"),
        (ARCHIVE | {"loki_archive": URLS}, URLS["amd64"]),
        (ARCHIVE | {"loki_install": "package", "loki_archive": URLS}, ""),
    ],
)
def test_only_a_url_is_fetched_by_the_host(variables: dict[str, Any], url: str) -> None:
    assert [one["url"] for one in downloads("loki", variables, FACTS)] == ([url] if url else [])


@pytest.mark.parametrize(
    ("role", "variables", "expected"),
    [
        ("loki", {}, ["https://apt.grafana.com"]),
        ("grafana", {"grafana_repository": "https://mirror"}, ["https://mirror"]),
        ("grafana", {"grafana_repository": ""}, []),
        ("grafana", {"grafana_package_file": "/srv/grafana.deb"}, []),
        ("grafana", {"grafana_install": "none"}, []),
        ("prometheus", {}, []),
    ],
)
def test_vendors_repositories(role: str, variables: dict[str, Any], expected: list[str]) -> None:
    assert [one["uri"] for one in vendors(role, variables, FACTS)] == expected


@pytest.mark.parametrize(
    ("release", "expected"), [("bookworm", ["bookworm-backports"]), ("trixie", [])]
)
def test_backports_are_of_the_release_that_needs_them(release: str, expected: list[str]) -> None:
    facts = {"ansible_facts": {"distribution_release": release}}
    assert [one["suites"] for one in vendors("suricata", {}, facts)] == expected


def test_credentials_in_a_repository_are_refused_before_anything_is_changed() -> None:
    def nowhere(_folder: str, _name: str) -> str:
        raise AssertionError

    variables = {"loki_repository": "https://u:hunter2@mirror/grafana"}
    (error,) = source_errors("loki", variables, FACTS, nowhere)
    assert error.startswith("loki_repository: expected https://mirror/grafana, found")
    assert "hunter2" not in error
    assert source_errors("loki", {}, FACTS, nowhere) == []
    assert source_errors("prometheus", {}, FACTS, nowhere) == []
