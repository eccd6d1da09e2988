"""Archives: pinned, reproducible, complete or not there."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
import yaml

from lab import artifacts, golang
from lab.artifacts import ARTIFACTS, Artifact, architecture, ensure_artifact, pack, sha256_of
from lab.shell import LabError

_SOURCES = Path(artifacts.__file__).with_name("artifacts")


def test_an_archive_depends_on_content_and_names_only(tmp_path: Path) -> None:
    sums = []
    for number, mode in enumerate((0o600, 0o777)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ("one", "two") if number else ("two", "one"):
            (folder / name).write_text(name)
            (folder / name).chmod(mode)
        target = folder / "x.tar.gz"
        pack(target, [folder / "two", folder / "one"])
        sums.append(sha256_of(target))
    assert sums[0] == sums[1]
    with tarfile.open(tmp_path / "0" / "x.tar.gz") as archive:
        assert [(one.name, one.mode, one.uid) for one in archive] == [
            ("one", 0o755, 0),
            ("two", 0o755, 0),
        ]


def test_the_checksum_lies_beside_the_archive(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    pack(tmp_path / "x.tar.gz", [tmp_path / "one"])
    assert (
        tmp_path / "x.tar.gz.sha256"
    ).read_text() == f"{sha256_of(tmp_path / 'x.tar.gz')}  x.tar.gz\n"
    assert not list(tmp_path.glob("*.part"))


def test_versions_agree_with_what_is_built() -> None:
    pinned = {one.name: one.version for one in ARTIFACTS}
    go_mod = (_SOURCES / "loki" / "go.mod").read_text()
    found = re.search(r"github.com/grafana/loki/v3 v(\S+)", go_mod)
    assert found and found[1] == pinned["loki"]
    manifest = yaml.safe_load((_SOURCES / "collector" / "manifest.yaml").read_text())
    assert manifest["dist"]["version"] == pinned["otelcol"]
    assert manifest["dist"]["name"] == "otelcol"


def test_the_pin_follows_every_source(tmp_path: Path) -> None:
    source = tmp_path / "manifest.yaml"
    source.write_text("1")
    one = Artifact("x", "1.0", (source,), lambda *_: None)
    before = one.pin
    source.write_text("2")
    assert one.pin != before
    assert Artifact("x", "1.1", (source,), lambda *_: None).pin != one.pin


def test_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    monkeypatch.setattr(artifacts, "ensure_go", lambda *_: "go")
    source = tmp_path / "manifest.yaml"
    source.write_text("1")
    builds = []

    def build(_go: str, out: Path, _log: Path, _env: dict[str, str]) -> None:
        builds.append(out)
        (out / "tool").write_text("x")

    one = Artifact("x", "1.0", (source,), build)
    ensure_artifact(one, print)
    assert "in the cache" in ensure_artifact(one, print)
    assert len(builds) == 1
    one.path.write_bytes(one.path.read_bytes()[:-1])
    ensure_artifact(one, print)
    assert "in the cache" in ensure_artifact(one, print)
    assert len(builds) == 2
    source.write_text("2")
    ensure_artifact(one, print)
    assert len(builds) == 3


def test_a_build_that_leaves_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(artifacts, "STATE", tmp_path)
    monkeypatch.setattr(artifacts, "ensure_go", lambda *_: "go")
    with pytest.raises(LabError, match="left nothing"):
        ensure_artifact(Artifact("x", "1.0", (), lambda *_: None), print)


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_architecture(machine: str, expected: str) -> None:
    assert architecture(machine) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go1.26.5", (1, 26, 5)), ("go1.27", (1, 27, 0)), ("go1.27rc1", (1, 27, 0)), ("devel", ())],
)
def test_go_versions(text: str, expected: tuple[int, ...]) -> None:
    assert golang.parse_version(text) == expected


def test_the_go_version_that_a_module_asks_for() -> None:
    assert golang.required_version("module x\n\ngo 1.26.5\n") == (1, 26, 5)
    with pytest.raises(ValueError, match="no go directive"):
        golang.required_version("module x\n")
