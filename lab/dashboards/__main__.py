# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the dashboards' JSON for role grafana. Run in the virtual environment."""

from __future__ import annotations

from ansible.plugins.loader import init_plugin_loader

from lab.paths import ROOT

if __name__ == "__main__":
    init_plugin_loader([str(ROOT / "collections")])
    from lab.dashboards.boards import write

    for name in write():
        print(name)
