"""Worked problems of arithmetic and algebra, in phrasings that are invented for each exam."""

from __future__ import annotations

import math
import random

from .words import vocabulary


class ProcMath:
    """Sums with carries, products, remainders, fractions, equations and sequences; each answer can be inferred.

    An exam's language has its own words for the parts of a problem, its own names of unknowns, and its own shares of
    the kinds of problems.
    """

    def __init__(self, draw: random.Random) -> None:
        words = vocabulary(draw, 12, 1, 2)
        names = "task solve so hence answer mod carry common term equals check next"
        self._word = dict(zip(names.split(), words, strict=True))
        self._unknowns = draw.sample("abcdefghijkmnpqrstuvwxyz", 5)
        self._kinds = [self._sum, self._product, self._remainder, self._fraction, self._equation, self._sequence]
        self._weights = [0.5 + draw.random() for _ in self._kinds]
        self._style = draw.randrange(3)

    def document(self, draw: random.Random) -> str:
        """One to three problems of a kind, worked."""
        (kind,) = draw.choices(self._kinds, self._weights)
        return "".join(self._worked(*kind(draw)) for _ in range(draw.randint(1, 3)))

    def _worked(self, question: str, steps: list[str], answer: str) -> str:
        word = self._word
        begin = (f"{word['task']}: {question}", f"{word['solve']} {question}.", f"[{question}]")[self._style]
        body = "".join(f"\n  {step}" for step in steps)
        return f"{begin}{body}\n{word['answer']}: {answer}\n"

    def _sum(self, draw: random.Random) -> tuple[str, list[str], str]:
        a, b = (draw.randrange(10, 10 ** draw.randint(2, 3)) for _ in range(2))
        steps, carry, rest_a, rest_b = [], 0, a, b
        while rest_a or rest_b:
            total = rest_a % 10 + rest_b % 10 + carry
            step = f"{rest_a % 10} + {rest_b % 10}" + (f" + {carry}" if carry else "") + f" = {total}"
            carry = total // 10
            steps.append(step + (f", {self._word['carry']} {carry}" if carry else ""))
            rest_a, rest_b = rest_a // 10, rest_b // 10
        return f"{a} + {b}", steps, str(a + b)

    def _product(self, draw: random.Random) -> tuple[str, list[str], str]:
        a, b = draw.randrange(11, 100), draw.randrange(2, 10)
        tens, ones = a // 10 * 10, a % 10
        steps = [f"{tens} * {b} = {tens * b}", f"{ones} * {b} = {ones * b}", f"{tens * b} + {ones * b} = {a * b}"]
        return f"{a} * {b}", steps, str(a * b)

    def _remainder(self, draw: random.Random) -> tuple[str, list[str], str]:
        divisor = draw.randrange(2, 13)
        a = draw.randrange(divisor, 12 * divisor)
        steps = [f"{a // divisor} * {divisor} = {a // divisor * divisor}"]
        steps.append(f"{a} - {a // divisor * divisor} = {a % divisor}")
        return f"{a} {self._word['mod']} {divisor}", steps, str(a % divisor)

    def _fraction(self, draw: random.Random) -> tuple[str, list[str], str]:
        common = draw.randrange(2, 10)
        a, b = (common * draw.randrange(1, 10) for _ in range(2))
        divisor = math.gcd(a, b)
        step = f"{self._word['common']} {divisor}, {self._word['hence']} {a // divisor} / {b // divisor}"
        return f"{a} / {b}", [step], f"{a // divisor}/{b // divisor}" if b != divisor else str(a // divisor)

    def _equation(self, draw: random.Random) -> tuple[str, list[str], str]:
        name = draw.choice(self._unknowns)
        factor, value, shift = draw.randrange(2, 10), draw.randrange(1, 13), draw.randrange(1, 30)
        right = factor * value + shift
        steps = [f"{factor}{name} = {right} - {shift} = {right - shift}", f"{name} = {right - shift} / {factor}"]
        return f"{factor}{name} + {shift} = {right}", steps, f"{name} = {value}"

    def _sequence(self, draw: random.Random) -> tuple[str, list[str], str]:
        start, step, count = draw.randrange(1, 40), draw.randrange(2, 13), draw.randint(3, 5)
        terms = [start + step * each for each in range(count + 1)]
        shown = ", ".join(map(str, terms[:-1]))
        return f"{self._word['next']} {shown}", [f"{terms[1]} - {terms[0]} = {step}"], str(terms[-1])
