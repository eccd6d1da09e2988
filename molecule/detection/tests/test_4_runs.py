"""Another run of the playbook: what it may change, what it must not, and what it refuses."""

from __future__ import annotations

import json
import shlex

from tests.integration.ask import wait_for
from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import ATTACKER, Victim, every_victim

# Only the phase that writes configuration: the scenario's second converge has proven the whole.
CONFIGURE = (
    str(ROOT / "molecule/detection/converge.yml"),
    "--tags",
    "fail2ban_configure,suricata_configure",
)
OWN_RULE = 'alert icmp any any -> $HOME_NET any (msg:"Own rule"; itype:8; sid:9200001;)'
CHANGED = {
    "fail2ban_sshd_maxretry": 11,
    "fail2ban_jails": {"own": {"filter": "sshd", "journalmatch": "_SYSTEMD_UNIT=ssh.service"}},
    "suricata_rules": OWN_RULE,
}


def rules(box: Victim) -> int:
    """How many rules the running engine has."""
    found = json.loads(box.sh("suricatasc -c ruleset-stats"))["message"]
    return sum(one["rules_loaded"] for one in found)


def processes(box: Victim) -> list[str]:
    """What must not have been restarted."""
    return box.sh(
        "head -1 /var/lib/postgresql/*/main/postmaster.pid; "
        "systemctl show -P MainPID suricata fail2ban crowdsec"
    ).split()


def test_changed_options_are_a_reload_and_a_restart_forgets_nobody() -> None:
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
        outcome = run_playbook(*CONFIGURE, "-e", json.dumps(CHANGED))
        assert outcome.rc == 0, outcome.text
        for box, count in zip(boxes, loaded, strict=True):
            assert box.sh("fail2ban-client get sshd maxretry").strip() == "11"
            assert "ssh.service" in box.sh("fail2ban-client get own journalmatch")
            assert rules(box) == count + 1
        assert banned_everywhere()
    finally:
        # A jail too many would ban those who attack for the tests that follow.
        outcome = run_playbook(*CONFIGURE)
    assert outcome.rc == 0, outcome.text
    for box, count in zip(boxes, loaded, strict=True):
        assert "own" not in box.sh("fail2ban-client status")
        assert rules(box) == count
    assert banned_everywhere()
    assert [processes(box) for box in boxes] == before


def test_bad_input_reaches_no_daemon() -> None:
    boxes = every_victim()
    links = "readlink /etc/koprogo/fail2ban /etc/koprogo/suricata /etc/koprogo/crowdsec"
    before = [box.sh(links).split() + processes(box) for box in boxes]
    tags = "fail2ban_configure,suricata_configure,crowdsec_configure"
    outcome = run_playbook(str(ROOT / "molecule/detection/bad_input.yml"), "--tags", tags)
    assert outcome.rc == 0, outcome.text
    assert outcome.text.count("changed=0 unreachable=0 failed=0") == 2, outcome.text
    assert outcome.text.count("rescued=7") == 2, outcome.text
    for sentence in (
        "koprogo_allowlist: expected an address",
        "koprogo_allowlist: expected a network of at least /8",
        "jail own: expected a logpath or journalmatch that backend auto reads",
        "jail own: expected a failregex that compiles",
        'protocol "htp" cannot be used in a signature',
        'failed to parse address var "HOME_NET" with value "[10.0.0.0/33]"',
        "error parsing duration 'soon'",
    ):
        assert sentence in outcome.text, sentence
    assert [box.sh(links).split() + processes(box) for box in boxes] == before


def test_preflight_says_what_is_wrong() -> None:
    boxes = every_victim()
    taken = "import socket,time;s=socket.create_server(('127.0.0.1',8055));time.sleep(60)"
    for box in boxes:
        box.sh(f"systemd-run -q --unit taken python3 -c {shlex.quote(taken)}")
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
    for box in boxes:
        box.sh("systemctl stop taken")
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
