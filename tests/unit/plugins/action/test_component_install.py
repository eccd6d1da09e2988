# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the control node does: nothing, unless the host asks for a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.koprogo.observability.plugins.action.component_install import (
    ActionModule,
)

CONTENT = b"an archive"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Action(ActionModule):
    """The plugin with a host that answers from a list."""

    def __init__(
        self, answers: list[dict[str, Any]], *, check: bool = False, **arguments: Any
    ) -> None:
        self._task = SimpleNamespace(args={"name": "loki", **arguments}, check_mode=check)
        self.answers = answers
        self.asked: list[dict[str, Any]] = []
        self.commands: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.search: dict[str, str] = {}
        self.broken = False

    def _execute_module(self, **keywords: Any) -> dict[str, Any]:
        self.asked.append(keywords["module_args"])
        return self.answers.pop(0)

    def _low_level_execute_command(self, command: str, **keywords: Any) -> dict[str, Any]:
        assert keywords == {"sudoable": False}, "the connection writes as the connecting user"
        self.commands.append(command)
        return {"rc": 0, "stdout": "/var/tmp/koprogo-abcdefgh\r\n", "stderr": ""}

    def _transfer_file(self, local_path: str, remote_path: str) -> None:
        if self.broken:
            raise AnsibleError("no space left")
        self.sent.append((local_path, remote_path))

    def _find_needle(self, dirname: str, needle: str) -> str:
        assert dirname == "files"
        if needle not in self.search:
            raise AnsibleError("not found")
        return self.search[needle]

    def go(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_a, **_k: {})
        result: dict[str, Any] = self.run(task_vars={})
        return result


def question(path: Path | str, digest: str = DIGEST) -> dict[str, Any]:
    return {"changed": False, "needs_source": {"path": str(path), "sha256": digest}}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "loki.tar.gz"
    path.write_bytes(CONTENT)
    return path


def test_one_round_trip_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([{"changed": False, "kept": []}])
    assert action.go(monkeypatch) == {"changed": False, "kept": []}
    assert (len(action.asked), action.commands, action.sent) == (1, [], [])


def test_the_file_is_sent_and_removed(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    invocation = {"module_args": {"name": "loki", "staged_file": "x"}}
    action = Action([question(archive), {"changed": True, "invocation": invocation}])
    result = action.go(monkeypatch)
    assert action.sent == [(str(archive), "/var/tmp/koprogo-abcdefgh/source")]
    assert action.asked[1]["staged_file"] == "/var/tmp/koprogo-abcdefgh/source"
    assert action.commands[-1] == "rm -rf -- /var/tmp/koprogo-abcdefgh"
    assert result == {"changed": True, "invocation": {"module_args": {"name": "loki"}}}


def test_a_relative_path_is_looked_up_as_copy_does(
    monkeypatch: pytest.MonkeyPatch, archive: Path
) -> None:
    action = Action([question("loki.tar.gz"), {"changed": True}])
    action.search = {"loki.tar.gz": str(archive)}
    assert action.go(monkeypatch)["changed"]


@pytest.mark.parametrize("check", [False, True])
def test_a_wrong_checksum_is_found_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, archive: Path, check: bool
) -> None:
    action = Action([question(archive, "0" * 64)], check=check)
    result = action.go(monkeypatch)
    assert result["failed"]
    assert f"expected sha256 {'0' * 64}, found {DIGEST}. Nothing was changed" in result["msg"]
    assert (action.commands, action.sent) == ([], [])


@pytest.mark.parametrize("path", ["/nowhere/loki.tar.gz", "loki.tar.gz"])
def test_a_missing_file(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    result = Action([question(path)]).go(monkeypatch)
    assert result["failed"]
    assert f"loki: expected the file {path} on the control node, found none" in result["msg"]


def test_check_mode_sends_nothing(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    action = Action([{**question(archive), "changed": True}], check=True)
    assert action.go(monkeypatch) == {"changed": True}
    assert action.sent == []


def test_a_broken_transfer_is_tidied_up(monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    action = Action([question(archive)])
    action.broken = True
    result = action.go(monkeypatch)
    assert result["failed"]
    assert "could not be sent to the host's /var/tmp: no space left" in result["msg"]
    assert action.commands[-1].startswith("rm -rf")


def test_a_failure_of_the_host_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"failed": True, "msg": "no"}
    assert Action([dict(answer)]).go(monkeypatch) == answer


def test_the_internal_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([], staged_file="/etc/shadow")
    assert action.go(monkeypatch)["failed"]
    assert action.asked == []


@pytest.mark.parametrize(
    ("packages", "promised", "arguments", "changed"),
    [
        (["a"], ["a", "b"], {}, False),
        (["a"], ["b"], {}, True),
        (["a"], [], {}, True),
        (["a"], ["a"], {"user_first": True}, True),
        (["a"], ["a"], {"method": "archive"}, True),
    ],
)
def test_check_mode_predicts_a_package_once(
    monkeypatch: pytest.MonkeyPatch,
    packages: list[str],
    promised: list[str],
    arguments: dict[str, Any],
    changed: bool,
) -> None:
    action = Action([{"changed": True}], check=True, packages=packages, **arguments)
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_a, **_k: {})
    common = {"__packages_installed": {"promised_packages": promised}}
    assert action.run(task_vars=common)["changed"] is changed


def test_the_common_transaction_says_what_it_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([{"changed": True}], check=True, packages=["b", "a"])
    action._task.args["name"] = "packages"
    result = action.go(monkeypatch)
    assert result["promised_packages"] == ["a", "b"]
    # Ansible caches facts for hours, and a prediction is none after its own run.
    assert "ansible_facts" not in result


def test_a_skipped_common_transaction_promises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([{"changed": True}], check=True, packages=["a"])
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_a, **_k: {})
    cached = {"koprogo_promised_packages": ["a"]}
    skipped = {"skipped": True, "changed": False}
    assert action.run(task_vars={"ansible_facts": cached, "__packages_installed": skipped})[
        "changed"
    ]
