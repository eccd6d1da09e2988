# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo`` and ``make demo-down``."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.artifacts import ARTIFACTS, ensure_artifact, write_index
from lab.engine import ensure_engine
from lab.hosts import HOSTS, remove_hosts, start_hosts
from lab.images import RELEASES, ensure_image, reachable
from lab.paths import ROOT, STATE
from lab.shell import LabError, answers, run, stream
from lab.steps import Clock, Say, Step, clock, run_steps
from lab.tunnel import DOORS, check_ports, close_tunnel, local_port, open_tunnel
from lab.venv import ensure_venv, tool_environment

__all__ = [
    "RECORD",
    "Took",
    "bring_down",
    "bring_up",
    "grafana_source",
    "play",
    "preparation",
    "summary",
]

# How long the last run took, and each part of it.
RECORD = STATE / "demo.json"
_INVENTORY = Path("inventories") / "demo"
# inventories/demo has the lookup that makes it.
_SIGN_IN = "sign in as admin, the password is in .cache/lab/demo/grafana-password"
_REPOSITORY = "https://apt.grafana.com/dists/stable/InRelease"


def preparation() -> list[Step]:
    """Return the steps that the demo and the scenarios share."""

    def artifact(number: int) -> Step:
        one = ARTIFACTS[number]
        return Step(one.name, lambda say: ensure_artifact(one, say))

    def image(number: int) -> Step:
        one = RELEASES[number]
        return Step(one.name, lambda say: ensure_image(one, say), needs=("engine",))

    def index(_say: Say) -> None:
        write_index()

    return [
        Step("engine", ensure_engine),
        Step("venv", ensure_venv),
        *(artifact(number) for number in range(len(ARTIFACTS))),
        *(image(number) for number in range(len(RELEASES))),
        Step("archives", index, needs=tuple(one.name for one in ARTIFACTS)),
    ]


def grafana_source(package: str, *, repository_answers: bool) -> tuple[dict[str, object], str]:
    """Return the variables that say where Grafana comes from, and a line about it."""
    if package:
        path = Path(package).resolve()
        if not path.is_file():
            raise LabError(f"GRAFANA_DEB: expected a package file, found nothing at {path}.")
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        variables: dict[str, object] = {
            "grafana_package_file": str(path),
            "grafana_package_file_sha256": checksum,
        }
        return variables, f"Grafana: from {path}; {_SIGN_IN}"
    if repository_answers:
        return {}, f"Grafana: from apt.grafana.com; {_SIGN_IN}"
    return {"koprogo_omit": ["grafana"]}, (
        "Grafana: left out, apt.grafana.com does not answer from here."
        " Supply its package: GRAFANA_DEB=/path/to/grafana.deb make demo"
    )


@dataclass(frozen=True, kw_only=True)
class Took:
    """Seconds of a run of the demo: of all of it, of the steps before the playbooks, of each playbook."""

    total: float
    preparation: float
    steps: Mapping[str, float]
    plays: Mapping[str, float]


def play(playbook: str, variables: Mapping[str, object]) -> list[str]:
    """Return the command of a playbook, as one may give it in the checkout."""
    command = ["ansible-playbook", "-i", str(_INVENTORY), playbook]
    # JSON and not k=v: only so does a list stay a list.
    return command + (["--extra-vars", json.dumps(variables)] if variables else [])


def summary(grafana: str, took: Took, *, with_grafana: bool) -> str:
    """Return the last screen: addresses, what was verified, what could not be had."""
    lines = ["", "KoproGo's monitoring runs on three hosts:"]
    lines += [f"  {host.name:<5} {host.release}  {host.address}" for host in HOSTS]
    lines += ["", "Open here, through an SSH tunnel to mon1:"]
    for door in DOORS:
        if door.name != "Grafana" or with_grafana:
            lines.append(f"  {door.name:<13} http://127.0.0.1:{local_port(door)}")
    lines += ["", "Verified: playbooks/verify.yml asked the running system; its table is above."]
    parts = {"preparation": took.preparation, **took.plays}
    lines += [grafana, "", "Took: " + ", ".join(f"{k} {clock(v)}" for k, v in parts.items())]
    lines += ["Again: make demo (reuses everything).   Remove it: make demo-down"]
    return "\n".join(lines)


def bring_up() -> None:
    """Build what is missing, start the hosts, provision and verify them, open the tunnel."""
    board = Clock()
    # Cheap questions first: nobody should wait ten minutes for these answers.
    check_ports()
    package = os.environ.get("GRAFANA_DEB", "")
    answering = not package and reachable(_REPOSITORY)
    variables, grafana = grafana_source(package, repository_answers=answering)
    board.say("grafana", grafana)

    def sample(say: Say) -> None:
        say("installing PostgreSQL and the sample API")
        log = STATE / "sample.log"
        log.unlink(missing_ok=True)
        run(play("lab/playbooks/sample.yml", {}), log, cwd=ROOT, env=tool_environment())

    images = tuple(release.name for release in RELEASES)
    steps = [
        *preparation(),
        Step("hosts", start_hosts, needs=images),
        Step("sample", sample, needs=("hosts", "venv")),
    ]
    durations = run_steps(steps, board)
    prepared = time.monotonic()
    plays = {}
    for name in ("site.yml", "verify.yml"):
        command = play(f"playbooks/{name}", variables)
        board.say(name, shlex.join(command))
        began = time.monotonic()
        _play(command)
        plays[name] = time.monotonic() - began
    board.say("tunnel", open_tunnel(lambda text: board.say("tunnel", text)))
    took = Took(
        total=time.monotonic() - board.started,
        preparation=prepared - board.started,
        steps=durations,
        plays=plays,
    )
    RECORD.write_text(json.dumps(asdict(took), indent=2) + "\n", encoding="utf-8")
    print(summary(grafana, took, with_grafana="koprogo_omit" not in variables))


def _play(command: Sequence[str]) -> None:
    # What changed is worth a line; what was as it should be is not.
    quiet = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}
    env = {**tool_environment(), **quiet}
    code = stream(command, cwd=ROOT, env=env)
    if code != 0:
        raise LabError(
            f"`{shlex.join(command)}` failed ({code}): its messages are above."
            " The hosts are still there; `make demo` goes on from here."
        )


def bring_down() -> None:
    """Remove what the demo made, and nothing else; images and archives stay for the next one."""
    if close_tunnel():
        print("The SSH tunnel is closed.")
    if not answers(["docker", "version"], timeout=15):
        raise LabError("No Docker engine answers: the demo's hosts, if any, do not run.")
    removed = remove_hosts()
    # What Ansible learned about hosts that are no more.
    for host in HOSTS:
        (ROOT / ".cache" / "facts" / host.name).unlink(missing_ok=True)
    shutil.rmtree(ROOT / _INVENTORY / ".pki", ignore_errors=True)
    print(f"Removed: {', '.join(removed)}." if removed else "There was nothing to remove.")
