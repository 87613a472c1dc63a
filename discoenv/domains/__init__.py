"""The domains that come with discoenv, one folder each."""
