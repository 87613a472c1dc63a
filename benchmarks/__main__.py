"""``python -m benchmarks``: all benchmarks of speed, in one run; see docs/performance.md."""

from benchmarks import runner

runner.main()
