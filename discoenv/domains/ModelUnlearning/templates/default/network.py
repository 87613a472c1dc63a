"""The language models: four small architectures, and those of the package transformers; and what is read off them."""

import json
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

PAD = 0


class Batch(NamedTuple):
    """Texts.

    Attributes:
        tokens: int64[B, L]; 1 begins a text, 2 ends it, 0 fills up the row behind it.
        answer: bool[B, L], the tokens that a text is about: the answer to a question, or all of a passage.
    """

    tokens: torch.Tensor
    answer: torch.Tensor

    def take(self, rows):
        """The texts in these rows, int64[K], as short as the longest of them."""
        tokens = self.tokens[rows]
        length = int((tokens != PAD).any(dim=0).nonzero().max()) + 1
        return Batch(tokens[:, :length], self.answer[rows][:, :length])


def token_losses(model, tokens):
    """How surprised a model is by each token but the first, in nats: float32[B, L - 1] of int64[B, L]; padding: 0."""
    logits = model(tokens[:, :-1]).float()
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(len(tokens), -1)
    return losses * (tokens[:, 1:] != PAD)


def text_losses(model, batch):
    """Mean loss of each text, over all of its tokens but the first: float32[B], in nats per token."""
    return token_losses(model, batch.tokens).sum(dim=1) / (batch.tokens[:, 1:] != PAD).sum(dim=1)


def answer_losses(model, batch):
    """Mean loss of each text's answer: float32[B], in nats per token."""
    marked = batch.answer[:, 1:]
    return (token_losses(model, batch.tokens) * marked).sum(dim=1) / marked.sum(dim=1)


class Network(nn.Module):
    """A language model: tokens in, logits of the next token out.

    Args:
        config: the run's configuration: ARCHITECTURE (attention, decay, convolution or recurrent), VOCABULARY, WIDTH,
            BLOCKS, HEADS, CONTEXT (longest text).
    """

    def __init__(self, config):
        super().__init__()
        width = config["WIDTH"]
        self.embedding = nn.Embedding(config["VOCABULARY"], width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        make = _BLOCKS[config["ARCHITECTURE"]]
        self.blocks = nn.ModuleList(make(config, number) for number in range(config["BLOCKS"]))
        self.norm = nn.LayerNorm(width)

    def features(self, tokens):
        """What the embedding and each block give: BLOCKS + 1 tensors float32[B, L, WIDTH], of tokens int64[B, L]."""
        found = [self.embedding(tokens)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found

    def forward(self, tokens):
        """Logits float32[B, L, VOCABULARY] of the token after each of int64[B, L]; each sees only those before it."""
        return F.linear(self.norm(self.features(tokens)[-1]), self.embedding.weight)


class _Mlp(nn.Sequential):
    """Width to twice as much and back, with layer normalisation before."""

    def __init__(self, width, factor):
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, factor * width), nn.GELU(), nn.Linear(factor * width, width)
        )


class _Attention(nn.Module):
    """Causal attention with learned positions (Vaswani et al. 2017), then a perceptron; both are added."""

    def __init__(self, config, number):
        super().__init__()
        width, self.heads = config["WIDTH"], config["HEADS"]
        self.position = nn.Parameter(0.02 * torch.randn(config["CONTEXT"], width)) if number == 0 else None
        self.norm, self.inward, self.outward = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = _Mlp(width, 4)

    def forward(self, x):
        batch, length, width = x.shape
        if self.position is not None:
            x = x + self.position[:length]
        heads = self.inward(self.norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = self.mix(*heads)
        x = x + self.outward(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(x)

    def mix(self, queries, keys, values):
        """What each place takes from those before: float32[B, H, L, D] each."""
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)


class _Decay(_Attention):
    """Linear attention whose weights decay with the distance, at another rate in each head (Sun et al. 2023)."""

    def __init__(self, config, number):
        super().__init__(config, number)
        rates = torch.log1p(-(2.0 ** -torch.linspace(1.0, 6.0, self.heads)))
        self.register_buffer("rates", rates, persistent=False)

    def mix(self, queries, keys, values):
        length = queries.shape[2]
        places = torch.arange(length, device=queries.device)
        distance = (places[:, None] - places[None, :]).to(queries.dtype)
        decay = torch.exp(self.rates[:, None, None] * distance.clamp(min=0)) * (distance >= 0)
        weights = queries @ keys.transpose(-1, -2) * decay / queries.shape[-1] ** 0.5
        mixed = weights @ values
        return F.layer_norm(mixed, mixed.shape[-1:])


class _Convolution(nn.Module):
    """A gated causal convolution of each channel (Dauphin et al. 2017), then a perceptron; both are added."""

    kernel = 8

    def __init__(self, config, number):
        super().__init__()
        width = config["WIDTH"]
        self.dilation = (1, 2, 1, 4)[number % 4]
        self.norm, self.inward, self.outward = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.filter = nn.Conv1d(width, width, self.kernel, dilation=self.dilation, groups=width)
        self.mlp = _Mlp(width, 2)

    def forward(self, x):
        values, gates = self.inward(self.norm(x)).chunk(2, dim=-1)
        padded = F.pad(values.transpose(1, 2), ((self.kernel - 1) * self.dilation, 0))
        x = x + self.outward(self.filter(padded).transpose(1, 2) * F.silu(gates))
        return x + self.mlp(x)


class _Recurrent(nn.Module):
    """A gated recurrent unit (Cho et al. 2014), whose output is added."""

    def __init__(self, config, number):
        super().__init__()
        width = config["WIDTH"]
        self.norm, self.unit, self.outward = (
            nn.LayerNorm(width),
            nn.GRU(width, width, batch_first=True),
            nn.Linear(width, width),
        )

    def forward(self, x):
        return x + self.outward(self.unit(self.norm(x))[0])


_BLOCKS = {"attention": _Attention, "decay": _Decay, "convolution": _Convolution, "recurrent": _Recurrent}


class _Published(nn.Module):
    """A model of the package transformers, with the interface of :class:`Network`.

    Args:
        config: ``DESCRIPTION``, the text of the model's config.json, for one without parameters; or ``FOLDER``, which
            holds that file and the parameters.
    """

    def __init__(self, config):
        super().__init__()
        try:
            from transformers import AutoConfig, AutoModelForCausalLM
        except ImportError as error:
            raise ImportError("published models need the package transformers: pip install transformers") from error
        if "FOLDER" in config:
            self.model = AutoModelForCausalLM.from_pretrained(config["FOLDER"], local_files_only=True)
        else:
            settings = json.loads(config["DESCRIPTION"])
            self.model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
        self.model.float()

    def features(self, tokens):
        return list(self.model(input_ids=tokens, output_hidden_states=True).hidden_states)

    def forward(self, tokens):
        return self.model(input_ids=tokens).logits


def build(config, parameters, device="cpu"):
    """A model with these parameters.

    Args:
        config: the run's configuration.
        parameters: arrays by the names of ``named_parameters()``; others stay as they are.
        device: where it shall be.

    Returns:
        Network, or a model of the package transformers where ARCHITECTURE is ``published``.
    """
    with torch.device(device):
        model = (_Published if config["ARCHITECTURE"] == "published" else Network)(config)
    known = dict(model.to(device).named_parameters())
    with torch.no_grad():
        for name, values in parameters.items():
            known[name].copy_(torch.tensor(values))
    return model.eval()


class Reader:
    """What an examiner asks about a model. Nothing here depends on the other texts of a question.

    Args:
        model: as from ``build``.
    """

    def __init__(self, model):
        self._model = model
        self._device = next(model.parameters()).device

    @torch.no_grad()
    def losses(self, tokens):
        """How surprised the model is: float32[B, L - 1] of tokens int64[B, L], in nats; 0 for padding."""
        return token_losses(self._model, torch.as_tensor(tokens, device=self._device)).cpu().numpy()

    @torch.no_grad()
    def likeliest(self, tokens):
        """The likeliest token after each: int64[B, L - 1] of tokens int64[B, L], of which the last is not used."""
        return self._model(torch.as_tensor(tokens, device=self._device)[:, :-1]).argmax(dim=-1).cpu().numpy()

    @torch.no_grad()
    def continued(self, tokens, count):
        """The ``count`` likeliest tokens, one after another, after texts of one length: int64[B, count] of [B, L]."""
        tokens = torch.as_tensor(tokens, device=self._device)
        for _ in range(count):
            tokens = torch.cat([tokens, self._model(tokens)[:, -1:].argmax(dim=-1)], dim=1)
        return tokens[:, -count:].cpu().numpy()
