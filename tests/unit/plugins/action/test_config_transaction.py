"""The control node's half: rendering as ansible.builtin.template does, one module execution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultedValue
from ansible.playbook.task import Task
from ansible.template import Templar, trust_as_template

from ansible_collections.koprogo.observability.plugins.action.config_transaction import (
    ActionModule,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    unpack,
)


class Node:
    """A role's folder on the control node, and what reached the module."""

    def __init__(self, root: Path) -> None:
        self.templates = root / "templates"
        self.templates.mkdir()
        self.sent: list[dict[str, Any]] = []

    def run(self, files: list[dict[str, Any]], **options: Any) -> dict[str, str]:
        """Run the action with the module replaced; the contents that it would have got."""
        variables = options.pop("variables", {})
        variables["ansible_search_path"] = [str(self.templates.parent)]
        loader = DataLoader()
        loader.set_basedir(str(self.templates.parent))
        task = Task()
        task.args = {"name": "demo", "files": files, **options}
        action = ActionModule(
            task=task,
            connection=mock.MagicMock(),
            play_context=mock.MagicMock(),
            loader=loader,
            templar=Templar(loader=loader, variables=variables),
            shared_loader_obj=None,
        )

        def execute(**sent: Any) -> dict[str, Any]:
            self.sent.append(sent)
            return {"changed": True}

        with mock.patch.object(action, "_execute_module", execute):
            assert action.run(task_vars=variables)["changed"]
        return unpack(self.sent[-1]["module_args"]["contents"])

    def write(self, name: str, text: str) -> str:
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


TEMPLATE = """{{ ansible_managed | comment }}
{% for item in items %}
  - {{ item }}
{% endfor %}
{% include 'part.j2' %}
to {{ template_destpath }} \\n "{{ '{{ kept }}' }}"

"""
RENDERED = """#
# Ansible managed
#
  - one
  - two
a part with two itemsto /etc/koprogo/demo/etc/a.conf \\n "{{ kept }}"

"""


def test_a_template_looks_as_the_template_module_makes_it(node: Node) -> None:
    node.write("etc/part.j2", "a part with {{ count }} items\n")
    name = node.write("etc/a.conf.j2", TEMPLATE)
    variables = {"items": ["one", "two"], "count": trust_as_template("{{ 't' ~ 'wo' }}")}
    contents = node.run([{"path": "etc/a.conf", "template": name}], variables=variables)
    assert contents == {"etc/a.conf": RENDERED}


def test_a_template_is_rendered_as_by_the_template_module(node: Node, tmp_path: Path) -> None:
    """The same text through the real ansible.builtin.template."""
    node.write("part.j2", "a part with {{ count }} items\n")
    text = TEMPLATE.replace("{{ template_destpath }}", "somewhere")
    name = node.write("a.conf.j2", text)
    variables = {"items": ["one", "two"], "count": 2}
    ours = node.run([{"path": "a.conf", "template": name}], variables=dict(variables))
    target = tmp_path / "out"
    (tmp_path / "ansible.cfg").touch()
    subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost", "-i", "localhost,"),
            *("-c", "local", "-e", json.dumps(variables)),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            *("-m", "ansible.builtin.template", "-a"),
            json.dumps({"src": str(node.templates / name), "dest": str(target)}),
        ],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
    )
    assert ours == {"a.conf": target.read_text()}


def test_ones_own_ansible_managed_wins(node: Node) -> None:
    name = node.write("a.j2", "{{ ansible_managed }}")
    contents = node.run([{"path": "a", "template": name}], variables={"ansible_managed": "by us"})
    assert contents == {"a": "by us"}


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("a", "plain {{ not rendered again }}\n", "plain {{ not rendered again }}\n"),
        ("a", "", ""),
        ("a", 15, "15"),
        ("a.json", {"b": [1, "ä"]}, '{\n  "b": [\n    1,\n    "ä"\n  ]\n}\n'),
        ("a.yml", {"b": [1, "x"], "a": None}, "---\nb:\n- 1\n- x\na: null\n"),
        ("a.yml", [], "---\n[]\n"),
    ],
)
def test_content(node: Node, path: str, content: Any, expected: str) -> None:
    assert node.run([{"path": path, "content": content}]) == {path: expected}


def test_what_was_in_a_vault_is_written_as_it_is(node: Node) -> None:
    """Ansible's YAML would write it encrypted again, and most daemons' checkers take that for a password."""
    secret = VaultedValue(ciphertext="$ANSIBLE_VAULT;1.1;AES256 00").tag("s3cret")
    settings = {"auth": [{"password": secret}]}
    name = node.write("a.yml.j2", "{{ settings | to_json | from_json | to_nice_yaml }}")
    files: list[dict[str, Any]] = [
        {"path": "a.yml", "template": name},
        {"path": "b.yml", "content": settings},
        {"path": "c.json", "content": settings},
        {"path": "d", "content": secret},
    ]
    contents = node.run(files, variables={"settings": settings})
    assert not [path for path, text in contents.items() if "vault" in text.lower()]
    assert all("s3cret" in text for text in contents.values())


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[4] / "roles").glob("*/templates/**/*.j2"))
)
def test_no_roles_template_writes_yaml_of_what_may_be_in_a_vault(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("to_nice_yaml") == text.count("from_json | to_nice_yaml")


def test_one_execution_however_many_files(node: Node) -> None:
    name = node.write("n.j2", "{{ template_destpath }}")
    contents = node.run([{"path": f"f{number}", "template": name} for number in range(200)])
    assert len(contents) == 200
    assert contents["f199"] == "/etc/koprogo/demo/f199"
    assert len(node.sent) == 1
    assert node.sent[0]["module_name"] == "koprogo.observability.config_transaction"


def test_contents_travel_packed_and_nowhere_else(node: Node) -> None:
    node.run([{"path": "key", "content": "very-secret", "secret": True}])
    assert "very-secret" not in json.dumps(node.sent[0]["module_args"])


def test_absent_renders_nothing(node: Node) -> None:
    assert node.run([{"path": "a", "template": "gone.j2"}], state="absent") == {}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            [{"path": "a"}],
            {},
            r"files\[0\] \(a\): expected either template or content, found neither",
        ),
        ([{"path": "a", "template": "x", "content": "y"}], {}, "found both"),
        ([{"path": "a", "template": "gone.j2"}], {}, r"files\[0\] \(a\): template 'gone\.j2'"),
        ([{"path": "a", "template": "broken.j2"}], {}, r"template 'broken\.j2' cannot be rendered"),
        ([{"path": "a", "template": "undefined.j2"}], {}, "'missing' is undefined"),
        ([{"path": "a", "content": "", "colour": 1}], {}, "colour"),
        ([{"content": ""}], {}, "path"),
        ([], {"pah": 1}, "pah"),
        ([], {"state": "gone"}, "state"),
        ([{"path": "a", "content": "", "on_change": "kick"}], {}, "on_change"),
        ([], {"contents": "x"}, "contents: this option is set by the action plugin only"),
    ],
)
def test_errors_name_template_and_option(
    node: Node, files: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    node.write("broken.j2", "{% if %}")
    node.write("undefined.j2", "{{ missing }}")
    with pytest.raises((AnsibleActionFail, AnsibleError), match=message):
        node.run(files, **options)
    assert node.sent == []
