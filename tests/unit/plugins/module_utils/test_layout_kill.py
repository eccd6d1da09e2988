"""Killed at any step, an installation or removal is made up for: what stood there before comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from tests.integration.steps import Steps
from tests.unit.plugins.module_utils.test_install import UNIT, Host

UNIT_FILE = "/etc/systemd/system/tool.service"
THEIRS = {"/usr/local/bin/tool": "#!/bin/sh\n", UNIT_FILE: "[Service]\nExecStart=/usr/bin/tool\n"}


class Killed(BaseException):
    """Nobody catches it."""


def run_and_die(host: Host, at: int, **options: Any) -> bool:
    """Run until step number ``at``; False if the run ended before."""
    left = at

    def before(_step: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    try:
        with mock.patch.object(_io, "os", Steps(before, skip=frozenset({"fsync"}))):
            host.run(**options)
    except Killed:
        return True
    return False


@pytest.mark.parametrize("theirs", [THEIRS, {}])
@pytest.mark.parametrize("killed_in", ["present", "absent"])
def test_what_stood_there_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str, theirs: dict[str, str]
) -> None:
    monkeypatch.setattr("os.fchown", lambda *_owner: None)
    killed, step = True, 0
    while killed:
        root = tmp_path / str(step)
        root.mkdir()
        host = Host(root)
        for name, text in theirs.items():
            host.path(name).parent.mkdir(parents=True, exist_ok=True)
            host.path(name).write_text(text)
        before = host.content()
        if killed_in == "absent":
            host.run(**host.options())
            assert host.path(UNIT_FILE).read_text() == UNIT
        options = {"state": "absent"} if killed_in == "absent" else host.options()
        killed = run_and_die(host, step, **options)
        host.run(state="absent")
        # What was being written or unpacked has another name until it is whole.
        after = {name: text for name, text in host.content().items() if "/." not in name}
        assert after == before
        step += 1
    assert step > 10
