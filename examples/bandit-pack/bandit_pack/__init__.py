"""Domains for discoenv."""

from pathlib import Path

#: The folder of the domains, a folder each.
DOMAINS = Path(__file__).parent / "domains"
