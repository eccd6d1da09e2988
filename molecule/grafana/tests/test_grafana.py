"""What the role does for Grafana. What answers here is a stand-in, and says so: it is no proof of Grafana."""

from __future__ import annotations

import base64
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from plugins.plugin_utils._panels import DASHBOARDS
from tests.integration.ask import get, wait_for
from tests.integration.boxes import Box
from tests.integration.play import run_playbook

testinfra_hosts = ["ansible://monitoring"]

CONVERGE = "molecule/grafana/converge.yml"
GRAFANA = "http://127.0.0.1:3001"
STANDIN = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "standin.json"
BOXES = (Box("grafana-box1"), Box("grafana-box2"))
_ASK = (
    "import sys,urllib.error as e,urllib.request as u;"
    "r=u.Request(sys.argv[1],headers={'Authorization':'Basic '+sys.argv[2]})\n"
    "try: a=u.urlopen(r,timeout=10)\n"
    "except e.HTTPError as x: a=x\n"
    "print(a.status, a.read().decode())"
)


def ask(box: Box, path: str, password: str) -> tuple[int, Any]:
    """Status and body of a page, as the administrator."""
    credentials = base64.b64encode(f"admin:{password}".encode()).decode()
    command = f"python3 -c {shlex.quote(_ASK)} {GRAFANA}{path} {credentials}"
    status, _space, body = box.sh(command).partition(" ")
    return int(status), json.loads(body)


def run(*arguments: str, **variables: Any) -> Any:
    return run_playbook(CONVERGE, "-e", json.dumps(variables), *arguments)


def test_it_is_the_stand_in_and_says_so(host: Any) -> None:
    assert "stand-in for tests, not Grafana" in get(host, f"{GRAFANA}/api/health")
    assert "~standin" in host.check_output("dpkg-query -W -f '${Version}' grafana")


def test_it_listens_on_the_loopback_interface_and_the_packages_files_are_untouched(
    host: Any,
) -> None:
    sockets = host.check_output("ss -ltnH")
    assert "127.0.0.1:3001" in sockets
    assert ":3000 " not in sockets
    assert host.check_output("dpkg --verify grafana") == ""
    assert (
        host.check_output("stat -c '%U:%G %a' /etc/koprogo/grafana/admin_password")
        == "root:grafana 640"
    )
    key = host.check_output("stat -c '%U:%G %a %s' /var/lib/grafana/secret_key")
    assert key == "grafana:grafana 600 44"


def test_each_host_has_a_key_of_its_own() -> None:
    assert len({box.sh("cat /var/lib/grafana/secret_key") for box in BOXES}) == 2


@pytest.mark.parametrize("box", BOXES, ids=lambda box: box.name)
def test_data_sources_and_dashboards_are_provisioned(box: Box) -> None:
    status, sources = ask(box, "/api/datasources", "first-Secret-1")
    assert status == 200
    assert {source["name"]: source["url"] for source in sources} == {
        "Prometheus": "http://127.0.0.1:9090",
        "Loki": "http://127.0.0.1:3100",
        "Alertmanager": "http://127.0.0.1:9093",
        "Further": "http://127.0.0.1:9999",
    }
    _status, boards = ask(box, "/api/search", "first-Secret-1")
    found = {board["uid"]: board["title"] for board in boards}
    assert found == {**DASHBOARDS, "sample": "Sample with {{ braces }}"}


def test_the_links_of_the_dashboards_lead_to_the_runbook_that_was_named(host: Any) -> None:
    places = "grep -rho 'https://[^\"]*api_down.md' /etc/koprogo/grafana/dashboards/ | sort -u"
    assert host.check_output(places) == "https://runbooks.example/pages/api_down.md"


def test_the_dashboards_commands_name_the_inventory(host: Any) -> None:
    commands = "grep -rho 'ansible-playbook [^\"]*api_down.yml' /etc/koprogo/grafana/dashboards/"
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    expected = f"ansible-playbook -i {inventory} playbooks/remediate/api_down.yml"
    assert set(host.check_output(commands).splitlines()) == {expected}


def test_nobody_else_gets_in() -> None:
    for password in ("", "admin", "wrong-Secret"):
        assert ask(BOXES[0], "/api/user", password)[0] == 401


def test_the_configuration_closes_what_grafana_leaves_open(host: Any) -> None:
    text = host.check_output("cat /etc/koprogo/grafana/grafana.ini")
    for line in (
        "reporting_enabled = false",
        "check_for_updates = false",
        "check_for_plugin_updates = false",
        "news_feed_enabled = false",
        "disable_gravatar = true",
        "allow_sign_up = false",
        "preinstall_disabled = true",
        "http_addr = 127.0.0.1",
        "secret_key = $__file{/var/lib/grafana/secret_key}",
    ):
        assert line in text.splitlines()
    assert "[auth.anonymous]\nenabled = false" in text


def test_the_password_is_rotated_and_seen_nowhere() -> None:
    """The dry run tells it, the real run does it, the next one has nothing to do."""
    new = {"grafana_admin_password": "second-Secret-2"}
    dry = run("--check", "--diff", "-vvv", **new)
    assert dry.rc == 0, dry.text
    assert ask(BOXES[0], "/api/user", "first-Secret-1")[0] == 200
    real = run("--diff", "-vvv", **new)
    assert real.rc == 0, real.text
    again = run(**new)
    for box in BOXES:
        assert ask(box, "/api/user", "second-Secret-2")[0] == 200
        assert ask(box, "/api/user", "first-Secret-1")[0] == 401
        places = "/etc/systemd /usr/lib/systemd /var/log /var/lib/koprogo /etc/koprogo/grafana/*.*"
        assert box.sh(f"grep -rl Secret- {places} || true") == ""
        assert "Secret-" not in box.sh("journalctl --no-pager")
        assert "Secret-" not in box.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    for outcome in (dry, real, again):
        secrets = ("first-Secret", "third-Secret")
        assert not any(secret in outcome.text for secret in secrets)
    assert again.text.count("changed=0") == 2
    assert dry.text.count("changed=2") == real.text.count("changed=2") == 2


@pytest.mark.parametrize(
    ("password", "expected"),
    [("", "found nothing"), ("abcd", "at least 5 characters"), ("two\nlines", "one line")],
)
def test_a_password_that_grafana_would_refuse_changes_nothing(password: str, expected: str) -> None:
    before = BOXES[0].sh("readlink /etc/koprogo/grafana")
    outcome = run("--limit", BOXES[0].name, grafana_admin_password=password)
    assert outcome.rc != 0
    assert expected in outcome.text
    assert BOXES[0].sh("readlink /etc/koprogo/grafana") == before
    assert ask(BOXES[0], "/api/user", "second-Secret-2")[0] == 200


def test_a_rotation_that_fails_is_an_error_and_the_next_run_heals_it() -> None:
    box = BOXES[1]
    program = "/usr/share/grafana/bin/grafana"
    box.sh(f"cp -p {program} /var/tmp/kept")
    fault = 's/^def reset_password.*/&\\n    raise SystemExit("database is locked")/'
    box.sh(f"sed -i '{fault}' {program} && grep -q 'is locked' {program}")
    new = {"grafana_admin_password": "fourth-Secret-4"}
    outcome = run("--limit", box.name, **new)
    box.sh(f"cp -p /var/tmp/kept {program}")
    assert outcome.rc != 0
    assert (
        "Grafana refuses the new password of admin; the old one stays valid: database is locked"
        in outcome.text
    )
    assert ask(box, "/api/user", "second-Secret-2")[0] == 200
    assert run("--limit", box.name, **new).rc == 0
    assert ask(box, "/api/user", "fourth-Secret-4")[0] == 200


def test_what_is_no_longer_wanted_goes() -> None:
    variables = {
        "grafana_admin_password": "second-Secret-2",
        "grafana_datasources": [],
        "grafana_dashboards": False,
        "grafana_dashboards_dir": "",
    }
    assert run("--limit", BOXES[0].name, **variables).rc == 0
    _status, sources = ask(BOXES[0], "/api/datasources", "second-Secret-2")
    assert sorted(source["name"] for source in sources) == ["Alertmanager", "Loki", "Prometheus"]
    wait_for(
        lambda: ask(BOXES[0], "/api/search", "second-Secret-2")[1] == [],
        seconds=20,
        what="the dashboards to go",
    )


def test_a_configuration_that_grafana_does_not_start_with_is_rolled_back() -> None:
    box = BOXES[0]
    before = box.sh("readlink /etc/koprogo/grafana")
    two = [
        {
            "name": "Two",
            "uid": "two",
            "type": "prometheus",
            "url": "http://127.0.0.1:1",
            "isDefault": True,
        }
    ]
    outcome = run(
        "--limit", box.name, grafana_admin_password="second-Secret-2", grafana_datasources=two
    )
    assert outcome.rc != 0
    assert "only one data source can be the default" in outcome.text
    assert box.sh("readlink /etc/koprogo/grafana") == before
    assert ask(box, "/api/user", "second-Secret-2")[0] == 200


def test_absent_leaves_the_database_only() -> None:
    box = BOXES[1]
    gone = run("--limit", box.name, grafana_state="absent")
    assert gone.rc == 0, gone.text
    left = box.sh(
        "ls -d /etc/koprogo/grafana /etc/systemd/system/grafana-server.service.d 2>/dev/null;"
        "systemctl list-units --no-legend grafana-server.service",
        check=False,
    )
    assert left == ""
    assert "grafana.db" in box.sh("ls /var/lib/grafana")
    assert "changed=0" in run("--limit", box.name, grafana_state="absent").text


def test_from_the_vendors_repository_and_then_from_an_archive() -> None:
    box, mirror = BOXES[1], "http://127.0.0.1:8123"
    box.sh("systemd-run -q -u vendor python3 -m http.server -d /srv/vendor -b 127.0.0.1 8123")
    standin = json.loads(STANDIN.read_text(encoding="utf-8"))
    options = {
        "grafana_admin_password": "fourth-Secret-4",
        "grafana_package_file": "",
        "grafana_package_file_sha256": "",
        "grafana_repository": mirror,
        "grafana_repository_key": f"{mirror}/key.asc",
    }
    refused = run("--limit", box.name, **options)
    assert refused.rc != 0
    assert "expected the one key B53AE77BADB630A683046005963FA27710458545, found " in refused.text
    assert mirror not in box.sh("apt-cache policy")
    options["grafana_repository_fingerprint"] = box.sh("cat /srv/vendor/fingerprint")
    outcome = run("--limit", box.name, **options)
    assert outcome.rc == 0, outcome.text
    assert f"{mirror} stable/main" in box.sh("apt-cache madison grafana")
    assert ask(box, "/api/user", "fourth-Secret-4")[0] == 200
    options |= {
        "grafana_install": "archive",
        "grafana_archive": standin["archive"],
        "grafana_archive_sha256": standin["archive_sha256"],
    }
    outcome = run("--limit", box.name, **options)
    assert outcome.rc == 0, outcome.text
    assert ask(box, "/api/user", "fourth-Secret-4")[0] == 200
    pid = box.sh("systemctl show --value -p MainPID grafana-server").strip()
    words = box.sh(f"cat /proc/{pid}/cmdline").split("\0")
    assert "/opt/koprogo/grafana/current/bin/grafana" in words
    # What an earlier method installed goes too.
    assert run("--limit", box.name, grafana_state="absent").rc == 0
    assert "installed" not in box.sh("dpkg-query -W -f '${db:Status-Status}' grafana", check=False)
    assert mirror not in box.sh("apt-cache policy")
    assert (
        box.sh("ls -d /opt/koprogo/grafana /usr/local/bin/grafana", check=False).count("No such")
        == 2
    )
