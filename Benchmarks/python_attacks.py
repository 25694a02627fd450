"""Attacks in Python's PyTorch, the yardstick for `quench attack`: the same ResNet-20, images and settings.

    python_attacks.py pgd WEIGHTS TEST_BATCH --limit 1000           the usual loop: eager, float32, NCHW
    python_attacks.py autoattack WEIGHTS TEST_BATCH --limit 1000    the reference implementation (pip: pyautoattack)

WEIGHTS is a model.safetensors of `quench train --model resnet20 --data cifar10`, TEST_BATCH CIFAR-10's test_batch.bin.
Prints one line of JSON: clean and robust accuracy, seconds, images.
"""

import argparse
import json
import struct
import time

import torch
import torch.nn.functional as F
from torch import nn

from python_baseline import ResNet20

TYPES = {"F32": torch.float32, "I64": torch.int64}


class Normalized(nn.Module):
    """Pixels in [0, 1] in, logits out."""

    def __init__(self, model, mean, deviation):
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, x):
        return self.model((x - self.mean) / self.deviation)


def load_model(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    architecture = json.loads(header.pop("__metadata__")["quench.architecture"])
    state = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensor = torch.frombuffer(bytearray(data[start:end]), dtype=TYPES[entry["dtype"]])
        state[name] = tensor.reshape(entry["shape"])
    model = ResNet20()
    model.load_state_dict(state)
    return Normalized(model, architecture["mean"], architecture["standardDeviation"]).eval()


def load_images(path, limit):
    with open(path, "rb") as file:
        rows = torch.frombuffer(bytearray(file.read(3073 * limit)), dtype=torch.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).float() / 255, rows[:, 0].long()


def pgd(model, images, labels, epsilon, step, steps):
    """Projected gradient descent as Madry et al. (2018) have it and torchattacks writes it."""
    adversarial = (images + torch.empty_like(images).uniform_(-epsilon, epsilon)).clamp(0, 1).detach()
    for _ in range(steps):
        adversarial.requires_grad_(True)
        loss = F.cross_entropy(model(adversarial), labels)
        gradient = torch.autograd.grad(loss, adversarial)[0]
        adversarial = adversarial.detach() + step * gradient.sign()
        delta = (adversarial - images).clamp(-epsilon, epsilon)
        adversarial = (images + delta).clamp(0, 1).detach()
    return adversarial


def accuracy(model, images, labels, batch):
    with torch.no_grad():
        answers = torch.cat([model(part).argmax(1) for part in images.split(batch)])
    return (answers == labels).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=["pgd", "autoattack"])
    parser.add_argument("weights")
    parser.add_argument("test_batch")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--epsilon", type=float, default=8, help="in 255ths")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = load_model(arguments.weights)
    images, labels = load_images(arguments.test_batch, arguments.limit)
    clean = accuracy(model, images, labels, arguments.batch)
    epsilon = arguments.epsilon / 255
    start = time.time()
    if arguments.attack == "pgd":
        parts = zip(images.split(arguments.batch), labels.split(arguments.batch))
        attacked = torch.cat([pgd(model, x, y, epsilon, epsilon / 4, 10) for x, y in parts])
    else:
        from pyautoattack import AutoAttack

        attack = AutoAttack(model, norm="Linf", eps=epsilon, version="standard", seed=0)
        attacked, *_ = attack.run_standard_evaluation(images, labels, batch_size=arguments.batch)
    seconds = time.time() - start
    robust = accuracy(model, attacked, labels, arguments.batch)
    print(json.dumps({
        "attack": arguments.attack, "clean_accuracy": clean, "robust_accuracy": robust, "n": len(images),
        "seconds": seconds, "images_per_second": len(images) / seconds, "version": torch.__version__,
    }))


if __name__ == "__main__":
    main()
