"""Loki goes, and does not come back from a repository with another key."""

from __future__ import annotations

import json

from tests.integration.boxes import Box
from tests.integration.play import run_playbook

CONVERGE = "molecule/loki/converge.yml"
BOX = Box("loki-box1")


def test_another_key_is_refused_and_absent_leaves_the_data_only() -> None:
    gone = run_playbook(CONVERGE, "-e", json.dumps({"loki_state": "absent"}))
    assert gone.rc == 0, gone.text
    assert BOX.sh("ls /etc/koprogo/loki /etc/apt/sources.list.d/koprogo* 2>/dev/null || true") == ""
    assert BOX.sh("dpkg-query -W -f '${Status}' loki 2>/dev/null || true").strip() in (
        "",
        "deinstall ok config-files",
        "unknown ok not-installed",
    )
    assert "chunks" in BOX.sh("ls /var/lib/loki")
    again = run_playbook(CONVERGE, "-e", json.dumps({"loki_state": "absent"}))
    assert "changed=0" in again.text
    wrong = run_playbook(CONVERGE, "-e", json.dumps({"loki_repository_fingerprint": "A" * 40}))
    assert wrong.rc != 0
    assert f"expected the one key {'A' * 40}, found " in wrong.text
    assert BOX.sh("ls /etc/apt/sources.list.d/koprogo* 2>/dev/null || true") == ""
