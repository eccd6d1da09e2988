"""Another run of the playbook: what it may change, what it must not, and what it refuses."""

from __future__ import annotations

import json
import os
import shlex
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.ask import wait_for
from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import ATTACKER, Victim, every_victim, on_each_victim

# Only the phase that writes configuration: the scenario's second converge has proven the whole.
CONFIGURE = (
    str(ROOT / "molecule/detection/protect.yml"),
    "--tags",
    "fail2ban_configure,suricata_configure",
)
EVE = "/var/log/suricata/eve.json"
INTRUDER = "198.51.100.70"
OWN_RULE = 'alert icmp any any -> $HOME_NET any (msg:"Own rule"; itype:8; sid:9200001;)'
CHANGED = {
    "fail2ban_sshd_maxretry": 11,
    "fail2ban_jails": {
        "own": {
            "filter": "sshd",
            "journalmatch": "_SYSTEMD_UNIT=ssh.service",
            "ignoreip": "203.0.113.79",
        }
    },
    "suricata_rules": OWN_RULE,
    # What was named is out of date: the control node comes from elsewhere.
    "koprogo_control_addresses": ["203.0.113.78"],
    "detection_environment": {"SSH_CONNECTION": "203.0.113.77 40000 198.51.100.1 22"},
}


def rules(box: Victim) -> int:
    """How many rules the running engine has."""
    found = json.loads(box.sh("suricatasc -c ruleset-stats"))["message"]
    return sum(one["rules_loaded"] for one in found)


def ignored(box: Victim, jail: str) -> set[str]:
    """Addresses and networks that a jail never bans."""
    return set(box.sh(f"fail2ban-client get {jail} ignoreip").split())


def processes(box: Victim) -> list[str]:
    """What must not have been restarted."""
    return box.sh(
        "head -1 /var/lib/postgresql/*/main/postmaster.pid; "
        "systemctl show -P MainPID suricata fail2ban crowdsec"
    ).split()


def test_changed_options_are_a_reload_and_a_restart_forgets_nobody(
    changed: Callable[..., list[Any]],
) -> None:
    boxes = every_victim()

    def banned_everywhere() -> bool:
        return all(ATTACKER in b.banned("api-abuse") and not b.reaches(ATTACKER) for b in boxes)

    for box in boxes:
        box.requests(100, ATTACKER)
    wait_for(banned_everywhere, seconds=15, what="a ban", every=0.3)
    for box in boxes:
        box.sh("systemctl restart fail2ban")
    wait_for(banned_everywhere, seconds=30, what="the restored ban", every=0.3)
    before = [processes(box) for box in boxes]
    loaded = [rules(box) for box in boxes]

    try:
        predicted = changed("--check", "--diff", "-e", json.dumps(CHANGED))
        assert [rules(box) for box in boxes] == loaded
        assert changed("-e", json.dumps(CHANGED)) == predicted
        assert len(predicted) == 2 * len(boxes)
        for box, count in zip(boxes, loaded, strict=True):
            assert box.sh("fail2ban-client get sshd maxretry").strip() == "11"
            assert "ssh.service" in box.sh("fail2ban-client get own journalmatch")
            everybody = {"198.51.100.128/25", "203.0.113.77", "203.0.113.78"}
            assert everybody <= ignored(box, "sshd")
            assert everybody | {"203.0.113.79"} <= ignored(box, "own")
            assert rules(box) == count + 1
        assert banned_everywhere()
    finally:
        # A jail too many would ban those who attack for the tests that follow.
        changed()
    # A second run of the whole, while the attackers go on trying.
    for box in boxes:
        box.sh(f"cscli decisions add --ip {INTRUDER}")
    wait_for(lambda: not any(box.reaches(INTRUDER) for box in boxes), seconds=15, what="a decision")
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        tries = [pool.submit(let_in, box, over) for box in boxes]
        try:
            assert not changed("--tags", "all")
        finally:
            over.set()
        assert [one.result() for one in tries] == [0 for _box in boxes]
    for box, count in zip(boxes, loaded, strict=True):
        assert "own" not in box.sh("fail2ban-client status")
        assert rules(box) == count
        assert box.decisions().keys() == {ATTACKER, INTRUDER}
    assert banned_everywhere()
    assert [processes(box) for box in boxes] == before


def let_in(box: Victim, over: threading.Event) -> int:
    """How many tries of two who are banned were let in until it is over."""
    count = 0
    while not over.is_set():
        count += box.reaches(ATTACKER) + box.reaches(INTRUDER)
    return count


def by_defaults(folder: Path) -> str:
    """The scenario's inventory without what it says of the sensor's interface and networks."""
    fleet = Path(os.environ["MOLECULE_INVENTORY_FILE"])
    hosts = yaml.safe_load(fleet.read_text("utf-8"))["all"]["hosts"]
    for name in hosts:
        given = fleet.parent / "host_vars" / name
        hosts[name] |= yaml.safe_load(given.read_text("utf-8")) if given.exists() else {}
    options = yaml.safe_load((fleet.parent / "group_vars" / "all").read_text("utf-8"))
    del options["suricata_interfaces"], options["suricata_home_net"]
    inventory = folder / "hosts.yml"
    content = json.dumps({"all": {"hosts": hosts, "vars": options}})
    inventory.write_text(content, encoding="utf-8")
    return str(inventory)


@on_each_victim
def attack_from_next_door(box: Victim) -> None:
    """What comes over the host's real network is seen, by an engine that knows the host's address."""
    (other,) = (one for one in every_victim() if one != box)
    route = json.loads(box.sh("ip -4 -json route get 192.0.2.1"))[0]
    assert json.loads(box.sh("suricatasc -c iface-list"))["message"]["ifaces"] == [route["dev"]]
    settings = box.sh("suricata --dump-config -c /etc/koprogo/suricata/suricata.yaml")
    assert f".HOME_NET = [{route['prefsrc']}," in settings
    marker = uuid.uuid4().hex
    serve = f"python3 -m http.server 8082 --bind {route['prefsrc']}"
    box.sh(f"systemd-run -q --unit next-door {serve}")
    try:
        wait_for(lambda: ":8082" in box.sh("ss -Hltn"), seconds=10, what="a server", every=0.2)
        url = f"http://{route['prefsrc']}:8082/{marker}?id=1%20UNION%20SELECT%20a"
        fetch = f"import urllib.request as u; u.urlopen('{url}', timeout=5)"
        other.sh(f'python3 -c "{fetch}" 2> /dev/null', check=False)
        wait_for(lambda: marker in box.sh(f"cat {EVE}"), seconds=10, what="an alert", every=0.3)
    finally:
        box.sh("systemctl stop next-door")


def test_the_sensor_takes_interface_and_networks_from_the_host(tmp_path: Path) -> None:
    command = (CONFIGURE[0], "--tags", "suricata_configure")
    try:
        outcome = run_playbook(*command, inventory=by_defaults(tmp_path))
        assert outcome.rc == 0, outcome.text
        attack_from_next_door()
    finally:
        outcome = run_playbook(*command)
        assert outcome.rc == 0, outcome.text


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Any]]:
    """Run the playbook's configuration with options, and say which tasks changed something."""
    record = tmp_path / "runs.jsonl"
    monkeypatch.setenv("RECORD_CHANGES", str(record))

    def run(*arguments: str) -> list[Any]:
        outcome = run_playbook(*CONFIGURE, *arguments)
        assert outcome.rc == 0, outcome.text
        found: list[Any] = json.loads(record.read_text().splitlines()[-1])["changed"]
        return found

    return run


def state(box: Victim) -> list[str]:
    """What nobody may touch: the sets of configuration, PostgreSQL's settings, and what runs."""
    links = box.sh("readlink /etc/koprogo/*; cat /etc/postgresql/*/main/conf.d/*.conf")
    return [*links.splitlines(), *processes(box)]


@pytest.fixture
def _port_8055_is_taken() -> Iterator[None]:
    taken = "import socket,time;s=socket.create_server(('127.0.0.1',8055));time.sleep(120)"
    boxes = every_victim()
    for box in boxes:
        box.sh(f"systemd-run -q --unit taken python3 -c {shlex.quote(taken)}")
    try:
        yield
    finally:
        for box in boxes:
            box.sh("systemctl stop taken")


@pytest.mark.usefixtures("_port_8055_is_taken")
def test_bad_input_reaches_no_daemon() -> None:
    boxes = every_victim()
    before = [state(box) for box in boxes]
    tags = "fail2ban_configure,suricata_configure,crowdsec_configure"
    outcome = run_playbook(str(ROOT / "molecule/detection/bad_input.yml"), "--tags", tags)
    assert outcome.rc == 0, outcome.text
    assert outcome.text.count("changed=0 unreachable=0 failed=0") == 2, outcome.text
    assert outcome.text.count("rescued=12") == 2, outcome.text
    for sentence in (
        "koprogo_allowlist: expected an address",
        "koprogo_allowlist: expected a network of at least /8",
        "jail own: expected a logpath or journalmatch that backend auto reads",
        "jail own: expected a failregex that compiles",
        'protocol "htp" cannot be used in a signature',
        'failed to parse address var "HOME_NET" with value "[10.0.0.0/33]"',
        "error parsing duration 'soon'",
        "fail2ban_control_addresses: expected the address that this host sees the control node under",
        "crowdsec_control_addresses: expected the address that this host sees the control node under",
        "Have not found any log file for own jail",
        "suricata_interfaces: expected an interface of this host, found none named eth7",
        "port 8055: expected it free for CrowdSec, found somebody listening: 127.0.0.1:8055",
    ):
        assert sentence in outcome.text, sentence
    assert [state(box) for box in boxes] == before


@pytest.mark.usefixtures("_port_8055_is_taken")
def test_preflight_says_what_is_wrong() -> None:
    boxes = every_victim()
    before = [state(box) for box in boxes]
    variables = {
        "fail2ban_allowlist": ["198.51.100.300"],
        "fail2ban_api_log": "/var/log/koprogo/none.log",
        "suricata_interfaces": ["eth7"],
        "suricata_home_net": ["10.0.0.0/33"],
        "crowdsec_api_port": 8055,
        "crowdsec_ban_duration": "long",
    }
    playbook = str(ROOT / "molecule/detection/preflight.yml")
    outcome = run_playbook(playbook, "-e", json.dumps(variables))
    assert outcome.rc != 0
    for sentence in (
        "Nothing was changed.",
        "fail2ban_allowlist: expected an address or a network",
        "fail2ban_api_log: expected a log to watch, found no file /var/log/koprogo/none.log",
        "suricata_interfaces: expected an interface of this host",
        "suricata_home_net: expected an address or a network",
        "port 8055: expected it free for crowdsec.service",
        "crowdsec_ban_duration: expected a duration",
    ):
        assert sentence in outcome.text, outcome.text
    assert [state(box) for box in boxes] == before
