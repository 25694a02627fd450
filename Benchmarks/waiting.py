#!/usr/bin/env python3
"""What waiting OpenMP threads cost: quench bench under several wait policies, in turns, alone and beside busy processes.

    Benchmarks/waiting.py [--rounds 6] [--seconds 1] [--busy 1] [--quench .build/release/quench]

Prints one row a policy: the median over rounds of the speed as a ratio to LibTorch's own default in the same round.
Only the standard library is used.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

BATCH = 256
POLICIES = {
    "LibTorch's default": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 30,000": {"GOMP_SPINCOUNT": "30000"},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
}
# quench sets a policy of its own unless the user names one; this is what libgomp does by itself.
OWN = {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""}
TASKS = ["train channels-last-float32", "infer plan-float32"]


class Bench:
    def __init__(self, quench, environment):
        clean = {k: v for k, v in os.environ.items() if k not in OWN}
        self.process = subprocess.Popen(
            [quench, "bench", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=clean | environment)

    def speed(self, task, steps):
        self.process.stdin.write(f"{task} {steps}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["images_per_second"]


def measure(benches, rounds, seconds):
    speeds, steps = {}, {}
    for number in range(rounds):
        names = list(benches)
        names = names[number % len(names):] + names[:number % len(names)]
        for task in TASKS:
            for name in names:
                key = (name, task)
                if key not in steps:
                    steps[key] = max(1, round(seconds * benches[name].speed(task, 1) / BATCH))
                speeds.setdefault(key, []).append(benches[name].speed(task, steps[key]))
    return speeds


def report(title, speeds):
    print(f"{title:24}" + "".join(f"{task:>34}" for task in TASKS))
    base = next(iter(POLICIES))
    for name in POLICIES:
        cells = []
        for task in TASKS:
            values, plain = speeds[name, task], speeds[base, task]
            ratio = statistics.median(a / b for a, b in zip(values, plain))
            cells.append(f"{statistics.median(values):16.0f} images/s {ratio:5.2f} x")
        print(f"  {name:22}" + "".join(f"{cell:>34}" for cell in cells))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--busy", type=int, default=1, help="processes that compute beside, in the second table")
    parser.add_argument("--quench", default=".build/release/quench")
    options = parser.parse_args()

    benches = {name: Bench(options.quench, environment) for name, environment in POLICIES.items()}
    report("alone", measure(benches, options.rounds, options.seconds))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        report(f"beside {options.busy} busy", measure(benches, options.rounds, options.seconds))
    finally:
        for process in busy:
            process.kill()
    for bench in benches.values():
        bench.process.stdin.close()
        bench.process.wait()


main()
