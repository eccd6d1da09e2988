"""What a transaction does, on real files with a stand-in for systemd."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._activation import Service
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
    KoprogoError,
    LockedError,
    NoSpaceError,
    RolledBackError,
    ValidationError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_report import (
    Report,
)
from tests.unit.plugins.module_utils.transaction_lab import UNIT, FakeSystemd, Host

OLD = {"a.yml": "one\n", "rules/r.yml": "r\n", "unit.conf": "u\n"}
LINKS = {"demo.service.d/50.conf": "unit.conf"}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def configured(host: Host) -> Host:
    host.run(host.request(OLD, links=LINKS))
    return host


def calls(host: Host) -> list[str]:
    assert host.manager is not None
    return host.manager.calls


def rows(report: Report) -> dict[str, tuple[str, str]]:
    return {row["after_header"]: (row["before"], row["after"]) for row in report.diff}


def test_a_first_set(host: Host) -> None:
    report = host.run(host.request(OLD, links=LINKS))
    assert report.changed
    assert report.plan.added == tuple(OLD)
    assert host.content() == OLD
    assert host.linked() == {"demo.service.d/50.conf": "u\n"}
    assert calls(host) == ["daemon-reload", "restart"]
    assert str((host.base / "demo").readlink()) == f".sets/demo-{report.set_id}"
    assert (host.base / ".sets").stat().st_mode & 0o777 == 0o711
    assert (host.base / "demo").stat().st_mode & 0o777 == 0o750
    assert (host.base / "demo" / "rules").stat().st_mode & 0o777 == 0o750
    assert (host.base / "demo" / "a.yml").stat().st_mode & 0o777 == 0o640


def test_nothing_differs(configured: Host) -> None:
    before = configured.snapshot()
    report = configured.run(configured.request(OLD, links=LINKS, validate=[["false"]]))
    assert not report.changed
    assert calls(configured) == []
    assert configured.snapshot() == before


@pytest.mark.parametrize(
    ("new", "links", "expected"),
    [
        ({**OLD, "a.yml": "two\n"}, LINKS, ["reload"]),
        ({**OLD, "unit.conf": "v\n"}, LINKS, ["daemon-reload", "restart"]),
        ({**OLD, "rules/n.yml": "n\n"}, LINKS, ["reload"]),
        ({"a.yml": "one\n", "unit.conf": "u\n"}, LINKS, ["reload"]),
        (OLD, {}, ["daemon-reload", "restart"]),
        (OLD, {**LINKS, "other.d/a.conf": "a.yml"}, ["daemon-reload", "reload"]),
        (OLD, {"demo.service.d/50.conf": "a.yml"}, ["daemon-reload", "reload"]),
    ],
    ids=["content", "unit", "new", "gone", "link gone", "link new", "link moved"],
)
def test_only_what_a_change_needs(
    configured: Host, new: dict[str, str], links: dict[str, str], expected: list[str]
) -> None:
    predicted = configured.run(configured.request(new, links=links), check_mode=True)
    assert calls(configured) == []
    report = configured.run(configured.request(new, links=links))
    assert calls(configured) == expected
    assert configured.content() == new
    assert set(configured.links()) == set(links)
    for one in (predicted, report):
        assert (one.changed, one.diff, one.plan.action) == (True, report.diff, report.plan.action)
    assert predicted.outcome.action == report.outcome.action


@pytest.mark.parametrize("active", ["inactive", "failed", "activating"])
def test_the_state_of_the_unit_decides(configured: Host, active: str) -> None:
    configured.remember(active=active)
    configured.run(configured.request({**OLD, "a.yml": "two\n"}, links=LINKS))
    assert calls(configured) == ([] if active == "inactive" else ["restart"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"reload": "sighup"}, ["signal HUP"]), ({"unit": None}, [])],
)
def test_how_to_reload(configured: Host, options: dict[str, Any], expected: list[str]) -> None:
    configured.run(configured.request({**OLD, "a.yml": "two\n"}, links=LINKS, **options))
    assert calls(configured) == expected


@pytest.mark.parametrize(("more", "expected"), [(0, ""), (2, ""), (3, "restarted 8 times")])
def test_restarts_of_long_ago_do_not_end_the_wait(
    configured: Host, more: int, expected: str
) -> None:
    """systemd counts them for as long as nobody restarts the unit by hand."""
    configured.remember(restarts=5)
    ends: list[str] = []

    def wait(*_probes: object, given_up: Callable[[], str], **_options: object) -> list[Any]:
        configured.remember(restarts=5 + more)
        ends.append(given_up())
        return []

    request = configured.request({"a.yml": "x"}, probe=[{"url": "http://127.0.0.1:1/"}])
    manager = FakeSystemd(configured, lambda _step: None)
    Service(request, manager, masker=Masker(), await_probes=wait).apply(
        "reload", daemon_reload=False
    )
    assert manager.calls == ["reload"]
    assert (expected in ends[0]) if expected else (ends == [""])


def test_check_mode_leaves_no_trace(host: Host) -> None:
    before = host.snapshot()
    report = host.run(host.request(OLD, links=LINKS), check_mode=True)
    assert report.changed
    assert set(rows(report)) == {
        *(f"{host.base}/demo/{path}" for path in OLD),
        str(host.systemd / "demo.service.d/50.conf"),
    }
    assert host.snapshot() == before


def test_check_mode_of_a_configured_host_leaves_no_trace(configured: Host) -> None:
    before = configured.snapshot()
    new = configured.request({"b.yml": "x"}, validate=[["test", "-r", "{set}/b.yml"]])
    report = configured.run(new, check_mode=True)
    assert report.verdict.validated
    assert report.plan.removed == ("a.yml", "rules/r.yml", "unit.conf")
    assert configured.snapshot() == before


def test_foreign_files_stay_with_owner_and_mode(configured: Host) -> None:
    folder = configured.base / "demo" / "theirs"
    folder.mkdir(mode=0o700)
    (folder / "f.conf").write_text("x")
    (folder / "f.conf").chmod(0o604)
    (configured.base / "demo" / "rules" / "link").symlink_to("/somewhere")
    inode = (folder / "f.conf").stat().st_ino
    report = configured.run(configured.request({"a.yml": "two\n"}))
    assert report.plan.kept_foreign() == ["rules/link", "theirs/f.conf"]
    new = configured.base / "demo"
    assert (new / "theirs" / "f.conf").stat().st_ino == inode
    assert (new / "theirs").stat().st_mode & 0o777 == 0o700
    assert str((new / "rules" / "link").readlink()) == "/somewhere"
    assert not (new / "rules" / "r.yml").exists()


def test_a_foreign_file_that_appears_during_the_run_stays(configured: Host) -> None:
    def late(step: str) -> None:
        if step == "symlink":
            (configured.base / "demo" / "late.conf").write_text("late")

    configured.run(configured.request({"a.yml": "two\n"}), before=late)
    assert configured.content() == {"a.yml": "two\n", "late.conf": "late"}


def test_a_foreign_file_in_our_place_is_replaced_and_then_ours(configured: Host) -> None:
    (configured.base / "demo" / "b.yml").write_text("theirs")
    report = configured.run(configured.request({**OLD, "b.yml": "ours"}, links=LINKS))
    assert report.plan.changed == ("b.yml",)
    assert rows(report)[f"{configured.base}/demo/b.yml"] == ("theirs", "ours")
    configured.run(configured.request(OLD, links=LINKS))
    assert configured.content() == OLD


def test_exactly_one_previous_set(configured: Host) -> None:
    for text in "abcd":
        report = configured.run(configured.request({**OLD, "a.yml": text}, links=LINKS))
        manifest = configured.store.manifest(report.set_id)
        assert manifest is not None
        assert manifest.previous is not None
        assert len(list((configured.base / ".sets").glob("demo-*"))) == 2


def test_a_file_whose_content_stays_keeps_its_time(configured: Host) -> None:
    unit = configured.base / "demo" / "unit.conf"
    os.utime(unit, (1000, 1000))
    configured.run(configured.request({**OLD, "a.yml": "two\n"}, links=LINKS))
    assert unit.stat().st_mtime == 1000
    configured.run(configured.request({**OLD, "unit.conf": "new"}, links=LINKS))
    assert unit.stat().st_mtime != 1000


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("a.yml", 0o666, ("mode: 0666\n", "mode: 0640\n")),
        ("rules", 0o777, ("mode: 0777\n", "mode: 0750\n")),
        (".", 0o755, ("mode: 0755\n", "mode: 0750\n")),
    ],
)
def test_drift_of_a_mode(configured: Host, path: str, mode: int, expected: tuple[str, str]) -> None:
    (configured.base / "demo" / path).resolve().chmod(mode)
    report = configured.run(configured.request(OLD, links=LINKS))
    assert expected in rows(report).values()
    assert not configured.run(configured.request(OLD, links=LINKS)).changed


def test_the_content_of_a_secret_is_never_shown(configured: Host) -> None:
    secret = {"key": {"secret": True}}
    seen = ""
    for files in ({"key": "first-key"}, {"key": "second-key"}, {"x": "key is second-key"}):
        options: Mapping[str, Mapping[str, Any]] = secret if "key" in files else {}
        report = configured.run(
            configured.request(files, file_options=options, secrets=["second-key"])
        )
        seen += str(report.diff)
    # One that is given nowhere any more is known as a secret from the manifest alone.
    configured.run(configured.request({"key": "third-key", "x": ""}, file_options=secret))
    seen += str(configured.run(configured.request({"x": ""})).diff)
    assert "(old content is secret)" in seen
    assert "first-key" not in seen
    assert "third-key" not in seen
    assert "second-key" not in seen
    assert "(new content is secret)" in seen
    assert "key is ********" in seen


def test_a_checker_that_refuses(configured: Host) -> None:
    before = configured.snapshot()
    script = "echo 'bad hunter2 in {set}/a.yml: line 2' >&2; exit 3"
    request = configured.request(
        {**OLD, "a.yml": "fine\nwrong: hunter2\n"},
        links=LINKS,
        validate=[["sh", "-c", script]],
        secrets=["hunter2"],
    )
    for check_mode in (True, False):
        with pytest.raises(ValidationError) as caught:
            configured.run(request, check_mode=check_mode)
        message = caught.value.message
        assert f"bad ******** in {configured.base}/demo/a.yml: line 2" in message
        assert "a.yml:2: wrong: ********" in message
        assert "exit code 3" in message
        assert "hunter2" not in str(caught.value.evidence)
        assert configured.snapshot() == before


def test_what_a_checker_leaves_behind_is_not_part_of_the_set(configured: Host) -> None:
    request = configured.request(
        {"a.yml": "x"}, validate=[["sh", "-c", "mkdir {set}/cache; echo 1 > {set}/cache/1"]]
    )
    configured.run(request)
    assert configured.content() == {"a.yml": "x"}
    assert not (configured.base / "demo" / "cache").exists()


def test_a_checker_that_is_not_installed(host: Host) -> None:
    request = host.request(OLD, validate=[["no-such-checker", "{set}"]])
    report = host.run(request, check_mode=True)
    assert not report.verdict.validated
    assert "no-such-checker: command not found" in report.verdict.reason
    with pytest.raises(ValidationError, match="cannot run: no-such-checker: command not found"):
        host.run(request)
    assert host.content() == {}


def test_a_checker_that_needs_what_the_run_makes_first(host: Host) -> None:
    later = host.root / "later.crt"
    check = {"argv": ["test", "-e", str(later)], "needs": [str(later)]}
    verdict = host.run(host.request(OLD, validate=[check, ["true"]]), check_mode=True).verdict
    assert not verdict.validated
    assert verdict.reason == f"'test -e {later}' cannot run yet: {later} does not exist"
    with pytest.raises(ValidationError, match="is refused by 'false'"):
        host.run(host.request(OLD, validate=[check, ["false"]]), check_mode=True)
    request = host.request(OLD, validate=[check])
    with pytest.raises(ValidationError, match="is refused by 'test"):
        host.run(request)
    later.touch()
    assert host.run(request, check_mode=True).verdict.validated


def test_an_owner_who_does_not_exist(host: Host) -> None:
    request = host.request(OLD, group="no-such-group")
    report = host.run(request, check_mode=True)
    assert report.notes == ["the group 'no-such-group' does not exist yet"]
    with pytest.raises(InputError, match="group: the group 'no-such-group' does not exist"):
        host.run(request)


@pytest.mark.parametrize("what", ["directory", "file", "link", "foreign set"])
def test_a_stranger_in_our_place_is_refused(host: Host, what: str) -> None:
    host.base.mkdir()
    place = host.base / "demo"
    match what:
        case "directory":
            place.mkdir()
        case "file":
            place.write_text("precious")
        case "link":
            place.symlink_to("/somewhere")
        case _:
            place.symlink_to(".sets/other-20260101T000000Z-00000000")
    before = host.snapshot()
    for state in ("present", "absent"):
        with pytest.raises(ConflictError, match="expected"):
            host.run(host.request(OLD, state=state))
        assert host.snapshot() == before


@pytest.mark.parametrize("what", ["file", "link", "directory", "parent"])
def test_a_stranger_at_a_links_path_is_refused(configured: Host, what: str) -> None:
    path = configured.systemd / "new.d" / "x.conf"
    if what == "parent":
        path.parent.write_text("a file")
    else:
        path.parent.mkdir()
        if what == "file":
            path.write_text("precious")
        elif what == "link":
            path.symlink_to("/dev/null")
        else:
            path.mkdir()
    before = configured.snapshot()
    with pytest.raises(ConflictError, match=r"new\.d"):
        configured.run(configured.request(OLD, links={**LINKS, "new.d/x.conf": "a.yml"}))
    assert configured.snapshot() == before


def test_a_file_that_is_known_gives_its_place_and_gets_it_back(host: Host) -> None:
    path = host.systemd / "packaged.conf"
    path.write_text("packaged\n")
    path.chmod(0o600)
    row = {"contents": ["packaged\n"], "advice": "Put it elsewhere."}
    options: dict[str, Any] = {"links": {path.name: "a.yml"}, "replaces": {str(path): row}}
    before = host.snapshot()
    predicted = host.run(host.request(OLD, **options), check_mode=True)
    assert host.snapshot() == before
    report = host.run(host.request(OLD, **options))
    assert report.plan.links == predicted.plan.links
    assert rows(report)[str(path)] == ("packaged\n", f"-> {host.base}/demo/a.yml\n")
    assert host.linked() == {path.name: "one\n"}
    assert not host.run(host.request(OLD, **options)).changed
    host.run(host.request({}))
    assert not path.is_symlink()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("packaged\n", 0o600)
    assert list(host.systemd.iterdir()) == [path]

    path.write_text("packaged\nand more\n")
    before = host.snapshot()
    with pytest.raises(ConflictError, match=r"not ours.* Put it elsewhere\. Move it away"):
        host.run(host.request(OLD, **options))
    assert host.snapshot() == before


def test_a_directory_in_the_place_of_a_file_is_refused(configured: Host) -> None:
    (configured.base / "demo" / "b.yml").mkdir()
    with pytest.raises(ConflictError, match=r"b\.yml is a directory"):
        configured.run(configured.request({**OLD, "b.yml": "x"}))


def test_a_change_that_the_daemon_refuses_is_rolled_back(configured: Host) -> None:
    before = configured.snapshot()
    with pytest.raises(RolledBackError) as caught:
        configured.run(configured.request({"b.yml": "refused"}, links={"x.d/b.conf": "b.yml"}))
    assert configured.snapshot() == before
    assert calls(configured) == ["daemon-reload", "restart", "daemon-reload", "restart"]
    assert configured.memory()["loaded"] == OLD
    assert configured.leftovers() == []
    message = caught.value.message
    assert "demo.service does not restart: refused" in message
    assert "was restored and demo.service is well again" in message
    assert "the daemon's last words" in message
    assert caught.value.evidence["rolled_back"] is True
    assert caught.value.evidence["diff"]


@pytest.mark.parametrize("active", ["active", "failed"])
def test_a_first_set_that_the_daemon_refuses_is_removed(host: Host, active: str) -> None:
    host.remember(active=active)
    with pytest.raises(RolledBackError, match="There was no previous configuration"):
        host.run(host.request({**OLD, "bad.yml": "refused"}, links=LINKS))
    assert host.content() == {}
    assert host.links() == set()
    assert host.memory()["active"] == active
    assert host.leftovers() == []


def test_a_rollback_that_fails_tells_both_stories(configured: Host) -> None:
    count = 0

    def before(step: str) -> None:
        nonlocal count
        if step == "restart":
            count += 1
            if count == 2:
                raise KoprogoError("the second restart failed too")

    with pytest.raises(RolledBackError) as caught:
        configured.run(configured.request({"b.yml": "refused"}), before=before)
    assert "does not restart: refused" in caught.value.message
    assert "but now: the second restart failed too" in caught.value.message
    assert caught.value.evidence["restored"] is False
    # The next run, with what is on the disk, owes the daemon its restart.
    report = configured.run(configured.request(OLD, links=LINKS))
    assert report.healed
    assert calls(configured)[-1] == "restart"


@pytest.mark.parametrize(
    ("new", "links"),
    [
        ({"a.yml": "two\n", "b.yml": "b\n"}, {}),
        (
            {**OLD, "b.yml": "b\n"},
            {"demo.service.d/50.conf": "a.yml", "demo.service.d/60.conf": "b.yml"},
        ),
    ],
    ids=["links-go", "links-move"],
)
def test_every_step_may_fail_for_want_of_space(
    tmp_path: Path, new: dict[str, str], links: dict[str, str]
) -> None:
    """Whatever call finds the disk full: the old set is in use, or the new one works."""
    step, finished, refused = 0, False, 0
    while not finished:
        host = Host(tmp_path / str(step))
        host.run(host.request(OLD, links=LINKS))
        left = step

        def before(name: str) -> None:
            nonlocal left
            left -= 1
            if left == -1 and name in {"open", "write", "mkdir", "symlink", "link", "rename"}:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "here")

        try:
            host.run(host.request(new, links=links), before=before)
        except (NoSpaceError, RolledBackError) as error:
            refused += 1
            assert host.content() == OLD
            assert host.linked() == {"demo.service.d/50.conf": "u\n"}
            assert host.memory()["loaded"] == OLD
            assert host.leftovers() == []
            if isinstance(error, NoSpaceError):
                assert error.evidence["bytes_needed"] >= 0
                assert error.evidence["bytes_free"] > 0
        else:
            assert host.content() == new
            assert host.memory()["loaded"] == new
        finished = left >= 0
        step += 1
    assert refused > 8


def test_another_run_holds_the_lock(configured: Host) -> None:
    lock = str(configured.base / ".sets" / ".demo.lock")
    with (
        _io.locked(lock),
        pytest.raises(LockedError, match="Another run holds"),
        _io.locked(lock, timeout=0.2),
    ):
        pass
    assert not configured.run(configured.request(OLD, links=LINKS)).changed


def test_two_components_do_not_touch_each_other(configured: Host) -> None:
    """The name of one is the beginning of the name of the other."""
    other = Host.__new__(Host)
    vars(other).update(vars(configured))
    other.store = type(configured.store)("demo-two", base=str(configured.base))
    other.run(other.request({"x": "1"}, name="demo-two"))
    configured.run(configured.request({"a.yml": "two\n"}))
    configured.run(configured.request({}))
    assert (configured.base / "demo-two" / "x").read_text() == "1"
    assert not (configured.base / "demo").exists()


def test_absent(configured: Host) -> None:
    (configured.base / "demo" / "theirs").write_text("x")
    before = configured.snapshot()
    predicted = configured.run(configured.request({}), check_mode=True)
    assert configured.snapshot() == before
    report = configured.run(configured.request({}))
    assert (predicted.changed, predicted.kept) == (report.changed, report.kept)
    assert report.plan.removed == tuple(sorted(OLD))
    assert report.kept is not None
    assert Path(report.kept, "theirs").read_text() == "x"
    assert configured.links() == set()
    assert calls(configured) == ["daemon-reload", "restart"]
    assert not configured.run(configured.request({})).changed


def test_absent_where_the_service_cannot_run_without_us(configured: Host) -> None:
    configured.remember(broken=True)
    report = configured.run(configured.request({}))
    assert report.changed
    (warning,) = report.warnings
    assert f"{UNIT} does not restart: refused\nthe daemon's last words" in warning
    assert configured.leftovers() == []
    assert configured.links() == set()
    again = configured.run(configured.request({}))
    assert (again.changed, again.warnings, calls(configured)) == (False, [], [])


def test_absent_on_a_host_that_never_had_it(host: Host) -> None:
    before = host.snapshot()
    assert not host.run(host.request({})).changed
    assert host.snapshot() == before


@pytest.mark.parametrize("damage", ["", "{", '{"format": 99}', "[]"])
def test_a_damaged_manifest_costs_no_file(configured: Host, damage: str) -> None:
    (configured.base / "demo" / ".manifest.json").write_text(damage)
    report = configured.run(configured.request({"a.yml": "two\n"}, links={}))
    assert report.plan.kept_foreign() == ["rules/r.yml", "unit.conf"]
    assert configured.content() == {**OLD, "a.yml": "two\n"}
