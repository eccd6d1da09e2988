"""Makes the checkout importable as C(ansible_collections.koprogo.observability), as Ansible does."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).parents[2] / "collections")])
