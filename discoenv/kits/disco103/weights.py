"""The published weights of Disco103: 42 tensors, 754,778 values; read from a file, or downloaded once.

``python -m <this package>.weights [PATH]`` downloads them. They are Google DeepMind's, under CC BY 4.0.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .meta_net import DiscoMetaNet

#: Where the weights are published, and the SHA-256 of the file.
URL: Final = (
    "https://raw.githubusercontent.com/google-deepmind/disco_rl/"
    "9059a29f7121d60948f25ef165e08e050e9399c8/disco_rl/update_rules/weights/disco_103.npz"
)
SHA256: Final = "dac840a15b81e8805326363458c33979626172618f620d9e6e170315388530aa"

_LIFETIME = "lstm/~/meta_lstm/~unroll"
#: Layers of the meta-network, by their names in the file, where each has a ``w`` and a ``b``.
LAYERS: Final[Mapping[str, str]] = {
    "lstm/mlp/~/linear_0": "features.y_net.0",
    "lstm/mlp/~/linear_1": "features.y_net.2",
    "lstm/mlp_1/~/linear_0": "features.z_net.0",
    "lstm/mlp_1/~/linear_1": "features.z_net.2",
    "lstm/sequential/conv1_d": "features.action_blocks.0.linear",
    "lstm/sequential/conv1_d_1": "features.action_blocks.1.linear",
    "lstm/lstm/linear": "trajectory_lstm.linear",
    "lstm/linear": "gate",
    "lstm/linear_1": "meta_input_emb",
    "lstm/linear_2": "y_head",
    "lstm/linear_3": "z_head",
    "lstm/sequential_1/conv1_d": "policy_block.linear",
    "lstm/linear_4": "policy_head",
    f"{_LIFETIME}/mlp/~/linear_0": "lifetime_features.y_net.0",
    f"{_LIFETIME}/mlp/~/linear_1": "lifetime_features.y_net.2",
    f"{_LIFETIME}/mlp_1/~/linear_0": "lifetime_features.z_net.0",
    f"{_LIFETIME}/mlp_1/~/linear_1": "lifetime_features.z_net.2",
    f"{_LIFETIME}/sequential/conv1_d": "lifetime_features.action_blocks.0.linear",
    f"{_LIFETIME}/sequential/conv1_d_1": "lifetime_features.action_blocks.1.linear",
    f"{_LIFETIME}/mlp_2/~/linear_0": "lifetime_inputs",
    f"{_LIFETIME}/lstm/linear": "lifetime_lstm.linear",
}


class WeightsError(ValueError):
    """A file does not hold the weights of the meta-network; the message names the tensors and says what to do."""


class HasMetaNet(Protocol):
    """A rule."""

    meta_net: DiscoMetaNet


def default_path() -> Path:
    """Where downloaded weights are kept: in the folder of :mod:`torch.hub`, which ``TORCH_HOME`` moves."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "disco_103.npz"


def download_disco103_weights(path: str | Path | None = None, url: str = URL, sha256: str = SHA256) -> Path:
    """Download the weights, unless they are there, and return their path.

    Args:
        path: the file to write; None: :func:`default_path`.
        url: from where.
        sha256: of the file, in hexadecimal digits.

    Raises:
        WeightsError: the download failed, or its SHA-256 is another one.
    """
    path = Path(path) if path is not None else default_path()
    if path.is_file() and _digest(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256, progress=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"the weights could not be downloaded from {url}: {error}; run `{_command(path)}` where there is network, "
            f"or copy disco_103.npz of the disco_rl repository to {path}"
        ) from error
    return path


def load_disco103_weights(
    rule: HasMetaNet, path: str | Path | None = None, *, url: str = URL, sha256: str | None = SHA256
) -> None:
    """Give the rule's meta-network weights from a file, in place, on its device and in its dtype.

    Args:
        rule: the rule.
        path: a file as published (``.npz``); None: the downloaded file, downloaded first if need be.
        url: from where, if ``path`` is None.
        sha256: of the file; None accepts every file whose tensors fit, such as those of :func:`save_weights`.

    Raises:
        WeightsError: there is no such file, it is no ``.npz``, tensors are missing, unknown, mis-shaped or not float32,
            or its SHA-256 is another one. Nothing was loaded.
    """
    path = Path(path) if path is not None else download_disco103_weights(None, url, sha256 or SHA256)
    if not path.is_file():
        raise WeightsError(f"there is no file {path}; `{_command(path)}` downloads the published weights to it")
    try:
        with np.load(path) as file:
            arrays = dict(file.items())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} is no .npz file that can be read: {error}; delete it and download it again"
        ) from error
    expected = {name: shape for name, _, shape in _tensors(rule.meta_net)}
    faults = [f"{name} is missing" for name in expected if name not in arrays]
    faults += [f"{name} is not known" for name in arrays if name not in expected]
    for name in expected.keys() & arrays.keys():
        array = arrays[name]
        if array.shape != expected[name] or array.dtype != np.float32:
            faults.append(f"{name} is {array.dtype} {list(array.shape)} instead of float32 {list(expected[name])}")
    if faults:
        raise WeightsError(f"{path} does not hold weights of this meta-network: {'; '.join(sorted(faults))}")
    if sha256 is not None and _digest(path) != sha256:
        raise WeightsError(
            f"{path} is not the published file: its SHA-256 is {_digest(path)} instead of {sha256}; download it again, "
            f"or give sha256=None if these weights are your own"
        )
    with torch.no_grad():
        for name, parameter, _ in _tensors(rule.meta_net):
            array = torch.from_numpy(arrays[name])
            parameter.copy_(array.reshape(array.shape[-2:]).T if name.endswith("/w") else array)


def save_weights(rule: HasMetaNet, path: str | Path) -> None:
    """Write the weights of the rule's meta-network as the published ones are written; ``path`` ends in ``.npz``."""
    arrays: dict[str, Any] = {}
    for name, parameter, shape in _tensors(rule.meta_net):
        array = parameter.detach().to("cpu", torch.float32).numpy()
        arrays[name] = np.ascontiguousarray(array.T).reshape(shape)
    np.savez(Path(path), **arrays)


def _tensors(meta_net: DiscoMetaNet) -> list[tuple[str, Tensor, tuple[int, ...]]]:
    """Name in the file, parameter, and shape in the file of each tensor."""
    found: list[tuple[str, Tensor, tuple[int, ...]]] = []
    for name, place in LAYERS.items():
        layer: nn.Linear = meta_net.get_submodule(place)
        convolution = (1,) if "conv1_d" in name else ()
        found.append((f"{name}/w", layer.weight, (*convolution, layer.in_features, layer.out_features)))
        found.append((f"{name}/b", layer.bias, (layer.out_features,)))
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _command(path: Path) -> str:
    return f"python -m {__package__}.weights {path}"


if __name__ == "__main__":
    print(download_disco103_weights(*sys.argv[1:2]))
