#!/usr/bin/env python3
"""Loads a served model with concurrent clients, and tells the latencies, the failures and the server's memory.

    Benchmarks/serve_load.py --weights model.safetensors --clients 32 --requests 100000
    Benchmarks/serve_load.py --weights model.safetensors --clients 32 --requests 100000 --hostile

Starts `quench serve` on a port that the system chooses, sends one image a request as raw bytes over kept connections,
from client processes of up to eight threads, and ends the server. With --hostile two more clients do what they can
meanwhile: one sends JSON as large as the server takes that is costly to build, one keeps 64 connections busy with bodies
that arrive a byte at a time; the server's health is asked five times a second all along, and its memory is read at its
peak and once all is over. Only the standard library is used.
"""

import argparse
import array
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def memory_mb(pid, figure="VmRSS"):
    """MB of the process in memory now, or at the peak (VmHWM), where /proc tells it."""
    try:
        return round(int(re.search(rf"{figure}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024)
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


def bombs(host, path, shape, stop, queue):
    """Sends JSON that is small to write and large to build, and tells the answers' codes."""
    def request(data, parameters="{}"):
        tensor = json.dumps({"name": "input", "shape": [1, *shape], "datatype": "FP32"})[:-1]
        return f'{{"parameters": {parameters}, "inputs": [{tensor}, "data": {data}}}]}}'.encode()

    size = 60 << 20
    kinds = [
        request("[" + "[]," * (size // 3) + "[]]"), request("[" + "1," * (size // 2) + "1]"),
        request("[]", "[" + "{}," * (size // 3) + "{}]"), request("[" * (size // 2)),
        request("[]", "{" + ",".join(f'"{key}":0' for key in range(size // 12)) + "}")]
    kinds += [kind[:len(kind) // 64] for kind in kinds] + [request("[" + "[]," * (1 << 16) + "[]]")]
    codes = {}
    while not stop.is_set():
        for body in kinds:
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                connection.request("POST", path, body)
                code = connection.getresponse().status
            except OSError:
                code = "closed"
            connection.close()
            codes[code] = codes.get(code, 0) + 1
            if stop.is_set():
                break
    queue.put(("bombs", codes))


def slow_bodies(host, path, stop, queue):
    """Keeps 64 connections open with bodies that never end, and tells how many were opened."""
    name, port = host.rsplit(":", 1)
    opened, connections = 0, []
    while not stop.is_set():
        while len(connections) < 64:
            connection = socket.create_connection((name, int(port)))
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n".encode())
            connections.append(connection)
            opened += 1
        for connection in list(connections):
            try:
                connection.sendall(b" ")
            except OSError:
                connections.remove(connection)
        stop.wait(0.1)
    queue.put(("slow connections", opened))


def health(host, stop, queue):
    """Asks for the server's health five times a second on a connection each, and tells the longest answer."""
    longest, asked, failed = 0.0, 0, 0
    while not stop.is_set():
        start = time.perf_counter()
        try:
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request("GET", "/v2/health/live")
            failed += connection.getresponse().status != 200
            connection.close()
        except OSError:
            failed += 1
        longest = max(longest, time.perf_counter() - start)
        asked += 1
        stop.wait(0.2)
    queue.put(("health", {"asked": asked, "failed": failed, "longest_s": round(longest, 3)}))


@contextlib.contextmanager
def hostility(host, path, shape, figures):
    """Hostile clients, and one that asks for the server's health, while the block runs."""
    stop, queue = multiprocessing.Event(), multiprocessing.Queue()
    others = [
        multiprocessing.Process(target=bombs, args=(host, path, shape, stop, queue)),
        multiprocessing.Process(target=slow_bodies, args=(host, path, stop, queue)),
        multiprocessing.Process(target=health, args=(host, stop, queue))]
    for other in others:
        other.start()
    try:
        yield
    finally:
        stop.set()
        figures |= dict(queue.get() for _ in others)
        for other in others:
            other.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--quench", default=ROOT / ".build/release/quench")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--body-limit", help="of the server, in MiB")
    arguments = parser.parse_args()
    server = subprocess.Popen(
        [arguments.quench, "serve", "--weights", arguments.weights, "--port", "0", "--log-level", "error"]
        + (["--body-limit", arguments.body_limit] if arguments.body_limit else []), stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        found = re.match(r"serving http://([^/]+)(\S+)", line)
        if not found:
            sys.exit(f"the server did not begin: {line}{server.stderr.read()}")
        host, path = found.groups()
        threading.Thread(target=server.stderr.read, daemon=True).start()
        connection = http.client.HTTPConnection(host)
        connection.request("GET", path)
        shape = json.load(connection.getresponse())["inputs"][0]["shape"][1:]
        load(host, path + "/infer", shape, arguments.clients, 20 * arguments.clients)
        before, others = memory_mb(server.pid), {}
        with hostility(host, path + "/infer", shape, others) if arguments.hostile else contextlib.nullcontext():
            figures = load(host, path + "/infer", shape, arguments.clients, arguments.requests)
        if arguments.hostile:
            time.sleep(5)
        figures |= others | {
            "memory_before_mb": before, "memory_peak_mb": memory_mb(server.pid, "VmHWM"),
            "memory_after_mb": memory_mb(server.pid), "cores": os.cpu_count()}
        print(json.dumps(figures))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
