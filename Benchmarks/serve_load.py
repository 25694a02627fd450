#!/usr/bin/env python3
"""Loads a served model with concurrent clients, and tells the latencies, the failures and the server's memory.

    Benchmarks/serve_load.py --weights model.safetensors --clients 32 --requests 100000

Starts `quench serve` on a port that the system chooses, sends one image a request as raw bytes over kept connections,
from client processes of up to eight threads, and ends the server. Only the standard library is used.
"""

import argparse
import array
import http.client
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def resident_mb(pid):
    """MB of the process in memory, where /proc tells it."""
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    except OSError:
        return None


def client(host, path, body, headers, size, count, results):
    """Sends `count` requests one after the other; tells their seconds and how many failed."""
    seconds, failed = array.array("d"), 0
    connection = http.client.HTTPConnection(host, timeout=60)
    for _ in range(count):
        start = time.perf_counter()
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            failed += response.status != 200 or len(answer) < size
        except OSError:
            failed += 1
            connection.close()
        seconds.append(time.perf_counter() - start)
    results.append((seconds, failed))


def process(threads, arguments, queue):
    results = []
    workers = [threading.Thread(target=client, args=(*arguments, count, results)) for count in threads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    queue.put(results)


def load(host, path, shape, clients, requests):
    pixels = array.array("f", (random.random() for _ in range(shape[0] * shape[1] * shape[2])))
    tensor = {"name": "input", "shape": [1, *shape], "datatype": "FP32"}
    header = json.dumps({
        "inputs": [tensor | {"parameters": {"binary_data_size": 4 * len(pixels)}}],
        "parameters": {"binary_data_output": True},
    }).encode()
    arguments = (
        host, path, header + pixels.tobytes(), {"Inference-Header-Content-Length": str(len(header))}, 4)
    counts = [requests // clients + (index < requests % clients) for index in range(clients)]
    queue = multiprocessing.Queue()
    start = time.perf_counter()
    processes = [
        multiprocessing.Process(target=process, args=(counts[first:first + 8], arguments, queue))
        for first in range(0, clients, 8)]
    for each in processes:
        each.start()
    results = [result for _ in processes for result in queue.get()]
    for each in processes:
        each.join()
    elapsed = time.perf_counter() - start
    seconds = sorted(second for times, _ in results for second in times)
    return {
        "clients": clients, "requests": len(seconds), "failed": sum(failed for _, failed in results),
        "requests_per_second": round(len(seconds) / elapsed, 1),
        "p50_ms": round(1000 * seconds[len(seconds) // 2], 3), "p99_ms": round(1000 * seconds[len(seconds) * 99 // 100], 3),
        "p99_over_p50": round(seconds[len(seconds) * 99 // 100] / seconds[len(seconds) // 2], 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--quench", default=ROOT / ".build/release/quench")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=100_000)
    arguments = parser.parse_args()
    server = subprocess.Popen(
        [arguments.quench, "serve", "--weights", arguments.weights, "--port", "0", "--log-level", "warning"],
        stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        found = re.match(r"serving http://([^/]+)(\S+)", line)
        if not found:
            sys.exit(f"the server did not begin: {line}{server.stderr.read()}")
        host, path = found.groups()
        connection = http.client.HTTPConnection(host)
        connection.request("GET", path)
        shape = json.load(connection.getresponse())["inputs"][0]["shape"][1:]
        load(host, path + "/infer", shape, arguments.clients, 20 * arguments.clients)
        before = resident_mb(server.pid)
        figures = load(host, path + "/infer", shape, arguments.clients, arguments.requests)
        figures |= {"memory_before_mb": before, "memory_after_mb": resident_mb(server.pid), "cores": os.cpu_count()}
        print(json.dumps(figures))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
