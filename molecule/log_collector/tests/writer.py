"""Runs in a container, given to Python's standard input: appends lines as the API does.

Arguments: path, count, lines per second (0 for all at once), marker. Each pair of lines is equal but for
its time of milliseconds, as two requests may be. Prints when it is done. Standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> None:
    path, count, rate, marker = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    for number in range(count):
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        login = number % 4 == 0
        fields = {
            "remote_addr": "198.51.100.7",
            "timestamp": stamp,
            "level": "ERROR" if number % 10 == 0 else "INFO",
            "path": "/api/v1/auth/login" if login else "/api/v1/buildings",
            "status": 401 if login else 200,
            "duration_ms": 1500.5 if number % 5 == 0 else 12.25,
            "number": number // 2,
            "message": f'{marker} "timestamp":"not this one"',
        }
        # Opened anew for each line: whoever rotates the file needs to tell nobody.
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields, separators=(",", ":")) + "\n")
        if rate:
            time.sleep(1 / rate)
    sys.stdout.write("written\n")


if __name__ == "__main__":
    main()
