"""The configuration transaction on a real Prometheus: what goes well, and all that can go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, promql, wait_for
from tests.integration.play import ROOT, Outcome, run_playbook

BOX = "transaction-box1"
PLAYBOOK = "molecule/config_transaction/converge.yml"
SET = "/etc/koprogo/prometheus"
DROP_IN = "/etc/systemd/system/prometheus.service.d/50-koprogo.conf"
MODULE_UTILS = ROOT / "plugins" / "module_utils"


def run(*arguments: str, **variables: Any) -> Outcome:
    return run_playbook(PLAYBOOK, "-e", json.dumps(variables), "-v", *arguments)


def interval(host: testinfra.host.Host) -> str:
    """What Prometheus itself says it runs with."""
    text: str = json.loads(get(host, "http://127.0.0.1:9090/api/v1/status/config"))["data"]["yaml"]
    return text.split("scrape_interval: ")[1].split(maxsplit=1)[0]


def tree(host: testinfra.host.Host) -> str:
    """Names, modes, owners, targets and digests of all that is ours."""
    listing = host.check_output(
        r"find /etc/koprogo /etc/systemd/system/prometheus.service.d "
        r"-not -name .prometheus.lock -printf '%%p %%M %%u:%%g %%l\n' | sort"
    )
    digests = host.check_output(f"find {SET}/ -type f | sort | xargs sha256sum")
    return f"{listing}\n{digests}"


@pytest.fixture
def as_before(host: testinfra.host.Host) -> Iterator[None]:
    """The old configuration is untouched and in use, by the same process."""
    before = (tree(host), interval(host), pid(host))
    yield
    assert (tree(host), interval(host), pid(host)) == before


def pid(host: testinfra.host.Host) -> str:
    text: str = host.check_output("systemctl show --value -p MainPID prometheus.service")
    return text


def test_what_was_put_there(host: testinfra.host.Host) -> None:
    assert host.file(SET).is_symlink
    assert host.file(DROP_IN).linked_to.endswith("/systemd.conf")
    secret = host.file(f"{SET}/password")
    assert (secret.user, secret.group, secret.mode) == ("root", "prometheus", 0o640)
    assert secret.content_string == "correct-horse"
    assert host.file("/etc/prometheus/prometheus.yml").contains("scrape_configs")
    # The first scrape is up to one interval away.
    wait_for(
        lambda: promql(host, "prometheus_config_last_reload_successful"),
        seconds=60,
        what="a scrape of Prometheus by itself",
    )
    rendered = host.file(f"{SET}/prometheus.yml").content_string
    assert rendered.startswith("#\n# Ansible managed\n#\n---\n")
    assert rendered.endswith('- targets: ["127.0.0.1:9090"]\n')


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("mode", [[], ["--check"]], ids=["run", "check"])
def test_an_invalid_configuration_is_refused_with_the_offending_line(mode: list[str]) -> None:
    outcome = run("--diff", *mode, interval="sometimes-hunter2", password="hunter2")
    assert outcome.rc != 0
    assert "failed=1" in outcome.text
    assert (
        "refused by 'promtool check config /etc/koprogo/prometheus/prometheus.yml'" in outcome.text
    )
    assert "not a valid duration string" in outcome.text
    assert "the old one stays in use" in outcome.text
    assert "********" in outcome.text
    assert "hunter2" not in outcome.text


@pytest.mark.usefixtures("as_before")
def test_the_line_that_a_checker_names_is_quoted() -> None:
    outcome = run(rule_files=["one", "two: three"])
    assert outcome.rc != 0
    assert "mapping values are not allowed in this context" in outcome.text
    assert "rules/up.yml:12: - alert: two: three" in outcome.text


@pytest.mark.usefixtures("as_before")
def test_check_mode_tells_what_the_run_does(host: testinfra.host.Host) -> None:
    predicted = run("--check", "--diff", interval="11s")
    assert predicted.rc == 0
    assert "- scrape_interval: 15s + scrape_interval: 11s" in predicted.text
    assert "validated: true" in predicted.text
    assert "action: reload" in predicted.text
    assert host.check_output("ls -d /etc/.koprogo* 2>/dev/null || true") == ""


def test_a_reload_without_a_restart(host: testinfra.host.Host) -> None:
    process = pid(host)
    outcome = run("--diff", interval="11s")
    assert outcome.rc == 0, outcome.text
    assert "- scrape_interval: 15s + scrape_interval: 11s" in outcome.text
    assert interval(host) == "11s"
    assert pid(host) == process
    assert "changed=0" in run(interval="11s").text
    assert run().rc == 0
    assert interval(host) == "15s"


def test_a_configuration_that_the_daemon_refuses_at_start_is_rolled_back(
    host: testinfra.host.Host,
) -> None:
    before = (tree(host), interval(host))
    outcome = run(extra_flag="--no-such-flag", interval="12s")
    assert outcome.rc != 0
    assert "unknown long flag '--no-such-flag'" in outcome.text
    assert "was restored and prometheus.service is well again" in outcome.text
    assert "rolled_back: true" in outcome.text
    assert (tree(host), interval(host)) == before
    assert host.service("prometheus").is_running
    assert host.check_output("systemctl show --value -p NeedDaemonReload prometheus") == "no"


def test_a_configuration_that_the_daemon_refuses_at_reload_is_rolled_back(
    host: testinfra.host.Host,
) -> None:
    """The file exists, so the checker is content; that it is no certificate shows at run time."""
    host.check_output("echo no-certificate > /srv/ca.crt")
    before = (tree(host), interval(host), pid(host))
    outcome = run(interval="12s", authority="/srv/ca.crt")
    assert outcome.rc != 0
    # Which of the two probes sees it first is a matter of milliseconds.
    assert "prometheus_config_last_reload_success" in outcome.text
    assert "unable to use specified CA cert" in outcome.text
    assert "is well again" in outcome.text
    assert (tree(host), interval(host), pid(host)) == before
    assert promql(host, "prometheus_config_last_reload_successful")


def test_foreign_files_stay_and_stale_ones_go(host: testinfra.host.Host) -> None:
    mine = [{"path": "rules/mine.yml", "content": {"groups": []}, "on_change": "reload"}]
    assert run(extra_files=mine).rc == 0
    assert host.file(f"{SET}/rules/mine.yml").content_string == "---\ngroups: []\n"
    host.check_output(f"echo 'groups: []' > {SET}/rules/theirs.yml")
    outcome = run()
    assert outcome.rc == 0, outcome.text
    assert "removed: - rules/mine.yml" in outcome.text
    assert "kept_foreign: - rules/theirs.yml" in outcome.text
    assert not host.file(f"{SET}/rules/mine.yml").exists
    assert host.file(f"{SET}/rules/theirs.yml").content_string == "groups: []\n"
    assert "changed=0" in run().text
    host.check_output(f"rm {SET}/rules/theirs.yml")


def test_drift_is_found_shown_and_repaired(host: testinfra.host.Host) -> None:
    before = host.file(f"{SET}/prometheus.yml").content_string
    host.check_output(f"echo '# by hand' >> {SET}/prometheus.yml")
    host.check_output(f"chmod 0666 {SET}/password && rm {DROP_IN}")
    for mode in (["--check"], []):
        outcome = run("--diff", *mode)
        assert outcome.rc == 0, outcome.text
        assert "-# by hand" in outcome.text
        assert "-mode: 0666 +mode: 0640" in outcome.text
        assert f"after: {DROP_IN}" in outcome.text
    assert host.file(f"{SET}/prometheus.yml").content_string == before
    assert host.file(f"{SET}/password").mode == 0o640
    assert host.file(DROP_IN).exists
    assert "changed=0" in run().text


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(
    ("fill", "free"),
    [
        ("dd if=/dev/zero of=/etc/koprogo/full bs=4k 2>/dev/null; true", "0 bytes"),
        (
            "mkdir /etc/koprogo/full && cd /etc/koprogo/full && touch $(seq 2100) 2>&1 | tail -1",
            "0 inodes",
        ),
    ],
    ids=["bytes", "inodes"],
)
def test_a_full_disk_while_staging(host: testinfra.host.Host, fill: str, free: str) -> None:
    content = "# " + "x" * 20000 + "\ngroups: []\n"
    big = [{"path": "rules/big.yml", "content": content}]
    host.run(fill)
    try:
        outcome = run(extra_files=big)
    finally:
        host.check_output("rm -r /etc/koprogo/full")
    assert outcome.rc != 0
    assert "the file system is full at /etc/koprogo/.sets" in outcome.text
    assert "(the old one stays in use)" in outcome.text
    assert "bytes_needed:" in outcome.text
    assert f"{free}" in outcome.text


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ({"path": "../x", "content": ""}, "files[4].path: expected a path relative to the set"),
        ({"path": "password", "content": ""}, "files[4].path: 'password' is given twice"),
        ({"path": "x", "content": "", "mode": 416}, "files[4] (x): mode: expected a quoted octal"),
        ({"path": "x"}, "files[4] (x): expected either template or content, found neither"),
        ({"path": "x", "template": "nowhere.j2"}, "files[4] (x): template 'nowhere.j2'"),
        (
            {"path": "x", "content": "", "owner": "nobody-here"},
            "the user 'nobody-here' does not exist",
        ),
        ({"path": "x", "content": "", "colour": 1}, "colour"),
    ],
)
def test_bad_input_names_the_option(file: dict[str, Any], words: str) -> None:
    outcome = run(extra_files=[file])
    assert outcome.rc != 0
    assert words in outcome.text


def test_what_is_not_ours_is_refused(host: testinfra.host.Host) -> None:
    before = host.check_output(f"readlink {SET}")
    host.check_output(f"rm {DROP_IN} && echo '[Unit]' > {DROP_IN}")
    outcome = run(interval="13s")
    assert outcome.rc != 0
    assert f"{DROP_IN} is a file that is not ours" in outcome.text
    host.check_output(f"rm {DROP_IN}")
    host.check_output(f"rm {SET} && mkdir {SET} && touch {SET}/precious")
    outcome = run(interval="13s")
    assert outcome.rc != 0
    assert f"{SET} is a directory that is not ours" in outcome.text
    assert host.file(f"{SET}/precious").exists
    host.check_output(f"rm -r {SET} && ln -s {before} {SET}")
    assert run().rc == 0


def test_200_files_in_one_round_trip(
    host: testinfra.host.Host, record_property: Callable[[str, object], None]
) -> None:
    many = [
        {
            "path": f"rules/many{number}.yml",
            "content": f"groups: [{{name: many{number}, rules: []}}]\n",
            "on_change": "reload",
        }
        for number in range(200)
    ]
    began = time.monotonic()
    outcome = run("-vvv", extra_files=many)
    seconds = time.monotonic() - began
    assert outcome.rc == 0, outcome.text[-3000:]
    before_service = outcome.text.split("TASK [Run Prometheus]")[0]
    executions = before_service.count("EXEC [")
    record_property("seconds for 204 new files", round(seconds, 1))
    assert executions == 1
    assert seconds < 20
    assert host.check_output(f"ls {SET}/rules | wc -l") == "201"
    assert "changed=0" in run(extra_files=many).text
    assert run().rc == 0
    assert host.check_output(f"ls {SET}/rules") == "up.yml"


def test_exactly_one_previous_set_is_kept(host: testinfra.host.Host) -> None:
    assert len(host.check_output("ls /etc/koprogo/.sets").split()) == 2


def test_nothing_secret_is_left_in_the_journal(host: testinfra.host.Host) -> None:
    journal = host.check_output("journalctl --no-pager -o cat")
    assert "Invoked with files=" in journal
    assert "NOT_LOGGING_PARAMETER" in journal
    assert "correct-horse" not in journal


def test_sigkill_at_each_step(host: testinfra.host.Host, tmp_path: Path) -> None:
    copy = tmp_path / "killer"
    package = copy / "ansible_collections/koprogo/observability/plugins/module_utils"
    package.mkdir(parents=True)
    for source in MODULE_UTILS.glob("_*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    (copy / "steps.py").write_bytes((ROOT / "tests/integration/steps.py").read_bytes())
    (copy / "killer.py").write_bytes((Path(__file__).parent / "killer.py").read_bytes())
    subprocess.run(["docker", "cp", str(copy), f"{BOX}:/srv/"], check=True)
    report = json.loads(host.check_output("python3 /srv/killer/killer.py"))
    assert report["wrong"] == []
    assert len(report["steps"]) > 40
    assert {"rename", "symlink", "before promtool", "after systemctl"} <= set(report["steps"])
    assert len(report["links"]) == 1
    assert len(report["sets"]) == 2
    host.check_output(f"rm {SET}/rules/theirs.yml")
    assert run().rc == 0
    assert not host.file("/etc/systemd/journald.conf.d").exists


def test_absent_removes_ours_and_keeps_the_rest(host: testinfra.host.Host) -> None:
    host.check_output(f"echo 'groups: []' > {SET}/rules/theirs.yml")
    predicted = run("--check", "--diff", state="absent")
    assert predicted.rc == 0, predicted.text
    assert host.file(DROP_IN).exists
    outcome = run("--diff", state="absent")
    assert outcome.rc == 0, outcome.text
    assert "correct-horse" not in outcome.text
    for run_outcome in (predicted, outcome):
        assert "- rules/theirs.yml" in run_outcome.text
        assert f"kept: {SET}.kept-" in run_outcome.text
    assert not host.file(SET).exists
    assert not host.file(DROP_IN).exists
    assert not host.file(str(Path(DROP_IN).parent)).exists
    assert host.check_output(f"cat {SET}.kept-*/rules/theirs.yml") == "groups: []"
    assert "changed=0" in run(state="absent").text
    # It returned to the distribution's own configuration, and back to ours.
    assert host.service("prometheus").is_running
    host.check_output(f"rm -r {SET}.kept-*")
    assert run().rc == 0
    wait_for(lambda: interval(host) == "15s", seconds=20, what="Prometheus runs with ours again")


def test_a_first_configuration_that_fails_leaves_the_service_as_it_was(
    host: testinfra.host.Host,
) -> None:
    assert run(state="absent").rc == 0
    outcome = run(extra_flag="--no-such-flag")
    assert outcome.rc != 0
    assert (
        "There was no previous configuration: what was put there was removed again" in outcome.text
    )
    assert not host.file(SET).exists
    assert not host.file(DROP_IN).exists
    assert host.service("prometheus").is_running
    assert host.check_output("systemctl show --value -p DropInPaths prometheus.service") == ""
    assert run().rc == 0


def test_check_mode_on_a_fresh_host(host: testinfra.host.Host) -> None:
    """Nothing of the component is there: no checker, no user, no unit."""
    host.check_output("mv /usr/bin/promtool /usr/bin/promtool.away")
    try:
        outcome = run_playbook("molecule/config_transaction/fresh.yml", "--check", "--diff", "-v")
    finally:
        host.check_output("mv /usr/bin/promtool.away /usr/bin/promtool")
    assert outcome.rc == 0, outcome.text
    assert "validated: false" in outcome.text
    assert "cannot run yet: promtool: command not found" in outcome.text
    assert "the group 'not-there-yet' does not exist yet" in outcome.text
    assert host.check_output("ls -A /etc | grep -c fresh || true") == "0"


def test_the_inventory_of_this_scenario_is_used() -> None:
    """Otherwise the runs above would have touched the demo."""
    assert BOX in Path(os.environ["MOLECULE_INVENTORY_FILE"]).read_text()
