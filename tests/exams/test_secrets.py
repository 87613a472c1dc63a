"""Exam seeds come from a secret: made once, kept from others, never recorded."""

from __future__ import annotations

import hashlib
import hmac
import json
import multiprocessing
import random
import stat
from pathlib import Path

import pytest

from discoenv.errors import SecretError
from discoenv.exams import secrets
from discoenv.exams.secrets import SIZE, VARIABLE, Secret

ONE = Secret(bytes(SIZE))
LABEL: dict[str, str | int] = {"domain": "Toy", "dataset": "Line", "number": 0}


def test_a_seed_is_the_hmac_of_its_label() -> None:
    text = '{"dataset":"Line","domain":"Toy","number":0}'
    digest = hmac.new(bytes(SIZE), text.encode(), hashlib.sha256).digest()
    assert ONE.seed(LABEL) == int.from_bytes(digest[:16], "big")
    assert ONE.seed(dict(reversed(LABEL.items()))) == ONE.seed(LABEL)


def test_seeds_of_other_labels_and_secrets_are_others() -> None:
    labels = [{**LABEL, "number": number, "side": side} for number in range(50) for side in ("meta_train", "meta_test")]
    other = Secret(bytes([1] * SIZE))
    seeds = {secret.seed(label) for label in labels for secret in (ONE, other)}
    assert len(seeds) == 200
    assert all(seed < 1 << 128 for seed in seeds)
    assert max(seeds) > 1 << 120


def test_a_secret_shows_its_commitment_only() -> None:
    secret = Secret(bytes(range(SIZE)))
    assert secret.commitment == hashlib.sha256(secret.key).hexdigest()
    assert secret.key.hex() not in repr(secret)
    assert str(secret.key) not in repr(secret)


def test_the_users_secret_is_made_once_and_only_the_user_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = secrets.chosen()
    path = tmp_path / "discoenv" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["secret"]
    assert secrets.chosen() == made
    assert made != secrets.new()


def _chosen(commitments: multiprocessing.queues.Queue[str], begin: multiprocessing.synchronize.Event) -> None:
    begin.wait()
    commitments.put(secrets.chosen().commitment)


def test_processes_that_make_it_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    context = multiprocessing.get_context("fork")
    commitments, begin = context.Queue(), context.Event()
    processes = [context.Process(target=_chosen, args=(commitments, begin)) for _ in range(8)]
    for process in processes:
        process.start()
    begin.set()
    found = {commitments.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert found == {secrets.chosen().commitment}


def test_what_was_given_comes_before_what_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, given = secrets.new(), secrets.new()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named"))
    secrets.write(tmp_path / "named", named)
    secrets.write(tmp_path / "given", given)
    assert secrets.chosen() == named
    assert secrets.chosen(tmp_path / "given") == secrets.chosen(str(tmp_path / "given")) == given
    assert secrets.chosen(ONE) == ONE


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    first = secrets.write(tmp_path / "s", secrets.new())
    assert secrets.write(tmp_path / "s", secrets.new()) == first == secrets.read(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0o600, "No such file"),
        (b"", 0o600, "a secret has 32 bytes, not 0"),
        (b"ab" * 31, 0o600, "a secret has 32 bytes, not 31"),
        (b"xy" * 32, 0o600, "no secret can be read there"),
        (b"\xff" * 64, 0o600, "no secret can be read there"),
        (b"ab" * 32, 0o644, "others may read the secret; type `chmod 600"),
        (b"ab" * 32, 0o640, "others may read the secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_an_error_that_names_it(
    tmp_path: Path, content: bytes | None, mode: int, message: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(SecretError) as caught:
        secrets.read(path)
    assert message in str(caught.value)


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretError, match="file/secret: the secret cannot be written"):
        secrets.write(tmp_path / "file" / "secret", ONE)


def test_no_seed_is_found_from_what_is_public() -> None:
    """All that an attacker knows, tried as the secret and as the seed: labels, commitments and small numbers."""
    secret = Secret(random.Random(5).randbytes(SIZE))
    truth = secret.seed(LABEL)
    text = json.dumps(LABEL, sort_keys=True, separators=(",", ":"))
    known = [text, secret.commitment, *map(str, range(2000))]
    guesses = {int.from_bytes(hashlib.sha256(each.encode()).digest()[:16], "big") for each in known}
    guesses |= {Secret(hashlib.sha256(each.encode()).digest()).seed(LABEL) for each in known}
    guesses |= {Secret(number.to_bytes(SIZE, "big")).seed(LABEL) for number in range(2000)}
    assert truth not in guesses
