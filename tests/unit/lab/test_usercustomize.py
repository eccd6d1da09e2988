"""What the scenarios' hosts keep of the modules that Ansible sends."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from lab.paths import ROOT

# Imports a module from a zip file and says how its code was had, and which file a traceback names.
_PROBE = """
import sys, zipimport
compiled = []
compile_really = zipimport._compile_source
zipimport._compile_source = lambda *given: compiled.append(1) or compile_really(*given)
source = open(sys.argv[1]).read().replace("/run/koprogo-lab-python", sys.argv[2])
exec(compile(source, "usercustomize", "exec"))
sys.path.insert(0, sys.argv[3])
import sample
print(len(compiled), sample.answer(), sample.answer.__code__.co_filename)
"""


def _imported(archive: Path, folder: Path) -> list[str]:
    script = str(ROOT / "lab" / "usercustomize.py")
    command = [sys.executable, "-c", _PROBE, script, str(folder), str(archive)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _archive(path: Path, answer: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sample.py", f"def answer():\n    return {answer!r}\n")
    return path


def test_compiled_once_whatever_the_archives_name(tmp_path: Path) -> None:
    first, second = (_archive(tmp_path / name, "one") for name in ("a.zip", "b.zip"))
    kept = tmp_path / "kept"
    assert _imported(first, kept) == ["1", "one", f"{first}/sample.py"]
    assert _imported(second, kept) == ["0", "one", f"{second}/sample.py"]
    assert kept.stat().st_mode & 0o777 == 0o700


def test_another_source_is_compiled(tmp_path: Path) -> None:
    for answer in ("one", "two"):
        archive = _archive(tmp_path / f"{answer}.zip", answer)
        assert _imported(archive, tmp_path / "kept")[:2] == ["1", answer]


def test_without_room_it_is_only_slower(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", "one")
    # Python itself does it twice: when it finds a module, and when it runs it.
    for _try in range(2):
        assert _imported(archive, Path("/dev/null/none"))[:2] == ["2", "one"]
