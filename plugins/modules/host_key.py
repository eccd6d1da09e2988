#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_key
short_description: A host's TLS key, which never leaves the host, and a signing request for it
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Makes, in one round trip, a system group, a directory and a private key (ECDSA, P-256) that root and
    this group can read, and returns a signing request for the key.
  - A key that exists is kept, so that a renewed certificate fits what the daemons already hold.
  - Needs the command C(openssl) on the host and no Python library.
options:
  path:
    description: The key's file.
    type: path
    default: /var/lib/koprogo/pki/host.key
  group:
    description: System group that may read the key. Daemons join it as a supplementary group.
    type: str
    default: koprogo-tls
  state:
    description: Whether the key is there. V(absent) removes key, directory and group.
    type: str
    choices: [present, absent]
    default: present
  content:
    description: A key of your own in PEM format, unencrypted. Empty makes one on the host.
    type: str
    default: ""
  common_name:
    description: Subject of the signing request. Required with O(state=present).
    type: str
    default: ""
  names:
    description:
      - Subject alternative names of the signing request, such as V(DNS:db1) and V(IP:192.0.2.7).
        Required with O(state=present).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description:
      - Says what would be made. The request is for a key that is thrown away where the key is yet to be made,
        so that what follows can be foretold too; it is empty where C(openssl) is yet to be installed.
    support: full
  diff_mode:
    description: A key is never shown.
    support: none
"""

EXAMPLES = r"""
- name: Provide the host's key
  koprogo.observability.host_key:
    common_name: db1
    names: [DNS:db1, IP:192.0.2.7]
  register: key
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [make group koprogo-tls, make /var/lib/koprogo/pki/host.key]
fingerprint:
  description: SHA-256 of the public key that RV(request) is for; empty when there is no request.
  returned: success
  type: str
  sample: 3f0c…
request:
  description: Signing request in PEM format; empty in check mode where C(openssl) is missing.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE REQUEST-----…"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._host_key import HostKey
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/lib/koprogo/pki/host.key"},
            "group": {"type": "str", "default": "koprogo-tls"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "content": {"type": "str", "default": "", "no_log": True},
            "common_name": {"type": "str", "default": ""},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    key = HostKey(
        path=params["path"],
        group=params["group"],
        runner=Runner(masker=Masker([params["content"]])),
        check_mode=module.check_mode,
    )
    try:
        if params["state"] == "absent":
            outcome = key.remove()
        else:
            outcome = key.provide(
                content=params["content"],
                common_name=params["common_name"],
                names=params["names"],
            )
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error, about=params["path"]))
    module.exit_json(
        changed=bool(outcome.actions),
        actions=outcome.actions,
        fingerprint=outcome.fingerprint,
        request=outcome.request,
    )


if __name__ == "__main__":
    main()
