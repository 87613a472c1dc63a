"""Packages that are copied into workspaces; they import nothing of discoenv."""
