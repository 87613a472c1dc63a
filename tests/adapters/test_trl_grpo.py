"""One step of GRPO by TRL's own trainer: a tiny random model, two episodes, one of which a script plays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from discoenv.adapters.session import SessionHost
from discoenv.adapters.trl import PROMPT, trl_arguments
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.adapters import playing
from tests.adapters.playing import Call, gym_reward, script

END, PAD = "<|im_end|>", "<|endoftext|>"
TRAIN_SEED = 7

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def tokenizer_of_bytes(template: str) -> Any:
    """A token for each byte, and Qwen's marks; its chats are those of the template."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = playing.framework("trl", "transformers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    marks = ["<|im_start|>", END, PAD]
    inner.add_special_tokens(marks)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = template
    return tokenizer


def said(call: Call | None) -> str:
    """What a model says: a call of a tool in Qwen's form, or that it is done."""
    if call is None:
        return f"done{END}"
    content = json.dumps({"name": call.name, "arguments": dict(call.arguments)})
    return f"<tool_call>\n{content}\n</tool_call>{END}"


def scripted_model(tokenizer: Any, calls: list[Call]) -> Any:
    """A random Qwen3 of one layer, whose ``generate`` says the calls in the first row of a group, and none in others.

    Only its sampling is replaced: log-probabilities, the loss and its gradient are the model's.
    """
    transformers = playing.framework("trl", "transformers")
    torch = pytest.importorskip("torch")

    class Scripted(transformers.Qwen3ForCausalLM):  # type: ignore[name-defined]
        said = 0

        def generate(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
            """Prompts int[N, L] and what follows them, padded: int[N, L + M]."""
            next_call = calls[self.said] if self.said < len(calls) else None
            self.said += 1
            texts = [said(next_call), *[said(None)] * (len(input_ids) - 1)]
            tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
            longest = max(map(len, tokens))
            padded = [each + [tokenizer.pad_token_id] * (longest - len(each)) for each in tokens]
            return torch.cat([input_ids, torch.tensor(padded, device=input_ids.device)], dim=1)

    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=2**17,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Scripted(config)


def test_a_step_of_grpo_learns_from_two_episodes(
    task: Task, good: Mapping[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    trl = playing.framework("trl")
    torch = pytest.importorskip("torch")
    dataset = pytest.importorskip("datasets").Dataset
    template = Path(str(trl.__file__)).parent / "chat_templates" / "qwen3.jinja"
    tokenizer = tokenizer_of_bytes(template.read_text(encoding="utf-8"))
    calls = script(good)
    model = scripted_model(tokenizer, calls)
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    batches: list[Any] = []

    class Watched(trl.GRPOTrainer):  # type: ignore[name-defined]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            batches.append(super()._generate_and_score_completions(inputs))
            return batches[-1]

    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path / "grpo"),
        max_steps=1,
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=2**15,
        learning_rate=1e-2,
        beta=0.0,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        use_cpu=True,
        bf16=False,
    )
    row = {"prompt": [{"role": "user", "content": PROMPT}], "task": task.model_dump(mode="json"), "seed": TRAIN_SEED}
    with SessionHost(sandbox=sandbox, runs_dir=tmp_path / "runs") as host:
        trainer = Watched(
            model=model,
            args=arguments,
            train_dataset=dataset.from_list([row]),
            processing_class=tokenizer,
            **trl_arguments(host),
        )
        trainer.train()

    rewards = [gym_reward(task, files, TRAIN_SEED, sandbox=sandbox) for files in (good, {})]
    assert rewards[0] > rewards[1]
    (log, *_) = [each for each in trainer.state.log_history if "rewards/discoenv_reward/mean" in each]
    assert log["rewards/discoenv_reward/mean"] == pytest.approx(sum(rewards) / 2)
    assert log["tools/call_frequency"] == len(calls) / 2
    assert log["tools/failure_frequency"] == 0

    (batch,) = batches
    shape = batch["completion_ids"].shape
    assert len(shape) == 2 and shape[0] == 2
    assert batch["completion_mask"].shape == batch["tool_mask"].shape == shape
    first, second = (batch["completion_mask"] * batch["tool_mask"]).bool()
    assert tokenizer.decode(batch["completion_ids"][0][first]) == "".join(map(said, [*calls, None]))
    assert tokenizer.decode(batch["completion_ids"][1][second]) == said(None)
    heard = tokenizer.decode(batch["completion_ids"][0][~batch["tool_mask"][0].bool()])
    assert heard.count("<tool_response>") == len(calls)
    assert "Meta-train scores" in heard
    better, worse = batch["advantages"].flatten().tolist()
    assert better == pytest.approx(-worse, abs=1e-5) and better > 0.5
    moved = {name for name, each in model.named_parameters() if not torch.equal(each, before[name])}
    assert "lm_head.weight" in moved or "model.embed_tokens.weight" in moved
