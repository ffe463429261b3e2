"""Texts and labels found in files that nobody has described: which columns hold them, and the settings that read them."""

from __future__ import annotations

from nlptl.data.discovery.column_choice import Choose, NoLabels, Question
from nlptl.data.discovery.found_settings import Discovery, discover, discover_pile_settings, discover_settings

__all__ = ["Choose", "Discovery", "NoLabels", "Question", "discover", "discover_pile_settings", "discover_settings"]
