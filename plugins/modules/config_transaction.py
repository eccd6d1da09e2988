#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_transaction
short_description: Exchange a component's configuration as a whole, or not at all
version_added: 0.1.0
author:
  - KoproGo contributors (@koprogo)
description:
  - Writes the complete configuration of one component, validates it with the component's own
    checker, puts it in place in one atomic step, lets the service take it up, and asks the
    service whether it is well. If it is not, the previous configuration comes back.
  - All files of a component live in one directory, C(/etc/koprogo/<name>). It is a symbolic link
    to a complete set below C(/etc/koprogo/.sets) and is exchanged by one rename(2). Killed at any
    moment, the host has the old set or the new one, never a mixture, and the next run finishes
    what is left.
  - Templates are rendered on the control node; one module execution does the rest, however many
    files there are.
  - Files in the directory that no run of this module wrote are kept. Files that an earlier run
    wrote and that are not wanted any more go.
  - Exactly one previous set is kept.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.attributes.action
attributes:
  check_mode:
    support: full
    details:
      - The set is staged and validated in check mode too, then removed.
  diff_mode:
    support: full
  idempotent:
    support: full
  action:
    support: full
options:
  name:
    description:
      - The component. Its configuration is C(/etc/koprogo/<name>).
      - Lower-case letters, digits, C(_) and C(-).
    type: str
    required: true
  state:
    description:
      - V(present) brings the configuration to what the other options say.
      - V(absent) removes what earlier runs wrote, also links elsewhere. Files that are not ours
        are moved to C(/etc/koprogo/<name>.kept-<set>) and reported as RV(kept). A unit that still
        runs and is named by O(unit) is reloaded or restarted; that it can't run any more is a warning.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description: The owner of the directories, and of files that name no other.
    type: str
    default: root
  group:
    description: The group of the directories, and of files that name no other.
    type: str
    default: root
  mode:
    description:
      - The mode of files that name no other, as a quoted octal string.
      - A number is refused, since YAML reads C(0640) as 416.
    type: raw
    default: "0640"
  directory_mode:
    description: The mode of the directory and the directories below it, a quoted octal string.
    type: raw
    default: "0750"
  files:
    description:
      - All files of the component. At least one with O(state=present).
      - Let files refer to each other by relative path, so that the staged set is validated with
        its own siblings.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path below the directory; relative, without C(..), given once.
        type: str
        required: true
      template:
        description:
          - A template, found like the one of M(ansible.builtin.template), with the same
            settings (C(trim_blocks), a kept trailing newline) and variables.
          - Either this or O(files[].content).
        type: str
      content:
        description:
          - The content itself, instead of O(files[].template).
          - A list or dict is written as JSON to a file that ends in C(.json), else as YAML.
        type: raw
      on_change:
        description: What the service has to do when this file changes. The strongest wins.
        type: str
        choices: [none, reload, restart]
        default: restart
      owner:
        description: The owner of this file, instead of O(owner).
        type: str
      group:
        description: The group of this file, instead of O(group).
        type: str
      mode:
        description: The mode of this file, instead of O(mode).
        type: raw
      secret:
        description: Keeps the content out of differences, results and messages.
        type: bool
        default: false
  links:
    description:
      - Symbolic links elsewhere that lead into the directory, absolute path to a path in
        O(files), to a directory of it, or to V(.) for the whole.
      - A link below C(/etc/systemd) leads to a daemon-reload when it or its file changes.
      - Anything that is not such a link of ours at the path is refused.
    type: dict
    default: {}
  replaces:
    description:
      - Files that may be where a link of O(links) has to go, by their path - such as one that a package
        writes when it is installed. C(contents) is a list of what such a file may hold, C(advice) a
        sentence for the message that refuses one that holds anything else.
      - The file is kept beside the link, with C(.before-koprogo) behind its name, and comes back when the
        link goes.
    type: dict
    default: {}
  secrets:
    description:
      - Values to hide in every message, difference and result.
      - What a file holds in an option with a name such as C(password), C(bearer_token), C(credentials)
        or C(client_secret), or as a password in a URL, is hidden without being named here, the replaced
        value too.
    type: list
    elements: str
    default: []
  validate:
    description:
      - Commands that judge the staged set, run one after the other, in check mode too. C({set})
        in an argument stands for the directory. No shell is involved.
      - An element is a list of arguments, or a dict of C(argv), C(user) (run as that user),
        C(env) (a dict), C(timeout) (seconds, default 60) and C(needs) (a list of paths outside of the set,
        such as certificates, that the command looks for).
      - A command that is not installed is an error; in check mode it is a reason in
        RV(not_validated), since the component may not be installed yet. So is a path of C(needs) that
        does not exist yet.
    type: list
    elements: raw
    default: []
  unit:
    description:
      - The unit that uses the configuration. It is reloaded or restarted if it runs, failed, or
        is about to be started again. A stopped one stays stopped.
    type: str
  reload:
    description:
      - How the service is told to reload. V(systemctl) uses the unit's ExecReload, V(sighup)
        sends SIGHUP to its main process.
      - A dict sends an HTTP request, with C(url), C(method) (default C(POST)), C(headers),
        C(status) (default 200) and C(timeout) (seconds, default 30). Any other answer is a
        failed reload.
      - A unit that cannot reload is restarted.
    type: raw
    default: systemctl
  probe:
    description:
      - Questions to the service after a reload or restart. All must hold, each within its own
        C(timeout), or the previous configuration comes back.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: An C(http://) or C(https://) address. Never asked through a proxy.
        type: str
        required: true
      method:
        description: The method of the request.
        type: str
        choices: [GET, HEAD, POST, PUT]
        default: GET
      headers:
        description: Headers of the request.
        type: dict
        default: {}
      status:
        description: The status that the answer must have.
        type: int
        default: 200
      matches:
        description: A regular expression that must be found in the body.
        type: str
      metric:
        description:
          - A metric in Prometheus's text format, as a name or with labels,
            C(name{label="value"}). At least one sample must exist, and all must hold.
        type: str
      equals:
        description: The value that the samples of C(metric) must have.
        type: float
      at_least:
        description: The least value of the samples of C(metric).
        type: float
      at_most:
        description: The greatest value of the samples of C(metric).
        type: float
      after_action:
        description:
          - The samples of C(metric) are Unix times and must not be before the reload or restart.
            This proves that the I(new) configuration was loaded, after a reload that returns
            before it is done.
        type: bool
        default: false
      timeout:
        description: Seconds until the answer has to be right.
        type: float
        default: 30.0
      client_cert:
        description: A client certificate to show, a path on the host.
        type: path
      client_key:
        description: The key of the client certificate, a path on the host.
        type: path
      ca_cert:
        description: The authority to trust, a path on the host.
        type: path
  contents:
    description:
      - Set by the action plugin only - the rendered files, packed.
    type: str
seealso:
  - module: koprogo.observability.component_install
  - module: koprogo.observability.component_service
  - module: koprogo.observability.component_verify
"""

EXAMPLES = r"""
- name: Configure Prometheus
  koprogo.observability.config_transaction:
    name: prometheus
    group: prometheus
    files:
      - path: prometheus.yml
        template: etc/koprogo/prometheus/prometheus.yml.j2
        on_change: reload
      - path: rules/custom.yml
        content: "{{ prometheus_rules }}"
        on_change: reload
      - path: systemd.conf
        template: etc/koprogo/prometheus/systemd.conf.j2
    links:
      /etc/systemd/system/prometheus.service.d/50-koprogo.conf: systemd.conf
    validate:
      - [promtool, check, config, "{set}/prometheus.yml"]
    unit: prometheus.service
    reload: sighup
    probe:
      - url: http://127.0.0.1:9090/-/ready
      - url: http://127.0.0.1:9090/metrics
        metric: prometheus_config_last_reload_successful
        equals: 1
      - url: http://127.0.0.1:9090/metrics
        metric: prometheus_config_last_reload_success_timestamp_seconds
        after_action: true

- name: Give an exporter its password
  koprogo.observability.config_transaction:
    name: postgres_exporter
    group: prometheus
    files:
      - path: dsn
        content: "postgresql://exporter:{{ postgres_exporter_password }}@/postgres"
        secret: true
    secrets:
      - "{{ postgres_exporter_password }}"
    unit: prometheus-postgres-exporter.service

- name: Take the configuration away
  koprogo.observability.config_transaction:
    name: prometheus
    state: absent
"""

RETURN = r"""
set:
  description: The active set after the run; null where there is none.
  returned: always
  type: str
  sample: 20260102T030405Z-1f2e3d4c
location:
  description: The component's directory.
  returned: success
  type: str
  sample: /etc/koprogo/prometheus
files:
  description: The files that differ, by path below the directory.
  returned: success
  type: dict
  contains:
    added:
      description: New ones.
      type: list
      elements: str
      sample: [rules/custom.yml]
    changed:
      description: Those whose content, owner, group or mode was not as wanted.
      type: list
      elements: str
      sample: [prometheus.yml]
    removed:
      description: Those that an earlier run wrote and that are not wanted any more.
      type: list
      elements: str
      sample: [rules/old.yml]
    kept_foreign:
      description: Those that are not ours and stay.
      type: list
      elements: str
      sample: [rules/by-hand.yml]
directories:
  description: Directories whose owner, group or mode was not as wanted; V(.) is the set itself.
  returned: success
  type: list
  elements: str
  sample: []
links:
  description: Links elsewhere that differ.
  returned: success
  type: dict
  contains:
    added:
      description: New ones.
      type: list
      elements: str
      sample: [/etc/systemd/system/prometheus.service.d/50-koprogo.conf]
    changed:
      description: Those that led elsewhere in the directory.
      type: list
      elements: str
      sample: []
    removed:
      description: Those that are not wanted any more.
      type: list
      elements: str
      sample: []
validated:
  description: Whether all commands of O(validate) accepted the new set in this run.
  returned: success
  type: bool
  sample: true
not_validated:
  description: Why RV(validated) is false.
  returned: success
  type: str
  sample: nothing differs
action:
  description: What the service did, or in check mode would do - V(none), V(reload) or V(restart).
  returned: always
  type: str
  sample: reload
daemon_reload:
  description: Whether systemd has to read its units again.
  returned: success
  type: bool
  sample: false
probes:
  description: What each probe saw.
  returned: success and on a failed probe
  type: list
  elements: dict
  sample:
    - {url: "http://127.0.0.1:9090/-/ready", tries: 3, seconds: 0.8, ok: true}
healed:
  description: Whether an earlier run was interrupted and this one finished its work.
  returned: success
  type: bool
  sample: false
kept:
  description: With O(state=absent), the directory that holds the files that are not ours.
  returned: success
  type: str
  sample: null
notes:
  description: What a run in check mode could not know yet, such as a user that does not exist.
  returned: success
  type: list
  elements: str
  sample: []
rolled_back:
  description: Whether the new configuration was put in place, found bad, and taken back.
  returned: success and after a rollback
  type: bool
  sample: false
restored:
  description: Whether the service is well again after the rollback.
  returned: after a rollback
  type: bool
  sample: true
failed_set:
  description: The set that was found bad; it is removed.
  returned: after a rollback
  type: str
  sample: 20260102T030405Z-1f2e3d4c
probes_after_rollback:
  description: What each probe saw after the rollback.
  returned: after a rollback
  type: list
  elements: dict
  sample: []
journal:
  description: The service's last lines before the rollback, secrets masked.
  returned: after a rollback
  type: list
  elements: str
  sample: ["level=error msg=\"Error loading config\""]
validator:
  description: What the command said that refused the set, secrets masked.
  returned: when a command of O(validate) fails
  type: dict
  contains:
    argv:
      description: The command.
      type: list
      elements: str
      sample: [promtool, check, config, /etc/koprogo/prometheus/prometheus.yml]
    rc:
      description: Its exit code.
      type: int
      sample: 1
    stdout:
      description: Its output.
      type: str
      sample: ""
    stderr:
      description: Its error output.
      type: str
      sample: "yaml: line 7: did not find expected key"
bytes_needed:
  description: The bytes that the new set takes.
  returned: when the file system is full
  type: int
  sample: 40960
bytes_free:
  description: The bytes that are free.
  returned: when the file system is full
  type: int
  sample: 0
inodes_free:
  description: The inodes that are free.
  returned: when the file system is full
  type: int
  sample: 0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._activation import Service
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Store
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._transaction import Transaction
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    ARGUMENT_SPEC,
    Request,
)


def main() -> None:
    """Read the options, run the transaction, report."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # Contents have no place in the result's copy of the options.
    invocation: dict[str, Any] = {
        "module_args": {
            **module.params,
            "contents": None,
            "files": [{**item, "content": None} for item in module.params["files"]],
        }
    }
    try:
        request = Request.from_options(module.params)
        masker = request.masker()
        runner = Runner(masker=masker)
        report = Transaction(
            request,
            store=Store(request.name),
            runner=runner,
            service=Service(request, Systemd(runner), masker=masker),
            check_mode=module.check_mode,
            want_diff=module._diff,
        ).run()
    except KoprogoError as error:
        module.fail_json(invocation=invocation, **error.as_result())
    except OSError as error:
        refused = as_failure(error, about=module.params["name"])["msg"]
        module.fail_json(
            msg=f"{refused} The configuration that was in use stays in use.",
            invocation=invocation,
        )
    for warning in report.warnings:
        module.warn(warning)
    result = report.as_result()
    if module._diff:
        result["diff"] = report.diff
    module.exit_json(invocation=invocation, **result)


if __name__ == "__main__":
    main()
