"""Files of a configuration transaction from data."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.filter.files import as_files


def test_structures_become_yaml_and_strings_stay() -> None:
    files = as_files({"b": "text\n", "a": {"groups": [1]}}, "rules/{name}.yml", on_change="reload")
    assert [f["path"] for f in files] == ["rules/a.yml", "rules/b.yml"]
    assert yaml.safe_load(files[0]["content"]) == {"groups": [1]}
    assert files[1]["content"] == "text\n"
    assert all(f["on_change"] == "reload" for f in files)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
def test_a_name_cannot_leave_its_directory(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="file name"):
        as_files({name: "x"}, "rules/{name}.yml")


def test_a_list_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="expected a dictionary"):
        as_files(["x"], "{name}")  # type: ignore[arg-type]
