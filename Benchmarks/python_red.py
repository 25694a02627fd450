"""Training a denoiser in Python's PyTorch, the yardstick for `quench red train`: eager, float32, NCHW.

Times steps of CDD-RED on one batch of random pairs: the identity, crop-pad and cutmix copies of the batch, a DnCNN, and
a frozen ResNet-20 whose answers to them are kept. Loading is not timed, the transformations are.

    python python_red.py --depth 7 --width 32 --batch-size 32 --threads 2 --steps 30 [--surrogate model.safetensors]

The surrogate is a model.safetensors of `quench train --model resnet20`; without it the weights are fresh, which changes
nothing about how long a step takes. Prints one line of JSON.
"""

import argparse
import json
import random
import time

import torch
import torch.nn.functional as F
from torch import nn

from python_attacks import Normalized, load_model
from python_baseline import WARM_UP, ResNet20

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class DnCNN(nn.Module):
    """Predicts the perturbation and subtracts it; the identity before training."""

    def __init__(self, depth, width):
        super().__init__()
        layers = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width, eps=1e-4), nn.ReLU()]
        layers.append(nn.Conv2d(width, 3, 3, padding=1, bias=False))
        self.dncnn = nn.Sequential(*layers)
        for layer in layers[:-1]:
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layers[0].bias)
        nn.init.zeros_(layers[-1].weight)

    def forward(self, x):
        return x - self.dncnn(x)


def identity(images):
    return images


def crop_and_pad(height, width):
    """Draws a square outside of which everything becomes 0."""
    side = random.randint(random.randint(1, round(180 * height / 224)), height)
    row, column = random.randrange(height), random.randrange(width)
    rows = slice(max(0, row - side // 2), row + side // 2)
    columns = slice(max(0, column - side // 2), column + side // 2)

    def move(images):
        copy = torch.zeros_like(images)
        copy[:, :, rows, columns] = images[:, :, rows, columns]
        return copy

    return move


def cutmix(height, width, count):
    """Draws a box inside which each image takes the pixels of another one."""
    share = (1 - random.random()) ** 0.5
    row, column = random.uniform(0, height), random.uniform(0, width)
    rows = slice(max(0, round(row - height * share / 2)), round(row + height * share / 2))
    columns = slice(max(0, round(column - width * share / 2)), round(column + width * share / 2))
    order = torch.randperm(count)

    def move(images):
        copy = images.clone()
        copy[:, :, rows, columns] = images[order, :, rows, columns]
        return copy

    return move


def alignment(logits, answers, count):
    """The mean cross-entropy over the copies that the surrogate answers as it does the originals, which all count."""
    kept = answers == answers[:count].repeat(len(answers) // count)
    return F.cross_entropy(logits[kept], answers[kept])


def cdd_red(clean, attacked, moves, denoiser, surrogate, benign=0.025, adversarial=0.025):
    """The loss of a batch; the first of the moves is the identity."""
    count = len(clean)
    clean = torch.cat([move(clean) for move in moves])
    attacked = torch.cat([move(attacked) for move in moves])
    denoised = denoiser(attacked)
    with torch.no_grad():
        clean_answers, attacked_answers = surrogate(clean).argmax(1), surrogate(attacked).argmax(1)
    return (
        F.l1_loss(denoised, clean)
        + benign * alignment(surrogate(denoised), clean_answers, count)
        + adversarial * alignment(surrogate(attacked - denoised + clean), attacked_answers, count)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=7)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32, help="pairs a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--surrogate", help="model.safetensors of a ResNet-20")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    random.seed(0)
    fresh = not arguments.surrogate
    surrogate = Normalized(ResNet20(), MEAN, DEVIATION) if fresh else load_model(arguments.surrogate)
    surrogate.eval().requires_grad_(False)
    denoiser = DnCNN(arguments.depth, arguments.width).train()
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=1e-3, weight_decay=1e-4)
    clean = torch.rand(arguments.batch_size, 3, 32, 32)
    attacked = (clean + torch.empty_like(clean).uniform_(-8 / 255, 8 / 255)).clamp(0, 1)

    def step():
        moves = [identity, crop_and_pad(32, 32), cutmix(32, 32, len(clean))]
        loss = cdd_red(clean, attacked, moves, denoiser, surrogate)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    seconds = (time.perf_counter() - start) / arguments.steps
    print(json.dumps({
        "pairs_per_second": arguments.batch_size / seconds, "seconds_per_step": seconds, "depth": arguments.depth,
        "width": arguments.width, "batch": arguments.batch_size, "threads": torch.get_num_threads(),
        "version": torch.__version__,
    }))


if __name__ == "__main__":
    main()
