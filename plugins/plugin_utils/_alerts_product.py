# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts about the product: its API, its database, and the hosts under them.

This file is private to the collection.
"""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    Alert,
    Duration,
    Number,
    Tier,
)

__all__ = ["PRODUCT_ALERTS"]

_BY_HOST = "deployment, host, instance"

_API_DOWN = f"""\
max by ({_BY_HOST}) (
  (koprogo:target_expected{{job="koprogo-api"$hosts}} or up{{job="koprogo-api"$hosts}})
  unless on (deployment, instance) (
    up{{job="koprogo-api"}} == 1
    unless on (deployment, instance) probe_success{{job="koprogo-api-health"}} == 0
  )
)"""
# The exporter's `up` outlives the database, and its `pg_up` does not outlive the exporter: what is expected
# and has no pg_up of 1 is down. Only a pg_up of 0 says for sure that it is the database, and may hide others.
_NO_DATABASE = f"""\
max by ({_BY_HOST}) (
  (koprogo:target_expected{{job="postgresql"$hosts}} or up{{job="postgresql"$hosts}})
  unless on (deployment, instance) pg_up{{job="postgresql"}} == 1
)"""
_REFUSED = 'on (deployment, instance) pg_up{job="postgresql"} == 0'
_DATABASE_DOWN = f"""\
label_replace({_NO_DATABASE} and {_REFUSED}, "reason", "refused", "", "")
or label_replace({_NO_DATABASE} unless {_REFUSED}, "reason", "unmeasured", "", "")"""
_WRITABLE = (
    'unless on (deployment, instance, device, mountpoint) node_filesystem_readonly{job="node"} == 1'
)
_DISK_FULL = f"""\
min by ({_BY_HOST}, device, mountpoint, resource) (
  label_replace(
    instance_mountpoint:node_filesystem_avail:ratio{{host!=""$hosts}} < $threshold,
    "resource", "space", "", ""
  )
  or
  label_replace(
    instance_mountpoint:node_filesystem_files_free:ratio{{host!=""$hosts}} < $inodes,
    "resource", "inodes", "", ""
  )
)
{_WRITABLE}"""
_DISK_FULL_PREDICTED = f"""\
min by ({_BY_HOST}, device, mountpoint) (
  instance_mountpoint:node_filesystem_avail:ratio{{host!=""$hosts}} < $threshold
  and on (deployment, instance, device, mountpoint)
  predict_linear(node_filesystem_avail_bytes{{job="node"}}[6h], $horizon) < 0
)
{_WRITABLE}"""
_HIGH_ERROR_RATE = """\
instance:http_requests_errors:rate5m{host!=""$hosts} > $threshold
or (
  instance:http_requests_errors:rate5m{host!=""$hosts} > $minimum
  and instance:http_requests_errors:rate5m / instance:http_requests:rate5m > $ratio
)"""
# Always the available memory, whichever of the four signs led to it: labels that changed with the sign would
# start the alert anew.
_MEMORY_EXHAUSTION = f"""\
max by ({_BY_HOST}) (
  node_memory_MemAvailable_bytes{{job="node"$hosts}}
  and on (deployment, instance) (
    node_memory_MemAvailable_bytes{{job="node"}} < $threshold
    or node_memory_MemAvailable_bytes{{job="node"}} / node_memory_MemTotal_bytes{{job="node"}} < $ratio
    or rate(node_pressure_memory_stalled_seconds_total{{job="node"}}[5m]) > $stalled
    or increase(node_vmstat_oom_kill{{job="node"}}[5m]) > 0
  )
)"""
_BUCKETS = "instance_le:http_request_duration_seconds_bucket:rate5m"
# The share of requests above the limit is exact where a bucket ends there. A quantile never exceeds the
# highest finite bucket, so alone it would be blind where that is the limit.
_SLOW_API = f"""\
histogram_quantile($quantile, {_BUCKETS}{{host!=""$hosts}})
and (
  1 - sum by ({_BY_HOST}) ({_BUCKETS}{{$le}}) / sum by ({_BY_HOST}) ({_BUCKETS}{{le="+Inf"}}) > 1 - $quantile
  or histogram_quantile($quantile, {_BUCKETS}) > $threshold
)"""
_HIGH_CPU = f"""\
avg by ({_BY_HOST}) (rate(node_cpu_seconds_total{{job="node",mode="idle"$hosts}}[$range])) < $threshold"""
_CONNECTIONS_HIGH = f"""\
instance:pg_stat_activity_count:sum{{host!=""$hosts}} > $threshold
or instance:pg_stat_activity_count:sum{{host!=""$hosts}} and instance:pg_stat_activity_count:sum / (
  max by ({_BY_HOST}) (pg_settings_max_connections{{job="postgresql"}})
  - max by ({_BY_HOST}) (pg_settings_superuser_reserved_connections{{job="postgresql"}})
  - (
    max by ({_BY_HOST}) (pg_settings_reserved_connections{{job="postgresql"}})
    or 0 * max by ({_BY_HOST}) (pg_settings_max_connections{{job="postgresql"}})
  )
) > $ratio"""

PRODUCT_ALERTS: tuple[Alert, ...] = (
    Alert(
        name="ApiDown",
        group="koprogo-api",
        component="api",
        severity="critical",
        hold="1m",
        tiers=(Tier(expr=_API_DOWN),),
        summary="The API on {{ $labels.host }} is down",
        value="no answer",
        description=(
            "The API on {{ $labels.host }} gives no answer to /metrics, or its /health does not say that "
            "it is well, or nobody asks it any more."
        ),
        logs='{job=~"koprogo-api|koprogo-api-journal"$hosts}',
        playbook=True,
    ),
    Alert(
        name="DatabaseDown",
        group="koprogo-database",
        component="database",
        severity="critical",
        hold="30s",
        tiers=(Tier(expr=_DATABASE_DOWN),),
        labels=("deployment", "host", "instance", "reason"),
        summary=(
            'PostgreSQL on {{ $labels.host }} is {{ if eq $labels.reason "refused" }}down{{ else }}down, '
            "or its exporter is{{ end }}"
        ),
        value="no answer",
        description=(
            'PostgreSQL on {{ $labels.host }} {{ if eq $labels.reason "refused" }}refuses its exporter.'
            "{{ else }}is no longer measured: its exporter gives no answer, so nobody knows.{{ end }}"
        ),
        logs='{job="postgresql"$hosts}',
        playbook=True,
    ),
    Alert(
        name="DiskFull",
        group="koprogo-system",
        component="system",
        severity="critical",
        hold="1m",
        threshold=Number(default=0.1, high=1, what="share of the space, root's reserve left out"),
        further={"inodes": Number(default=0.1, high=1, what="share of the inodes")},
        tiers=(Tier(expr=_DISK_FULL),),
        labels=("deployment", "host", "instance", "device", "mountpoint", "resource"),
        summary="{{ $labels.mountpoint }} on {{ $labels.host }} is almost full",
        value="{{ $value | humanizePercentage }} {{ $labels.resource }} left",
        description=(
            "{{ $labels.mountpoint }} ({{ $labels.device }}) on {{ $labels.host }} has {{ $value | "
            "humanizePercentage }} of its {{ $labels.resource }} left."
        ),
        logs='{job=~".+"$hosts} |~ "(?i)no space left|disk full"',
        playbook=True,
    ),
    Alert(
        name="DiskFullPredicted",
        group="koprogo-system",
        component="system",
        hold="1h",
        threshold=Number(
            default=0.25, high=1, what="share of the space above which nothing is predicted"
        ),
        further={"horizon": Duration(default="24h", what="how far is looked ahead")},
        tiers=(Tier(expr=_DISK_FULL_PREDICTED),),
        labels=("deployment", "host", "instance", "device", "mountpoint"),
        summary="{{ $labels.mountpoint }} on {{ $labels.host }} will be full soon",
        value="{{ $value | humanizePercentage }} space left",
        description=(
            "{{ $labels.mountpoint }} ({{ $labels.device }}) on {{ $labels.host }} has {{ $value | "
            "humanizePercentage }} of its space left, and none in {horizon} if it fills as it did in the "
            "last six hours."
        ),
        logs='{job=~"system|kernel"$hosts}',
    ),
    Alert(
        name="HighErrorRate",
        group="koprogo-api",
        component="api",
        severity="critical",
        hold="1m",
        threshold=Number(default=10, what="errors a second, over five minutes"),
        further={
            "ratio": Number(default=0.05, high=1, what="share of the requests that fail"),
            "minimum": Number(
                default=0.03, what="errors a second that the share needs, so that one is no alarm"
            ),
        },
        tiers=(Tier(expr=_HIGH_ERROR_RATE),),
        summary="The API on {{ $labels.host }} answers with errors",
        value="{{ $value | humanize }} errors/s",
        description=(
            "The API on {{ $labels.host }} answers {{ $value | humanize }} requests a second with a 5xx."
        ),
        logs='{job="koprogo-api"$hosts} |= "ERROR" | json',
        playbook=True,
    ),
    Alert(
        name="MemoryExhaustion",
        group="koprogo-system",
        component="system",
        severity="critical",
        hold="1m",
        threshold=Number(default=104_857_600, what="bytes that are available"),
        further={
            "ratio": Number(
                default=0.02, high=1, what="available share of the memory, for large hosts"
            ),
            "stalled": Number(
                default=0.1, high=1, what="share of the time in which nothing runs for want of it"
            ),
        },
        tiers=(Tier(expr=_MEMORY_EXHAUSTION),),
        summary="{{ $labels.host }} runs out of memory",
        value="{{ $value | humanize1024 }}B available",
        description=(
            "{{ $labels.host }} has {{ $value | humanize1024 }}B of memory available, or its processes "
            "wait for memory, or the kernel killed one for want of it."
        ),
        logs='{job=~".+"$hosts} |~ "(?i)out of memory|oom[-_ ]kill"',
        playbook=True,
    ),
    Alert(
        name="SlowApi",
        group="koprogo-api",
        component="api",
        hold="5m",
        threshold=Number(default=1, what="seconds"),
        further={
            "quantile": Number(
                default=0.99, high=1, what="share of the requests that has to be faster"
            )
        },
        tiers=(Tier(expr=_SLOW_API),),
        summary="The API on {{ $labels.host }} is slow",
        value="{{ $value | humanizeDuration }}",
        description=(
            "Requests to the API on {{ $labels.host }} took {{ $value | humanizeDuration }} at the "
            "quantile {quantile} of the last five minutes."
        ),
        logs='{job="koprogo-api"$hosts} | json | duration_ms > 1000',
        playbook=True,
    ),
    Alert(
        name="HighCpu",
        group="koprogo-system",
        component="system",
        hold="5m",
        threshold=Number(default=0.2, high=1, what="share of the time that all cores are idle"),
        # A rate needs two samples in its window.
        further={"window": Duration(default="5m", low="30s", what="the time that is looked at")},
        tiers=(Tier(expr=_HIGH_CPU),),
        summary="The processors of {{ $labels.host }} are busy",
        value="{{ $value | humanizePercentage }} idle",
        description=(
            "The processors of {{ $labels.host }} were idle for {{ $value | humanizePercentage }} of the "
            "last {window}, all cores taken together."
        ),
        logs='{job=~"system|kernel"$hosts}',
        playbook=True,
    ),
    Alert(
        name="DatabaseConnectionsHigh",
        group="koprogo-database",
        component="database",
        hold="2m",
        threshold=Number(default=80, what="connections, in all states and of all databases"),
        further={
            "ratio": Number(
                default=0.9, high=1, what="share of the connections that are not reserved"
            )
        },
        tiers=(Tier(expr=_CONNECTIONS_HIGH),),
        summary="PostgreSQL on {{ $labels.host }} has few connections left",
        value="{{ $value | humanize }} connections",
        description="PostgreSQL on {{ $labels.host }} serves {{ $value | humanize }} connections.",
        logs='{job="postgresql"$hosts} |~ "too many|remaining connection slots"',
        playbook=True,
    ),
)
