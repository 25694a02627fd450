"""Processes that answer the line protocol of README.md, and ratios of their answers."""

import json
import os
import pathlib
import statistics
import subprocess
import sys


class Side:
    """One process that speaks the line protocol."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        """The answer to a command; the program ends where there is none."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        except (OSError, ValueError) as error:
            sys.exit(f"bench: {self.name} gave no JSON answer to '{line}' ({error}; exit code {self.process.poll()})")
        if "error" in answer:
            sys.exit(f"bench: {self.name} cannot do '{line}': {answer['error']}")
        return answer

    def speed(self, line):
        """Images a second of a command."""
        return self.ask(line)["images_per_second"]

    def processor_seconds(self):
        """What the process has taken of the processors so far (Linux)."""
        ticks = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def ratio(above, below):
    """The median over the rounds of the ratio within a round: a machine that drifts slows both sides of it."""
    return statistics.median(a / b for a, b in zip(above, below))
