"""The runner: no shell, a fixed locale, time limits that reach children, secrets masked."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._run import (
    NOT_FOUND,
    TIMED_OUT,
    Runner,
)


def test_arguments_reach_the_program_as_they_are() -> None:
    result = Runner().run(["printf", "%s|", "$HOME", "a b", ";", "*"])
    assert result.stdout == "$HOME|a b|;|*|"
    assert result.ok


def test_the_locale_is_fixed_and_the_environment_extended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    result = Runner().run(["sh", "-c", "echo $LC_ALL $X"], env={"X": "y"})
    assert result.stdout == "C y\n"


def test_a_missing_program() -> None:
    result = Runner().run(["no-such-program"])
    assert (result.rc, result.output) == (NOT_FOUND, "no-such-program: command not found")


def test_a_missing_user() -> None:
    result = Runner().run(["id"], user="no-such-user")
    assert (result.rc, result.output) == (NOT_FOUND, "user no-such-user does not exist")


def test_another_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    result = Runner().run(["sh", "-c", "id -un; id -Gn; echo $HOME"], user="nobody")
    assert result.stdout.split() == ["nobody", "nogroup", "/nonexistent"]


def test_a_time_limit_reaches_the_children() -> None:
    began = time.monotonic()
    result = Runner().run(["sh", "-c", "echo early; sleep 20 & sleep 20"], timeout=0.3)
    assert time.monotonic() - began < 5
    assert result.rc == TIMED_OUT
    assert "early" in result.stdout
    assert "killed: it ran longer than 0.3 s" in result.stderr


def test_secrets_are_masked_everywhere() -> None:
    runner = Runner(masker=Masker(["hunter2"]))
    with pytest.raises(CommandError) as caught:
        runner.run(["sh", "-c", "echo hunter2; echo hunter2 >&2; exit 4"], check=True)
    assert "hunter2" not in caught.value.message + str(caught.value.evidence)
    assert "ended with 4: ********" in caught.value.message


def test_a_flood_of_output_is_limited() -> None:
    result = Runner().run(["sh", "-c", "yes | head -c 1000000; echo end"])
    assert len(result.stdout) < 70000
    assert result.stdout.endswith("end\n")


def test_no_program_at_all() -> None:
    with pytest.raises(InputError):
        Runner().run([])
