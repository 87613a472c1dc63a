"""For tests of domains, here and in packs: :func:`check_domain`, a learner's code and an exam in this process.

What is imported or questioned here is trusted: the templates and base modules of a domain. Code of an agent belongs in
a sandbox.
"""

from discoenv.testing.code import import_learner, import_workspace, write_workspace
from discoenv.testing.domain_checks import check_domain, domain_of
from discoenv.testing.exams import InProcessLearner, examined, handed_over, make_examiner
from discoenv.testing.findings import DomainCheck

__all__ = [
    "DomainCheck",
    "InProcessLearner",
    "check_domain",
    "domain_of",
    "examined",
    "handed_over",
    "import_learner",
    "import_workspace",
    "make_examiner",
    "write_workspace",
]
