"""A root file system with nothing free, a tree full of traps, and a million files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration import million, small_root
from tests.integration.ask import wait_for
from tests.integration.boxes import docker
from tests.integration.play import run_tasks
from tests.integration.remedy import BOXES, RECORDS, host_of, ledger, remediate, run_script, task

testinfra_hosts = ["ansible://database"]

MIB = 1024 * 1024
ROOT = str(small_root.ROOT)
FILE_SYSTEMS = dict(zip(BOXES, ("ext4", "tmpfs"), strict=True))
# What a remediation writes down.
NOTES = re.compile(r"var/(lib|log)/koprogo/")
FREE = (
    "import os; print(*{(v.f_bavail * v.f_frsize, v.f_ffree) for v in "
    "map(os.statvfs, ('/', '/tmp', '/var', '/root'))})"
)


def free(box: str) -> dict[str, int]:
    """What all four places have free."""
    said = host_of(box).check_output(f"{small_root.SHELL} -c %s", f'python3 -c "{FREE}"')
    found = re.fullmatch(r"\((\d+), (\d+)\)", said.strip())
    assert found, said
    return {"bytes": int(found[1]), "inodes": int(found[2])}


def tree(box: str) -> dict[str, str]:
    """All that is on the small file system but notes, with size and time of change."""
    listing = host_of(box).check_output(f"find {ROOT} -xdev ! -type d -printf '%P\\t%s %T@\\n'")
    rows = dict(line.split("\t") for line in listing.splitlines())
    return {name: what for name, what in rows.items() if not NOTES.match(name)}


def rescue(*arguments: str) -> Any:
    """Both hosts at once, in their small roots."""
    return remediate(
        "disk_full",
        *arguments,
        box=",".join(BOXES),
        ansible_shell_executable=str(small_root.SHELL),
        remediation_max_hosts=2,
        remediation_run_by="ada",
    )


def predicted(text: str, box: str) -> dict[str, int]:
    """The bytes and inodes that a verbose check run announces for a host."""
    of_box = rf"\[{box}\] => (?:(?!\] => ).)*? predicted: bytes: (\d+) inodes: (\d+)"
    found = re.search(of_box, text)
    assert found, text
    return {"bytes": int(found[1]), "inodes": int(found[2])}


@pytest.fixture(params=["bytes", "inodes", "both"])
def lacking(request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """What both hosts have none of. One was provisioned, the other never had a ledger."""
    kind = str(request.param)
    try:
        for box in BOXES:
            run_script(box, small_root, "make", FILE_SYSTEMS[box])
        vouch = {"state": "trusted", "reason": "provisioned"}
        (done,) = run_tasks(
            {
                "koprogo.observability.remediation_ledger": vouch,
                "vars": {"ansible_shell_executable": str(small_root.SHELL)},
            },
            hosts=BOXES[0],
        )[BOXES[0]]
        assert done["changed"], done
        for box in BOXES:
            run_script(box, small_root, "fill", kind)
        yield {"bytes", "inodes"} if kind == "both" else {kind}
    finally:
        for box in BOXES:
            host_of(box).run(f"umount -R {ROOT}; rm -f {ROOT}.img {small_root.SHELL}")


def test_a_root_with_nothing_free_is_rescued(lacking: set[str]) -> None:
    def none_is_free() -> bool:
        return all(free(box)[kind] == 0 for box in BOXES for kind in lacking)

    before = {box: tree(box) for box in BOXES}
    assert none_is_free()
    told = rescue("--check", "-v")
    assert told.rc == 0, told.text
    assert none_is_free()
    assert {box: tree(box) for box in BOXES} == before
    outcome = rescue()
    assert outcome.rc == 0, outcome.text
    after = {box: tree(box) for box in BOXES}
    for box in BOXES:
        record = only_record(box)
        result = record["result"]
        assert predicted(told.text, box) == record["prediction"] == result["freed"]
        assert result["target_reached"]
        # What of it nobody may have was known before any of it was free.
        assert result["before"]["reserved_bytes"] == result["after"]["reserved_bytes"]
        # The oldest logs went, as many as were needed, and nothing else.
        old = sorted(name for name in before[box] if name.startswith("var/log/app/old.log."))
        gone = before[box].keys() - after[box].keys()
        assert gone == set(old[: len(gone)])
        assert len(gone) < len(old)
        sizes = {"bytes": (MIB, MIB // 2), "inodes": (1, 16)}
        # How much more than was needed went, in files; of what was needed last no whole one.
        spare = {
            kind: (result["freed"][kind] - result["missing"][kind] - notes) / each
            for kind, (each, notes) in sizes.items()
            if kind in lacking
        }
        assert min(spare.values()) >= 0, spare
        assert min(spare.values()) < 1, spare
        assert after[box].items() <= before[box].items()
    again = rescue()
    assert again.rc == 0, again.text
    assert again.text.count("healthy. nothing to do was found") == 2, again.text
    assert again.text.count("changed=0 ") == 2, again.text
    assert {box: tree(box) for box in BOXES} == after


def only_record(box: str) -> dict[str, Any]:
    """The one incident of the small root: whole, on the disk, and told in ledger and log."""
    host = host_of(box)
    (folder,) = host.check_output(f"ls -d {ROOT}{RECORDS}/*").split()
    assert set(host.check_output(f"ls {folder}").split()) == {
        "record.json",
        "record.md",
        "post-mortem.md",
    }
    record: dict[str, Any] = json.loads(host.file(f"{folder}/record.json").content_string)
    assert (record["alert"], record["host"], record["who"]) == ("DiskFull", box, "ada")
    assert record["outcome"] == "resolved"
    phases = [(row["phase"], row.get("outcome")) for row in record["actions"]]
    assert phases == [("begin", None), ("end", "resolved"), ("verdict", "resolved")]
    written = [row["uid"] for row in ledger(box, root=ROOT) if row["id"] in record["runs"]]
    assert [row["uid"] for row in record["actions"]] == written
    assert {"disk", "prediction"} <= set(record["evidence"])
    line = host.check_output(f"tail -1 {ROOT}/var/log/koprogo/remediation.log")
    assert json.loads(line)["outcome"] == "resolved"
    # What was kept in memory meanwhile has found its place.
    assert (
        host.run("find /run/koprogo-remediation /dev/shm/koprogo-remediation -type f").stdout == ""
    )
    return record


# A tree of traps on a file system of its own; prints nothing. Each MiB is one that may go.
TRAPS = r"""
import os, subprocess, sys, time
root = b"/srv/traps"
os.makedirs(root, exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", root], check=True)
def write(name, days=40.0, size=1 << 20):
    path = root + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"x" * size)
    os.utime(path, (time.time() - days * 86400,) * 2)
for name in (b"old.log", b"new\nline.log", b"two  spaces.log", b"\xff\xfe.log", b"twice.log"):
    write(b"logs/" + name)
os.link(root + b"/logs/twice.log", root + b"/logs/again.log")
write(b"logs/growing.log", 0, 2 << 20)
for name in (b"quiet.log", b"elsewhere.log", b"data/PG_VERSION", b"data/server.log", b"kept.txt"):
    write(b"logs/" + name, size=4096)
write(b"logs/young.log", 7, 4096)
os.link(root + b"/logs/elsewhere.log", root + b"/other-name")
for name in (b"outside/old.log", b"bound/old.log", b"backups/few/1.gpg", b"backups/few/2.gpg",
             b"backups/many/1.gpg", b"backups/many/2.gpg"):
    write(name, 50, 4096)
write(b"backups/many/0.gpg", 60)
os.symlink(root + b"/outside", root + b"/logs/out")
os.symlink(root + b"/outside/old.log", root + b"/logs/link.log")
for name, options in ((b"mounted", ["-t", "tmpfs", "tmpfs"]), (b"bound", ["--bind", root + b"/bound"])):
    os.makedirs(root + b"/logs/" + name)
    subprocess.run(["mount", *options, root + b"/logs/" + name], check=True)
write(b"logs/mounted/old.log", size=4096)
"""
GROWING = "/srv/traps/logs/growing.log"
# Appends to one log for ever, and has another one open that says nothing.
WRITER = (
    "import time; quiet = open('/srv/traps/logs/quiet.log', 'ab'); "
    "log = open('/srv/traps/logs/growing.log', 'ab', buffering=0)\n"
    "while True: log.write(b'.'); time.sleep(0.05)"
)
LIST = (
    "import json, os; print(json.dumps(sorted(os.path.relpath(os.path.join(path, name), '/srv/traps') "
    "for path, _folders, names in os.walk('/srv/traps') for name in names)))"
)


def test_just_what_may_go_goes() -> None:
    box = BOXES[1]
    host = host_of(box)

    def listing() -> set[str]:
        return set(json.loads(host.check_output("python3 -c %s", LIST)))

    task(box, "remediation_ledger", state="trusted", reason="provisioned")
    writer = None
    try:
        docker("exec", "-i", box, "python3", "-", stdin=TRAPS)
        writer = subprocess.Popen(["docker", "exec", box, "timeout", "90", "python3", "-c", WRITER])
        wait_for(
            lambda: host.file(GROWING).size > 2 * MIB,
            seconds=10,
            what="the writer",
        )
        before = listing()
        outcome = remediate(
            "disk_full",
            box=box,
            remediation_disk_path="/srv/traps",
            remediation_disk_free_percent=95,
            remediation_disk_policies=[
                {
                    "kind": "logs",
                    "roots": ["/srv/traps/logs"],
                    "patterns": ["*.log"],
                    "truncate_open": True,
                    "truncate_above": "1M",
                },
                {
                    "kind": "backups",
                    "roots": ["/srv/traps/backups"],
                    "patterns": ["*.gpg"],
                    "keep_newest": 2,
                },
            ],
        )
        assert outcome.rc == 0, outcome.text
        assert before - listing() == {
            "logs/old.log",
            "logs/new\nline.log",
            "logs/two  spaces.log",
            "logs/\udcff\udcfe.log",
            "logs/twice.log",
            "logs/again.log",
            "backups/many/0.gpg",
        }
        # It was emptied, and whoever writes to it goes on.
        size = host.file(GROWING).size
        assert size < MIB
        wait_for(lambda: host.file(GROWING).size > size, seconds=5, what="a line of the writer")
    finally:
        host.run(f"pkill -f {GROWING}")
        if writer is not None:
            writer.wait(timeout=20)
        host.run("umount -R /srv/traps")


def test_a_million_files_need_little_memory() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output(
        "mkdir -p /srv/many && mount -t tmpfs -o size=200m,nr_inodes=1001100 tmpfs /srv/many"
    )
    try:
        run_script(box, million, "make", "/srv/many", "1000000")
        with ThreadPoolExecutor(1) as pool:
            peak = pool.submit(run_script, box, million, "watch", "240")
            outcome = remediate(
                "disk_full",
                box=box,
                remediation_disk_path="/srv/many",
                remediation_disk_free_percent=50,
                remediation_disk_policies=[
                    {
                        "kind": "logs",
                        "roots": ["/srv/many"],
                        "patterns": ["*.log"],
                    }
                ],
            )
        assert outcome.rc == 0, outcome.text
        processes, mib = peak.result().split()
        # Where there is a second processor, both halves' processes were seen.
        assert int(processes) == min(2, len(os.sched_getaffinity(0)))
        assert 0 < float(mib) < 64, mib
        left = int(host.check_output("stat -f -c %d /srv/many"))
        assert left >= 0.5 * 1001100
    finally:
        host.run("umount /srv/many")
