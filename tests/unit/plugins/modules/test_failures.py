"""What the system refuses is a sentence and not a traceback, in every module."""

from __future__ import annotations

import ast
import errno
import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    as_failure,
)

FOLDER = "ansible_collections.koprogo.observability.plugins.modules"
MODULES = sorted((Path(__file__).parents[4] / "plugins/modules").glob("*.py"))


def _caught(attempt: ast.Try) -> set[str]:
    kinds = [handler.type for handler in attempt.handlers if handler.type is not None]
    return {node.id for kind in kinds for node in ast.walk(kind) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_who_catches_our_errors_catches_the_systems(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Try) and "KoprogoError" in _caught(node):
            assert "OSError" in _caught(node)


@pytest.mark.parametrize(
    ("module", "broken", "options"),
    [
        ("component_service", "Keeper.started", {"unit": "x.service"}),
        ("component_verify", "Verifier.verify", {"unit": "x.service"}),
        ("host_key", "HostKey.provide", {"path": "/srv/host.key"}),
        ("preflight", "port_errors", {}),
    ],
)
def test_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    broken: str,
    options: dict[str, Any],
) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/x")

    monkeypatch.setattr(f"{FOLDER}.{module}.{broken}", full)
    with patch_module_args(options), pytest.raises(SystemExit):
        importlib.import_module(f"{FOLDER}.{module}").main()
    result = json.loads(capsys.readouterr().out)
    about = "".join(f"{value}: " for value in options.values())
    assert result["failed"]
    assert result["msg"] == f"{about}the system refused at /var/lib/x: No space left on device."


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (InputError("no.", at=1), {"msg": "no.", "at": 1, "refused": True, "code": "input"}),
        (OSError("closed"), {"msg": "x: the system refused: closed."}),
    ],
)
def test_as_failure(error: InputError | OSError, result: dict[str, Any]) -> None:
    assert as_failure(error, about="x") == result
