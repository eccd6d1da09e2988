# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the ET Open rules, and never end with much fewer than before without saying so.

suricata-update ends with 0 when it reached nothing and wrote an almost empty file, so its result is counted,
judged by the engine, and only then put in place.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

#: Of the rules that were there, the part that must still be there after an update.
KEPT = 0.8
#: What judges the rules: the running engine's configuration, or the package's before that has one.
CONFIG = "/etc/koprogo/suricata/suricata.yaml"
PACKAGED = "/etc/suricata/suricata.yaml"


def rules(path: Path) -> int:
    """How many enabled rules a file has; 0 for a file that isn't there."""
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(line.lstrip().startswith(("alert ", "drop ", "reject ", "pass ")) for line in lines)


def fetch(folder: Path, url: str) -> Path:
    """Let suricata-update write the rules into a folder of their own.

    Without those of the engine's package: they report oddities of protocols, which ordinary clients have too.
    """
    none = folder / "none"
    none.mkdir()
    settings = folder / "update.yaml"
    settings.write_text(f"dist-rule-directory: {none}\n", encoding="utf-8")
    command = ["suricata-update", "--fail", "--no-test", "--no-reload", "--config", str(settings)]
    command += ["--data-dir", str(folder / "data"), "--output", str(folder / "out")]
    command += ["--url", url] if url else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise SystemExit(f"suricata-update failed, the old rules stay: {' '.join(said[-2:])}")
    return folder / "out" / "suricata.rules"


def judge(found: Path, before: int, config: str) -> int:
    """The number of new rules; an exit with a sentence where they must not be used."""
    count = rules(found)
    if count == 0:
        raise SystemExit("suricata-update brought no rule at all, the old ones stay")
    if count < before * KEPT:
        raise SystemExit(
            f"suricata-update brought {count} rules, there were {before}: the old ones stay; "
            "delete the file to accept fewer"
        )
    test = ["suricata", "-T", "-c", config, "-S", str(found), "-l", "/tmp"]  # noqa: S108
    done = subprocess.run(test, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise SystemExit(f"the engine refuses the new rules, the old ones stay: {said[-500:]}")
    return count


def main() -> int:
    """Fetch, judge, put in place, and tell the running engine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--url", default="")
    parser.add_argument("--once", action="store_true", help="do not tell a running engine")
    options = parser.parse_args()
    options.file.parent.mkdir(parents=True, exist_ok=True)
    before = rules(options.file)
    with tempfile.TemporaryDirectory(dir=options.file.parent) as folder:
        found = fetch(Path(folder), options.url)
        count = judge(found, before, PACKAGED if options.once else CONFIG)
        found.chmod(0o640)
        found.replace(options.file)
    sys.stdout.write(f"{count} rules, there were {before}\n")
    if options.once:
        return 0
    return subprocess.run(["systemctl", "reload", "suricata.service"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
