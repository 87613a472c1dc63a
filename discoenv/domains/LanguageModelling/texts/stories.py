"""Short stories in which who is where, and who has what, stays consistent."""

from __future__ import annotations

import random

from .words import Frequent, vocabulary


class StoryGrammar:
    """Characters walk between places, take, give and drop things, and are asked about in the end.

    An exam's language has its own names, things, places, qualities and manners of telling. Words that an ordinary story
    needs (the, to, and) are English.
    """

    def __init__(self, draw: random.Random) -> None:
        words = vocabulary(draw, 260, 1, 3)
        draw.shuffle(words)
        self._names = Frequent([each.capitalize() for each in words[:40]])
        self._things = Frequent(words[40:110])
        self._places = Frequent(words[110:150])
        self._qualities = Frequent(words[150:190])
        self._moods = Frequent(words[190:220])
        ways = [words[220 + each] for each in range(20)]
        self._walked, self._took, self._gave = ways[:3], ways[3:6], ways[6:9]
        self._dropped, self._said, self._wished = ways[9:11], ways[11:14], ways[14:16]
        self._begin = draw.choice(["One day,", "Once", "In the morning", "Long ago"])

    def document(self, draw: random.Random) -> str:
        """One story."""
        names = self._names.several(draw, draw.randint(2, 3))
        places = self._places.several(draw, 3)
        things = self._things.several(draw, draw.randint(2, 3))
        kinds = {thing: self._qualities.one(draw) for thing in things}
        where = {name: draw.choice(places) for name in names}
        lying = {thing: draw.choice(places) for thing in things}
        held: dict[str, str] = {}
        hero, wish = names[0], things[0]
        lines = [
            f"{self._begin} {hero} was at the {where[hero]}.",
            f"{hero} {self._wished[0]} for the {kinds[wish]} {wish}, for {hero} was {self._moods.one(draw)}.",
        ]
        for _ in range(draw.randint(4, 9)):
            name = draw.choice(names)
            here = [thing for thing in things if thing not in held and lying[thing] == where[name]]
            own = [thing for thing in things if held.get(thing) == name]
            others = [each for each in names if each != name and where[each] == where[name]]
            if here and draw.random() < 0.7:
                thing = draw.choice(here)
                held[thing] = name
                lines.append(f"{name} {draw.choice(self._took)} the {kinds[thing]} {thing} at the {where[name]}.")
            elif own and others and draw.random() < 0.7:
                thing, other = draw.choice(own), draw.choice(others)
                held[thing] = other
                lines.append(f"{name} {draw.choice(self._gave)} the {thing} to {other}.")
                if draw.random() < 0.5:
                    lines.append(f'"I am {self._moods.one(draw)}," {draw.choice(self._said)} {other}.')
            elif own and draw.random() < 0.3:
                thing = draw.choice(own)
                del held[thing]
                lying[thing] = where[name]
                lines.append(f"{name} {draw.choice(self._dropped)} the {thing} at the {where[name]}.")
            else:
                target = draw.choice([place for place in places if place != where[name]])
                where[name] = target
                load = f" with the {own[0]}" if own else ""
                lines.append(f"{name} {draw.choice(self._walked)} to the {target}{load}.")
        thing = draw.choice(things)
        if thing in held:
            lines.append(f"Who had the {thing}? {held[thing]} had it, at the {where[held[thing]]}.")
        else:
            lines.append(f"Where was the {thing}? It was at the {lying[thing]}.")
        return " ".join(lines) + "\n"
