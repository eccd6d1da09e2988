#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judge inventory, options and host before anything is changed
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Checks the inventory's groups, every option of every role that is to run on the host, the
    distribution, the ports that the components need and the presence of PostgreSQL on database
    hosts. All findings are reported together, one sentence each.
  - What the run would fetch and the host lacks is asked for with a short patience; mirrors, vendors'
    repositories and files that aren't needed are not.
  - Options named like a role but unknown to it are errors, with the nearest known name.
options:
  ports:
    description:
      - TCP ports that systemd units are to listen on. One that a process outside its unit listens on
        is an error.
      - Set by the action plugin from the inventory when absent.
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: Unit of systemd.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
      address:
        description: IP address. V(*) is every address.
        type: str
        default: 127.0.0.1
  postgresql:
    description:
      - Whether PostgreSQL's server must be installed.
      - Set by the action plugin from the inventory when absent.
    type: bool
    default: false
  interfaces:
    description: Network interfaces that must exist. Set by the action plugin.
    type: list
    elements: str
    default: []
  files:
    description: Files that must exist. Set by the action plugin.
    type: list
    elements: dict
    default: []
    suboptions:
      option:
        description: The option that asks for the file.
        type: str
        required: true
      path:
        description: Path of the file.
        type: path
        required: true
      expected:
        description: What the file is.
        type: str
        required: true
  authorities:
    description: >-
      File of the authorities that this host trusts, whose contents are returned. Empty asks for none.
      Set by the action plugin.
    type: str
    default: ""
  control_node:
    description:
      - Whether the address of the control node must be known from the connection.
      - Set by the action plugin.
    type: bool
    default: false
  packages:
    description:
      - Packages of the distribution that the run installs. Where one is missing, the mirrors are asked.
      - This and all that would be downloaded is asked for last, and only where nothing else is wrong. Set by
        the action plugin.
    type: list
    elements: str
    default: []
  downloads:
    description: Files that components are installed from, asked for where they aren't installed yet.
    type: list
    elements: dict
    default: []
    suboptions:
      component:
        description: Name of the component.
        type: str
        required: true
      option:
        description: The option that names the file.
        type: str
        required: true
      url:
        description: Where the host fetches it.
        type: str
        required: true
      sha256:
        description: Its checksum, by which it is known once it is installed.
        type: str
        required: true
      judged:
        description:
          - Whether what comes from there is compared with the checksum now, which costs a download. One
            host of a run does it for all that lack the same file; the others ask for the first byte.
          - Without it nothing is asked, and RV(missing) says whether it is yet to be installed.
        type: bool
  vendors:
    description: >-
      Repositories beside the distribution's release, asked for where their packages aren't installed yet.
    type: list
    elements: dict
    default: []
    suboptions:
      option:
        description: The option that names the repository.
        type: str
        required: true
      name:
        description: Name of the repository's file.
        type: str
        default: ""
      uri:
        description: Address of the repository. Empty is the distribution's own mirror.
        type: str
        default: ""
      suites:
        description: Its suite.
        type: str
        required: true
      key:
        description: Its key, or the key's URL.
        type: str
        default: ""
      packages:
        description: Packages that come from it.
        type: list
        elements: str
        required: true
      version:
        description: Version of the first package. Empty is any.
        type: str
        default: ""
extends_documentation_fragment:
  - koprogo.observability.attributes.info
  - koprogo.observability.attributes.action
attributes:
  action:
    support: full
"""

EXAMPLES = r"""
- name: Stop before anything is changed if something is wrong
  koprogo.observability.preflight:
"""

RETURN = r"""
errors:
  description: One sentence for each finding, naming what was expected and what was found.
  returned: always
  type: list
  elements: str
  sample: ["prometheus_retention: expected a duration such as 15s, 12h or 30d, found '30 days'"]
authorities:
  description: Certificates of the authorities that this host trusts, in PEM format; empty where it has none.
  returned: by the module; the action plugin judges them
  type: str
missing:
  description:
    - For each of O(downloads), whether this host has yet to install it. Not by name, as a URL's password
      is masked in whatever it is a part of.
  returned: by the module; the action plugin decides which host judges them
  type: list
  elements: bool
  sample: [true, false]
components:
  description: Components that the inventory asks for on this host.
  returned: always
  type: list
  elements: str
  sample: [node_exporter, log_collector]
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt
from ansible_collections.koprogo.observability.plugins.module_utils._control_node import (
    client_address,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import url_secrets
from ansible_collections.koprogo.observability.plugins.module_utils._io import read_text
from ansible_collections.koprogo.observability.plugins.module_utils._reach import (
    Download,
    Reach,
    Vendor,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd


def port_errors(ports: list[dict[str, Any]], systemd: Systemd, table: SocketTable) -> list[str]:
    """Ports that something other than the wanted unit listens on."""
    errors = []
    for one in ports:
        unit, port = one["unit"], one["port"]
        wanted = Socket(protocol="tcp", address=one["address"], port=port)
        if holder := table.holder(wanted, but=systemd.pids(unit)):
            errors.append(f"port {port}: expected it free for {unit}, found {holder} listening")
    return errors


def postgresql_errors() -> list[str]:
    """A sentence when no PostgreSQL server of Debian's layout is installed."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return []
    return [
        "group 'database': expected PostgreSQL's server below /usr/lib/postgresql, found none; "
        "install it or take the host out of the group"
    ]


def interface_errors(names: list[str]) -> list[str]:
    """Interfaces that this host doesn't have, with those that it has."""
    there = sorted(path.name for path in Path("/sys/class/net").iterdir())
    return [
        f"suricata_interfaces: expected an interface of this host ({', '.join(there)}), found '{name}'"
        for name in names
        if name not in there
    ]


def file_errors(files: list[dict[str, Any]]) -> list[str]:
    """Files that a role can't do without and that aren't there."""
    return [
        f"{one['option']}: expected {one['expected']}, found no file {one['path']}"
        for one in files
        if not Path(one["path"]).is_file()
    ]


def control_node_errors() -> list[str]:
    """A sentence where nobody could say whom a ban must never hit."""
    if client_address():
        return []
    return [
        "koprogo_control_addresses: expected the address that this host sees the control node under, "
        "found none in the connection; without it a ban could lock you out"
    ]


def network_errors(params: dict[str, Any], reach: Reach, missing: list[Download]) -> list[str]:
    """What the run would fetch and this host can't."""
    vendors = [Vendor(**{**one, "packages": tuple(one["packages"])}) for one in params["vendors"]]
    return (
        reach.mirror_errors(params["packages"])
        + reach.vendor_errors(vendors)
        + reach.download_errors(missing)
    )


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "ports": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "unit": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "address": {"type": "str", "default": "127.0.0.1"},
                },
            },
            "postgresql": {"type": "bool", "default": False},
            "interfaces": {"type": "list", "elements": "str", "default": []},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "option": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "expected": {"type": "str", "required": True},
                },
            },
            "authorities": {"type": "str", "default": ""},
            "control_node": {"type": "bool", "default": False},
            "packages": {"type": "list", "elements": "str", "default": []},
            "downloads": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "component": {"type": "str", "required": True},
                    "option": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "sha256": {"type": "str", "required": True},
                    "judged": {"type": "bool"},
                },
            },
            "vendors": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "option": {"type": "str", "required": True},
                    "name": {"type": "str", "default": ""},
                    "uri": {"type": "str", "default": ""},
                    "suites": {"type": "str", "required": True},
                    "key": {"type": "str", "default": "", "no_log": False},
                    "packages": {"type": "list", "elements": "str", "required": True},
                    "version": {"type": "str", "default": ""},
                },
            },
        },
        supports_check_mode=True,
    )
    module.no_log_values |= url_secrets(
        *(one["url"] for one in module.params["downloads"]),
        *(one[key] for one in module.params["vendors"] for key in ("uri", "key")),
    )
    runner = Runner()
    try:
        errors = port_errors(module.params["ports"], Systemd(runner), SocketTable())
        if module.params["postgresql"]:
            errors += postgresql_errors()
        errors += interface_errors(module.params["interfaces"])
        errors += file_errors(module.params["files"])
        trusted = module.params["authorities"]
        authorities = (read_text(trusted) or "") if trusted else ""
        if module.params["control_node"]:
            errors += control_node_errors()
        downloads = [Download(**one) for one in module.params["downloads"]]
        missing: list[Download] = []
        if not errors:
            reach = Reach(runner, Apt(runner), Places(), temporary=module.tmpdir)
            missing = reach.missing(downloads)
            errors = network_errors(module.params, reach, missing)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(
        changed=False,
        errors=errors,
        authorities=authorities,
        missing=[one in missing for one in downloads],
    )


if __name__ == "__main__":
    main()
