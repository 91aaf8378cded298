"""Train the integer network of the board in PyTorch: in floats first, then with the integers' own rounding.

First the network learns in float32 with batch normalisation, from labels and from the answers of a larger network, its
teacher. Then each weight is given its place on the grid of integers that the board has: the scale of an output is the
largest at which no input can take its sum outside int16 and its largest usual activation stays below `top`. At last it
learns on, each forward pass computing exactly what the board will compute; gradients pass through the roundings as if
they were not there (straight-through estimator: Bengio, Leonard and Courville 2013, arXiv:1308.3432). So the trained
network *is* the integer network.

One process, a thread a network: the same seed gives the same layers, also where the training was killed and resumed.
Needs PyTorch (`pip install picodigits[train]`).
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from picodigits import modelfile
from picodigits.errors import TrainingError
from picodigits.frames import replace_atomically
from picodigits.modelfile import ConvLayer, DenseLayer, IntegerLayer
from picodigits.training.architectures import Architecture, Conv, Dense, Schedule, Teacher
from picodigits.training.dense import Inks, Labels, Progress
from picodigits_board.modelfile import Model

_INT16 = 32767
_CALIBRATED_ON = 4096  # inks that show how large activations get
_USUAL = 0.999  # part of the activations of an output that is to stay below top


class _Layer(nn.Module):
    """A convolution or dense layer that runs in floats or, once `fix` was called, in integers."""

    shift_bits: Tensor
    scale: Tensor

    def __init__(self, spec: Conv | Dense, shape: tuple[int, int, int], last: bool) -> None:
        super().__init__()
        self.spec = spec
        self.last = last
        self.exact = False
        channels, height, width = shape
        self.groups = channels if isinstance(spec, Conv) and spec.depthwise else 1
        if isinstance(spec, Conv):
            inputs = 1 if spec.depthwise else channels
            self.weight = nn.Parameter(torch.empty(spec.channels, inputs, *spec.kernel))
            rows = (height + 2 * spec.pad - spec.kernel[0]) // spec.stride[0] + 1
            columns = (width + 2 * spec.pad - spec.kernel[1]) // spec.stride[1] + 1
            self.shape = (spec.channels, rows // spec.pool, columns // spec.pool)
        else:
            self.weight = nn.Parameter(torch.empty(spec.outputs, channels * height * width))
            self.shape = (spec.outputs, 1, 1)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        outputs = len(self.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm = nn.BatchNorm1d(outputs) if isinstance(spec, Dense) else nn.BatchNorm2d(outputs)
        self.register_buffer("shift_bits", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.ones(outputs))

    def sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Accumulators (N, outputs, ...) of activations x (N, channels, height, width), pooled."""
        if isinstance(self.spec, Dense):
            return functional.linear(x.flatten(1), weight, bias)
        spec = self.spec
        made = functional.conv2d(x, weight, bias, stride=spec.stride, padding=spec.pad, groups=self.groups)
        return functional.max_pool2d(made, 2) if spec.pool == 2 else made

    def forward(self, x: Tensor) -> Tensor:
        """Activations, or of the last layer scores."""
        if not self.exact:
            if self.last:
                return self.sums(x, self.weight, self.bias)
            if isinstance(self.spec, Conv) and self.spec.pool == 2:  # pooled after the normalisation, which may flip
                spec = self.spec
                made = functional.conv2d(x, self.weight, None, spec.stride, spec.pad, groups=self.groups)
                return functional.relu(functional.max_pool2d(self.norm(made), 2))
            return functional.relu(self.norm(self.sums(x, self.weight, torch.zeros_like(self.bias))))
        weight, bias = self.integers()
        made = self.sums(x, weight, bias)
        if self.last:
            return made / self.scale
        made = made * 2.0 ** -int(self.shift_bits)
        return torch.clamp(_through(made, torch.floor(made)), 0, self.spec.top)

    def integers(self) -> tuple[Tensor, Tensor]:
        """Whole weights and biases, the half that rounds included in the biases; gradients pass."""
        odd = isinstance(self.spec, Conv)
        weight = 2 * torch.floor(self.weight / 2) + 1 if odd else torch.round(self.weight)
        half = 0 if self.last else (1 << int(self.shift_bits)) >> 1
        weight = _through(self.weight, torch.clamp(weight, -127, 127))
        return weight, _through(self.bias, torch.round(self.bias)) + half

    def folded(self) -> tuple[Tensor, Tensor]:
        """Float weights and biases with the batch normalisation in them."""
        if self.last:
            return self.weight.detach(), self.bias.detach()
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = self.weight * gain.reshape(-1, *[1] * (self.weight.dim() - 1))
        return weight.detach(), (norm.bias - norm.running_mean * gain).detach()

    @torch.no_grad()
    def fix(self, upper: Tensor, input_scale: Tensor, usual: Tensor | None) -> Tensor:
        """Put the weights on the integers' grid.

        upper        (inputs,) largest activation of each input channel, or of a dense layer of each input
        input_scale  likewise: what 1 of the integer activation was in floats
        usual        (outputs,) float activation that is seldom exceeded; None for the last layer
        Returns what 1 of each output's integer activation was in floats, (outputs,).
        """
        weight, bias = self.folded()
        along = (1, -1, 1, 1) if weight.dim() == 4 else (1, -1)
        if isinstance(self.spec, Conv) and self.spec.depthwise:
            along = (-1, 1, 1, 1)
        weight = weight * input_scale.reshape(along)
        reach = weight * upper.reshape(along)
        sides = [torch.clamp(side, min=0).flatten(1).sum(1) for side in (reach, -reach)]
        most = torch.maximum(sides[0] + torch.clamp(bias, min=0), sides[1] + torch.clamp(-bias, min=0))
        scale = 0.9 * _INT16 / torch.clamp(most, min=1e-9)
        scale = torch.minimum(scale, 126 / torch.clamp(weight.abs().flatten(1).amax(1), min=1e-9))
        if usual is None:
            scale = torch.full_like(scale, float(scale.min()))
            shift = 0
        else:
            usual = torch.clamp(usual, min=1e-6)
            filled = torch.log2(scale * usual / self.spec.top)
            shift = max(int(torch.round(torch.median(filled))), 0)
            scale = torch.minimum(scale, self.spec.top * 2.0**shift / usual)
        self.shift_bits.fill_(shift)
        self.scale.copy_(scale)
        self.weight.copy_(weight * scale.reshape(-1, *[1] * (weight.dim() - 1)))
        self.bias.copy_(bias * scale)
        self.exact = True
        return 2.0**shift / scale

    @torch.no_grad()
    def keep_narrow(self, upper: Tensor) -> None:
        """Shrink the weights of outputs whose sums could leave int16."""
        along = (1, -1, 1, 1) if self.weight.dim() == 4 else (1, -1)
        if isinstance(self.spec, Conv) and self.spec.depthwise:
            along = (-1, 1, 1, 1)
        for _ in range(50):
            weight, bias = self.integers()
            reach = (weight * upper.reshape(along)).flatten(1)
            highest = torch.clamp(reach, min=0).sum(1) + bias
            lowest = torch.clamp(reach, max=0).sum(1) + bias
            over = torch.maximum(highest, -lowest) / (_INT16 - 1)
            if float(over.max()) <= 1:
                return
            less = torch.where(over > 1, 0.998 / over, torch.ones_like(over))
            self.weight.mul_(less.reshape(-1, *[1] * (self.weight.dim() - 1)))
            self.bias.mul_(less)
            if self.last:
                self.weight.mul_(less.min() / less.reshape(-1, 1))
                self.bias.mul_(less.min() / less)
                self.scale.mul_(less.min())
        raise TrainingError(
            "quantising: got sums that do not fit 16 bits, need them to. Use a smaller top or fewer inputs."
        )

    @torch.no_grad()
    def take(self, layer: IntegerLayer, scale: float) -> None:
        """Become a layer of a model file, whose activations or, of the last one, scores are `scale` times the floats'.

        The integers of the file are the very weights from which learning goes on.
        """
        weights = torch.from_numpy(layer.weights.astype(np.float32))
        if isinstance(layer, ConvLayer):  # the file's (height, width, inputs, outputs) or (height, width, channels)
            weights = weights.permute(2, 0, 1).unsqueeze(1) if layer.depthwise else weights.permute(3, 2, 0, 1)
        self.weight.copy_(weights)
        self.bias.copy_(torch.from_numpy(layer.biases.astype(np.float32)))
        self.shift_bits.fill_(layer.shift)
        self.scale.fill_(scale)
        self.exact = True

    def layer(self) -> IntegerLayer:
        """Itself, for a model file."""
        with torch.no_grad():
            weight, bias = self.integers()
        half = 0 if self.last else (1 << int(self.shift_bits)) >> 1
        biases = np.rint(bias.numpy()).astype(np.int32) - half
        weights = np.rint(weight.numpy()).astype(np.int8)
        if isinstance(self.spec, Dense):
            return DenseLayer(weights, biases, int(self.shift_bits), 255 if self.last else self.spec.top)
        spec = self.spec
        weights = weights[:, 0].transpose(1, 2, 0) if spec.depthwise else weights.transpose(2, 3, 1, 0)
        weights = np.ascontiguousarray(weights)
        return ConvLayer(weights, biases, int(self.shift_bits), spec.top, spec.stride, spec.pad, spec.pool)


class IntegerNet(nn.Module):
    """The network of an architecture: ink (N, 1, H, W) >> ink_shift as float -> scores (N, outputs) float."""

    def __init__(self, architecture: Architecture, ink_shape: tuple[int, int], outputs: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.top = 255 >> architecture.ink_shift
        shape = (1, *ink_shape)
        layers: list[_Layer] = []
        for spec in (*architecture.layers, Dense(outputs)):
            layers.append(_Layer(spec, shape, last=len(layers) == len(architecture.layers)))
            shape = layers[-1].shape
        self.layers = nn.ModuleList(layers)

    def parts(self) -> Iterator[_Layer]:
        """Its layers, in order."""
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            yield layer

    def forward(self, inks: Tensor) -> Tensor:
        """Scores, in floats of about the same size before and after `fix`."""
        x = inks if next(self.parts()).exact else inks / self.top
        for layer in self.parts():
            x = layer(x)
        return x

    def uppers(self) -> list[Tensor]:
        """For each layer the largest activation of each of its input channels; of a dense layer of each input."""
        found = []
        top = float(self.top)
        for layer in self.parts():
            found.append(torch.full((layer.weight.shape[1] * layer.groups,), top))
            top = float(layer.spec.top)
        return found

    @torch.no_grad()
    def fix(self, inks: Tensor) -> None:
        """From floats to integers; inks (N, 1, H, W) show how large activations get."""
        self.eval()
        x = inks / self.top
        scale = torch.full((1,), 1 / self.top)
        for layer, upper in zip(self.parts(), self.uppers(), strict=True):
            x = layer(x)
            usual = None
            if not layer.last:
                by_output = x.transpose(0, 1).flatten(1).numpy()
                usual = torch.from_numpy(np.quantile(by_output, _USUAL, axis=1).astype(np.float32))
            scale = layer.fix(upper, scale.repeat_interleave(len(upper) // len(scale)), usual)
        self.keep_narrow()

    def keep_narrow(self) -> None:
        """See `_Layer.keep_narrow`."""
        for layer, upper in zip(self.parts(), self.uppers(), strict=True):
            layer.keep_narrow(upper)

    @torch.no_grad()
    def scores(self, inks: Inks) -> NDArray[np.int32]:
        """Scores (N, outputs) of inks (N, H, W) uint8, as the board's; only after `fix`."""
        self.eval()
        found = [np.zeros((0, len(self.last.scale)), np.int32)]
        for start in range(0, len(inks), 512):
            made = self(_seen(torch.from_numpy(inks[start : start + 512]), self.architecture.ink_shift))
            found.append(torch.round(made * self.last.scale).numpy().astype(np.int32))
        return np.concatenate(found)

    @property
    def last(self) -> _Layer:
        """The layer that makes the scores."""
        *_, last = self.parts()
        return last

    def integer_layers(self) -> list[IntegerLayer]:
        """Its layers for a model file."""
        return [layer.layer() for layer in self.parts()]


def network_of(model: Model) -> IntegerNet:
    """The network of a model file, in its integers: the same scores, from which training can go on.

    Of its floats 1 is what makes a class e times as likely to the model's confidence. Raises TrainingError for a model
    with layers whose sums may leave int16.
    """
    wide = [number for number, layer in enumerate(model.layers) if not layer.narrow]
    if wide:
        raise TrainingError(
            f"{model.name}: got sums of more than 16 bits in layer {wide[0]}, need 16 to train on. Start from a "
            "convolutional network: --base tiny, fast or best."
        )
    layers = modelfile.layers_of(model)
    specs = tuple(
        Conv(layer.outputs, made.kernel, layer.stride, layer.pad, layer.pool, layer.depthwise, layer.top)
        if isinstance(layer, ConvLayer)
        else Dense(layer.outputs, layer.top)
        for layer, made in zip(layers[:-1], model.layers, strict=False)
    )
    architecture = Architecture(specs, model.ink_shift)
    net = IntegerNet(architecture, (model.ink_height, model.ink_width), layers[-1].outputs)
    for part, layer in zip(net.parts(), layers, strict=True):
        part.take(layer, model.octave / math.log(2) if part.last else 1.0)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def tune_network(
    net: IntegerNet,
    inks: Inks,
    labels: Labels,
    remembered: Inks,
    progress: Progress,
    *,
    schedule: Schedule,
    seed: int = 0,
) -> list[IntegerLayer]:
    """The integer layers of a network of `network_of` after it went on learning, in integers alone.

    inks        (N, H, W) uint8, to learn, with labels (N,), column numbers of the scores
    remembered  (M, H, W) uint8, on which it is to stay as sure of each class as it is now (Li and Hoiem 2016,
                arXiv:1606.09282): whoever learns something new forgets less so than with the labels
    schedule    its epochs in floats are left out
    """
    torch.set_num_threads(1)  # sums are added up in one order
    answers = functional.one_hot(torch.from_numpy(labels), len(net.last.scale)).float()
    sure = torch.softmax(torch.from_numpy(net.scores(remembered)) / net.last.scale, dim=1)
    targets = torch.cat([answers, sure])
    shown = np.concatenate([inks, remembered])
    trainer = _Trainer(net, net.architecture, shown, targets, replace(schedule, epochs=0), seed)
    while trainer.epoch < trainer.epochs:
        trainer.run_epoch(progress)
    net.keep_narrow()
    return net.integer_layers()


def train_network(
    architecture: Architecture,
    inks: Inks,
    labels: Labels,
    outputs: int,
    progress: Progress,
    *,
    schedule: Schedule | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    teacher: Teacher | None = None,
) -> list[IntegerLayer]:
    """The integer layers of a network trained on inks (N, H, W) uint8 with labels (N,) 0..outputs - 1.

    checkpoint  file that is replaced after each epoch and taken up again if it is of the same training; it stays
    teacher     learns first, its checkpoint beside: trainings of different networks on the same samples share it
    Raises TrainingError where a checkpoint can't be written, or there is nothing to learn.
    """
    schedule = schedule or Schedule()
    if len(np.unique(labels)) < 2:
        raise TrainingError(
            f"training data: got {len(inks)} samples of {len(np.unique(labels))} class, need two classes at least. "
            "Add folders or another --data."
        )
    torch.set_num_threads(1)  # sums are added up in one order
    targets: Labels | Tensor = labels
    if teacher is not None:
        targets = _taught(teacher, inks, labels, outputs, progress, seed, checkpoint)
    trainer = _Trainer(_new_network(architecture, inks, outputs, seed), architecture, inks, targets, schedule, seed)
    net = trainer.net
    state = _Checkpoint(checkpoint, trainer.key())
    state.restore(trainer)
    while trainer.epoch < trainer.epochs:
        trainer.run_epoch(progress)
        state.save(trainer)
    net.keep_narrow()
    return net.integer_layers()


def _new_network(architecture: Architecture, inks: Inks, outputs: int, seed: int) -> IntegerNet:
    torch.manual_seed(seed)
    net = IntegerNet(architecture, (inks.shape[1], inks.shape[2]), outputs)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def _taught(
    teacher: Teacher, inks: Inks, labels: Labels, outputs: int, progress: Progress, seed: int, checkpoint: Path | None
) -> Tensor:
    """What is to be learned from each ink (N, outputs): the mean of the teachers' answers, mixed with the label.

    Their own checkpoints lie beside the network's, named after what they learn from: recipes with the same samples
    share them. Teachers learn and answer side by side, each on a thread of its own, as many at a time as there are
    processors.
    """
    schedule = replace(teacher.schedule, epochs=max(teacher.schedule.epochs, -(-teacher.shown // len(inks))))
    trainers = []
    for k in range(teacher.count):
        net = _new_network(teacher.architecture, inks, outputs, seed + k)
        trainers.append(_Trainer(net, teacher.architecture, inks, labels, schedule, seed + k))
    at_work = set(range(teacher.count))
    given_up = threading.Event()

    def answers_of(number: int) -> Tensor:
        torch.set_num_threads(1)
        trainer = trainers[number]
        who = "teacher" if teacher.count == 1 else f"teacher {number + 1} of {teacher.count}"

        def tell(stage: str, done: int, total: int) -> None:
            if given_up.is_set():
                raise TrainingError(
                    f"{who}: got another one that failed, need all. Start again: what it learned stays."
                )
            if number == min(at_work):  # one speaks for those beside it
                progress(stage, done, total)

        key = trainer.key()
        state = _Checkpoint(checkpoint and checkpoint.with_name(f"teacher-{key[:12]}.pt"), key)
        state.restore(trainer)
        while trainer.epoch < trainer.epochs:
            trainer.run_epoch(lambda stage, done, total: tell(f"{who}, {stage}", done, total))
            state.save(trainer)
        answers = torch.empty(len(inks), outputs)
        trainer.net.eval()
        with torch.no_grad():
            for start in range(0, len(inks), 512):
                if start % 51200 == 0:
                    tell(f"{who} answers", start, len(inks))
                some = torch.arange(start, min(start + 512, len(inks)))
                answers[some] = torch.softmax(trainer.net(trainer.batch(some)), dim=1)
        tell(f"{who} answers", len(inks), len(inks))
        at_work.discard(number)
        return answers

    targets = functional.one_hot(trainers[0].labels, outputs).float() * (1 - teacher.share)
    with ThreadPoolExecutor(min(teacher.count, os.cpu_count() or 1)) as pool:
        try:
            for answers in pool.map(answers_of, range(teacher.count)):
                targets += teacher.share / teacher.count * answers
        except BaseException:
            given_up.set()  # Ctrl-C, say: the others end too
            raise
    return targets


class _Trainer:
    """A network on its way: whole epochs, in floats and then in integers, each from its own random order.

    labels: (N,) or, as a tensor (N, outputs), how likely each output is to be.
    """

    def __init__(
        self,
        net: IntegerNet,
        architecture: Architecture,
        inks: Inks,
        labels: Labels | Tensor,
        schedule: Schedule,
        seed: int,
    ) -> None:
        self.net = net
        self.architecture = architecture
        self.inks = torch.from_numpy(np.ascontiguousarray(inks))
        self.labels = labels if isinstance(labels, Tensor) else torch.from_numpy(np.asarray(labels, np.int64))
        self.schedule = schedule
        self.seed = seed
        self.epoch = 0
        self.epochs = schedule.epochs + schedule.integer_epochs
        self.optimiser: torch.optim.Optimizer | None = None
        self.cycle: torch.optim.lr_scheduler.LambdaLR | None = None

    def key(self) -> str:
        """Tells this training from others."""
        told = hashlib.sha256(repr((self.architecture, self.schedule, self.seed, self.inks.shape)).encode())
        told.update(self.inks[:: max(len(self.inks) // 1000, 1)].numpy().tobytes())
        told.update(self.labels.numpy().tobytes())
        return told.hexdigest()

    def start_phase(self) -> None:
        """Make the optimiser of the phase that `epoch` lies in."""
        schedule = self.schedule
        batches = -(-len(self.inks) // schedule.batch)
        if self.epoch < schedule.epochs:
            self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
            steps = batches * schedule.epochs
        else:
            groups = []
            for layer in self.net.parts():
                rate = schedule.integer_rate * float(layer.weight.detach().abs().mean())
                groups += [{"params": [layer.weight], "lr": rate}, {"params": [layer.bias], "lr": rate * 10}]
            self.optimiser = torch.optim.Adam(groups)
            steps = batches * schedule.integer_epochs
        self.cycle = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: _cycle(step / steps))

    def run_epoch(self, progress: Progress) -> None:
        """Learn from every sample once."""
        if self.epoch == self.schedule.epochs and not self.net.last.exact:
            rng = np.random.default_rng([self.seed, 1 << 20])
            some = rng.permutation(len(self.inks))[:_CALIBRATED_ON]
            self.net.fix(self.batch(torch.from_numpy(some)))
            self.optimiser = None
        if self.optimiser is None:
            self.start_phase()
        assert self.optimiser is not None
        assert self.cycle is not None
        floats = self.epoch < self.schedule.epochs
        self.net.train(floats)
        rng = np.random.default_rng([self.seed, self.epoch])
        order = torch.from_numpy(rng.permutation(len(self.inks)))
        stage = f"epoch {self.epoch + 1} of {self.epochs}" + ("" if floats else ", in integers")
        for number, chosen in enumerate(torch.split(order, self.schedule.batch)):
            if number % 20 == 0:
                progress(stage, number * self.schedule.batch, len(order))
            if number and len(chosen) == 1:
                break  # nothing to normalise a batch by
            loss = functional.cross_entropy(self.net(self.batch(chosen)), self.labels[chosen])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.cycle.step()
            if not floats and number % 8 == 0:
                self.net.keep_narrow()
        progress(stage, len(order), len(order))
        self.epoch += 1

    def batch(self, chosen: Tensor) -> Tensor:
        """What the network sees of the chosen inks: (n, 1, H, W) float, whole numbers."""
        return _seen(self.inks[chosen], self.architecture.ink_shift)


class _Checkpoint:
    """A training's file: whole or not at all, and only for the training that made it."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path = path
        self.key = key

    def save(self, trainer: _Trainer) -> None:
        """Write where `trainer` is."""
        if self.path is None:
            return
        assert trainer.optimiser is not None
        assert trainer.cycle is not None
        state = {
            "key": self.key,
            "epoch": trainer.epoch,
            "net": trainer.net.state_dict(),
            "optimiser": trainer.optimiser.state_dict(),
            "cycle": trainer.cycle.state_dict(),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(self.path, lambda part: torch.save(state, part))
        except OSError as error:
            raise TrainingError(
                f"{self.path}: got {error.strerror or error}, need a place for the checkpoint. Make room and start "
                "again: what was learned up to the epoch before is kept."
            ) from error

    def restore(self, trainer: _Trainer) -> None:
        """Take up what `save` wrote, if it is of the same training and whole."""
        if self.path is None or not self.path.is_file():
            return
        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True)
        except Exception:  # whatever a damaged file does to the reader: then begin anew
            return
        if state.get("key") != self.key:
            return
        trainer.epoch = state["epoch"]
        for layer in trainer.net.parts():
            layer.exact = trainer.epoch > trainer.schedule.epochs
        trainer.net.load_state_dict(state["net"])
        if trainer.epoch != trainer.schedule.epochs:
            trainer.start_phase()
            assert trainer.optimiser is not None
            assert trainer.cycle is not None
            trainer.optimiser.load_state_dict(state["optimiser"])
            trainer.cycle.load_state_dict(state["cycle"])


def _seen(inks: Tensor, ink_shift: int) -> Tensor:
    """What a network sees of inks (n, H, W) uint8: (n, 1, H, W) float, whole numbers."""
    seen = (inks >> ink_shift).unsqueeze(1).float()
    return seen.to(memory_format=torch.channels_last)  # 1.6 times as fast as channel by channel


def _cycle(part: float) -> float:
    """The learning rate, its highest = 1: from a tenth up in the first fifth, then along a cosine to nothing."""
    if part < 0.2:
        return 0.1 + 0.9 * part / 0.2
    return 0.5 + 0.5 * math.cos(math.pi * (part - 0.2) / 0.8)


def _through(x: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, whose gradient is passed to x as it is."""
    return x + (rounded - x).detach()
