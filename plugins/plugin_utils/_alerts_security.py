# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts about attacks, and about what should see and stop them.

This file is private to the collection.
"""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    Alert,
    Number,
    Tier,
)

__all__ = ["SECURITY_ALERTS"]

_BY_HOST = "deployment, host, instance"


def _about(engine: str, reason: str, expr: str) -> str:
    named = f'label_replace({expr}, "engine", "{engine}", "", "")'
    return f'label_replace({named}, "reason", "{reason}", "", "")'


def _own(engine: str, what: str) -> str:
    """A figure that the engine's watch leaves for the node exporter."""
    return f'koprogo_{engine}_{what}{{job="node"$hosts}}'


# The firewall guards the doors; the others detect and ban.
_ENGINES = ("suricata", "fail2ban", "crowdsec", "firewall")
_UNARMED = [
    _about(engine, "not armed", f"max by ({_BY_HOST}) ({_own(engine, 'armed')}) == 0")
    for engine in _ENGINES
]
# The node exporter serves the file of a watch that died for ever.
_UNWATCHED = [
    _about(
        engine,
        "not watched",
        f"max by ({_BY_HOST}) (time() - {_own(engine, 'checked_timestamp_seconds')}) > $threshold",
    )
    for engine in _ENGINES
]
# The kernel counts a lost packet among those seen too.
_LOST = f"rate({_own('suricata', 'dropped_packets')}[5m])"
_SEEN = f"rate({_own('suricata', 'packets')}[5m])"
_SENSOR = [
    _about("suricata", "sees no packets", f"max by ({_BY_HOST}) ({_SEEN}) == 0"),
    _about("suricata", "loses packets", f"max by ({_BY_HOST}) ({_LOST} / {_SEEN}) > $share"),
]
_DEAF = _about(
    "crowdsec",
    "reads nothing of the API's log",
    f"""\
sum by ({_BY_HOST}) (rate(http_requests_total{{job="koprogo-api"$hosts}}[5m])) > $requests
  unless on (deployment, instance) sum by (deployment, instance) (
    rate(cs_node_hits_total{{job="crowdsec",name="koprogo/api-logs"}}[5m])
  ) > 0
  and on (deployment, instance) up{{job="crowdsec"}} == 1""",
)
_PROTECTION = "\nor ".join([*_UNARMED, *_UNWATCHED, *_SENSOR, _DEAF])

# The collection's own rules name the kind of attack before a comma, others have a category.
_KIND = (
    '{{ if hasPrefix "KOPROGO " .signature }}{{ regexReplaceAll "^KOPROGO |,.*" .signature "" }}'
    "{{ else }}{{ .category }}{{ end }}"
)
_INTRUSIONS = (
    '{job="suricata"$hosts} |= `"event_type":"alert"` | json signature="alert.signature", '
    f'category="alert.category" | __error__="" | label_format attack=`{_KIND}`'
)
_BANS = '{job="fail2ban"$hosts} |= "] Ban " | regexp `\\[(?P<attack>[A-Za-z0-9_-]+)\\] Ban ` | attack!=""'
_ATTACK = f"""\
sum by (deployment, host, attack) (count_over_time({_INTRUSIONS} [5m])) > $threshold
or sum by (deployment, host, attack) (count_over_time({_BANS} [5m])) > $bans"""

SECURITY_ALERTS: tuple[Alert, ...] = (
    Alert(
        name="AttackDetected",
        group="koprogo-logs",
        component="security",
        source="loki",
        threshold=Number(default=10, what="alerts of one kind in five minutes, of Suricata"),
        further={"bans": Number(default=3, what="bans of one jail in five minutes, of fail2ban")},
        tiers=(Tier(expr=_ATTACK),),
        labels=("deployment", "host", "attack"),
        summary="{{ $labels.host }} is attacked: {{ $labels.attack }}",
        value="{{ $value }} in five minutes",
        description=(
            "{{ $labels.host }} sees an attack, {{ $labels.attack }}: {{ $value }} alerts or bans in five "
            "minutes. Who attacks is in the lines and in the list of bans."
        ),
        logs='{job=~"suricata|fail2ban"$hosts} |~ `"event_type":"alert"|] Ban `',
    ),
    Alert(
        name="ProtectionUnarmed",
        group="koprogo-security",
        component="security",
        hold="5m",
        threshold=Number(default=180, what="seconds without a look of the watch"),
        further={
            "share": Number(
                default=0.05, high=1, what="share of the packets that the sensor loses"
            ),
            "requests": Number(default=0.01, what="requests a second that CrowdSec has to notice"),
        },
        tiers=(Tier(expr=_PROTECTION),),
        labels=("deployment", "host", "instance", "engine", "reason"),
        summary="{{ $labels.engine }} on {{ $labels.host }} does not protect: {{ $labels.reason }}",
        value="{{ $labels.engine }} {{ $labels.reason }}",
        description=(
            "{{ $labels.engine }} on {{ $labels.host }} may run, and cannot do its work: {{ "
            "$labels.reason }}."
        ),
        logs='{job=~"suricata|fail2ban|crowdsec|firewall"$hosts}',
    ),
)
