#!/usr/bin/env python3
"""What several processes of one thread gain over one: quench train over ranks on this machine, in turns.

    Benchmarks/ranks.py [--ranks 1,2] [--precision float32,bfloat16] [--rounds 3] [--batch-size 128] [--images 4096]
        [--model resnet20] [--data synthetic] [--data-dir DIR] [--quench .build/release/quench]

Strong scaling: the same batches, of which each process has a part. Weak scaling: as many images a process as one has
by itself. Prints a table a precision: the median over rounds of the speed, as a ratio to one process of one thread in the
same round, and what each process gives to the others in a step. Only the standard library is used; keep the machine idle.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile


class Training:
    """One run of quench train by so many processes."""

    def __init__(self, name, ranks, threads=1, load=1):
        self.name, self.ranks, self.threads, self.load = name, ranks, threads, load
        self.speeds, self.summary = [], {}

    def run(self, options, precision, folder):
        out = pathlib.Path(folder) / "run"
        command = [
            options.quench, "train", "--model", options.model, "--epochs", "1", "--batch-size",
            str(options.batch_size * self.load), "--train-limit", str(options.images * self.load), "--limit", "40",
            "--data", options.data, "--threads", str(self.threads), "--precision", precision, "--quiet", "--out", str(out)]
        if options.data_dir:
            command += ["--data-dir", options.data_dir]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        processes = [
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL,
                env=os.environ | place | {"RANK": str(rank), "WORLD_SIZE": str(self.ranks)})
            for rank in range(self.ranks)]
        if any([process.wait() for process in processes]):
            raise SystemExit(f"{self.name}: quench failed")
        self.summary = json.loads((out / "summary.json").read_text())
        self.speeds.append(self.summary["images_per_second"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--data-dir")
    parser.add_argument("--quench", default=".build/release/quench")
    options = parser.parse_args()
    sizes = sorted({int(size) for size in options.ranks.split(",")} - {1})

    for precision in options.precision.split(","):
        one = Training("one process of one thread", 1)
        trainings = [one]
        for size in sizes:
            trainings += [
                Training(f"{size} processes, strong", size), Training(f"{size} processes, weak", size, load=size),
                Training(f"one process of {size} threads", 1, threads=size)]
        for turn in range(options.rounds):
            for training in trainings[turn % len(trainings):] + trainings[:turn % len(trainings)]:
                with tempfile.TemporaryDirectory() as folder:
                    training.run(options, precision, folder)
        print(f"\n{options.model}, batches of {options.batch_size}, {precision}, {options.rounds} rounds\n")
        print(f"{'':28}{'images/s':>10}{'ratio':>8}{'from':>8}{'to':>8}{'bytes a step':>14}{'messages':>10}")
        for training in trainings:
            ratios = [speed / base for speed, base in zip(training.speeds, one.speeds)]
            print(
                f"{training.name:28}{statistics.median(training.speeds):10.0f}{statistics.median(ratios):8.2f}"
                f"{min(ratios):8.2f}{max(ratios):8.2f}{training.summary.get('bytes_per_step', '-'):>14}"
                f"{training.summary.get('messages_per_step', '-'):>10}")


if __name__ == "__main__":
    main()
