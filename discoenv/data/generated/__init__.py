"""Image sets that need no network: real digits, and sets that are generated with the same bits everywhere.

    >>> images = load("digits")
    >>> images.train.x.shape, images.train.y.shape, images.classes
    ((1000, 8, 8, 1), (1000,), 10)

For examiners; learners never see any of it.
"""

from discoenv.data.generated.store import COUNTS, DIGESTS, GENERATORS, draw, load
from discoenv.data.images import Images, Split
from discoenv.errors import WrongData

__all__ = ["COUNTS", "DIGESTS", "GENERATORS", "Images", "Split", "WrongData", "draw", "load"]
