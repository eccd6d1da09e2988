# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log collector's receivers and exporters, as data.

This file is private to the collection.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    endpoint,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    CATALOGUE,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import (
    has_doors,
)

__all__ = [
    "collector_config",
    "destinations",
    "exporters",
    "file_receiver",
    "file_sources",
    "is_door",
    "journal_jobs",
    "journal_receiver",
]

Groups = Mapping[str, Iterable[str]]
Config = dict[str, Any]

_RFC3339 = "2006-01-02T15:04:05.999999999Z07:00"
# The first such key of a JSON line. Inside a text a quote is escaped, so that no text looks like a key.
_JSON_TIME = r'"(?:timestamp|@timestamp|time|ts)"\s*:\s*"(?P<time>[^"]+)"'
_POSTGRESQL = {
    "line_start": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}",
    "time_regex": r"^(?P<time>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)? \S+)",
    # The zone is a name here, and means what it means on the host.
    "time_layout": "2006-01-02 15:04:05.999999999 MST",
}
# Units that are no component of the catalogue. The API's own log is its file: what it, or systemd
# about it, says in the journal is no JSON, and would disturb the queries on that file.
_UNITS = {
    "koprogo-api.service": "koprogo-api-journal",
    "log-collector-journal.service": "log_collector",
    "fail2ban.service": "fail2ban",
    "crowdsec.service": "crowdsec",
    "crowdsec-firewall-bouncer.service": "crowdsec",
    "suricata.service": "suricata",
    "koprogo-doors.service": "firewall",
    # What a watch says is about its engine.
    "koprogo-fail2ban-watch.service": "fail2ban",
    "koprogo-crowdsec-watch.service": "crowdsec",
    "koprogo-suricata-watch.service": "suricata",
    "koprogo-doors-watch.service": "firewall",
}


def destinations(host: str, groups: Groups, hostvars: HostVars) -> list[str]:
    """URLs that a host's lines go to: its own Loki, and the door of every other monitoring host."""
    found = []
    for peer in groups.get("monitoring", []):
        variables = hostvars[peer]
        if peer == host:
            found.append(f"http://127.0.0.1:{setting(variables, 'loki', 'port')}/otlp")
        else:
            port = setting(variables, "log_collector", "door_port")
            found.append(f"https://{endpoint(address(peer, variables), port)}")
    return found


def is_door(host: str, groups: Groups) -> bool:
    """Whether other hosts deliver their logs to this one."""
    return has_doors(groups) and host in groups.get("monitoring", [])


def journal_jobs(further: Mapping[str, str]) -> dict[str, str]:
    """The job of each systemd unit that has one of its own."""
    return {**{c.unit: c.name for c in CATALOGUE}, **_UNITS, **further}


def file_sources(
    host: str,
    groups: Groups,
    *,
    api_log: str,
    postgresql_log: str,
    remediation_log: str,
    further: Sequence[Mapping[str, Any]],
) -> list[Config]:
    """The files that a host follows: what its groups imply, then the user's own."""
    sources: list[Config] = []
    if api_log and host in groups.get("api", []):
        sources.append({"job": "koprogo-api", "paths": [api_log]})
    if postgresql_log and host in groups.get("database", []):
        sources.append({"job": "postgresql", "paths": [postgresql_log], **_POSTGRESQL})
    # Whatever its groups, an alert may lead to any host.
    if remediation_log:
        sources.append({"job": "koprogo-remediation", "paths": [remediation_log]})
    return sources + [dict(source) for source in further]


def _too_old(max_age: int) -> Config:
    # An entry without a time has one that lies before 1970.
    return {
        "type": "filter",
        "id": "too_old",
        "expr": f"timestamp.Unix() > 0 and now().Unix() - timestamp.Unix() > {max_age}",
    }


def _common(labels: Mapping[str, str], *, max_line_kib: int) -> Config:
    return {
        "start_at": "beginning",
        "storage": "file_storage/positions",
        "include_file_name": False,
        "include_file_record_number": True,
        # A line is its author's: spaces at its ends too.
        "preserve_leading_whitespaces": True,
        "preserve_trailing_whitespaces": True,
        "max_log_size": f"{max_line_kib}KiB",
        "resource": dict(labels),
        # What the pipeline refuses for want of memory is offered again, for as long as it takes.
        "retry_on_failure": {"enabled": True, "max_elapsed_time": "0s"},
    }


def _literal(text: str) -> str:
    # The Collector takes ${…} for a reference, and $$ for a dollar sign.
    return text.replace("$", "$$")


def file_receiver(
    source: Mapping[str, Any], labels: Mapping[str, str], *, max_age: int, max_line_kib: int
) -> Config:
    """A file_log receiver for one source; times in seconds.

    The rotated file beside each path is followed too, so that lines that were written while the collector was
    stopped, just before a rotation, are not missed.
    """
    paths = [path for given in source["paths"] for path in (given, f"{given}.1")]
    receiver: Config = {
        "include": paths,
        **_common({**labels, "job": source["job"]}, max_line_kib=max_line_kib),
    }
    if source.get("line_start"):
        receiver["multiline"] = {"line_start_pattern": _literal(source["line_start"])}
        # Else the last entry of a file would keep its line end.
        receiver["preserve_trailing_whitespaces"] = False
    receiver["operators"] = [
        {
            "type": "regex_parser",
            "regex": _literal(source.get("time_regex") or _JSON_TIME),
            "parse_to": "attributes",
            # A line without a time is a line all the same.
            "on_error": "send_quiet",
            "timestamp": {
                "parse_from": "attributes.time",
                "layout_type": "gotime",
                "layout": source.get("time_layout") or _RFC3339,
            },
        },
        {"type": "remove", "field": "attributes.time", "if": 'attributes["time"] != nil'},
        _too_old(max_age),
    ]
    return receiver


def journal_receiver(
    path: str,
    labels: Mapping[str, str],
    *,
    jobs: Mapping[str, str],
    max_age: int,
    max_line_kib: int,
) -> Config:
    """A file_log receiver for the file that rsyslog copies the journal to."""
    units = ", ".join(f'"{unit}": "{job}"' for unit, job in sorted(jobs.items()))
    job = (
        'attributes.facility in ["auth", "authpriv"] ? "auth" : '
        'attributes.transport == "kernel" ? "kernel" : '
        f'{{{units}}}[attributes.unit ?? ""] ?? "system"'
    )
    # What varies from line to line must not stay beside the line: each combination is a series in a
    # query that counts.
    gone = ("time", "severity", "facility", "transport", "pid")
    return {
        "include": [path, f"{path}.0"],
        # The entry is wrapped in JSON, which makes it longer.
        **_common({**labels, "job": "system"}, max_line_kib=max_line_kib * 2),
        "operators": [
            {
                "type": "json_parser",
                "parse_to": "attributes",
                "on_error": "send_quiet",
                "timestamp": {
                    "parse_from": "attributes.time",
                    "layout_type": "gotime",
                    "layout": _RFC3339,
                },
                "severity": {
                    "parse_from": "attributes.severity",
                    "mapping": {
                        "fatal": ["emerg", "alert", "crit"],
                        "error": "err",
                        "warn": "warning",
                        "info2": "notice",
                    },
                },
            },
            {"type": "add", "field": "resource.job", "value": f"EXPR({job})"},
            {
                "type": "move",
                "from": "attributes.message",
                "to": "body",
                "if": "attributes.message != nil",
            },
            *(
                {
                    "type": "remove",
                    "id": f"remove_{name}",
                    "field": f"attributes.{name}",
                    "if": f"attributes.{name} != nil",
                }
                for name in gone
            ),
            _too_old(max_age),
        ],
    }


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def exporters(urls: Sequence[str], *, tls: Mapping[str, str], queue_mib: int) -> Config:
    """An exporter for each URL, with a queue on disk. Its name, and so its queue, goes by the URL.

    One consumer keeps the lines in order, which Loki wants within limits. Batches are cut after the queue, so
    that a batch is out of the queue only when the destination has it.
    """
    found: Config = {}
    for url in urls:
        found[f"otlp_http/{_name(url)}"] = {
            "endpoint": url,
            "compression": "gzip",
            "timeout": "30s",
            **({"tls": dict(tls)} if url.startswith("https:") and tls else {}),
            "retry_on_failure": {
                "enabled": True,
                "initial_interval": "1s",
                "max_interval": "15s",
                "max_elapsed_time": "0s",
            },
            "sending_queue": {
                "enabled": True,
                "storage": "file_storage/queue",
                "sizer": "bytes",
                "queue_size": queue_mib << 20,
                "block_on_overflow": True,
                "num_consumers": 1,
                "batch": {"flush_timeout": "500ms", "min_size": 256 << 10, "max_size": 1 << 20},
            },
        }
    return found


# Loki keeps lines of one stream by time, and takes two equal lines of one time for one line sent
# twice. Most logs have milliseconds, so the line's number in its file becomes the digits below: equal
# lines stay two, lines of one millisecond stay in order, and a line that is read or sent again still
# has the same time.
_NUMBER = 'attributes["log.file.record_number"]'
_ORDER = [
    "set(time_unix_nano, observed_time_unix_nano) where time_unix_nano == 0",
    f"set(time_unix_nano, time_unix_nano + ({_NUMBER} - ({_NUMBER} / 1000000) * 1000000)) "
    f"where {_NUMBER} != nil and time_unix_nano - (time_unix_nano / 1000000) * 1000000 == 0",
    f"set(time_unix_nano, time_unix_nano + ({_NUMBER} - ({_NUMBER} / 1000) * 1000)) "
    f"where {_NUMBER} != nil and time_unix_nano - (time_unix_nano / 1000) * 1000 == 0",
    # Loki would keep both beside every line.
    f'delete_key(attributes, "log.file.record_number") where {_NUMBER} != nil',
    "set(observed_time_unix_nano, 0)",
]


def _door(settings: Mapping[str, Any]) -> Config:
    tls = settings["tls"]
    return {
        "protocols": {
            "http": {
                "endpoint": settings["door"],
                "tls": {
                    "cert_file": tls["cert_file"],
                    "key_file": tls["key_file"],
                    # Setting this demands a certificate of every client.
                    "client_ca_file": tls["ca_file"],
                    "client_ca_file_reload": True,
                    "reload_interval": "1m",
                    "min_version": "1.3",
                },
            }
        }
    }


def _pipelines(followed: Mapping[str, Sequence[str]], *, door: bool, local: str) -> Config:
    """followed: exporter to the receivers whose lines it sends."""
    pipelines: Config = {}
    for outlet, receivers in followed.items():
        end = f"_to_{_bare(outlet)}" if len(followed) > 1 else ""
        pipelines[f"logs/host{end}"] = {
            "receivers": list(receivers),
            "processors": ["memory_limiter", "transform/order"],
            "exporters": [outlet],
        }
    if door:
        pipelines["logs/door"] = {
            "receivers": ["otlp/door"],
            "processors": ["memory_limiter"],
            "exporters": [local],
        }
    return pipelines


def _receivers(settings: Mapping[str, Any], host: str, groups: Groups) -> Config:
    common = {"max_age": settings["max_age"], "max_line_kib": settings["max_line_kib"]}
    labels = settings["labels"]
    sources = file_sources(
        host,
        groups,
        api_log=settings["api_log"],
        postgresql_log=settings["postgresql_log"],
        remediation_log=settings["remediation_log"],
        further=settings["files"],
    )
    # A receiver's name, and so its place in the files, goes by job and first path.
    found = {
        f"file_log/{_name(source['job'])}_{_name(source['paths'][0])}": file_receiver(
            source, labels, **common
        )
        for source in sources
    }
    if settings["journal"]:
        jobs = journal_jobs(settings["journal_jobs"])
        found["file_log/journal"] = journal_receiver(
            settings["journal"], labels, jobs=jobs, **common
        )
    return found


def _bare(component: str) -> str:
    """The name in a component's identifier, which is C(type/name)."""
    return component.partition("/")[2]


def _for_each(outlets: Iterable[str], receivers: Config) -> dict[str, Config]:
    """The receivers of each exporter. Several exporters read the files on their own, each at its own place.

    The first one's keep the names that they have alone: with a twin more or less it goes on at its place.

    Readers wait while a queue is full. If two destinations shared a reader, the one that is down for longer
    than its queue lasts would keep the lines from the other.
    """
    first, *others = outlets
    return {first: receivers} | {
        outlet: {
            f"{name}_to_{_bare(outlet)}": copy.deepcopy(receiver)
            for name, receiver in receivers.items()
        }
        for outlet in others
    }


def _storage(directory: str, *, safe: bool) -> Config:
    return {
        "directory": directory,
        "create_directory": True,
        "directory_permissions": "0750",
        # A power cut may cost the places in the files: they are read again then, and Loki knows the lines. It
        # must not cost lines of the queue.
        "fsync": safe,
        # A damaged file is put aside, so that the collector starts.
        "recreate": True,
        "compaction": {"directory": directory, "on_start": True, "cleanup_on_start": True},
    }


def collector_config(settings: Mapping[str, Any], *, host: str, groups: Groups) -> Config:
    """The Collector's whole configuration.

    settings: C(labels), C(door) (address and port to listen on), C(tls), C(destinations), C(local)
    (URL of the own Loki), C(api_log), C(postgresql_log), C(remediation_log), C(files), C(journal)
    (path, empty for none), C(journal_jobs), C(max_age) in seconds, C(max_line_kib), C(queue_mib),
    C(memory_mib), C(port), and C(data) (directory).
    """
    door = is_door(host, groups)
    urls = list(settings["destinations"])
    common = {
        "tls": {**settings["tls"], "reload_interval": "1m"},
        "queue_mib": settings["queue_mib"],
    }
    outlets = exporters(urls, **common)
    followed = _for_each(outlets, _receivers(settings, host, groups))
    # Others' lines go to the own Loki only: every collector delivers to each monitoring host itself.
    local = exporters([settings["local"]], **common) if door else {}
    extensions = {
        "file_storage/positions": _storage(f"{settings['data']}/positions", safe=False),
        "file_storage/queue": _storage(f"{settings['data']}/queue", safe=True),
    }
    return {
        "extensions": extensions,
        "receivers": {
            **{name: one for receivers in followed.values() for name, one in receivers.items()},
            **({"otlp/door": _door(settings)} if door else {}),
        },
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_mib": settings["memory_mib"] * 8 // 10,
                "spike_limit_mib": settings["memory_mib"] * 2 // 10,
            },
            "transform/order": {
                "error_mode": "ignore",
                "log_statements": [{"context": "log", "statements": _ORDER}],
            },
        },
        "exporters": {**outlets, **local},
        "service": {
            "extensions": list(extensions),
            "pipelines": _pipelines(
                {outlet: list(receivers) for outlet, receivers in followed.items()},
                door=door,
                local=next(iter(local), ""),
            ),
            "telemetry": {
                "logs": {"level": "warn"},
                "metrics": {
                    "level": "normal",
                    "readers": [
                        {
                            "pull": {
                                "exporter": {
                                    "prometheus": {"host": "127.0.0.1", "port": settings["port"]}
                                }
                            }
                        }
                    ],
                },
            },
        },
    }
