"""Makes the checkout importable as C(ansible_collections.koprogo.observability), as Ansible does."""

from __future__ import annotations

from ansible.plugins.loader import init_plugin_loader

from tests.integration.play import ROOT

init_plugin_loader([str(ROOT / "collections")])
