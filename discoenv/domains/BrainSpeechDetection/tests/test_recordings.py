"""Procedural MEG: the same bits everywhere, physics against plain references, and realism in numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from discoenv.data.generated.exact import FastDraws
from discoenv.domains.BrainSpeechDetection import realism, recordings
from discoenv.domains.BrainSpeechDetection.books import BOOKS
from discoenv.domains.BrainSpeechDetection.forward import (
    AUDITORY,
    HEAD,
    HELMET,
    KEPT,
    SENSORS,
    flat,
    helmet,
    kept_sensors,
    lead_field,
    whole_helmet,
)  # fmt: skip
from discoenv.domains.BrainSpeechDetection.recordings import ROWS, WINDOW, Session, listener, record, responses
from discoenv.domains.BrainSpeechDetection.speech import RATE, timeline

SAMPLES = 200 * RATE


def recorded(name: str, count: int = 1, samples: int = SAMPLES, seed: int = 1) -> list[Session]:
    root = FastDraws("test", seed)
    book = BOOKS[name]
    head = listener(book, root.part("listener"))
    return record(book, head, [root.part("session", number) for number in range(count)], samples)


@pytest.fixture(scope="module")
def books() -> dict[str, list[Session]]:
    """Five sessions of each book."""
    return {name: recorded(name, 5) for name in BOOKS}


# --- bits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "digest"),
    [("Book1", "edbde288cb35594a"), ("Book5", "f083c20c1d549a1f"), ("Listener2", "8a302a69da806a4b")],
)
def test_recordings_have_the_same_bits_everywhere(name: str, digest: str) -> None:
    (session,) = recorded(name, samples=1600)
    content = session.signals.astype("<f2").tobytes() + session.timeline.speech.tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_sums_over_sources_are_exact_in_any_order() -> None:
    generator = np.random.default_rng(0)
    gains = recordings._on_grid(generator.normal(size=(KEPT, 53)) * 5.0)
    moments = recordings._on_grid(generator.normal(size=(53, 400)) * 300.0)
    order = generator.permutation(53)
    np.testing.assert_array_equal(gains @ moments, gains[:, order] @ moments[order])


def test_sessions_do_not_depend_on_those_that_are_recorded_beside_them() -> None:
    book, root = BOOKS["Book5"], FastDraws("test", 2)
    head, draws = listener(book, root.part("listener")), [root.part("session", number) for number in range(3)]
    together, alone = record(book, head, draws, 800), record(book, head, draws[1:2], 800)
    np.testing.assert_array_equal(together[1].signals, alone[0].signals)
    assert not np.array_equal(together[0].signals, together[1].signals)


# --- physics ----------------------------------------------------------------------------------------------------------


def reference_field(place: Any, direction: Any, q: Any, moment: Any) -> float:
    """Sarvas (1987), equation 25, for one dipole and one sensor, in SI units."""
    a = place - q
    la, lr = np.linalg.norm(a), np.linalg.norm(place)
    f = la * (lr * la + lr**2 - q @ place)
    gradient = (la**2 / lr + a @ place / la + 2 * la + 2 * lr) * place - (la + 2 * lr + a @ place / la) * q
    turned = np.cross(moment, q)
    field = 1e-7 / f**2 * (f * turned - (turned @ place) * gradient)
    return float(field @ direction)


def test_the_lead_field_is_that_of_sarvas() -> None:
    generator = np.random.default_rng(1)
    worn = helmet().moved(np.array([0.004, -0.003, 0.002]), np.array([0.01, 0.02, -0.015]))
    places = generator.normal(size=(6, 3))
    places *= 0.07 / np.linalg.norm(places, axis=1, keepdims=True)
    moments = generator.normal(size=(6, 3))
    found = lead_field(worn, places, moments)
    for sensor in range(0, KEPT, 5):
        for dipole in range(6):
            field = reference_field(worn.places[sensor], worn.directions[sensor], places[dipole], moments[dipole])
            assert found[sensor, dipole] == pytest.approx(1e-9 * 1e15 * field, rel=1e-9)


def test_radial_dipoles_are_silent_and_volume_currents_add_nothing_to_the_radial_field() -> None:
    places = np.array([[0.03, 0.02, 0.05]])
    assert np.abs(lead_field(whole_helmet(), places, places / np.linalg.norm(places))).max() < 1e-9
    moment = np.array([[0.3, -1.0, 0.2]])
    offsets = whole_helmet().places - places
    primary = np.cross(moment, offsets) / np.linalg.norm(offsets, axis=1, keepdims=True) ** 3
    expected = 0.1 * (primary * whole_helmet().directions).sum(axis=1)
    np.testing.assert_allclose(lead_field(whole_helmet(), places, moment)[:, 0], expected, rtol=1e-6)


def test_a_helmet_is_rigid_and_its_sensors_are_outside_of_the_head() -> None:
    whole, moved = whole_helmet(), whole_helmet().moved(np.array([0.01, 0.0, -0.005]), np.array([0.02, -0.01, 0.05]))
    np.testing.assert_allclose(np.linalg.norm(whole.places, axis=1), HELMET, rtol=1e-5)
    for one, other in ((whole.places, moved.places), (whole.directions, moved.directions)):
        before, after = (np.linalg.norm(each[:, None] - each[None], axis=-1) for each in (one, other))
        np.testing.assert_allclose(before, after, atol=1e-5)
    assert np.linalg.norm(moved.places, axis=1).min() > HEAD


def test_most_sensors_are_near_the_auditory_cortices() -> None:
    kept, places = kept_sensors(), whole_helmet().places
    assert len(set(kept.tolist())) == KEPT < SENSORS
    nearest = np.min([np.linalg.norm(places - AUDITORY * [side, 1, 1], axis=1) for side in (1, -1)], axis=0)
    assert set(np.argsort(nearest)[:14].tolist()) <= set(kept.tolist())
    assert nearest[kept].max() > 1.5 * nearest[kept].min()
    drawn = flat()
    assert drawn.shape == (KEPT, 2)


def test_a_dipole_of_auditory_cortex_has_a_field_of_the_usual_size() -> None:
    tangential = np.array([[0.0, 0.3, -1.0]]) / np.sqrt(1.09)
    largest = np.abs(lead_field(whole_helmet(), AUDITORY[None], tangential)).max()
    assert 2.0 < largest < 12.0  # fT per nA m: 100 to 200 fT for an M100 of some 30 nA m (Hämäläinen et al. 1993)


def test_filters_are_their_definitions() -> None:
    from scipy.signal import lfilter

    generator = np.random.default_rng(3)
    noise = generator.normal(size=(900, 2, recordings._BACKGROUND + 6))
    found = recordings._filtered(noise.copy())
    expected = np.zeros(900)
    for cutoff in recordings._CUTOFFS:
        keep = np.floor(np.exp(-2 * np.pi * cutoff / RATE) * 4096 + 0.5) / 4096
        gain = np.floor(np.sqrt(1.0 / cutoff) * 2.2 * 4096 + 0.5) / 4096
        expected += lfilter([gain * (1 - keep)], [1, -keep], noise[:, 1, 4])
    np.testing.assert_allclose(found[1, 4], expected[300:], rtol=1e-9)
    values, kernel = generator.normal(size=(2, 60)), generator.normal(size=7)
    convolved = recordings._convolved(values, kernel)
    np.testing.assert_allclose(convolved, [np.convolve(row, kernel)[:60] for row in values])


def test_responses_follow_sound_and_nothing_else() -> None:
    book = BOOKS["Book1"]
    root = FastDraws("test", 5)
    head, line = listener(book, root.part("listener")), timeline(root, book.talker, SAMPLES)
    transient, sustained = responses(book, head, [line])
    assert transient.shape == sustained.shape == (1, 2, SAMPLES)
    last_sound = np.where(line.envelope > 0, np.arange(SAMPLES), -(10**6))
    since = np.arange(SAMPLES) - np.maximum.accumulate(last_sound)
    assert np.abs(transient[0][:, since > 60]).max() == 0.0
    assert np.corrcoef(sustained[0, 0], line.envelope)[0, 1] < -0.3


# --- speech -----------------------------------------------------------------------------------------------------------


def test_about_three_quarters_of_a_book_are_speech(books: dict[str, list[Session]]) -> None:
    for name, sessions in books.items():
        share = np.mean([session.timeline.speech.mean() for session in sessions])
        assert 0.64 < share < 0.83, name


def test_pauses_and_syllables_are_as_long_as_the_talker_makes_them(books: dict[str, list[Session]]) -> None:
    rates = {}
    for name in ("Book1", "Book2", "Book3"):
        lines = [session.timeline for session in books[name]]
        pauses = np.concatenate([line.pauses for line in lines])
        assert pauses.min() >= 0.15
        assert pauses.max() <= 8.0
        peaks = sum(
            int(((line.envelope[1:-1] >= line.envelope[:-2]) & (line.envelope[1:-1] > line.envelope[2:])).sum())
            for line in lines
        )
        rates[name] = peaks * RATE / sum(line.speech.sum() for line in lines)
    assert 3.0 < rates["Book2"] < rates["Book1"] < rates["Book3"] < 6.5


def test_music_and_noise_are_heard_and_are_not_speech() -> None:
    line = timeline(FastDraws("test", 3), BOOKS["Book7"].talker, 6 * SAMPLES)
    heard = line.envelope > 0
    assert ((heard & ~line.speech).mean()) > 0.01
    assert not line.speech[: line.onsets[0]].any()
    for onset, offset in zip(line.onsets, line.offsets, strict=True):
        assert line.speech[onset : min(offset, 6 * SAMPLES)].all()


def test_the_label_of_a_window_is_that_of_its_middle() -> None:
    (session,) = recorded("Book1", samples=10 * WINDOW + 30)
    windows, labels = session.windows()
    assert windows.shape == (10, KEPT, WINDOW)
    assert windows.dtype == np.float16
    for number in range(10):
        np.testing.assert_array_equal(windows[number], session.signals[:, number * WINDOW : (number + 1) * WINDOW])
        assert labels[number] == session.timeline.speech[number * WINDOW + WINDOW // 2]


# --- realism ----------------------------------------------------------------------------------------------------------


def test_spectra_fall_like_one_over_f_with_an_alpha_peak(books: dict[str, list[Session]]) -> None:
    for name, sessions in books.items():
        frequencies, power = realism.spectrum(sessions)
        exponent, _ = realism.falling(frequencies, power)
        hertz, decibel = realism.alpha_peak(frequencies, power)
        assert 0.5 < exponent < 2.0, name
        assert 8.0 <= hertz <= 12.0, name
        assert 2.0 < decibel < 20.0, name


def test_onsets_evoke_responses_at_50_100_and_200_ms(books: dict[str, list[Session]]) -> None:
    found = {name: realism.latencies(sessions) for name, sessions in books.items()}
    for name, peaks in found.items():
        for latency, expected in zip(peaks, (0.05, 0.1, 0.2), strict=True):
            assert latency == pytest.approx(expected, abs=0.3 * expected + 0.005), (name, peaks)


def test_books_differ_as_they_say(books: dict[str, list[Session]]) -> None:
    def alpha(name: str) -> float:
        return realism.alpha_peak(*realism.spectrum(books[name]))[1]

    def artefacts(name: str) -> float:
        signals = np.concatenate([session.signals for session in books[name]], axis=1).astype(float)
        return float(np.median((np.abs(signals) > 4.0 * signals.std()).mean(axis=1)) + signals.std())

    assert alpha("Book4") > alpha("Book1") + 2.0
    assert artefacts("Book5") > 1.2 * artefacts("Book1")
    fields = {name: np.mean([each.gains[:, ROWS["transient"]] for each in books[name]], axis=0) for name in books}
    for name in ("Book6", "Listener2"):
        similar = np.corrcoef(fields[name][:, 0], fields["Book1"][:, 0])[0, 1]
        assert similar < 0.98, name
    spread = {name: np.std([each.gains[:, 0] for each in books[name]], axis=0).mean() for name in books}
    assert spread["Book6"] > 1.3 * spread["Book1"]
