"""The archives that the tests install."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.integration.component import HOSTS, Archive


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Archive]:
    """Archives of a real daemon, the node exporter of Debian 12, in as many versions as wanted."""
    folder = tmp_path_factory.mktemp("archives")
    program = folder / "program"
    subprocess.run(
        ["docker", "cp", f"{HOSTS[0]}:/usr/bin/prometheus-node-exporter", program],
        check=True,
        capture_output=True,
    )
    daemon = program.read_bytes()

    def make(version: str, *, compression: str = "gz", machine: int | None = None) -> Archive:
        path = folder / f"demo-{version}.tar.{compression}"
        if not path.exists():
            # The loader does not read what follows the program.
            content = daemon + version.encode()
            if machine is not None:
                content = content[:18] + machine.to_bytes(2, "little") + content[20:]
            with tarfile.open(str(path), f"w:{compression}") as archive:  # type: ignore[call-overload]
                for name, data, mode in (("demo", content, 0o755), ("LICENSE", b"free", 0o644)):
                    info = tarfile.TarInfo(f"demo-{version}.linux-amd64/{name}")
                    info.size, info.mode = len(data), mode
                    archive.addfile(info, io.BytesIO(data))
        return Archive(path=str(path), sha256=sha256(path.read_bytes()).hexdigest())

    return make
