# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's figures, and what it says about itself."""

from __future__ import annotations

import shlex

import pytest

from lab import bench_demo
from lab.bench_demo import section
from lab.demo import Took, play
from lab.shell import LabError

FIRST = Took(
    total=552.4,
    preparation=450,
    steps={"engine": 18.2, "loki": 450, "archives": 0.1},
    plays={"site.yml": 67, "verify.yml": 33},
)
AGAIN = Took(
    total=80,
    preparation=10,
    steps={"engine": 0.1, "loki": 0.2, "archives": 0.1},
    plays={"site.yml": 40.9, "verify.yml": 30},
)


def test_each_part_is_shown_beside_its_second_run_and_its_limit() -> None:
    rows = section(FIRST, AGAIN).splitlines()[-7:]
    assert rows == [
        "| --- | --- | --- | --- |",
        "| make demo | 9:12 | 1:20 | 15:00 |",
        "| preparation | 7:30 | 0:10 | |",
        "| step engine | 0:18 | 0:00 | |",
        "| step loki | 7:30 | 0:00 | |",
        "| site.yml | 1:07 | 0:40 | 4:00 |",
        "| verify.yml | 0:33 | 0:30 | |",
    ]


def test_hosts_of_the_lab_keep_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def docker(argv: list[str], **_options: object) -> str:
        asked.append(argv[1])
        return "koprogo-demo-mon1\n"

    monkeypatch.setattr(bench_demo, "check_ports", lambda: None)
    monkeypatch.setattr(bench_demo, "answers", lambda *_argv, **_options: True)
    monkeypatch.setattr(bench_demo, "output", docker)
    with pytest.raises(LabError, match=r"found koprogo-demo-mon1.*make demo-down"):
        bench_demo.bench_demo()
    assert asked == ["ps"]


def test_the_command_that_is_shown_is_the_one_that_runs() -> None:
    assert shlex.join(play("playbooks/site.yml", {"koprogo_omit": ["grafana"]})) == (
        "ansible-playbook -i inventories/demo playbooks/site.yml"
        """ --extra-vars '{"koprogo_omit": ["grafana"]}'"""
    )
    assert play("playbooks/site.yml", {})[-1] == "playbooks/site.yml"
