# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the sample API into one executable file; the same sources give the same bytes.

Usage: package.py OUTPUT. Prints `changed` if OUTPUT was written, `unchanged` if it was right.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path

__all__ = ["build"]

_SHEBANG = b"#!/usr/bin/python3 -I\n"
_MAIN = "import sys\n\nfrom koprogo_api.cli import main\n\nsys.exit(main())\n"
# A fixed date: an archive that differs only in its dates would restart the API for nothing.
_DATE = (2026, 1, 1, 0, 0, 0)


def build(package: Path) -> bytes:
    """The archive of all modules of `package`, started by its `cli`."""
    modules = package.glob("*.py")
    sources = {f"{package.name}/{path.name}": path.read_text(encoding="utf-8") for path in modules}
    sources["__main__.py"] = _MAIN
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            archive.writestr(zipfile.ZipInfo(name, _DATE), sources[name])
    return _SHEBANG + stream.getvalue()


def main() -> int:
    """Write the archive if it is missing or different."""
    if len(sys.argv) != 2:
        print("usage: package.py OUTPUT", file=sys.stderr)
        return 2
    output = Path(sys.argv[1])
    content = build(Path(__file__).parent / "koprogo_api")
    if output.exists() and output.read_bytes() == content:
        print("unchanged")
        return 0
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=output.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).rename(output)
    print("changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
