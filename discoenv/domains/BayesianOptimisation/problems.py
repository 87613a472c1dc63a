"""Black-box functions on the unit box, drawn afresh for each exam: disguised textbook functions, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import minimize
from scipy.stats import special_ortho_group

from .textbook import TEXTBOOK, FloatArray, Textbook

Function = Callable[[FloatArray], FloatArray]

#: Points at which a function is looked at to learn its typical value and, if unknown, where to search its maximum.
LOOKS: Final = 8192
_ASCENTS: Final = 16
#: The maximum of a disguised function is this far from each face of the box, in widths of the box.
_MARGIN: Final = 0.05
#: Sine waves that bend a disguised function, and the most that the slopes of all of them add up to.
_WAVES: Final = 4
_STEEPEST: Final = 0.5


@dataclass(frozen=True)
class Problem:
    """One function to be maximised over [0, 1]^dimension.

    Attributes:
        value: float64[M, d] → float64[M], without noise.
        maximum: its largest value in the box, as far as it is known.
        typical: its median over the box.
        noise: standard deviation of what is added to each value that is told.
    """

    dimension: int
    value: Function
    maximum: float
    typical: float
    noise: float = 0.0

    def regret(self, values: FloatArray) -> FloatArray:
        """Normalised regret, 0 (the maximum) to 1 (the median, or worse), of noise-free values."""
        return np.clip((self.maximum - values) / (self.maximum - self.typical), 0.0, 1.0)


def sample(name: str, generator: np.random.Generator) -> Problem:
    """A new function of the dataset called ``name``."""
    if name in TEXTBOOK:
        return disguise(TEXTBOOK[name], generator)
    return PROCEDURAL[name](generator)


def disguise(textbook: Textbook, generator: np.random.Generator) -> Problem:
    """A textbook function of which neither the place nor the height of the maximum is that of the book.

    The box shows the function around one of its maximisers, which comes to lie anywhere in the box, rotated about it
    (mirrored or not in one dimension), a little magnified, bent by a smooth :func:`warp` that leaves the maximiser
    where it is, and with values that pass through a monotone :func:`squash`, another unit and another origin. So
    fitting the formula to what has been observed does not find the maximum. Where the view leaves a function's domain
    it goes on by the formula; functions that are larger there are reflected at the domain's faces instead, so that the
    maximum stays what it is.
    """
    dimension = textbook.dimension
    centre = generator.uniform(_MARGIN, 1 - _MARGIN, dimension)
    zoom = textbook.zoom * generator.uniform(0.8, 1.0)
    if dimension == 1:
        rotation = np.array([[generator.choice([-1.0, 1.0])]])
    else:
        rotation = special_ortho_group.rvs(dimension, random_state=generator)
    maximiser = textbook.maximisers[generator.integers(len(textbook.maximisers))]
    width = textbook.high - textbook.low
    start = (maximiser - textbook.low) / width
    unit, origin = np.exp(generator.normal(0.0, 2.0)), generator.normal(0.0, 3.0)
    bend = warp(generator, centre)

    def plain(points: FloatArray) -> FloatArray:
        places = start + zoom * (bend(points) - centre) @ rotation.T
        if textbook.bounded:
            places = 1 - np.abs(1 - places % 2)
        return np.asarray(textbook.value(textbook.low + width * places))

    middle = float(np.median(plain(generator.random((LOOKS, dimension)))))
    curve = squash(generator, middle, textbook.maximum)

    def value(points: FloatArray) -> FloatArray:
        return np.asarray(unit * (curve(plain(points)) + origin))

    maximum, typical = (float(unit * (curve(np.array(each)) + origin)) for each in (textbook.maximum, middle))
    return Problem(dimension, value, maximum, typical)


def warp(generator: np.random.Generator, fixed: FloatArray) -> Function:
    """A random smooth invertible map of float64[M, d] to float64[M, d] with a fixed point, float64[d].

    x + s(x) − s(fixed), where s is a sum of sine waves whose slopes add up to less than one half.
    """
    dimension = len(fixed)
    frequencies = generator.normal(size=(_WAVES, dimension)) * 1.5
    phases = generator.uniform(0, 2 * np.pi, _WAVES)
    directions = generator.normal(size=(_WAVES, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    slopes = 2 * np.pi * np.linalg.norm(frequencies, axis=1)
    directions *= (_STEEPEST / _WAVES / slopes)[:, None]

    def shift(points: FloatArray) -> FloatArray:
        return np.asarray(np.sin(2 * np.pi * points @ frequencies.T + phases) @ directions)

    return lambda points: points + shift(points) - shift(fixed[None])


def squash(generator: np.random.Generator, middle: float, maximum: float) -> Function:
    """A random smooth increasing map of values, float64[M] to float64[M], which keeps ``middle`` and ``maximum``.

    With z = (value − middle) / (maximum − middle): z → z (1 + c) / (1 + c |z|), c log-uniform in 0.1 … 1.
    """
    bend = float(np.exp(generator.uniform(np.log(0.1), 0.0)))
    scale = maximum - middle

    def curve(values: FloatArray) -> FloatArray:
        z = (values - middle) / scale
        return np.asarray(middle + scale * z * (1 + bend) / (1 + bend * np.abs(z)))

    return curve


def gaussian_process(generator: np.random.Generator, dimension: int, noise: float = 0.0) -> Problem:
    """A sample from a Gaussian process with a Matérn-5/2 kernel of random length scales.

    ``noise`` is relative to the standard deviation of the function over the box.
    """
    lengthscales = np.exp(generator.uniform(np.log(0.15), np.log(0.5), dimension))
    return _searched(random_features(generator, lengthscales), dimension, generator, noise)


def random_features(generator: np.random.Generator, lengthscales: FloatArray) -> Function:
    """A sample from a Gaussian process of unit variance with a Matérn-5/2 kernel (Rahimi and Recht 2007).

    The kernel's spectral density is a multivariate t distribution with 5 degrees of freedom.
    """
    features = 512
    chi_square = generator.chisquare(5, (features, 1))
    frequencies = generator.normal(size=(features, len(lengthscales))) / lengthscales * np.sqrt(5 / chi_square)
    phases = generator.uniform(0, 2 * np.pi, features)
    weights = generator.normal(size=features) * np.sqrt(2 / features)
    return lambda points: np.cos(points @ frequencies.T + phases) @ weights


def neural_network(generator: np.random.Generator, dimension: int) -> Problem:
    """A random perceptron with two hidden layers of 32 tanh units."""
    hidden = 32
    first = generator.normal(size=(hidden, dimension)) * 2.5 / np.sqrt(dimension)
    second = generator.normal(size=(hidden, hidden)) * 2.0 / np.sqrt(hidden)
    biases = generator.normal(size=(2, hidden))
    out = generator.normal(size=hidden) / np.sqrt(hidden)

    def value(points: FloatArray) -> FloatArray:
        activity = np.tanh((2 * points - 1) @ first.T + biases[0])
        return np.asarray(np.tanh(activity @ second.T + biases[1]) @ out)

    return _searched(value, dimension, generator)


def bumps(generator: np.random.Generator, dimension: int) -> Problem:
    """A sum of Gaussian bumps of random places, widths and heights, half of them upside down."""
    count = 30
    centres = generator.random((count, dimension))
    widths = np.exp(generator.uniform(np.log(0.08), np.log(0.4), (count, dimension)))
    heights = generator.normal(size=count)

    def value(points: FloatArray) -> FloatArray:
        squares = ((points[:, None, :] - centres) / widths) ** 2
        return np.asarray(np.exp(-0.5 * squares.sum(axis=2)) @ heights)

    return _searched(value, dimension, generator, starts=centres)


PROCEDURAL: Final[Mapping[str, Callable[[np.random.Generator], Problem]]] = {
    "GaussianProcess3d": lambda generator: gaussian_process(generator, 3),
    "NoisyGaussianProcess2d": lambda generator: gaussian_process(generator, 2, noise=0.2),
    "NeuralNetwork4d": lambda generator: neural_network(generator, 4),
    "Bumps3d": lambda generator: bumps(generator, 3),
}


def _searched(
    value: Function,
    dimension: int,
    generator: np.random.Generator,
    noise: float = 0.0,
    starts: FloatArray | None = None,
) -> Problem:
    """The problem of a function whose maximum is not known: the best of many ascents from good points."""
    looks = generator.random((LOOKS, dimension))
    if starts is not None:
        looks = np.concatenate([looks, starts])
    values = value(looks)

    steps = 1e-6 * np.concatenate([np.zeros((1, dimension)), np.eye(dimension), -np.eye(dimension)])

    def descent(point: FloatArray) -> tuple[float, FloatArray]:
        """The negative value, and its gradient by central differences."""
        around = -value(point + steps)
        return float(around[0]), (around[1 : dimension + 1] - around[dimension + 1 :]) / 2e-6

    best = float(values.max())
    for start in looks[np.argsort(values)[-_ASCENTS:]]:
        found: Any = minimize(descent, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * dimension)
        best = max(best, -float(found.fun))
    return Problem(dimension, value, best, float(np.median(values[:LOOKS])), noise * float(values[:LOOKS].std()))
