"""Certification the usual way, the yardstick of `quench certify`: eager, float32, NCHW, one image after the other.

Classifies noisy copies of one image as the public randomized smoothing code does (repeat, randn_like, forward, argmax,
count on the CPU) and prints one line of JSON with the noisy copies a second. The network is a CIFAR ResNet with fresh
weights: what it answers changes nothing about how long it takes.

    python certify_baseline.py --depth 20 --samples 4000 --batch 1000 --threads 2
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import nn

from python_baseline import Block, ResNet20


class ResNet(ResNet20):
    """The CIFAR ResNet of any depth 6n + 2."""

    def __init__(self, depth):
        super().__init__()
        n = (depth - 2) // 6
        for stage, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
            first = Block(inputs, outputs, 1 if stage == 1 else 2)
            blocks = [first] + [Block(outputs, outputs, 1) for _ in range(n - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))


def count(model, x, samples, sigma, batch):
    counts = np.zeros(10, dtype=int)
    with torch.no_grad():
        while samples > 0:
            this = min(batch, samples)
            samples -= this
            copies = x.repeat((this, 1, 1, 1))
            noise = torch.randn_like(copies) * sigma
            counts += np.bincount(model(copies + noise).argmax(1).numpy(), minlength=10)
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = ResNet(arguments.depth).eval()
    x = torch.rand(3, 32, 32)
    count(model, x, min(arguments.batch, arguments.samples), arguments.sigma, arguments.batch)
    start = time.perf_counter()
    count(model, x, arguments.samples, arguments.sigma, arguments.batch)
    seconds = time.perf_counter() - start
    print(json.dumps({"depth": arguments.depth, "samples": arguments.samples, "threads": torch.get_num_threads(),
                      "samples_per_second": arguments.samples / seconds, "version": torch.__version__}))


if __name__ == "__main__":
    main()
