# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of the inventory that belong to no single role, C(koprogo_*), as an argument specification.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    API_PORT,
    DEPLOYMENT,
)

__all__ = ["FOREIGN_PREFIX", "PREFIX", "VARIABLES"]

#: Names that begin so are the collection's, but for those of the sample product in C(lab/).
PREFIX = "koprogo_"
FOREIGN_PREFIX = "koprogo_sample_"

VARIABLES: Mapping[str, Mapping[str, Any]] = {
    "koprogo_deployment": {
        "type": "str",
        "default": DEPLOYMENT,
        "description": "Name of the deployment, a label of every target, log line and alert.",
    },
    "koprogo_address": {
        "type": "str",
        "description": (
            "Address or name that the other hosts reach the host by. C(ansible_host) unless set, and "
            "without one the host's name in the inventory."
        ),
    },
    "koprogo_api_port": {
        "type": "int",
        "default": API_PORT,
        "description": "TCP port of the KoproGo API on its own host's loopback.",
    },
    "koprogo_omit": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": "Components that the host is to be without.",
    },
    "koprogo_alerts": {
        "type": "dict",
        "default": {},
        "description": "Settings of alerts for the host, as O(prometheus_alerts) for the deployment.",
    },
    "koprogo_protect": {
        "type": "bool",
        "default": False,
        "description": (
            "Whether attacks are detected and who attacks is banned: by fail2ban, CrowdSec and, in group "
            "C(sensors), Suricata."
        ),
    },
    "koprogo_allowlist": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": "Addresses and networks that are never banned.",
    },
    "koprogo_control_addresses": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": (
            "Addresses or networks that the host sees the control node under, beside that of the "
            "connection."
        ),
    },
    "koprogo_remediation_max_hosts": {
        "type": "int",
        "default": 1,
        "description": "How many hosts one run of a remediation may touch.",
    },
}
