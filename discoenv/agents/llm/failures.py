"""What went wrong with a request to a language model: whether it may pass, when to try again, who pays."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from discoenv.agents.llm.streams import BrokenAnswer

if TYPE_CHECKING:
    import openai

_LONGEST_BACKOFF_S: Final = 60.0
_LONGEST_PATIENCE_S: Final = 600.0
_PASSING: Final = frozenset({408, 409, 425, 429})
#: A proxy gave up on a model that perhaps went on.
_PERHAPS_ANSWERED: Final = frozenset({408, 502, 504, 524})
#: Libraries that older versions of the SDK let through with their own errors.
_TRANSPORTS: Final = frozenset({"httpx", "httpx2", "httpcore", "httpcore2"})
_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


@dataclass(frozen=True)
class Failure:
    """A failed request.

    Attributes:
        message: type and text of the error, for people.
        status: of HTTP, if it came to that.
        may_pass: whether to try again.
        may_be_billed: whether the model may have worked for it.
        retry_after_s: how long the server asks us to wait.
        context: whether the messages were too long for the model.
    """

    message: str
    status: int | None = None
    may_pass: bool = True
    may_be_billed: bool = True
    retry_after_s: float | None = None
    context: bool = False

    def wait_s(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after the ``attempt``-th failure in a row: what the server asks for, else exponential."""
        backoff = min(_LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)) * (0.5 + jitter / 2)
        return backoff if self.retry_after_s is None else max(self.retry_after_s, backoff * 0.1)


def classify(error: BaseException) -> Failure | None:
    """What an exception means; None if it is not the server's or the connection's doing."""
    import openai  # slow to import, and an extra

    message = f"{type(error).__name__}: {error}"[:2000]
    if isinstance(error, openai.APIStatusError):
        return _status(error, message)
    if isinstance(error, openai.APIConnectionError):
        sent = type(error.__cause__).__name__ not in _NEVER_SENT
        return Failure(f"{message} ({type(error.__cause__).__name__})", may_be_billed=sent)
    if isinstance(error, openai.APIError):  # an error event in the middle of a stream
        return Failure(message, may_pass=str(error.code) != "insufficient_quota")
    if isinstance(error, (BrokenAnswer, json.JSONDecodeError, TimeoutError)):
        return Failure(message if str(error) else f"{type(error).__name__}: no answer in time")
    if type(error).__module__.partition(".")[0] in _TRANSPORTS:
        return Failure(message, may_be_billed=type(error).__name__ not in _NEVER_SENT)
    return None


def _status(error: openai.APIStatusError, message: str) -> Failure:
    status = error.status_code
    quota = str(error.code) == "insufficient_quota"
    text = message.lower()
    context = status in (400, 413) and ("context" in text or "too long" in text or "too many tokens" in text)
    retry_after_s = retry_after(error.response.headers)
    patient = retry_after_s is None or retry_after_s <= _LONGEST_PATIENCE_S
    return Failure(
        message,
        status=status,
        may_pass=(status in _PASSING or status >= 500) and not quota and patient,
        may_be_billed=status in _PERHAPS_ANSWERED,
        retry_after_s=retry_after_s,
        context=context,
    )


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that ``Retry-After-Ms`` or ``Retry-After`` (seconds, or a date) ask for; None if they do not."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            return max(0.0, float(value) * scale)
        except ValueError:
            pass
        try:
            when = email.utils.parsedate_to_datetime(value).timestamp()
            return max(0.0, when - (time.time() if now is None else now))
        except (TypeError, ValueError):
            continue
    return None
