"""What tests of documentation share with those of the harness."""

from tests.bench.conftest import make_benchmark, toy_pack

__all__ = ["make_benchmark", "toy_pack"]
