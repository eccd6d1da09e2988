"""Real faults: how each is made, and how it ends."""

from __future__ import annotations

from pathlib import Path

from tests.integration.boxes import Box, docker

__all__ = ["BOX", "FAULTS", "log_in_wrongly", "make_database_errors", "show_own_processors"]

BOX = Box("alerts-box1")

_CONNECT = (
    "import psycopg2, time; "
    "held = [psycopg2.connect(dbname='koprogo_db') for _ in range(80)]; time.sleep(600)"
)
_EXPORTER = "$(systemctl show --value --property MainPID prometheus-node-exporter)"
_API = "$(systemctl show --value --property MainPID koprogo-api)"
_PROCESSORS = Path(__file__).with_name("processors.py")
# Niced: the machine's other work goes on, and the time counts as busy all the same.
_BURN = (
    "for n in $(seq $(nproc)); do "
    "systemd-run -q --unit burn$n nice -n 19 sh -c 'while :; do :; done'; done"
)
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

#: By name: what starts it, what ends it.
FAULTS: dict[str, tuple[str, str]] = {
    # Until there is no room, which is what head then says.
    "disk": (
        "head -c 1G /dev/zero > /srv/limited/full 2> /dev/null; test -s /srv/limited/full",
        "rm /srv/limited/full",
    ),
    "errors": (
        "systemd-run -q --unit more-traffic koprogo-api traffic --rate 30 --duration 300; "
        "koprogo-api faults on errors rate=0.8 status=503",
        "koprogo-api faults off errors; systemctl stop more-traffic",
    ),
    "latency": (
        "koprogo-api faults on latency seconds=1.6 rate=0.3",
        "koprogo-api faults off latency",
    ),
    "memory": (
        "sed 's/^MemAvailable:.*/MemAvailable: 51200 kB/' /proc/meminfo > /run/meminfo; "
        f"nsenter -m -t {_EXPORTER} mount --bind /run/meminfo /proc/meminfo",
        f"nsenter -m -t {_EXPORTER} umount /proc/meminfo",
    ),
    "processor": (_BURN, "for n in $(seq $(nproc)); do systemctl stop burn$n; done"),
    "connections": (
        f'systemd-run -q --unit connections --uid postgres python3 -c "{_CONNECT}"',
        "systemctl stop connections",
    ),
    "API hung": (f"kill -STOP {_API}", f"kill -CONT {_API}"),
    "API stopped": ("systemctl stop koprogo-api", "systemctl start koprogo-api"),
    "exporter stopped": (
        "systemctl stop prometheus-postgres-exporter",
        "systemctl start prometheus-postgres-exporter",
    ),
    "PostgreSQL stopped": (
        "systemctl stop postgresql@15-main",
        "systemctl start postgresql@15-main",
    ),
}


def show_own_processors() -> None:
    """From now on the node exporter sees the host's own work, and not the whole machine's."""
    docker("cp", str(_PROCESSORS), f"{BOX.name}:/opt/processors.py")
    BOX.sh(
        "systemd-run -q --unit own-processors python3 /opt/processors.py /run/stat; "
        "while ! [ -s /run/stat ]; do sleep 0.1; done; "
        f"nsenter -m -t {_EXPORTER} mount --bind /run/stat /proc/stat"
    )


def log_in_wrongly() -> None:
    """Fifteen failed sign-ins of one address."""
    BOX.sh(f'python3 -c "{_LOGIN}"')


def make_database_errors() -> None:
    """Fifteen statements that fail."""
    statements = "SELECT 1/0;" * 15
    BOX.sh(f"echo '{statements}' | su postgres -c 'psql -q koprogo_db'")
