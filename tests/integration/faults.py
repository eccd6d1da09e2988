"""Real faults: how each is made, and what ends it where no remediation does."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.boxes import Box, docker

__all__ = [
    "BOX",
    "DATABASE",
    "FAULTS",
    "LIMITED",
    "log_in_wrongly",
    "make_database_errors",
    "put_programs",
    "show_own_processors",
]

#: The server of scenario alerts, or of alerts13.
BOX = Box(f"{os.environ.get('MOLECULE_SCENARIO_NAME', 'alerts')}-box1")
#: The disk that can fill up.
LIMITED = "/srv/limited"

# With those that were there before: eighty-five in all, most of them in a transaction.
_CONNECT = (
    "import psycopg2, time\n"
    "held = [psycopg2.connect(dbname='koprogo_db')]\n"
    "held[0].autocommit = True\n"
    "counter = held[0].cursor()\n"
    "def count():\n"
    "    counter.execute('SELECT count(datname) FROM pg_stat_activity')\n"
    "    return counter.fetchone()[0]\n"
    "while count() < 85:\n"
    "    held.append(psycopg2.connect(dbname='koprogo_db'))\n"
    "    held[-1].cursor().execute('SELECT 1')\n"
    "time.sleep(900)\n"
)
_EXPORTER = "$(systemctl show --value --property MainPID prometheus-node-exporter)"
_API = "$(systemctl show --value --property MainPID koprogo-api)"
_DROP_IN = "/run/systemd/system/koprogo-api.service.d"
#: The unit of its one cluster, for a shell there.
DATABASE = "postgresql@$(ls /etc/postgresql)-main"
_PROGRAM = Path(__file__).with_name("astray.py")
_PROCESSORS = Path(__file__).with_name("processors.py")
# Writers wait for it, readers don't.
_RUNAWAY = "BEGIN; LOCK TABLE payments, expenses IN SHARE MODE; SELECT pg_sleep(900)"
_LOGIN = (
    "import urllib.request as u, urllib.error, json\n"
    "for _ in range(15):\n"
    "    body = json.dumps({'email': 'nobody@example.org', 'password': 'wrong'}).encode()\n"
    "    request = u.Request('http://127.0.0.1:8080/api/v1/auth/login', body,"
    " {'Content-Type': 'application/json'})\n"
    "    try:\n"
    "        u.urlopen(request, timeout=5)\n"
    "    except urllib.error.HTTPError:\n"
    "        pass\n"
)

#: By name: what starts it, and what a human does about it.
FAULTS: dict[str, tuple[str, str]] = {
    # Old logs, each a day younger than the one before, and then something new until there is no
    # room, which is what head then says.
    "disk": (
        f"mkdir {LIMITED}/log && cd {LIMITED}/log && for n in 1 2 3 4 5; do "
        'head -c 8M /dev/zero > app.log.$n && touch -d "-$((50 - n)) days" app.log.$n; done && '
        f"head -c 1G /dev/zero > {LIMITED}/full 2> /dev/null; test -s {LIMITED}/full",
        f"rm {LIMITED}/full",
    ),
    "errors": (
        "systemd-run -q --unit more-traffic koprogo-api traffic --rate 20 --duration 600; "
        "koprogo-api faults on errors rate=0.6 status=503",
        "koprogo-api faults off errors; systemctl stop more-traffic",
    ),
    "runaway query": (
        f"systemd-run -q --unit runaway --uid koprogo psql -d koprogo_db -c '{_RUNAWAY}'",
        "systemctl stop runaway",
    ),
    # The host gets little memory, and then a unit takes what is left.
    "memory": (
        "systemd-run -q --unit small-memory python3 /opt/astray.py meminfo /run/meminfo 700; "
        "while ! [ -s /run/meminfo ]; do sleep 0.1; done; "
        "mount --bind /run/meminfo /proc/meminfo; "
        f"nsenter -m -t {_EXPORTER} mount --bind /run/meminfo /proc/meminfo; "
        "touch /run/astray-hoarder; "
        "systemd-run -q --unit hoarder python3 /opt/astray.py hoard /run/astray-hoarder 650",
        "systemctl stop hoarder",
    ),
    # With the weight of any other: on a busy machine an idle one gets less than what its host's others use,
    # and none of them would be the cause.
    "processor": (
        "touch /run/astray-spinner; "
        "systemd-run -q --unit spinner python3 /opt/astray.py spin /run/astray-spinner",
        "systemctl stop spinner",
    ),
    "connections": (
        f'systemd-run -q --unit connections --uid koprogo python3 -c "{_CONNECT}"',
        "systemctl stop connections",
    ),
    "API hung": (f"kill -STOP {_API}", f"kill -CONT {_API}"),
    # systemd would start it again after two seconds.
    "API killed": (
        f"mkdir -p {_DROP_IN} && printf '[Service]\nRestart=no\n' > {_DROP_IN}/no-restart.conf && "
        "systemctl daemon-reload && systemctl kill -s KILL koprogo-api && "
        "while systemctl -q is-active koprogo-api; do sleep 0.1; done; "
        f"rm -r {_DROP_IN} && systemctl daemon-reload",
        "systemctl start koprogo-api",
    ),
    "exporter stopped": (
        "systemctl stop prometheus-postgres-exporter",
        "systemctl start prometheus-postgres-exporter",
    ),
    "PostgreSQL stopped": (
        f"systemctl stop {DATABASE}",
        f"systemctl start {DATABASE}",
    ),
}


def put_programs() -> None:
    """What some faults are made with."""
    docker("cp", str(_PROGRAM), f"{BOX.name}:/opt/astray.py")


def show_own_processors() -> None:
    """From now on the host and its node exporter see the host's own work, and not the whole machine's."""
    docker("cp", str(_PROCESSORS), f"{BOX.name}:/opt/processors.py")
    BOX.sh(
        # First of all: figures that stand still because their writer waits are wrong ones.
        "systemd-run -q --unit own-processors -p Nice=-20 python3 /opt/processors.py /run/stat; "
        "while ! [ -s /run/stat ]; do sleep 0.1; done; "
        "mount --bind /run/stat /proc/stat; "
        f"nsenter -m -t {_EXPORTER} mount --bind /run/stat /proc/stat"
    )


def log_in_wrongly() -> None:
    """Fifteen failed sign-ins of one address."""
    BOX.sh(f'python3 -c "{_LOGIN}"')


def make_database_errors() -> None:
    """Fifteen statements that fail."""
    statements = "SELECT 1/0;" * 15
    BOX.sh(f"echo '{statements}' | su postgres -c 'psql -q koprogo_db'")
