"""Logs of servers: requests come in, pass through services, and end."""

from __future__ import annotations

import random

from .words import Frequent, vocabulary


class LogLines:
    """Lines with rising times; what belongs together has the same request number, and codes follow from paths.

    An exam's language has its own services, hosts, paths, users and form of a line.
    """

    def __init__(self, draw: random.Random) -> None:
        words = vocabulary(draw, 90, 1, 2)
        draw.shuffle(words)
        self._services = words[:6]
        self._hosts = [f"{words[6 + each % 3]}-{each + 1:02}" for each in range(8)]
        paths = [f"/{words[10 + each]}/{words[25 + each // 3]}" for each in range(15)]
        self._paths = Frequent(paths)
        self._users = Frequent(words[35:75])
        self._codes = {path: draw.choice([200, 200, 201, 304]) for path in paths}
        self._errors = words[75:81]
        self._database = words[81:85]
        self._form = draw.randrange(3)
        self._usual_ms = {service: draw.randrange(2, 60) for service in self._services}

    def document(self, draw: random.Random) -> str:
        """A stretch of a log."""
        moment = draw.randrange(86_400_000)
        open_requests: list[tuple[int, str, str, str, int]] = []
        number = draw.randrange(1000, 9000)
        lines = []
        for _ in range(draw.randint(8, 20)):
            moment += draw.choice([1, 2, 3, 5, 8, 13, 40])
            if not open_requests or (len(open_requests) < 3 and draw.random() < 0.4):
                number += 1
                path, user = self._paths.one(draw), self._users.one(draw)
                open_requests.append((number, path, user, draw.choice(self._hosts), moment))
                lines.append(self._line(moment, "INFO", "gate", f"req={number} user={user} GET {path}"))
                continue
            request = draw.choice(open_requests)
            number_of, path, user, host, begin = request
            service = self._services[hash_of(path) % len(self._services)]
            happens = draw.random()
            if happens < 0.45:
                table = self._database[hash_of(user) % len(self._database)]
                took = self._usual_ms[service] + draw.randrange(3)
                lines.append(self._line(moment, "DEBUG", service, f"req={number_of} host={host} read {table} {took}ms"))
            elif happens < 0.9:
                open_requests.remove(request)
                code = self._codes[path]
                lines.append(
                    self._line(moment, "INFO", service, f"req={number_of} done code={code} {moment - begin}ms")
                )
            else:
                open_requests.remove(request)
                error = self._errors[hash_of(host) % len(self._errors)]
                lines.append(self._line(moment, "ERROR", service, f"req={number_of} host={host} {error} code=500"))
        return "".join(lines)

    def _line(self, moment: int, level: str, service: str, text: str) -> str:
        seconds, thousandths = divmod(moment % 86_400_000, 1000)
        minutes, second = divmod(seconds, 60)
        time = f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{thousandths:03}"
        if self._form == 0:
            return f"{time} {level} {service} {text}\n"
        if self._form == 1:
            return f"[{level[0]}] {time} <{service}> {text}\n"
        return f"{service}|{time}|{level.lower()}|{text}\n"


def hash_of(text: str) -> int:
    """A number that follows from a text, the same one in every process."""
    return sum((place + 1) * ord(letter) for place, letter in enumerate(text))
