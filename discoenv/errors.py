"""Every error that discoenv raises for its users, as one tree.

::

    DiscoenvError
    ├── UserError                 something that the user can put right: a name, a file, an argument, a missing package
    │   ├── ArgumentError         an argument is of the wrong kind or out of range
    │   ├── TaskError             a task's configuration is wrong
    │   │   └── SamplingFailed    no draw within the allowed attempts was a task
    │   ├── UnknownName           a domain, dataset, module, … of that name does not exist
    │   ├── UnknownSandbox        no sandbox provider has that name
    │   ├── NotImportable         a function named ``package.module:name`` cannot be imported
    │   ├── EntryPointError       an entry point of an installed package cannot be used
    │   ├── DomainError           the files of a domain are wrong
    │   ├── InterpreterUnusable   the interpreter that a pack names does not work
    │   ├── MissingHere           this computer lacks something that must be fetched, installed or measured first;
    │   │   │                     it is Inconclusive, too
    │   │   ├── DatasetUnavailable  a dataset's data or packages are missing here
    │   │   ├── NoBaseline        a dataset has not been calibrated
    │   │   ├── SecretError       the secret that exam seeds come from cannot be read or written
    │   │   └── PackageMissing    an optional package is not installed
    │   │       └── PlotsMissing  matplotlib is not installed
    │   ├── CalibrationFailed     base modules did not pass an exam
    │   ├── RewardFailed          a reward function raised, or returned no reward; it is Inconclusive, too
    │   ├── ActionError           an action was refused
    │   ├── ToolError             a tool call was refused
    │   ├── RunError              a folder is not a run that can be read
    │   ├── BenchError            a benchmark's arguments or folder are wrong
    │   ├── ExperimentError       an experiment's arguments or folder are wrong
    │   ├── ConditionError        conditions of an experiment cannot be resolved
    │   ├── BudgetSpent           the next request to a language model could exceed the budget
    │   └── ChatError             a language model refused a request, or failed at every attempt
    └── Inconclusive              says nothing about the agent: a benchmark plays again, and never makes a score of it
        ├── MissingHere           as above
        ├── EpisodeLeft           an episode was closed while an action was carried out
        ├── RewardFailed          as above
        └── MachineError          this computer failed, or something of ours on it
            ├── InfraError        an exam could not be held
            │   └── LearnerStarved  others kept its learner from running
            ├── RecordError       a run directory cannot be written
            ├── EpisodeSpoilt     an episode says nothing about the agent that played it
            ├── WrongData         generated data differ from what they are on every other machine
            └── SandboxError      a sandbox failed, not the code inside
                ├── SandboxUnavailable  a provider or device does not work on this machine
                ├── NoGpuFree           every GPU stayed leased
                ├── CannotFork          a warm learner could not be forked
                └── ImageBuildFailed    a container engine could not build an image

Most of them are also the built-in exception that fits, such as :class:`ValueError`, so that callers may catch either.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DiscoenvError(Exception):
    """Base class of all errors that discoenv raises for its users."""


class UserError(DiscoenvError):
    """The user can put this right; the message names the thing, the reason and what to do next."""


class Inconclusive(DiscoenvError):
    """Nothing was learnt about the agent: a benchmark plays the cell again, here or elsewhere, and never scores it."""


class ArgumentError(UserError, ValueError):
    """An argument is of the wrong kind or out of range; the message names it, its value and what is allowed."""


class TaskError(UserError, ValueError):
    """A task's configuration is wrong; the message names the key and the reason."""


class SamplingFailed(TaskError, RuntimeError):
    """No draw within the attempts allowed was a task."""


class UnknownName(UserError, LookupError, ValueError):
    """A domain, dataset, module, backend or scale of that name does not exist; the message suggests one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        super().__init__(f"no {kind} is called {name!r}{f' in {where}' if where else ''}; {suggestion(name, known)}")


#: So many names are listed in a message where none is close; of more, the nearest.
_MOST_LISTED = 12


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: the nearest one, or all if they are few."""
    names = list(dict.fromkeys(known))
    by_lower = {each.lower(): each for each in reversed(names)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    if len(names) <= _MOST_LISTED:
        return f"known are {', '.join(names) or 'none'}."
    nearest = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.0)]
    return f"the nearest of {len(names)} are {', '.join(nearest)}."


class UnknownSandbox(UserError, ValueError, LookupError):
    """No sandbox provider has that name; the message suggests one."""


class NotImportable(UserError, LookupError):
    """A function that was named as ``package.module:name`` cannot be imported."""


class EntryPointError(UserError, ImportError):
    """An entry point of an installed package cannot be used; the message names the package and what to do."""


class DomainError(UserError, ValueError):
    """A domain's files are wrong; the message names the file and the key."""


class EpisodeLeft(Inconclusive, RuntimeError):
    """An episode was closed, from another thread, while one of its actions was carried out; that action is lost."""


class InterpreterUnusable(UserError, ValueError):
    """The interpreter that a pack of domains names is not there, or does not work; the message names its path."""


class MissingHere(UserError, Inconclusive):
    """This computer lacks something that must be fetched, installed or measured first; the message names the command.

    The agent has not failed, and a benchmark's cell can be played elsewhere, or here later.
    """


class DatasetUnavailable(MissingHere, RuntimeError):
    """A dataset's data cannot be fetched here; the message names the dataset, the source and what to run where."""


class NoBaseline(MissingHere, LookupError):
    """A dataset has not been calibrated at this backend and scale; the message names the command that does it."""


class SecretError(MissingHere, ValueError):
    """The secret that exam seeds come from is not here, or cannot be read or written; the message names the file."""


class PackageMissing(MissingHere, ImportError):
    """An optional package is not installed; the message names the command that installs it."""


class PlotsMissing(PackageMissing):
    """matplotlib is not installed; the message names the command that installs it."""


class CalibrationFailed(UserError, RuntimeError):
    """The base modules did not get through an exam; the message holds their traceback."""


class RewardFailed(UserError, Inconclusive):
    """A reward function raised, or returned no reward. The scores that it was given are recorded and kept."""


class ActionError(UserError, ValueError):
    """An action was refused; nothing was changed. The message says what is wrong and what is possible."""


class ToolError(UserError, ValueError):
    """A tool call was refused; nothing was changed. The message says what is wrong and what is possible."""


class RunError(UserError, ValueError):
    """A folder is not a run that can be read; the message names the folder and what is missing."""


class BenchError(UserError, ValueError):
    """A benchmark cannot be run or read as asked; the message says what to change."""


class ExperimentError(UserError, RuntimeError):
    """An experiment cannot be run or read as asked; the message says what to change."""


class ConditionError(UserError, ValueError):
    """Conditions depend on each other in a circle, or on a key that does not exist."""


class BudgetSpent(UserError):
    """The next request to a language model could exceed the budget, so it was not sent.

    Attributes:
        what: ``tokens``, ``cost``, ``seconds`` or ``calls``.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


class ChatError(UserError):
    """A language model refused a request, or failed at every attempt.

    Attributes:
        context: whether the messages were too long for the model.
    """

    def __init__(self, message: str, *, context: bool = False) -> None:
        super().__init__(message)
        self.context = context


class MachineError(Inconclusive, RuntimeError):
    """This computer failed, or something of ours on it; nothing was learnt about the agent's code."""


class InfraError(MachineError):
    """Something of ours failed (examiner, sandbox, disk), not the agent's code. Retried; never a score."""


class LearnerStarved(InfraError):
    """A learner did not get enough of a core to be judged: others use the cores, or a quota throttles them."""


class RecordError(MachineError):
    """A run directory cannot be written; the message names the folder, the reason and what to do."""


class EpisodeSpoilt(MachineError):
    """This computer or the server of a language model failed, so an episode says nothing about its agent."""


class WrongData(MachineError):
    """What was generated here is not what it is on every other machine."""


class SandboxError(MachineError):
    """The sandbox itself failed (not the code inside): an infrastructure error, never a score."""


class SandboxUnavailable(SandboxError):
    """This provider or device cannot work on this machine; the message says why and which command installs it."""


class NoGpuFree(SandboxError):
    """Every GPU stayed leased for the whole time that the caller was willing to wait."""


class CannotFork(SandboxError):
    """A warm learner cannot be forked here, so it is started as a new program."""


class ImageBuildFailed(SandboxError):
    """The engine could not build an image; the message carries the end of what the build said."""
