"""The ``discoenv`` command."""
