"""Archives instead of packages: the daemons are theirs, and removing them leaves the host as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.ask import sockets, targets_up, wait_for
from tests.integration.boxes import Box
from tests.integration.play import run_playbook

BOX = Box("archives-box1")
SITE = "playbooks/site.yml"
# Unit: the program that its main process must be.
DAEMONS = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "alertmanager",
    "prometheus-node-exporter": "node_exporter",
    "prometheus-blackbox-exporter": "blackbox_exporter",
    "prometheus-postgres-exporter": "postgres_exporter",
    "prometheus-sql-exporter": "sql_exporter",
    "loki": "loki",
    "log-collector": "otelcol",
}
ROLES = (
    *("prometheus", "alertmanager", "node_exporter", "blackbox_exporter"),
    *("postgres_exporter", "sql_exporter", "loki", "log_collector"),
)


def lines(command: str) -> set[str]:
    return set(BOX.sh(command).splitlines())


@pytest.mark.parametrize(("unit", "program"), DAEMONS.items())
def test_what_runs_is_the_archives(unit: str, program: str) -> None:
    pid = BOX.sh(f"systemctl show --value -p MainPID {unit}").strip()
    running = BOX.sh(f"readlink /proc/{pid}/exe").strip()
    assert running.startswith("/opt/koprogo/")
    assert running == BOX.sh(f"realpath /usr/local/bin/{program}").strip()
    assert "no path found" in BOX.sh(f"dpkg-query -S {running}", check=False)


def test_every_target_is_up_on_loopback(host: Any) -> None:
    wait_for(lambda: targets_up(host), seconds=60, what="all targets up")
    ours = {where for where, process in sockets(host).items() if process in DAEMONS.values()}
    assert ours
    assert {where for where in ours if not where.startswith(("127.", "[::1]"))} == set()


def test_absent_leaves_the_host_as_it_was() -> None:
    before = lines("cat /var/tmp/before")
    absent = [word for role in ROLES for word in ("-e", f"{role}_state=absent")]
    outcome = run_playbook(SITE, *absent)
    assert outcome.rc == 0, outcome.text
    assert "changed=0" in run_playbook(SITE, *absent).text
    assert BOX.sh(f"systemctl list-units --no-legend --all {' '.join(DAEMONS)}") == ""
    # Packages are removed, not purged, which would take their data too.
    BOX.sh(
        "dpkg --purge $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' | sed -n 's/^rc *//p')"
    )
    after = lines(
        "find /etc /usr/local /usr/bin /usr/sbin /opt -not -type d;"
        "dpkg-query -W -f '${Package} ${Version}\\n'"
    )
    assert (sorted(after - before), sorted(before - after)) == ([], [])
