#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: component_install
short_description: Install a component by package, by archive, or not at all
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Brings the programs of one component to a host. Nothing is started, and nothing that is
    installed already is upgraded, unless O(version) is pinned to something else.
  - What was installed is recorded in C(/var/lib/koprogo/install/<name>.json), so that
    O(state=absent) removes that and nothing else.
  - A run that changes nothing takes one round trip and asks neither apt nor a mirror.
options:
  name:
    description: Name of the component and of its record.
    type: str
    required: true
  state:
    description:
      - Whether the component is installed.
      - V(absent) removes the packages, links, unit file and unpacked archives that this module
        installed. Packages that were there before, data directories and users stay.
    type: str
    choices: [present, absent]
    default: present
  method:
    description:
      - V(package) takes the distribution's package manager, in one transaction.
      - V(archive) unpacks a release archive below C(/opt/koprogo).
      - V(none) installs nothing, and fails if O(commands) or the unit of O(unit) are missing.
    type: str
    choices: [package, archive, none]
    default: package
  packages:
    description:
      - Packages of the component, each a name or C(name=version).
      - Recommended packages are not installed unless O(install_recommends=true).
    type: list
    elements: str
    default: []
  requires:
    description:
      - Packages that the component needs beside its own program, whatever the O(method).
    type: list
    elements: str
    default: []
  repository:
    description:
      - A vendor's repository to take O(packages) from, as one deb822 file that components may share.
      - It goes with the last component that names it.
    type: dict
    suboptions:
      name:
        description: Name of the file, lower-case letters, digits and C(-).
        type: str
        required: true
      uri:
        description:
          - Where the repository is. Empty leaves the host's sources alone.
          - A user name or password in it is refused, as everybody on the host may read the file;
            apt takes them from C(/etc/apt/auth.conf.d).
        type: str
        default: ""
      suites:
        description: Suites, separated by spaces.
        type: str
        default: stable
      components:
        description: Components, separated by spaces.
        type: str
        default: main
      key:
        description:
          - URL of the signing key, fetched by the host, or the key itself as text.
          - From 14 days before the key's end on it is fetched again, as vendors prolong their keys.
        type: str
        required: true
      fingerprint:
        description: Fingerprint that the key must have; any other key is refused.
        type: str
        required: true
  version:
    description:
      - Version of the first of O(packages). V(2.42.0) also accepts its refinement C(2.42.0+ds-5).
        Empty accepts what is installed, else takes what the repositories offer.
      - For archives the name of the folder.
    type: str
    default: ""
  package_file:
    description:
      - A package file to install instead of looking in a repository. A URL is fetched by the host,
        a path is taken from the control node. A mapping has one for each architecture.
    type: raw
    default: ""
  package_file_sha256:
    description: Checksum of O(package_file), required with it; a mapping has one for each architecture.
    type: raw
    default: ""
  archive:
    description: The release archive of O(method=archive).
    type: dict
    suboptions:
      source:
        description:
          - A tar.gz, tar.xz, tar.bz2, zip, or a bare program. An V(https), V(http) or V(file) URL is
            fetched by the host, with the proxies of its environment. A path is taken from the
            control node, and sent only if the host does not have it yet.
          - A mapping has one for each architecture, by Debian's names such as V(amd64), V(arm64).
        type: raw
        default: ""
      sha256:
        description: Checksum of O(archive.source), required with it; a mapping has one for each architecture.
        type: raw
        default: ""
      binaries:
        description:
          - Program in the archive, and the link to make to it. The program is found wherever in the
            archive it lies; its name may hold wildcards, or the folder before it.
        type: dict
        default: {}
  user:
    description: System user to create for O(method=archive), if it does not exist.
    type: str
    default: ""
  user_first:
    description: Create O(user) and its group with O(method=package) too, before the package would.
    type: bool
    default: false
  group:
    description: Group of O(user). The default is a group of the same name.
    type: str
    default: ""
  directories:
    description: Data directories for O(method=archive), owned by O(user) with mode 0750.
    type: list
    elements: str
    default: []
  unit:
    description: The base unit for O(method=archive). O(method=none) only checks that it exists.
    type: dict
    suboptions:
      name:
        description: Name of the unit.
        type: str
        required: true
      content:
        description: Content of the unit file.
        type: str
        default: ""
  commands:
    description: Programs that must exist with O(method=none).
    type: list
    elements: str
    default: []
  default_release:
    description: Release to take packages from, such as V(bookworm-backports).
    type: str
    default: ""
    aliases: [release]
  install_recommends:
    description: Whether recommended packages come too.
    type: bool
    default: false
  cache_valid_time:
    description: Age in seconds from which the package lists are refreshed before an installation.
    type: int
    default: 86400
  lock_timeout:
    description: How many seconds to wait for another package manager.
    type: int
    default: 120
  download_timeout:
    description: How many seconds a download may take. Thirty seconds of silence end it in any case.
    type: int
    default: 900
  staged_file:
    description: Where the action plugin has put the file of the control node. For internal use.
    type: path
attributes:
  action:
    description: Runs partly on the control node.
    support: full
  check_mode:
    description: Predicts the change, on a host without package lists too.
    support: full
  diff_mode:
    description: Shows versions, links and the unit file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Install Prometheus from the distribution
  koprogo.observability.component_install:
    name: prometheus
    packages: [prometheus]

- name: Install Loki from an archive
  koprogo.observability.component_install:
    name: loki
    method: archive
    version: 3.7.8
    archive:
      source:
        amd64: https://mirror.example.org/loki-linux-amd64.zip
        arm64: https://mirror.example.org/loki-linux-arm64.zip
      sha256:
        amd64: 0f6c3d1c6b2bb1a3c94b1ef5a2a8a3a0d0b4a6b5d8f5b9f41e9f0e8b1f3d2c1a
        arm64: 1a2c3d1f8b0e9f1e4f9b5f8d5b6a4b0d0a3a8a2a5fe1b49c3a1bb2b6c1d3c6f0
      binaries:
        loki-linux-*: /usr/local/bin/loki
    user: loki
    directories: [/var/lib/loki]
    unit:
      name: loki.service
      content: |
        [Service]
        User=loki
        ExecStart=/usr/local/bin/loki

- name: Remove it again
  koprogo.observability.component_install:
    name: loki
    state: absent
"""

RETURN = r"""
method:
  description: The method that was asked for.
  returned: success
  type: str
  sample: package
version:
  description: The version that was asked for, empty for any.
  returned: success
  type: str
  sample: 2.42.0
architecture:
  description: Debian's name of the host's architecture.
  returned: success
  type: str
  sample: amd64
packages:
  description: Installed versions of the packages.
  returned: with O(method=package)
  type: dict
  sample: {"prometheus": "2.42.0+ds-5+b5"}
promised_packages:
  description:
    - What a real run would install for all components of the host together. It is foretold once, and not
      again in the role of each component.
  returned: in check mode, with O(name=packages)
  type: list
  elements: str
  sample: ["prometheus"]
archive:
  description: Checksum, source and folder of the archive in use.
  returned: with O(method=archive)
  type: dict
  sample:
    sha256: 0f6c3d1c6b2bb1a3c94b1ef5a2a8a3a0d0b4a6b5d8f5b9f41e9f0e8b1f3d2c1a
    source: https://mirror.example.org/loki-linux-amd64.zip
    tree: /opt/koprogo/loki/3.7.8
commands:
  description: Paths of the programs that were found.
  returned: with O(method=none)
  type: dict
  sample: {"promtool": "/usr/bin/promtool"}
notes:
  description: What a reader of the result should know.
  returned: success
  type: list
  elements: str
  sample: ["This host has no package lists yet; the real run downloads them first."]
kept:
  description: What was not removed, and why.
  returned: success
  type: list
  elements: str
  sample: ["directory /var/lib/loki"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import url_secrets
from ansible_collections.koprogo.observability.plugins.module_utils._install import (
    Installer,
    Request,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._source import NeedsSource

_ARCHIVE = {
    "source": {"type": "raw", "default": ""},
    "sha256": {"type": "raw", "default": ""},
    "binaries": {"type": "dict", "default": {}},
}
_REPOSITORY = {
    "name": {"type": "str", "required": True},
    "uri": {"type": "str", "default": ""},
    "suites": {"type": "str", "default": "stable"},
    "components": {"type": "str", "default": "main"},
    # A public key.
    "key": {"type": "str", "required": True, "no_log": False},
    "fingerprint": {"type": "str", "required": True},
}
_UNIT = {"name": {"type": "str", "required": True}, "content": {"type": "str", "default": ""}}


def _module() -> AnsibleModule:
    return AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "method": {
                "type": "str",
                "choices": ["package", "archive", "none"],
                "default": "package",
            },
            "packages": {"type": "list", "elements": "str", "default": []},
            "requires": {"type": "list", "elements": "str", "default": []},
            "repository": {"type": "dict", "options": _REPOSITORY},
            "user_first": {"type": "bool", "default": False},
            "version": {"type": "str", "default": ""},
            "package_file": {"type": "raw", "default": ""},
            "package_file_sha256": {"type": "raw", "default": ""},
            "archive": {"type": "dict", "options": _ARCHIVE},
            "user": {"type": "str", "default": ""},
            "group": {"type": "str", "default": ""},
            "directories": {"type": "list", "elements": "str", "default": []},
            "unit": {"type": "dict", "options": _UNIT},
            "commands": {"type": "list", "elements": "str", "default": []},
            "default_release": {"type": "str", "default": "", "aliases": ["release"]},
            "install_recommends": {"type": "bool", "default": False},
            "cache_valid_time": {"type": "int", "default": 86400},
            "lock_timeout": {"type": "int", "default": 120},
            "download_timeout": {"type": "int", "default": 900},
            "staged_file": {"type": "path"},
        },
        supports_check_mode=True,
    )


def _request(params: dict[str, Any]) -> Request:
    archive = params["archive"] or {}
    unit = params["unit"] or {}
    return Request(
        name=params["name"],
        method=params["method"],
        packages=params["packages"],
        requires=params["requires"],
        repository=params["repository"],
        user_first=params["user_first"],
        version=params["version"],
        package_file=params["package_file"],
        package_file_sha256=params["package_file_sha256"],
        source=archive.get("source", ""),
        sha256=archive.get("sha256", ""),
        binaries=archive.get("binaries") or {},
        user=params["user"],
        group=params["group"],
        directories=params["directories"],
        unit_name=unit.get("name", ""),
        unit_content=unit.get("content", ""),
        commands=params["commands"],
        staged_file=params["staged_file"] or "",
        cache_valid_time=params["cache_valid_time"],
        download_timeout=params["download_timeout"],
    )


def main() -> None:
    """Install or remove one component."""
    module = _module()
    params = module.params
    repository, archive = (params[key] or {} for key in ("repository", "archive"))
    module.no_log_values |= url_secrets(
        repository.get("uri"),
        repository.get("key"),
        archive.get("source"),
        params["package_file"],
    )
    runner = Runner()
    apt = Apt(
        runner,
        lock_timeout=params["lock_timeout"],
        default_release=params["default_release"],
        recommends=params["install_recommends"],
    )
    try:
        installer = Installer(
            _request(params), runner=runner, apt=apt, places=Places(), check=module.check_mode
        )
        result = installer.present() if params["state"] == "present" else installer.absent()
    except NeedsSource as question:
        module.exit_json(changed=False, **question.evidence)
    except (KoprogoError, OSError) as exc:
        module.fail_json(**as_failure(exc, about=params["name"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
