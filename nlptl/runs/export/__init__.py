"""Exports of a run: written, held against their source on real texts, and published only where they agree."""
