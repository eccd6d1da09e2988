"""Bad options are refused before anything is looked at, and the message names the option."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    ARGUMENT_SPEC,
    Request,
    pack,
    strongest,
    unpack,
)


def options(**given: Any) -> dict[str, Any]:
    files = [{"path": "a.yml", "content": "x", "on_change": "reload", "secret": False}]
    base = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
    return base | {"name": "demo", "files": files} | given


def file(**given: Any) -> list[dict[str, Any]]:
    return [{"path": "a", "content": "x", "on_change": "reload", "secret": False} | given]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "../etc"}, "name: expected a component's name"),
        ({"name": "Demo"}, "name: expected a component's name"),
        ({"files": []}, "files: expected at least one file"),
        ({"files": file(path="/etc/passwd")}, r"files\[0\].path: expected a path relative"),
        ({"files": file(path="a/../../b")}, r"files\[0\].path: expected a path relative"),
        ({"files": file(path="")}, r"files\[0\].path: expected a path relative"),
        ({"files": file(path="a/")}, r"files\[0\].path: expected a path relative"),
        ({"files": file(path=".")}, "cannot be the name of a file"),
        ({"files": file(path=".manifest.json")}, "cannot be the name of a file"),
        ({"files": file() + file(path="./a")}, r"files\[1\].path: 'a' is given twice"),
        ({"files": file() + file(path="a/b")}, "'a' is a file and also the directory of 'a/b'"),
        ({"files": file(content=None)}, "expected template or content, found neither"),
        ({"files": file(mode=416)}, r"files\[0\] \(a\): mode: expected a quoted octal"),
        ({"mode": 640}, "mode: expected a quoted octal mode such as '0640', found 640"),
        ({"mode": "0999"}, "mode: expected a quoted octal"),
        ({"directory_mode": "rwx"}, "directory_mode: expected a quoted octal"),
        ({"links": {"relative": "a.yml"}}, "links: expected a plain absolute path"),
        ({"links": {"/etc/../x": "a.yml"}}, "links: expected a plain absolute path"),
        ({"links": {"/etc/x": "b.yml"}}, "/etc/x must point to a path in files, found 'b.yml'"),
        ({"replaces": {"/etc/x": {}}}, "replaces: expected a path of links, found '/etc/x'"),
        (
            {"links": {"/etc/x": "a.yml"}, "replaces": {"/etc/x": {"contents": []}}},
            "replaces: /etc/x: expected a dict with contents and advice",
        ),
        ({"validate": ["promtool check"]}, r"validate\[0\]: expected a list of arguments"),
        ({"validate": [[]]}, r"validate\[0\]: argv is empty"),
        ({"validate": [{"argv": ["x"], "usr": "y"}]}, r"validate\[0\]: unknown option usr"),
        ({"validate": [{"argv": ["x"], "timeout": 0}]}, "timeout: expected seconds above 0"),
        ({"validate": [{"argv": ["x"], "env": "A=1"}]}, "env: expected a dict"),
        ({"validate": [{"argv": ["x"], "needs": "/a"}]}, "needs: expected a list of paths"),
        ({"unit": "prometheus"}, "unit: expected a name like prometheus.service"),
        ({"unit": "a b.service"}, "unit: expected a name like prometheus.service"),
        ({"reload": "kick"}, "reload: expected systemctl, sighup or a dict with url, found 'kick'"),
        ({"reload": {"url": "ftp://x"}}, "reload: url must begin with http"),
        ({"reload": {"url": "http://x", "verb": "PUT"}}, "reload: unknown option verb"),
        ({"reload": {"url": "http://x", "status": "ok"}}, "reload: status: expected a number"),
        ({"probe": [{"url": "localhost:9090"}]}, r"probe\[0\]: url must begin with http"),
        ({"probe": [{"url": "http://x", "equals": 1}]}, r"probe\[0\]: equals, .* need metric"),
        ({"probe": [{"url": "http://x", "metric": "a b"}]}, "metric must look like"),
        ({"probe": [{"url": "http://x", "matches": "("}]}, "matches is not a regular expression"),
        ({"probe": [{"url": "http://x", "timeout": -1}]}, "timeout must be above 0"),
        ({"probe": [{"url": "http://x", "wait": 1}]}, r"probe\[0\]: unknown option wait"),
    ],
)
def test_bad_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request.from_options(options(**given))


def test_good_options() -> None:
    request = Request.from_options(
        options(
            group="prometheus",
            files=file(path="./rules//a.yml", mode="2750", owner="me", secret=True),
            links={"/etc/x": "rules/a.yml", "/etc/y": ".", "/etc/z": "rules"},
            validate=[["x", 1], {"argv": ["y"], "user": "me", "env": {"A": 1}, "timeout": 5}],
            reload={"url": "http://127.0.0.1:1/-/reload", "method": "put"},
            secrets=["", "s"],
        )
    )
    (wanted,) = request.files
    assert (wanted.path, wanted.mode, wanted.owner) == ("rules/a.yml", 0o2750, "me")
    assert wanted.group == "prometheus"
    assert request.directories == ("rules",)
    assert [check.argv for check in request.checks] == [("x", "1"), ("y",)]
    assert request.checks[1].env == {"A": "1"}
    assert request.reload.method == "PUT"
    assert request.secrets == ("s",)
    assert request.masker().text("x and s") == "******** and ********"
    # Of a secret file a daemon may say no more than the password.
    rows = file(secret=True, content="dsn: postgresql://ada:Sup3rS3cret@db\ntoken: abcdefgh\n")
    hidden = Request.from_options(options(files=rows)).masker().text("not Sup3rS3cret, abcdefgh")
    assert hidden == "not ********, ********"


def test_absent_ignores_what_it_does_not_need() -> None:
    given = options(state="absent", files=file(content=None), links={"/etc/x": "gone"})
    assert Request.from_options(given).files == ()


@pytest.mark.parametrize(
    ("actions", "expected"),
    [((), "none"), (("none", "reload"), "reload"), (("restart", "reload"), "restart")],
)
def test_the_strongest_action(actions: tuple[str, ...], expected: str) -> None:
    assert strongest(*actions) == expected


def test_contents_survive_the_way_to_the_host() -> None:
    contents = {"a": "ä\n\t'\"", "empty": "", "bytes": "\udcff"}
    assert unpack(pack(contents)) == contents
    assert unpack(None) == {}
