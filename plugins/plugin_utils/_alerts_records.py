# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus records: what several alerts and panels need, and the targets that must exist.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_slo import LONG_WINDOWS
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import scrape_jobs

__all__ = ["Rule", "le_matcher", "number", "records"]

Groups = Mapping[str, Iterable[str]]
Rule = dict[str, Any]

_BY_HOST = "deployment, host, instance"
_WATCHED = "/health|/metrics"
_API = f'job="koprogo-api",path!~"{_WATCHED}"'
_BUCKETS = "instance_le:http_request_duration_seconds_bucket:rate5m"
_KINDS = ("errors", "slow")

# Whatever has no space of its own to run out of, or whose space is another machine's. Alternatives are
# anchored, so a family needs its wildcard: `nfs` alone would let nfs4 through.
_NO_DISKS = (
    "tmpfs|devtmpfs|ramfs|rootfs|overlay|aufs|squashfs|erofs|iso9660|udf|vfat|msdos|exfat|efivarfs|autofs|nsfs|"
    "nfs.*|cifs|smb.*|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|fuse[.].*"
)
# Single files that a container runtime mounts, and the layers of its containers.
_NO_MOUNTS = (
    "/etc/(hosts|hostname|resolv[.]conf)|/var/lib/(docker|containers|containerd|kubelet)/.+"
)
_DISK = f'job="node",fstype!~"{_NO_DISKS}",mountpoint!~"{_NO_MOUNTS}"'


def number(value: float) -> str:
    """A number as PromQL takes it: never with an exponent that loses digits."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def le_matcher(value: float) -> str:
    """The matcher of the bucket that ends at a number: clients write 1 or 1.0, Prometheus 3 the latter."""
    text = number(value)
    pattern = text.replace(".", "[.]") + ("0*" if "." in text else "([.]0+)?")
    return f'le=~"{pattern}"'


def _record(name: str, expr: str, labels: Mapping[str, str] | None = None) -> Rule:
    return {"record": name, "expr": expr, **({"labels": dict(labels)} if labels else {})}


def _errors(by: str) -> str:
    """Answers with 5xx a second, by labels. The counter of errors has no path, so those that only a monitor
    asked for are taken away again: the share would count what its whole leaves out."""
    errors = f'sum by ({by}) (rate(http_requests_errors_total{{job="koprogo-api"}}[5m]))'
    watched = f'job="koprogo-api",path=~"{_WATCHED}",status=~"5.."'
    asked = f"sum by ({by}) (rate(http_requests_total{{{watched}}}[5m]))"
    return f"clamp_min({errors} - ({asked} or 0 * {errors}), 0)"


def _api_records() -> list[Rule]:
    return [
        _record("instance:http_requests_errors:rate5m", _errors(_BY_HOST)),
        _record(
            "instance:http_requests:rate5m",
            f"sum by ({_BY_HOST}) (rate(http_requests_total{{{_API}}}[5m]))",
        ),
        _record(
            _BUCKETS,
            f"sum by ({_BY_HOST}, le) (rate(http_request_duration_seconds_bucket{{{_API}}}[5m]))",
        ),
    ]


def _slo_records(seconds: float) -> list[Rule]:
    """Long windows are means of the five minutes' rates: one series each, where the counters have hundreds.

    seconds: what counts as fast.
    """
    bucket = "http_request_duration_seconds_bucket"
    fast = f"sum by (deployment) (rate({bucket}{{{_API},{le_matcher(seconds)}}}[5m]))"
    all_of_it = f'sum by (deployment) (rate({bucket}{{{_API},le="+Inf"}}[5m]))'
    records = [
        _record(
            "deployment:http_requests:rate5m",
            f"sum by (deployment) (rate(http_requests_total{{{_API}}}[5m]))",
        ),
        _record("deployment:http_requests_errors:rate5m", _errors("deployment")),
        _record("deployment:http_requests_slow:rate5m", f"{all_of_it} - {fast}"),
    ]
    for kind in _KINDS:
        rate = f"deployment:http_requests_{kind}:rate5m"
        ratio = f"deployment:http_requests_{kind}:ratio_rate"
        records.append(_record(f"{ratio}5m", f"{rate} / deployment:http_requests:rate5m"))
        records += [
            _record(
                f"{ratio}{window}",
                f"avg_over_time({rate}[{window}]) / "
                f"avg_over_time(deployment:http_requests:rate5m[{window}])",
            )
            for window in LONG_WINDOWS
        ]
    return records


def _target_records(host: str, groups: Groups, hostvars: HostVars) -> list[Rule]:
    """One constant for each target that the inventory implies: what is missing can be named then."""
    names = ("job", "instance", "host", "deployment")
    targets = {
        (job["job_name"], *(config["labels"][name] for name in names[1:]))
        for job in scrape_jobs(host, groups, hostvars)
        for config in job["static_configs"]
    }
    return [
        _record("koprogo:target_expected", "vector(1)", dict(zip(names, target, strict=True)))
        for target in sorted(targets)
    ]


def _system_records() -> list[Rule]:
    avail, size = "node_filesystem_avail_bytes", "node_filesystem_size_bytes"
    free, files = "node_filesystem_files_free", "node_filesystem_files"
    return [
        _record(
            "instance_mountpoint:node_filesystem_avail:ratio",
            f"{avail}{{{_DISK}}} / {size}{{{_DISK}}}",
        ),
        # File systems that make inodes as they need them say 0.
        _record(
            "instance_mountpoint:node_filesystem_files_free:ratio",
            f"{free}{{{_DISK}}} / ({files}{{{_DISK}}} > 0)",
        ),
    ]


def _database_records() -> list[Rule]:
    # One NaN, which the exporter of Debian 12 has for the background processes, would make the whole sum NaN.
    counted = 'pg_stat_activity_count{job="postgresql"} >= 0'
    return [_record("instance:pg_stat_activity_count:sum", f"sum by ({_BY_HOST}) ({counted})")]


def records(host: str, groups: Groups, hostvars: HostVars, *, fast: float) -> dict[str, list[Rule]]:
    """The recording rules by group.

    host: where Prometheus runs. fast: seconds that a fast request takes at most.
    """
    return {
        "koprogo-targets": _target_records(host, groups, hostvars),
        "koprogo-system": _system_records(),
        "koprogo-api": _api_records(),
        "koprogo-slo": _slo_records(fast),
        "koprogo-database": _database_records(),
    }
