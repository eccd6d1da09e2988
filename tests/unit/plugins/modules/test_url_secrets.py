"""Credentials of a download are in no result, not even in its copy of the options."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

FOLDER = "ansible_collections.koprogo.observability.plugins.modules"
URL = "https://me:hunter2@files.invalid/x"
REPOSITORY = {"name": "v", "key": URL, "fingerprint": "0" * 40}


def test_what_is_missing_is_told_whatever_the_password_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ansible masks it also where it is a part of an option's name."""
    download = {"component": "c", "option": "loki_archive", "sha256": "0" * 64}
    options = {
        "downloads": [{**download, "url": f"https://me:{word}@x/"} for word in ("loki", "1")]
    }
    with patch_module_args(options), pytest.raises(SystemExit):
        importlib.import_module(f"{FOLDER}.preflight").main()
    assert json.loads(capsys.readouterr().out)["missing"] == [True, True]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("component_install", {"archive": {"source": URL}}),
        ("component_install", {"archive": {"source": {"amd64": URL}}}),
        ("component_install", {"package_file": URL}),
        ("component_install", {"repository": REPOSITORY}),
        ("component_install", {"repository": REPOSITORY | {"uri": URL}, "packages": ["x"]}),
        (
            "preflight",
            {
                "files": [{"option": "o", "path": "/nowhere", "expected": "x"}],
                "downloads": [{"component": "c", "option": "o", "url": URL, "sha256": "0"}],
            },
        ),
        (
            "preflight",
            {
                "files": [{"option": "o", "path": "/nowhere", "expected": "x"}],
                "vendors": [
                    {"option": "o", "uri": URL, "key": URL, "suites": "s", "packages": ["x"]}
                ],
            },
        ),
    ],
)
def test_masked(capsys: pytest.CaptureFixture[str], module: str, options: dict[str, Any]) -> None:
    given = {"name": "c", "_ansible_check_mode": True} if module == "component_install" else {}
    with patch_module_args(given | options), pytest.raises(SystemExit):
        importlib.import_module(f"{FOLDER}.{module}").main()
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert "files.invalid" in json.dumps(json.loads(shown)["invocation"])
