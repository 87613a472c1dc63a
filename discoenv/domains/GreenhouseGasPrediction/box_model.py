"""One-box atmospheres: a well-mixed burden fed by emissions and drained by a sink, as a station would observe it.

Every realisation is a different history of the same kind of gas. Emissions, lifetimes, seasonal cycles, noise and gaps
are those of no particular station. Levels are the observed ones to a few per cent (tests hold them to that), except for
CO, which is that of a polluted northern station and declines faster than any real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

DAYS_PER_YEAR: Final = 365.2425


@dataclass(frozen=True)
class Cycle:
    """Seasonal cycle A(t) [cos 2π(t − φ(t)) + h cos 4π(t − φ(t))], with t in years.

    Attributes:
        amplitude: A in the middle of the record, in the gas's unit.
        peak: φ, fraction of the year at which the annual harmonic is largest.
        half_yearly: h, relative amplitude of the half-yearly harmonic.
        growth: relative change of A in ten years.
        wander: standard deviation of the slow random changes of A (relative) and of 10 φ (years).
    """

    amplitude: float
    peak: float
    half_yearly: float = 0.3
    growth: float = 0.0
    wander: float = 0.05


@dataclass(frozen=True)
class Pulses:
    """Short emissions of fires and eruptions: about ``per_year`` of them, each an exponentially distributed mass.

    Attributes:
        per_year: expected number.
        mass: expected mass, in the unit of E times a year.
        season: fraction of the year around which they start, at most ``length`` earlier or later.
        length: duration, years.
    """

    per_year: float
    mass: float
    season: float
    length: float = 0.15


@dataclass(frozen=True)
class Gas:
    """What a realisation is drawn around.

    Attributes:
        burden: k, mass per unit of mixing ratio (Tg/ppb, Gg/ppt, Gt C/ppm).
        lifetime: τ, years.
        equilibrium: mixing ratio at which the sink vanishes (the pre-industrial one for CO2, else 0).
        initial: mixing ratio at the first node of ``emissions``.
        emissions: E at nodes (year, mass per year), linear in between. The record spans the nodes.
        emission_spread: standard deviation of ln E at random nodes, 4 to 12 years apart: each is a change of regime.
        node_spread: standard deviation of the nodes' years.
        lifetime_spread: standard deviation of ln τ.
        noise: standard deviation of the AR(1) noise, in the gas's unit; ``memory`` is its e-folding time in years.
        gaps_per_decade: expected number of calibration gaps, each of 2 to 14 weeks.
    """

    burden: float
    lifetime: float
    initial: float
    emissions: tuple[tuple[float, float], ...]
    emission_spread: float
    noise: float
    cycle: Cycle | None = None
    pulses: Pulses | None = None
    equilibrium: float = 0.0
    node_spread: float = 1.0
    lifetime_spread: float = 0.01
    memory: float = 0.08
    gaps_per_decade: float = 3.0

    @property
    def span(self) -> tuple[float, float]:
        """First and last year of a realisation."""
        return self.emissions[0][0], self.emissions[-1][0]


#: Round figures for emissions and lifetimes, from which the box makes the observed levels and turning points.
GASES: Final[Mapping[str, Gas]] = {
    "CO2": Gas(
        burden=2.124,
        lifetime=50.0,
        equilibrium=278.0,
        initial=330.0,
        emissions=((1974, 5.3), (1980, 6.0), (1990, 7.0), (2000, 7.8), (2010, 9.9), (2020, 10.8), (2026, 11.1)),
        emission_spread=0.03,
        noise=0.5,
        cycle=Cycle(3.0, 0.37, growth=0.06),
    ),
    "CH4": Gas(
        burden=2.75,
        lifetime=9.1,
        initial=1640.0,
        emissions=(
            (1983, 531),
            (1990, 540),
            (1999, 538),
            (2006, 538),
            (2008, 556),
            (2014, 577),
            (2020, 606),
            (2026, 610),
        ),
        emission_spread=0.008,
        noise=4.0,
        cycle=Cycle(9.0, 0.95, growth=0.02),
    ),
    "N2O": Gas(
        burden=4.8,
        lifetime=120.0,
        initial=299.5,
        emissions=((1979, 15.3), (1990, 15.7), (2000, 16.1), (2010, 17.2), (2020, 18.8), (2026, 19.2)),
        emission_spread=0.02,
        noise=0.15,
        cycle=Cycle(0.35, 0.1),
    ),
    "SF6": Gas(
        burden=25.0,
        lifetime=3000.0,
        initial=2.4,
        emissions=((1990, 5.6), (1995, 6.2), (2000, 5.4), (2008, 6.9), (2014, 7.9), (2020, 8.9), (2026, 9.6)),
        emission_spread=0.03,
        noise=0.02,
    ),
    "CFC": Gas(
        burden=24.0,
        lifetime=52.0,
        initial=140.0,
        emissions=((1977, 320), (1987, 350), (1990, 230), (1993, 120), (1998, 85), (2010, 60), (2017, 72), (2026, 45)),
        emission_spread=0.03,
        node_spread=0.5,
        noise=0.5,
        cycle=Cycle(0.4, 0.2),
    ),
    "CO": Gas(
        burden=4.96,
        lifetime=0.16,
        initial=180.0,
        emissions=((1984, 5500), (1995, 4650), (2005, 3800), (2015, 2950), (2026, 2150)),
        emission_spread=0.012,
        noise=3.5,
        cycle=Cycle(10.0, 0.24, half_yearly=0.1),
        pulses=Pulses(0.5, 50.0, 0.7),
        memory=0.12,
    ),
}


def realise(gas: Gas, generator: np.random.Generator) -> tuple[Days, FloatArray]:
    """Sample one history of daily observations.

    Returns:
        (days, values): datetime64[D][N], ascending, without the days in calibration gaps; float64[N], the gas's unit.
    """
    first, last = (np.datetime64(f"{int(year)}-01-01", "D") for year in gas.span)
    days = np.arange(first, last)
    years = gas.span[0] + np.arange(len(days)) / DAYS_PER_YEAR
    emissions = np.exp(_wander(years, gas.emission_spread, (4.0, 12.0), generator)) * _emissions(gas, years, generator)
    lifetime = gas.lifetime * np.exp(generator.normal(0.0, gas.lifetime_spread))
    values = box(emissions, gas, lifetime) + _cycle(gas.cycle, years, generator) + _noise(gas, len(years), generator)
    observed = _observed(gas, years, generator)
    return days[observed], values[observed]


def box(emissions: FloatArray, gas: Gas, lifetime: float) -> FloatArray:
    """Mixing ratio of a box with daily emissions.

    dC/dt = E(t)/k − (C − C_eq)/τ, solved exactly for an E that is constant over each day.

    Args:
        emissions: float64[N], E of each day, mass per year.
        gas: gives k, C_eq and C(0).
        lifetime: τ, years.

    Returns:
        float64[N], at the beginning of each day, in the gas's unit.
    """
    kept = float(np.exp(-1.0 / (DAYS_PER_YEAR * lifetime)))
    excess = gas.initial - gas.equilibrium
    values = []
    for steady in (emissions * lifetime / gas.burden).tolist():
        values.append(gas.equilibrium + excess)
        excess = steady + (excess - steady) * kept
    return np.array(values)


def _emissions(gas: Gas, years: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Emissions with displaced nodes, and pulses on top."""
    nodes = np.array(gas.emissions, dtype=np.float64)
    nodes[1:-1, 0] += generator.normal(0.0, gas.node_spread, len(nodes) - 2).clip(-2.0, 2.0)
    nodes = nodes[np.argsort(nodes[:, 0])]
    emissions = np.interp(years, nodes[:, 0], nodes[:, 1])
    if gas.pulses is not None:
        pulses, (first, last) = gas.pulses, gas.span
        for _ in range(generator.poisson(pulses.per_year * (last - first))):
            start = np.floor(generator.uniform(first, last)) + pulses.season + generator.uniform(-1, 1) * pulses.length
            during = (years >= start) & (years < start + pulses.length)
            emissions = emissions + during * generator.exponential(pulses.mass) / pulses.length
    return emissions


def _wander(
    years: FloatArray, spread: float, spacing: tuple[float, float], generator: np.random.Generator
) -> FloatArray:
    """A function that is linear between random nodes, with independent normal values there."""
    nodes = [float(years[0])]
    while nodes[-1] < years[-1]:
        nodes.append(nodes[-1] + generator.uniform(*spacing))
    return np.interp(years, nodes, generator.normal(0.0, spread, len(nodes)))


def _cycle(cycle: Cycle | None, years: FloatArray, generator: np.random.Generator) -> FloatArray:
    if cycle is None:
        return np.zeros_like(years)
    relative: FloatArray = (
        1.0 + cycle.growth * (years - years.mean()) / 10.0 + _wander(years, cycle.wander, (4.0, 8.0), generator)
    )
    phase = 2 * np.pi * (years - cycle.peak - _wander(years, cycle.wander / 10.0, (4.0, 8.0), generator))
    amplitude = cycle.amplitude * float(np.exp(generator.normal(0.0, 0.1)))
    return amplitude * relative * (np.cos(phase) + cycle.half_yearly * np.cos(2 * phase))


def _noise(gas: Gas, count: int, generator: np.random.Generator) -> FloatArray:
    """Stationary AR(1) noise with one value per day."""
    correlation = float(np.exp(-1.0 / (DAYS_PER_YEAR * gas.memory)))
    innovations = generator.normal(0.0, gas.noise * np.sqrt(1.0 - correlation**2), count)
    value, values = float(generator.normal(0.0, gas.noise)), []
    for innovation in innovations.tolist():
        value = correlation * value + innovation
        values.append(value)
    return np.array(values) * float(np.exp(generator.normal(0.0, 0.1)))


def _observed(gas: Gas, years: FloatArray, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """False in calibration gaps."""
    observed = np.ones(len(years), dtype=np.bool_)
    for _ in range(generator.poisson(gas.gaps_per_decade * (years[-1] - years[0]) / 10.0)):
        start, weeks = generator.uniform(years[0], years[-1]), generator.uniform(2, 14)
        observed &= (years < start) | (years >= start + 7 * weeks / DAYS_PER_YEAR)
    return observed
