# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo`` and ``make demo-down``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from lab.artifacts import ARTIFACTS, ensure_artifact, write_index
from lab.engine import ensure_engine
from lab.hosts import HOSTS, remove_hosts, start_hosts
from lab.images import RELEASES, ensure_image, reachable
from lab.paths import ROOT, STATE
from lab.shell import Argv, LabError, answers, run, stream
from lab.steps import Clock, Say, Step, clock, run_steps
from lab.tunnel import DOORS, check_ports, close_tunnel, local_port, open_tunnel
from lab.venv import ensure_venv, tool, tool_environment

__all__ = ["bring_down", "bring_up", "grafana_source", "preparation", "summary"]

_INVENTORY = ROOT / "inventories" / "demo"
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


def _playbook(name: str, *extra: str) -> Argv:
    return [tool("ansible-playbook"), "-i", _INVENTORY, ROOT / name, *extra]


def summary(grafana: str, durations: dict[str, float], *, with_grafana: bool) -> str:
    """Return the last screen: addresses, what was verified, what could not be had."""
    lines = ["", "KoproGo's monitoring runs on three hosts:"]
    lines += [f"  {host.name:<5} {host.release}  {host.address}" for host in HOSTS]
    lines += ["", "Open here, through an SSH tunnel to mon1:"]
    for door in DOORS:
        if door.name != "Grafana" or with_grafana:
            lines.append(f"  {door.name:<13} http://127.0.0.1:{local_port(door)}")
    lines += ["", "Verified: playbooks/verify.yml asked the running system; its table is above."]
    lines += [grafana, "", "Took: " + ", ".join(f"{k} {clock(v)}" for k, v in durations.items())]
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
        run(_playbook("lab/playbooks/sample.yml"), log, cwd=ROOT, env=tool_environment())

    images = tuple(release.name for release in RELEASES)
    steps = [
        *preparation(),
        Step("hosts", start_hosts, needs=images),
        Step("sample", sample, needs=("hosts", "venv")),
    ]
    began = time.monotonic()
    run_steps(steps, board)
    durations = {"preparation": time.monotonic() - began}
    # JSON and not k=v: only so does a list stay a list.
    extra = ["--extra-vars", json.dumps(variables)] if variables else []
    for name in ("site", "verify"):
        board.say(name, f"ansible-playbook -i inventories/demo playbooks/{name}.yml")
        began = time.monotonic()
        _play(name, extra)
        durations[f"{name}.yml"] = time.monotonic() - began
    board.say("tunnel", open_tunnel(lambda text: board.say("tunnel", text)))
    (STATE / "demo.json").write_text(json.dumps(durations) + "\n", encoding="utf-8")
    print(summary(grafana, durations, with_grafana="koprogo_omit" not in variables))


def _play(name: str, extra: list[str]) -> None:
    # What changed is worth a line; what was as it should be is not.
    quiet = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}
    env = {**tool_environment(), **quiet}
    code = stream(_playbook(f"playbooks/{name}.yml", *extra), cwd=ROOT, env=env)
    if code != 0:
        raise LabError(
            f"playbooks/{name}.yml failed ({code}): its messages are above."
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
    shutil.rmtree(_INVENTORY / ".pki", ignore_errors=True)
    print(f"Removed: {', '.join(removed)}." if removed else "There was nothing to remove.")
