"""What is known about the function that is being maximised."""

from typing import NamedTuple

import jax


class Observations(NamedTuple):
    """Points that have been evaluated. The arrays always have BUDGET rows, so that everything is compiled only once.

    Attributes:
        x: float64[BUDGET, DIMENSION], points of the unit box; rows that are not used yet are zero.
        y: float64[BUDGET], their values (more is better), standardised: mean 0 and standard deviation 1 over the rows
            that are used; zero in the others.
        mask: bool[BUDGET], which rows are used; the first ones, in the order of evaluation.
    """

    x: jax.Array
    y: jax.Array
    mask: jax.Array
