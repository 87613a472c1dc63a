"""The audit: exploits as data, and the auditor that tries them on a domain. See ``docs/integrity.md``."""
