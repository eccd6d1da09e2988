# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for the services that notifications go to, which check what they get.

Only the standard library, and imports relative to each other: the folder is copied to a lab's host as it is.
"""
