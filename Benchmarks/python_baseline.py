"""Python's PyTorch, the yardstick: ResNet-20 training steps and inference on one resident batch.

Reads one command a line and answers each with one line of JSON, so that a driver can alternate two processes:

    train MODE STEPS    {"images_per_second": ..., "peak_memory_mb": ...}
    infer MODE STEPS    the same
    memory              {"peak_memory_mb": ..., "version": ...}
    quit

MODE is eager-nchw-float32 (the usual form), channels-last-float32 or channels-last-bfloat16.
A command that cannot be carried out is answered with {"error": ...}.
"""

import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH = 256
WARM_UP = 3
MODES = ("eager-nchw-float32", "channels-last-float32", "channels-last-bfloat16")


class Block(nn.Module):
    """Two 3x3 convolutions and a parameter-free (option A) shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.widen = (outputs - inputs) // 2

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.widen:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.widen, self.widen))
        return F.relu(out + x)


class ResNet20(nn.Module):
    """The CIFAR ResNet of depth 20: 3x32x32 in, 10 logits out, 269 722 parameters."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def resident(mode):
    """The network, images and labels in the mode's memory format, made from one seed."""
    torch.manual_seed(0)
    model, images, labels = ResNet20(), torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    if mode.startswith("channels-last"):
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    return model, images, labels


def train_step(mode):
    model, images, labels = resident(mode)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.endswith("bfloat16")):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def infer_step(mode):
    model, images, _ = resident(mode)
    model.eval()
    if mode.endswith("bfloat16"):
        model, images = model.bfloat16(), images.bfloat16()

    @torch.inference_mode()
    def step():
        model(images)

    return step


def peak_memory_mb():
    """The process's largest resident size so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def measure(step, steps):
    start = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = time.perf_counter() - start
    return {"images_per_second": round(steps * BATCH / seconds, 2), "peak_memory_mb": peak_memory_mb()}


def answer(words, prepared):
    match words:
        case ["memory"]:
            return {"peak_memory_mb": peak_memory_mb(), "version": torch.__version__}
        case ["train" | "infer" as kind, mode, steps] if mode in MODES and steps.isdecimal() and int(steps) > 0:
            if (kind, mode) not in prepared:
                step = train_step(mode) if kind == "train" else infer_step(mode)
                measure(step, WARM_UP)
                prepared[kind, mode] = step
            return measure(prepared[kind, mode], int(steps))
        case _:
            return {"error": f"not a command: {' '.join(words)}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="compute threads (default: PyTorch's choice)")
    threads = parser.parse_args().threads
    if threads is not None:
        torch.set_num_threads(threads)
    prepared = {}
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        print(json.dumps(answer(words, prepared)), flush=True)


if __name__ == "__main__":
    main()
