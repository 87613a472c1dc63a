"""What ``vf-eval discoenv-verifiers`` finds: verifiers takes tasksets from modules at the top level alone."""

from discoenv.adapters.verifiers import DiscoenvTaskset

__all__ = ["DiscoenvTaskset"]
