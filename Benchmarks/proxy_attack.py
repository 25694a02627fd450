#!/usr/bin/env python3
"""Attacks a defended proxy and the bare model behind it, and sees whether the proxy's certificates hold.

    Benchmarks/proxy_attack.py --weights model.safetensors --defense runs/defend --images test_batch.bin \\
        --limit 200 --epsilon 0.25 --norm l2

Starts `quench serve --weights`, the bare model, and `quench serve --defend DEFENSE --endpoint` before it, on ports
that the system chooses, and asks both over HTTP with raw tensors. WEIGHTS is a ResNet-20 of `quench train`, IMAGES
CIFAR-10's test_batch.bin. Two attacks stay within --epsilon of the images:

- PGD on the bare model's weights. It knows nothing of the defence: to the proxy it is a transferred attack.
- A random search by answers alone, a plain form of the Square attack (Andriushchenko et al. 2020): a square of one sign
  a colour, drawn at random, stays if the true class's lead does not grow. It asks the endpoint that it attacks at most
  --queries times an image, all images that still hold in one request, and leaves an image once another class is named.

An answer is right if it names the image's class; an abstention is not. A certificate is at stake where the proxy's
clean answer has a radius of at least the perturbation's L2 length (`certified_at_budget`), and violated where the
proxy then names another class (`violations`). Either answer is wrong with a probability of at most --alpha, so of
those at stake about 2 alpha may be violated. --votes copies show at most the radius `largest_radius`; below --epsilon
little is at stake.

The proxy draws new noise for every batch, so a repeated question gets an independent answer. Whoever asks often can
average the answers, and has each time another chance of alpha to see a wrong one; and what the search saw broken may
hold when asked again. `broken_in_search` says what it saw, the accuracies come from asking once more.

Prints a table and one line of JSON. Needs torch, and nothing else.
"""

import argparse
import contextlib
import http.client
import json
import math
import platform
import re
import subprocess
import sys
import time
from collections import namedtuple
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist

import torch
import torch.nn.functional as F

from python_attacks import load_images, load_model

ROOT = Path(__file__).resolve().parent.parent
TYPES = {"FP32": torch.float32, "INT64": torch.int64, "BOOL": torch.bool}
SECONDS = 3600

# Of N images: the class named, -1 for an abstention; logits or shares of the votes, [N, classes]; the certified radius.
Answers = namedtuple("Answers", ["labels", "scores", "radii"])


class Endpoint:
    """A served model."""

    def __init__(self, host, path):
        self.host, self.path = host, path
        metadata = json.loads(self.send("GET", path)[0])
        self.version, self.batch = metadata["versions"][0], metadata["parameters"]["max_batch_size"]

    def send(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            sys.exit(f"{self.host}{path} answers {response.status}: {answer.decode(errors='replace')}")
        return answer, response.headers

    def outputs(self, images):
        pixels = images.contiguous().numpy().tobytes()
        tensor = {"name": "input", "shape": list(images.shape), "datatype": "FP32"}
        header = json.dumps({
            "inputs": [tensor | {"parameters": {"binary_data_size": len(pixels)}}],
            "parameters": {"binary_data_output": True},
        }).encode()
        body, headers = self.send(
            "POST", self.path + "/infer", header + pixels, {"Inference-Header-Content-Length": str(len(header))})
        start = int(headers["Inference-Header-Content-Length"])
        outputs = {}
        for output in json.loads(body[:start])["outputs"]:
            end = start + output["parameters"]["binary_data_size"]
            tensor = torch.frombuffer(bytearray(body[start:end]), dtype=TYPES[output["datatype"]])
            outputs[output["name"]] = tensor.reshape(output["shape"])
            start = end
        return outputs

    def ask(self, images):
        parts = [self.outputs(part) for part in images.split(self.batch)]
        outputs = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        if "label" in outputs:
            return Answers(outputs["label"], outputs["votes"], outputs["radius"])
        return Answers(outputs["logits"].argmax(1), outputs["logits"], torch.zeros(len(images)))


@contextlib.contextmanager
def serving(program, flags, threads):
    flags = [*flags, "--port", 0, "--threads", threads, "--timeout", SECONDS, "--log-level", "error"]
    server = subprocess.Popen([program, "serve", *map(str, flags)], stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        for line in server.stderr:
            said += line
            found = re.match(r"serving http://([^/]+)(\S+)", line)
            if found:
                break
        else:
            sys.exit(f"the server did not begin: {said}")
        yield Endpoint(*found.groups())
    finally:
        server.terminate()
        server.wait()


def lengths(delta, norm):
    """Each image's, [N, 1, 1, 1]."""
    return torch.linalg.vector_norm(delta, ord=2 if norm == "l2" else math.inf, dim=(1, 2, 3), keepdim=True)


def bounded(delta, norm, epsilon):
    """The nearest perturbations within the budget."""
    if norm == "linf":
        return delta.clamp(-epsilon, epsilon)
    return delta * (epsilon / lengths(delta, norm).clamp_min(epsilon))


def pgd(model, images, labels, norm, epsilon, steps):
    """Projected gradient descent (Madry et al. 2018) from a random start, with steps of 2.5 epsilon / steps."""
    if norm == "linf":
        delta = torch.empty_like(images).uniform_(-epsilon, epsilon)
    else:
        delta = torch.randn_like(images)
        share = torch.rand(len(images), 1, 1, 1) ** (1 / images[0].numel())
        delta = epsilon * share * delta / lengths(delta, norm)
    adversarial = (images + delta).clamp(0, 1)
    for _ in range(steps):
        adversarial.requires_grad_(True)
        gradient = torch.autograd.grad(F.cross_entropy(model(adversarial), labels, reduction="sum"), adversarial)[0]
        direction = gradient.sign() if norm == "linf" else gradient / lengths(gradient, norm).clamp_min(1e-30)
        delta = adversarial.detach() + 2.5 * epsilon / steps * direction - images
        adversarial = (images + bounded(delta, norm, epsilon)).clamp(0, 1)
    return adversarial


def squares(images, side, norm, epsilon):
    """In each image a square somewhere, of one random sign a colour, large enough to turn round what was there."""
    count, colours, height, width = images.shape
    rows = torch.arange(height) - torch.randint(height - side + 1, (count, 1))
    columns = torch.arange(width) - torch.randint(width - side + 1, (count, 1))
    rows, columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    signs = 2.0 * torch.randint(2, (count, colours, 1, 1)) - 1
    return signs * inside * (2 * epsilon if norm == "linf" else epsilon / (side * math.sqrt(colours)))


def margins(scores, labels):
    """By how much each image's class leads the next."""
    own = labels[:, None]
    return (scores.gather(1, own) - scores.scatter(1, own, -math.inf).amax(1, keepdim=True))[:, 0]


def random_search(endpoint, images, labels, norm, epsilon, queries):
    """The images after at most `queries` answers each, and which of them were once taken for another class."""
    best = images.clone()
    least = torch.full((len(images),), math.inf)
    broken = torch.zeros(len(images), dtype=torch.bool)
    for query in range(queries):
        held = (~broken).nonzero()[:, 0]
        if len(held) == 0:
            break
        candidates, clean = best[held], images[held]
        if query > 0:
            side = round(16 - 13 * query / queries)
            delta = candidates - clean + squares(clean, side, norm, epsilon)
            candidates = (clean + bounded(delta, norm, epsilon)).clamp(0, 1)
        answers = endpoint.ask(candidates)
        margin = margins(answers.scores, labels[held])
        named = (answers.labels != labels[held]) & (answers.labels >= 0)
        kept = named | (margin <= least[held])
        best[held[kept]], least[held[kept]] = candidates[kept], margin[kept]
        broken[held] = named
        if query % 10 == 0:
            print(f"query {query + 1} of {queries}: {int(broken.sum())} of {len(images)} broken", file=sys.stderr)
    return best, broken


def wilson(count, n):
    """The share and its 95 % interval."""
    z = NormalDist().inv_cdf(0.975)
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"share": round(share, 4), "interval": [round(middle - half, 4), round(middle + half, 4)]}


def judge(answers, labels):
    n = len(labels)
    return {
        "n": n, "accuracy": wilson(int((answers.labels == labels).sum()), n),
        "abstained": wilson(int((answers.labels < 0).sum()), n)}


def certificates(clean, attacked, images, adversarial):
    """How many clean answers are certified as far as the perturbation went, and how many of those did not hold."""
    length = lengths(adversarial.double() - images.double(), "l2").flatten()
    at_stake = (clean.labels >= 0) & (clean.radii >= length) & (length > 0)
    violated = at_stake & (attacked.labels >= 0) & (attacked.labels != clean.labels)
    return {"certified_at_budget": int(at_stake.sum()), "violations": int(violated.sum())}


def attack(endpoint, certifies, images, labels, transferred, arguments):
    """An endpoint's answers to clean images, to those of PGD, and to those of a search that asks it."""
    start = time.perf_counter()
    clean, attacked = endpoint.ask(images), endpoint.ask(transferred)
    seconds = time.perf_counter() - start
    figures = {
        "ms_per_answer": round(1000 * seconds / (2 * len(images)), 2),
        "clean": judge(clean, labels), "pgd": judge(attacked, labels)}
    if certifies:
        figures["pgd"] |= certificates(clean, attacked, images, transferred)
    if arguments.query_limit == 0:
        return figures
    images, labels = images[:arguments.query_limit], labels[:arguments.query_limit]
    clean = Answers(*(each[:arguments.query_limit] for each in clean))
    searched, broken = random_search(
        endpoint, images, labels, arguments.norm, arguments.epsilon, arguments.queries)
    attacked = endpoint.ask(searched)
    figures["clean_of_searched"] = judge(clean, labels)
    figures["search"] = judge(attacked, labels) | {"broken_in_search": int(broken.sum())}
    if certifies:
        figures["search"] |= certificates(clean, attacked, images, searched)
    return figures


def table(figures):
    for name in ["bare", "proxy"]:
        for kind in ["clean", "pgd", "clean_of_searched", "search"]:
            if kind not in figures[name]:
                continue
            row = figures[name][kind]
            low, high = row["accuracy"]["interval"]
            print(
                f"{name:6} {kind:18} {row['accuracy']['share']:7.2%} right ({low:.2%} to {high:.2%}), "
                f"{row['abstained']['share']:.2%} abstained, {row['n']} images")
            if "violations" in row:
                print(f"{'':25} certified_at_budget {row['certified_at_budget']}, violations {row['violations']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--defense", required=True, help="a run of 'quench defend train'")
    parser.add_argument("--images", required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--norm", choices=["l2", "linf"], default="l2")
    parser.add_argument("--epsilon", type=lambda text: float(Fraction(text)), default=0.25, help="0.25, 8/255")
    parser.add_argument("--steps", type=int, default=20, help="of PGD")
    parser.add_argument("--queries", type=int, default=100, help="of the random search, an image")
    parser.add_argument("--query-limit", type=int, default=20, help="images of the random search; 0: none")
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--votes", type=int, default=200)
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--threads", type=int, default=1, help="of each server and of PGD")
    parser.add_argument("--server", default=ROOT / ".build/release/quench", help="the program quench")
    parser.add_argument("--seed", type=int, default=0, help="of the attacks; the proxy's noise has none")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    norm, epsilon = arguments.norm, arguments.epsilon
    images, labels = load_images(arguments.images, arguments.limit)
    bound = arguments.alpha ** (1 / arguments.votes)
    largest = arguments.sigma * NormalDist().inv_cdf(bound) if bound > 0.5 else 0
    if norm == "linf" or largest < epsilon:
        print(f"{arguments.votes} votes certify an L2 radius of at most {largest:.3f}", file=sys.stderr)
    model = load_model(arguments.weights)
    parts = zip(images.split(250), labels.split(250))
    transferred = torch.cat([pgd(model, x, y, norm, epsilon, arguments.steps) for x, y in parts])
    figures = {
        name: getattr(arguments, name)
        for name in ["norm", "epsilon", "steps", "queries", "sigma", "votes", "alpha", "threads", "seed"]}
    with serving(arguments.server, ["--weights", arguments.weights, "--name", "box"], arguments.threads) as bare:
        shield = [
            "--defend", arguments.defense, "--endpoint", f"http://{bare.host}{bare.path}", "--name", "safe",
            "--sigma", arguments.sigma, "--votes", arguments.votes, "--alpha", arguments.alpha]
        with serving(arguments.server, shield, arguments.threads) as proxy:
            figures |= {
                "largest_radius": round(largest, 4), "versions": {
                    "quench": json.loads(bare.send("GET", "/v2")[0])["version"], "bare": bare.version,
                    "proxy": proxy.version, "torch": torch.__version__, "python": platform.python_version()},
                "bare": attack(bare, False, images, labels, transferred, arguments),
                "proxy": attack(proxy, True, images, labels, transferred, arguments)}
    table(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
