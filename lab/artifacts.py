# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of Loki and the OpenTelemetry Collector, built from their Go modules.

Neither is in Debian. A closed network hands them to the roles from a mirror; the lab builds
such archives once and keeps them in the user's cache, named by version, architecture and a
hash of everything that pins them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.golang import ensure_go, locked, required_version
from lab.paths import STATE, digest, user_cache
from lab.shell import LabError, run
from lab.steps import Say

__all__ = [
    "ARTIFACTS",
    "INDEX",
    "Artifact",
    "architecture",
    "ensure_artifact",
    "pack",
    "sha256_of",
    "write_index",
]

_HERE = Path(__file__).with_name("artifacts")
# Says where the archives are: the demo's inventory and the scenarios read it.
INDEX = STATE / "artifacts.json"
# Raised when the commands below change in a way that changes the result.
_FORMAT = "1"


@dataclass(frozen=True)
class Artifact:
    """Something to build; ``build`` leaves the binaries in the folder that it is given."""

    name: str
    version: str
    sources: tuple[Path, ...]
    build: Callable[[str, Path, Path, dict[str, str]], None]

    @property
    def pin(self) -> str:
        """A hash of all that decides what is built."""
        return digest(_FORMAT, self.version, *(path.read_bytes() for path in self.sources))

    @property
    def path(self) -> Path:
        """Where the archive is kept."""
        name = f"{self.name}-{self.version}-{architecture()}-{self.pin}.tar.gz"
        return user_cache() / "artifacts" / name


def architecture(machine: str | None = None) -> str:
    """Return Debian's name of the machine's architecture."""
    machine = machine or platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def pack(target: Path, binaries: Iterable[Path]) -> None:
    """Write executables into an archive that depends on their content and names only."""
    # Whatever is killed, a file with the final name is complete.
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    with (
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for binary in sorted(binaries, key=lambda path: path.name):
            entry = tarfile.TarInfo(binary.name)
            entry.size = binary.stat().st_size
            entry.mode = 0o755
            with binary.open("rb") as source:
                archive.addfile(entry, source)
    checksum = target.with_name(f"{target.name}.sha256")
    checksum.write_text(f"{sha256_of(partial)}  {target.name}\n", encoding="utf-8")
    partial.replace(target)


# The linker drops it; not writing it in the first place spares a twelfth of the work.
_NO_DWARF = "-gcflags=all=-dwarf=false"


def _go_environment() -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOWORK": "off",
        # The compiler is a thousand short processes: collecting less garbage spares an eighth of the work.
        "GOGC": os.environ.get("GOGC", "400"),
    }


def _build_loki(go: str, out: Path, log: Path, env: dict[str, str]) -> None:
    module = "github.com/grafana/loki/v3"
    # Without it the binary says that it has no version.
    build = f"{module}/pkg/util/build"
    flags = f"-ldflags=-s -w -X {build}.Version={_LOKI} -X {build}.Branch=HEAD"
    commands = (f"{module}/cmd/loki", f"{module}/cmd/logcli")
    argv = (go, "build", "-trimpath", _NO_DWARF, flags, "-o", f"{out}/", *commands)
    run(argv, log, cwd=_HERE / "loki", env=env)


def _build_collector(go: str, out: Path, log: Path, env: dict[str, str]) -> None:
    builder = f"go.opentelemetry.io/collector/cmd/builder@v{_COLLECTOR}"
    with tempfile.TemporaryDirectory(prefix="otelcol-") as scratch:
        # The builder calls `go` by name.
        path = f"{Path(go).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        config = Path(scratch) / "manifest.yaml"
        shutil.copy(_HERE / "collector" / "manifest.yaml", config)
        run([go, "install", builder], log, env={**env, "GOBIN": scratch})
        run(
            [
                Path(scratch) / "builder",
                f"--config={config}",
                "--ldflags=-s -w",
                f"-{_NO_DWARF}",
            ],
            log,
            cwd=Path(scratch),
            env={**env, "PATH": path},
        )
        shutil.move(Path(scratch) / "_build" / "otelcol", out / "otelcol")


_LOKI = "3.7.8"
_COLLECTOR = "0.149.0"
ARTIFACTS = (
    Artifact(
        name="loki",
        version=_LOKI,
        sources=(_HERE / "loki" / "go.mod", _HERE / "loki" / "go.sum"),
        build=_build_loki,
    ),
    Artifact(
        name="otelcol",
        version=_COLLECTOR,
        sources=(_HERE / "collector" / "manifest.yaml",),
        build=_build_collector,
    ),
)


def _is_whole(target: Path, checksum: Path) -> bool:
    """Whether the archive in the cache is the one that was put there; a damaged one is built again."""
    if not (target.exists() and checksum.exists()):
        return False
    return checksum.read_text(encoding="utf-8").split()[:1] == [sha256_of(target)]


def ensure_artifact(artifact: Artifact, say: Say) -> str:
    """Build an archive unless it is in the cache; return a sentence about it."""
    target = artifact.path
    checksum = target.with_name(f"{target.name}.sha256")
    if _is_whole(target, checksum):
        return f"{target.name} is in the cache"
    with locked(target.with_name(f"{artifact.name}.lock"), say):
        if _is_whole(target, checksum):
            return f"{target.name} was built by another run"
        go_mod = (_HERE / "loki" / "go.mod").read_text(encoding="utf-8")
        go = ensure_go(required_version(go_mod), say)
        log = STATE / f"{artifact.name}.log"
        log.unlink(missing_ok=True)
        say(f"building {artifact.name} {artifact.version} (some minutes, once; log: {log})")
        with tempfile.TemporaryDirectory(prefix=f"{artifact.name}-") as out:
            artifact.build(go, Path(out), log, _go_environment())
            binaries = [path for path in Path(out).iterdir() if path.is_file()]
            if not binaries:
                raise LabError(f"The build of {artifact.name} left nothing behind; see {log}.")
            pack(target, binaries)
    return f"{target.name}, {target.stat().st_size / 1e6:.0f} MB"


def write_index() -> None:
    """Record where the archives are and their checksums, for this checkout."""
    index = {
        artifact.name: {
            "version": artifact.version,
            "path": str(artifact.path),
            "sha256": artifact.path.with_name(f"{artifact.path.name}.sha256")
            .read_text(encoding="utf-8")
            .split()[0],
        }
        for artifact in ARTIFACTS
    }
    INDEX.parent.mkdir(parents=True, exist_ok=True)
    INDEX.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
