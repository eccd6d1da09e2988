# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places and options that are refused, targets, and policies together under the guard."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_files import Files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import Places
from ansible_collections.koprogo.observability.plugins.module_utils._disk_policy import (
    POLICY_OPTIONS,
    policies_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_reclaim import (
    Reclaim,
    notes_on,
    reclaim,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import (
    Amount,
    Space,
    Target,
    _reserve_in,
    size_of,
    space_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_usage import (
    measure,
    usage,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import RefusedError
from ansible_collections.koprogo.observability.plugins.modules import disk_reclaim
from tests.unit.plugins.module_utils.disk_lab import DAY, NOW, names, policy, write
from tests.unit.plugins.module_utils.test_ledger import Host

MIB = 1024 * 1024
SPACE = Space(
    device=1,
    size=1000 * MIB,
    free=50 * MIB,
    available=0,
    reserved=50 * MIB,
    inodes=1000,
    inodes_free=10,
)


def options(**given: Any) -> dict[str, Any]:
    """A policy's options with the module's defaults."""
    return {name: spec.get("default") for name, spec in POLICY_OPTIONS.items()} | given


def made(*policies: dict[str, Any], places: Places | None = None) -> list[Any]:
    rows = [options(**each) for each in policies]
    return policies_of(rows, places or Places(), max_bytes="1G", max_files=1000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"roots": ["/"]}, "found '/' itself"),
        ({"roots": ["//"]}, "found '/' itself"),
        ({"roots": ["var/log"]}, "expected an absolute path"),
        ({"roots": [""]}, "found an empty one"),
        ({"roots": ["/var/log/../.."]}, "without '.', '..'"),
        ({"roots": ["/var"]}, "a database or another service"),
        ({"roots": ["/var/lib"]}, "a database or another service"),
        ({"roots": ["/var/lib/postgresql/15/main/log"]}, "/var/lib/postgresql"),
        ({"roots": ["/etc"]}, "the system"),
        ({"roots": ["/usr/share"]}, "the system"),
        ({"roots": ["/srv/pg"]}, "/srv/pg/data"),
        ({"roots": ["/var/backups"]}, "the backups in /var/backups can be reached"),
        ({"roots": ["/var/backups/db"]}, "found '/var/backups/db', from which the backups"),
        ({"roots": []}, "roots: expected absolute paths, found none"),
        ({"patterns": []}, "patterns: expected patterns"),
        ({"patterns": [" "]}, "patterns: expected a pattern"),
        ({"patterns": ["../*"]}, "patterns: expected a pattern"),
        ({"older_than": -1}, "older_than: expected days above 0"),
        ({"older_than": 0}, "older_than: expected days above 0"),
        ({"older_than": float("nan")}, "older_than: expected days above 0"),
        ({"kind": "backups", "keep_newest": 0}, "keep_newest: expected at least 1"),
        ({"max_files": 0}, "max_files: expected at least 1"),
        ({"max_bytes": "-1"}, "max_bytes: expected a size"),
        ({"volumes": ["x"]}, "kind logs has no such option"),
        ({"kind": "journal", "roots": ["/srv/x"]}, "kind journal has no such option"),
        (
            {"kind": "docker_volumes", "roots": None, "patterns": None},
            "expected names of volumes, found none",
        ),
        (
            {"kind": "docker_volumes", "roots": None, "patterns": None, "volumes": ["*"]},
            "expected the name of one volume",
        ),
    ],
)
def test_dangerous_options_are_refused(given: dict[str, Any], message: str) -> None:
    row = {"kind": "logs", "roots": ["/srv/logs"], "patterns": ["*.log"], **given}
    places = Places(databases=("/var/lib/postgresql", "/srv/pg/data"))
    with pytest.raises(InputError) as caught:
        made(row, places=places)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "rubbish"}, "policies[1].kind: expected one of journal, apt_cache, "),
        ({"kind": "rubbish"}, "found 'rubbish'."),
        ({"kind": None}, "policies[1].kind: expected one of journal, "),
        ({"roots": ["/srv/logs"]}, "docker_volumes, found none."),
        (
            {"kind": "logs", "older_than": "soon"},
            "policies[1].older_than: expected a number, found 'soon'.",
        ),
        (
            {"kind": "logs", "roots": {"a": 1}},
            "policies[1].roots: expected a list of texts, found '{'a': 1}'.",
        ),
        (
            {"kind": "backups", "keep_newest": [3]},
            "policies[1].keep_newest: expected a whole number, found '[3]'.",
        ),
        ({"kind": "logs", "patern": ["*"]}, "found 'patern'."),
        ("rubbish", "policies[1]: expected a mapping with kind, found 'rubbish'."),
        (["logs"], "policies[1]: expected a mapping with kind, found '['logs']'."),
        ("x" * 99, f"found '{'x' * 60}...'."),
    ],
)
def test_what_is_no_policy_is_a_refusal(
    wrong: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.log"
    write(old, days=90)
    sound = {"kind": "logs", "roots": [str(tmp_path)], "patterns": ["*.log"]}
    options = {"path": str(tmp_path), "free_percent": 100, "policies": [sound, wrong]}
    with patch_module_args(options), pytest.raises(SystemExit) as ended:
        disk_reclaim.main()
    result = json.loads(capsys.readouterr().out)
    assert (ended.value.code, result["refused"], result["code"]) == (1, True, "input")
    assert message in result["msg"]
    assert old.exists()


def test_another_wrong_option_is_a_refusal_too(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"free_percent": "many", "policies": [{"kind": "journal"}]}
    with patch_module_args(options), pytest.raises(SystemExit):
        disk_reclaim.main()
    result = json.loads(capsys.readouterr().out)
    assert result["refused"]
    assert "'free_percent'" in result["msg"]


def test_no_policy_is_refused() -> None:
    with pytest.raises(InputError, match="policies: expected at least one"):
        made()


def test_a_root_behind_a_link_to_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    places = Places(databases=(str(tmp_path / "data"),))
    with pytest.raises(InputError, match="another service"):
        places.check(str(tmp_path / "link"), option="roots")


def test_servers_with_tablespaces_and_logs_elsewhere_are_found(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "17"
    process.mkdir(parents=True)
    (process / "comm").write_text("postgres\n", encoding="utf-8")
    data = tmp_path / "srv" / "data"
    (data / "pg_tblspc").mkdir(parents=True)
    (data / "pg_tblspc" / "16400").symlink_to(tmp_path / "fast")
    (data / "pg_wal").symlink_to(tmp_path / "wal")
    # Another one, that does not run.
    stopped = tmp_path / "srv" / "stopped"
    stopped.mkdir()
    (stopped / "pg_wal").symlink_to(tmp_path / "stopped_wal")
    configuration = tmp_path / "etc" / "15" / "main" / "postgresql.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f"port = 5433\ndata_directory = '{stopped}'\t# x\n", encoding="utf-8")
    (process / "cwd").symlink_to(data)
    (tmp_path / "proc" / "self").mkdir()
    (tmp_path / "proc" / "self" / "mountinfo").write_text(
        "36 35 98:0 / /mnt/a\\040b rw - ext4 /dev/sda rw\n", encoding="utf-8"
    )
    places = Places.of_host(str(tmp_path / "proc"), f"{tmp_path}/etc/*/*/postgresql.conf")
    for folder in (data, tmp_path / "fast", tmp_path / "wal", stopped, tmp_path / "stopped_wal"):
        for root in (folder, folder / "deeper"):
            with pytest.raises(InputError, match="the data of a database"):
                places.check(str(root), option="roots")
    assert places.mounts == {"/mnt/a b"}


def test_the_order_is_ours_and_nested_roots_are_one() -> None:
    found = made(
        {"kind": "backups", "roots": ["/backup", "/backup/db"], "patterns": ["*.gpg"]},
        {"kind": "docker"},
        {"kind": "journal"},
    )
    assert [each.kind for each in found] == ["journal", "docker", "backups"]
    assert found[2].roots == ("/backup",)
    assert [each.destructive for each in found] == [False, False, True]
    assert (found[2].max_bytes, found[2].max_files) == (1024**3, 1000)


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        (Target(percent=10), Amount(bytes=100 * MIB)),
        (Target(bytes=5 * MIB), Amount(bytes=5 * MIB)),
        (Target(inodes_percent=5), Amount(inodes=40)),
        (Target(inodes_percent=0.5), Amount()),
        (Target(), Amount()),
    ],
)
def test_what_is_missing(target: Target, missing: Amount) -> None:
    assert target.missing(SPACE) == missing


def test_roots_reserve_fills_up_first() -> None:
    empty = dataclasses.replace(SPACE, free=0)
    assert Target(bytes=5 * MIB).missing(empty).bytes == 55 * MIB


def test_the_reserve_of_a_superblock() -> None:
    block = bytearray(1024)
    block[0x38:0x3A] = (0xEF53).to_bytes(2, "little")
    block[0x08:0x0C] = (1000).to_bytes(4, "little")
    block[0x18:0x1C] = (2).to_bytes(4, "little")
    assert _reserve_in(bytes(block)) == 4096 * 1000
    # With extents, 2 % of the blocks are the kernel's own, up to 4096 of them.
    block[0x60] = 0x40
    for blocks, own in ((10_000, 200), (1_000_000, 4096)):
        block[0x04:0x08] = blocks.to_bytes(4, "little")
        block[0x1C:0x20] = (2).to_bytes(4, "little")
        assert _reserve_in(bytes(block)) == 4096 * (1000 + own)
    assert _reserve_in(bytes(1024)) is None


def test_sizes() -> None:
    assert [size_of(text, option="x") for text in ("5G", "512 MiB", "1k", 7)] == [
        5 * 1024**3,
        512 * 1024**2,
        1024,
        7,
    ]
    with pytest.raises(InputError, match="x: expected a size"):
        size_of("much", option="x")
    with pytest.raises(InputError, match="free_percent"):
        Target.of({"free_percent": 100})


class Disk:
    """A file system whose free bytes follow the files of a tree."""

    def __init__(self, root: Path, *, size: int = 1000 * MIB, other: int = 990 * MIB) -> None:
        self.root, self.size, self.other = root, size, other

    def space(self, _path: str) -> Space:
        used = sum((self.root / name).stat().st_blocks * 512 for name in names(self.root))
        free = self.size - self.other - used
        return Space(
            device=self.root.stat().st_dev,
            size=self.size,
            free=free,
            available=free,
            reserved=0,
            inodes=0,
            inodes_free=0,
        )

    def work(self, *policies: Any, need: int, notes: int = 0) -> Reclaim:
        return Reclaim(
            policies,
            path=str(self.root),
            target=Target(bytes=self.space("").available + need),
            places=Places(),
            now=NOW,
            notes=Amount(bytes=notes, inodes=notes),
            opened=OpenFiles,
            space=self.space,
            apt_lock=str(self.root / "apt.lock"),
        )


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    root = tmp_path / "disk"
    for days in (31, 40, 50):
        write(root / "logs" / f"{days}.log", days=days, kib=1024)
        write(root / "backups" / f"{days}.gpg", days=days, kib=1024)
    return Disk(root)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "ledger")


@pytest.fixture(autouse=True)
def ledger_folder(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()


def both(disk: Disk) -> list[Any]:
    return [
        policy(disk.root / "logs"),
        policy(
            disk.root / "backups",
            kind="backups",
            name="backups[1]",
            patterns=("*.gpg",),
            older_than=7 * DAY,
            keep_newest=1,
            destructive=True,
        ),
    ]


def test_enough_is_enough(disk: Disk, host: Host) -> None:
    result = reclaim(disk.work(*both(disk), need=MIB), host.ledger(), {}, check=False)
    assert result["target_reached"]
    assert result["freed"] == result["predicted"] == {"bytes": MIB, "inodes": 1}
    assert [row["status"] for row in result["policies"]] == ["done", "not_needed"]
    assert names(disk.root / "logs") == {"31.log", "40.log"}
    begin, end = host.ledger().read().entries
    assert begin["prediction"] == end["result"] == {"bytes": MIB, "inodes": 1}
    assert end["outcome"] == "resolved"


@pytest.mark.parametrize("logs", [2, 3])
def test_the_notes_of_a_run_get_room_and_cost_no_backup(disk: Disk, host: Host, logs: int) -> None:
    host.ledger().vouch(reason="provisioned")
    work = disk.work(*both(disk), need=(logs - 1) * MIB + 1, notes=logs * MIB)
    predicted = reclaim(work, host.ledger(), {}, check=True)["predicted"]
    result = reclaim(work, host.ledger(), {}, check=False)
    assert result["freed"] == predicted == {"bytes": 3 * MIB, "inodes": 3}
    assert names(disk.root / "logs") == set()
    assert len(names(disk.root / "backups")) == 3


def test_notes_are_written_where_the_ledger_is(tmp_path: Path) -> None:
    assert notes_on(str(tmp_path), str(tmp_path / "not" / "yet" / "ledger.jsonl"))
    assert not notes_on(str(tmp_path), "/dev/shm/ledger.jsonl")


def test_a_reached_target_leaves_no_trace(disk: Disk, host: Host) -> None:
    result = reclaim(disk.work(*both(disk), need=0, notes=MIB), host.ledger(), {}, check=False)
    assert not result["changed"]
    assert result["guards"] == []
    assert not host.path.exists()


def test_check_mode_predicts_and_touches_nothing(disk: Disk, host: Host) -> None:
    before = names(disk.root)
    predicted = reclaim(disk.work(*both(disk), need=4 * MIB), host.ledger(), {}, check=True)
    assert names(disk.root) == before
    assert not host.path.exists()
    assert [row["status"] for row in predicted["policies"]] == ["planned", "refused"]
    host.ledger().vouch(reason="provisioned")
    real = reclaim(disk.work(*both(disk), need=4 * MIB), host.ledger(), {}, check=False)
    assert real["freed"] == predicted["predicted"] == {"bytes": 4 * MIB, "inodes": 4}
    assert real["target_reached"]


@pytest.mark.parametrize(("automatic", "code"), [(True, "destructive"), (False, "no_ledger")])
def test_backups_are_for_humans_with_a_ledger(
    disk: Disk, host: Host, automatic: bool, code: str
) -> None:
    params = {"automatic": automatic}
    result = reclaim(disk.work(*both(disk), need=9 * MIB), host.ledger(), params, check=False)
    assert [row["status"] for row in result["policies"]] == ["done", "refused"]
    assert result["guards"][1]["code"] == code
    assert len(names(disk.root / "backups")) == 3
    assert not result["target_reached"]
    assert host.ledger().read().entries[1]["outcome"] == "not_resolved"


def test_backups_go_for_what_still_lacks_and_not_for_what_was_foretold(
    disk: Disk, host: Host
) -> None:
    """Three logs free what three logs hold and, as images with common layers do, one more MiB."""

    class Generous(Disk):
        def space(self, path: str) -> Space:
            found = super().space(path)
            more = 0 if "logs/50.log" in names(self.root) else MIB
            return dataclasses.replace(
                found, free=found.free + more, available=found.available + more
            )

    host.ledger().vouch(reason="provisioned")
    work = Generous(disk.root).work(*both(disk), need=5 * MIB)
    result = reclaim(work, host.ledger(), {}, check=False)
    assert result["predicted"]["bytes"] == 5 * MIB
    assert result["freed"]["bytes"] == 4 * MIB
    assert result["target_reached"]
    assert names(disk.root / "backups") == {"31.gpg", "40.gpg"}


def test_where_logs_may_not_go_no_backup_does(disk: Disk, host: Host) -> None:
    host.ledger().vouch(reason="provisioned")
    reclaim(disk.work(both(disk)[0], need=MIB), host.ledger(), {}, check=False)
    predicted = reclaim(disk.work(*both(disk), need=4 * MIB), host.ledger(), {}, check=True)
    assert [row["status"] for row in predicted["policies"]] == ["refused", "skipped"]
    assert not predicted["changed"]
    with pytest.raises(RefusedError, match="may again in 300 s"):
        reclaim(disk.work(*both(disk), need=4 * MIB), host.ledger(), {}, check=False)
    assert len(names(disk.root / "backups")) == 3


def test_what_a_step_freed_before_it_broke_off_counts(
    disk: Disk, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_files: Files, _freed: Freed) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Files, "_empty", broken)
    work = disk.work(both(disk)[0], need=MIB)
    work.plan()
    [files] = [step.worker for step in work.steps]
    assert isinstance(files, Files)
    files.truncations = {1: 1}
    monkeypatch.setattr(work, "plan", lambda: None)
    result = reclaim(work, host.ledger(), {}, check=False)
    assert (result["changed"], result["freed"]["bytes"]) == (True, MIB)
    assert (result["policies"][0]["status"], result["policies"][0]["freed"]["files"]) == (
        "failed",
        1,
    )


def test_a_refused_run_fails_and_touches_nothing(disk: Disk, host: Host) -> None:
    logs = both(disk)[0]
    reclaim(disk.work(logs, need=MIB), host.ledger(), {}, check=False)
    with pytest.raises(RefusedError, match="may again in 300 s"):
        reclaim(disk.work(logs, need=MIB), host.ledger(), {}, check=False)
    assert names(disk.root / "logs") == {"31.log", "40.log"}


def test_apts_cache_is_left_alone_while_apt_runs(disk: Disk, host: Host) -> None:
    lock = disk.root / "apt.lock"
    lock.touch()
    cache = policy(disk.root / "logs", kind="apt_cache", older_than=0.0)
    work = disk.work(cache, need=MIB)
    child = os.fork()
    if child == 0:
        with lock.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            (disk.root.parent / "locked").touch()
            while not (disk.root.parent / "done").exists():
                pass
        os._exit(0)
    while not (disk.root.parent / "locked").exists():
        pass
    result_row = reclaim(work, host.ledger(), {}, check=False)["policies"][0]
    (disk.root.parent / "done").touch()
    os.waitpid(child, 0)
    assert (result_row["status"], result_row["reason"]) == (
        "failed",
        "apt is running and uses its cache",
    )


def test_without_docker_nothing_is_done(disk: Disk, host: Host, tmp_path: Path) -> None:
    [docker] = made({"kind": "docker", "socket": str(tmp_path / "none.sock")})
    work = disk.work(docker, need=MIB)
    work.plan()
    assert [(s.status, s.reason) for s in work.steps] == [("skipped", "no_docker")]


def test_a_tree_is_measured(tmp_path: Path) -> None:
    large = write(tmp_path / "a" / "deep" / "large", kib=256)
    (tmp_path / "a" / "same").hardlink_to(large)
    write(tmp_path / "b" / "small")
    tree = measure(str(tmp_path), top=2)
    assert tree.files == 3
    assert [name for _size, name, _count in sorted(tree.largest_folders, reverse=True)] == [
        str(tmp_path),
        str(tmp_path / "a"),
    ]
    total = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*") if path.is_dir())
    total += tmp_path.stat().st_blocks * 512 + 256 * 1024 + 4096
    assert tree.bytes == total
    assert max(tree.largest_files)[0] == 256 * 1024


def test_a_measurement_has_limits(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / str(number) / "file")
    assert measure(str(tmp_path), max_entries=10).truncated
    assert measure(str(tmp_path), max_seconds=0).truncated
    assert not measure(str(tmp_path)).truncated
    with pytest.raises(InputError, match="top: expected"):
        usage(str(tmp_path), top=0, max_entries=1, max_seconds=1)


def test_deleted_files_that_are_open_are_found(tmp_path: Path) -> None:

    path = write(tmp_path / "gone.log", kib=512)
    with subprocess.Popen(
        ["bash", "-c", f"exec 3<{path}; rm {path}; echo ready; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = usage(str(tmp_path), top=50, max_entries=100, max_seconds=9, root=str(tmp_path))
        process.communicate(b"\n")
    row = next(row for row in found["deleted_open"] if row["path"] == str(path))
    assert (row["bytes"], row["pid"], row["command"]) == (512 * 1024, process.pid, "bash")
    assert found["deleted_open_bytes"] >= 512 * 1024


def test_the_real_file_system_answers(tmp_path: Path) -> None:
    space = space_of(str(tmp_path))
    assert space.size > space.available > 0
    assert 0 < space.available_percent < 100


@pytest.mark.parametrize(
    "root",
    ["/var/lib/postgresql", "/var/lib/mysql", "/var/lib/docker", "/var/lib/koprogo", "/boot"],
)
def test_known_places_are_refused_by_default(root: str) -> None:
    with pytest.raises(InputError, match=root):
        Places().check(f"{root}/below", option="roots")
