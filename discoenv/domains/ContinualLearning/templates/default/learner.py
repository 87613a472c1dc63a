"""Trains the network on one experience of a stream, with what is left of those before."""

import copy
from functools import partial

import numpy as np
import optim
import torch
from answer import CHUNK, restored
from carrying import Module
from memory import Memory
from network import Network
from regularizer import Regularizer
from replay import Replay
from sampler import Sampler
from scheduler import create_scheduler
from torch.nn import functional
from views import Finished, Items, Step, as_input, rows_of


class ContinualLearner:
    """A network and the five modules, for one experience.

    Args:
        config: the run's configuration (immutable mapping).
        seed: of all randomness of the stream; each experience has its own, made of it.
        previous: what is left of the experiences before ({} for the first): "network", the parameters by name,
            "classes", int64[t, CLASSES_PER_TASK], "memory" and "modules", the states of modules by their names.
    """

    def __init__(self, config, seed, previous):
        self.task = len(previous["classes"]) if previous else 0
        seed = (seed + 1_000_003 * self.task) % 2**31
        torch.manual_seed(seed)
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = (restored(config, previous) if previous else Network(config)).to(self.device)
        self.teacher = copy.deepcopy(self.network).requires_grad_(False) if previous else None
        self.classes = [np.array(classes) for classes in previous["classes"]] if previous else []
        self.generator = torch.Generator().manual_seed(seed)
        self.steps_per_experience = config["EPOCHS"] * -(-config["TRAIN_SAMPLES"] // config["BATCH"])
        self.total_steps = config["TASKS"] * self.steps_per_experience
        # All parameters, those of the whole head as well, are the optimiser's from the start.
        self.optimizer = optim.create_optimizer(list(self.network.named_parameters()), config)
        self.scheduler = create_scheduler(self.optimizer, self.total_steps, self.steps_per_experience, config)
        self.regularizer = Regularizer(config, seed)
        self.replay = Replay(config, seed)
        self.sampler = Sampler(config, seed)
        self.memory = Memory(config, previous.get("memory"))
        self.step = self.task * self.steps_per_experience
        save, load = (getattr(optim, name, None) for name in ("state_dict", "load_state_dict"))
        self.modules = {
            "optim": Module("optim.py", save and partial(save, self.optimizer), load and partial(load, self.optimizer)),
            "scheduler": Module.of("scheduler.py", self.scheduler),
            "regularizer": Module.of("regularizer.py", self.regularizer),
            "replay": Module.of("replay.py", self.replay),
            "sampler": Module.of("sampler.py", self.sampler),
        }
        for name, state in previous.get("modules", {}).items():
            self.modules[name].load(state, self.device)

    def learn(self, images, labels, validation_images, validation_labels):
        """Train on the experience: uint8[N, H, W, C] and int64[N], and M images for validation."""
        images, labels, validation_images, validation_labels = (
            torch.from_numpy(np.array(values)) for values in (images, labels, validation_images, validation_labels)
        )
        tasks = torch.full_like(labels, self.task)
        classes = labels.unique()
        self.network.begin_experience(self.task, classes)
        self.classes.append(classes.numpy())
        self.regularizer.begin_experience(self.task, self.parameters())
        if self.task == 0:
            print(f"{'experience':>10} {'epoch':>5} {'training loss':>13} {'validation accuracy':>19} {'on memory':>9}")
        epochs = self.config["EPOCHS"]
        for epoch in range(1, epochs + 1):
            losses = [
                self.train_step(images[rows], labels[rows], tasks[rows])
                for rows in torch.randperm(len(labels), generator=self.generator).split(self.config["BATCH"])
            ]
            if epoch == epochs or epoch % -(-epochs // 3) == 0:
                self.report(epoch, torch.stack(losses), validation_images, validation_labels)
        finished = Finished(self.network, self.task, validation_images, validation_labels, self.generator)
        self.regularizer.end_experience(self.task, self.parameters(), finished)
        self.memory.update(self.replay, images, labels, tasks, self.outputs)

    def report(self, epoch, losses, images, labels):
        """Print how far training has come: on the experience, and on what the memory holds of those before."""
        memory = self.memory
        kept = (
            f"{self.accuracy(memory.images, memory.labels, memory.tasks):9.3f}" if len(memory.labels) else f"{'–':>9}"
        )
        accuracy = self.accuracy(images, labels, torch.full_like(labels, self.task))
        print(f"{self.task + 1:10} {epoch:5} {losses.mean():13.4f} {accuracy:19.3f} {kept}", flush=True)

    def accuracy(self, images, labels, tasks):
        """Share of the images that the network, as it is now, gives the right one of all classes so far."""
        logits, _ = self.outputs(images, tasks)
        return (logits.argmax(dim=1) == labels).float().mean().item()

    def state(self):
        """What is handed over: as ``previous``, but instead of the memory the rows of the items that are kept."""
        return {
            "network": {name: value.cpu().numpy() for name, value in self.parameters().items()},
            "classes": np.stack(self.classes),
            "kept": self.memory.kept.numpy(),
            "modules": {name: state for name, module in self.modules.items() if (state := module.state())},
        }

    def train_step(self, images, labels, tasks):
        """One update, on the items of the current batch and of the memory that the sampler chooses; their mean loss."""
        current = Items(labels, tasks, lambda: self.outputs(images, tasks))
        stored = self.memory.items(self.outputs)
        chosen, drawn, weights = self.sampler.compose(current, stored, self.draw(stored))
        chosen, drawn = rows_of(chosen, len(current), "sampler.py"), rows_of(drawn, len(stored), "sampler.py")
        count = len(chosen) + len(drawn)
        if not 0 < count <= self.config["MAX_BATCH"]:
            raise ValueError(f"sampler.py: compose() chose {count} items; 1 to {self.config['MAX_BATCH']} are allowed")
        images = torch.cat([images[chosen], self.memory.images[drawn]])
        labels = torch.cat([labels[chosen], self.memory.labels[drawn]]).to(self.device)
        tasks = torch.cat([tasks[chosen], self.memory.tasks[drawn]]).to(self.device)
        inputs = self.augmented(as_input(images, self.device))
        weights = torch.ones(count) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
        if weights.shape != (count,):
            raise ValueError(f"sampler.py: compose() chose {count} items and gave weights {tuple(weights.shape)}")

        self.scheduler.step(self.step, self.task)
        logits, features = self.network(inputs, tasks)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        step = Step(
            index=self.step,
            task=self.task,
            # Copies: gradients pass through them, assignments do not reach the network.
            params={name: value.clone() for name, value in self.network.named_parameters()},
            logits=logits,
            features=features,
            losses=losses,
            labels=labels.clone(),
            tasks=tasks.clone(),
            replayed=torch.arange(count, device=self.device) >= len(chosen),
            previous=lambda: self.teacher and self.teacher(inputs, tasks),
        )
        penalty = self.regularizer.penalty(step)
        self.optimizer.zero_grad(set_to_none=True)
        ((weights.to(self.device) * losses).mean() + penalty).backward()
        self.network.isolate(tasks)
        gradients = {name: p.grad.clone() for name, p in self.network.named_parameters() if p.grad is not None}
        self.optimizer.step()
        self.regularizer.after_step(self.step, gradients, self.parameters())
        self.step += 1
        return losses.detach().mean()

    def draw(self, stored):
        """``draw(count)`` for the sampler: rows of the memory that the replay module chooses."""
        return lambda count: rows_of(self.replay.draw(stored, count), len(stored), "replay.py")

    def augmented(self, inputs):
        """A random half of the images mirrored, if the configuration says FLIP."""
        if not self.config["FLIP"]:
            return inputs
        mirrored = torch.rand(len(inputs), generator=self.generator).to(self.device) < 0.5
        return torch.where(mirrored[:, None, None, None], inputs.flip(3), inputs)

    def parameters(self):
        """Copies of all parameters by name."""
        return {name: value.detach().clone() for name, value in self.network.named_parameters()}

    @torch.no_grad()
    def outputs(self, images, tasks):
        """Logits float32[N, CLASSES] and features float32[N, F] of the network as it is now, on the CPU."""
        parts = [
            self.network(as_input(images[rows], self.device), tasks[rows].to(self.device))
            for rows in torch.arange(len(images)).split(CHUNK)
        ]
        return tuple(torch.cat(part).cpu() for part in zip(*parts, strict=True))
