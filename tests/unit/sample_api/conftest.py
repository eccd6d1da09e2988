"""Makes the lab importable; the modules tested here need nothing but the standard library."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
