#!/usr/bin/env python3
"""Tells how much faster several connections to a slow endpoint are than one.

    Benchmarks/slow_endpoint.py --latency 0.25 --connections 8

Starts an Open Inference Protocol endpoint that takes `--latency` seconds for a request and any number of them at once,
and runs `quench defend train`, `quench defend evaluate` and `quench serve --defend --endpoint` (asked about one image after
the other) with one connection and with `--connections`. Prints the seconds of each, as quench tells them or the client
measures them, their ratio, and the most requests that were at the endpoint at once. Images are synthetic, the endpoint
answers with sums of pixels, and only the standard library is used.
"""

import argparse
import array
import http.client
import json
import random
import re
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLASSES, SHAPE = 10, (3, 32, 32)
LENGTH = "Inference-Header-Content-Length"
METADATA = {
    "name": "slow", "versions": ["1"],
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, *SHAPE]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, CLASSES]}],
}


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    latency, inside, peak, lock = 0.0, 0, 0, threading.Lock()

    def log_message(self, *_):
        pass

    def reply(self, body, headers={}, status=200):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v2":
            return self.reply(b'{"name": "slow", "extensions": ["binary_tensor_data"]}')
        known = self.path.endswith(("/slow", "/ready"))
        self.reply(json.dumps(METADATA if known else {"error": "none"}).encode(), status=200 if known else 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Endpoint.lock:
            Endpoint.inside += 1
            Endpoint.peak = max(Endpoint.peak, Endpoint.inside)
        start = time.monotonic()
        pixels = array.array("f", body[int(self.headers[LENGTH]):])
        size = SHAPE[0] * SHAPE[1] * SHAPE[2]
        scores = array.array("f", (
            sum(pixels[image + 7 * k:image + size:251]) for image in range(0, len(pixels), size)
            for k in range(CLASSES)))
        time.sleep(max(0, Endpoint.latency - (time.monotonic() - start)))
        with Endpoint.lock:
            Endpoint.inside -= 1
        output = {"name": "y", "datatype": "FP32", "shape": [len(scores) // CLASSES, CLASSES],
                  "parameters": {"binary_data_size": 4 * len(scores)}}
        head = json.dumps({"model_name": "slow", "model_version": "1", "outputs": [output]}).encode()
        self.reply(head + scores.tobytes(), {LENGTH: len(head)})


def quench(program, *arguments):
    result = subprocess.run(
        [program, *map(str, arguments), "--data", "synthetic", "--threads", "1", "--json"], check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(result.stdout)


def served(program, flags, images):
    """The seconds that a defended server takes for images that come one after the other."""
    server = subprocess.Popen(
        [program, "serve", "--threads", "1", "--port", "0", *map(str, flags)], stderr=subprocess.PIPE, text=True)
    try:
        url = next(filter(None, (re.match(r"serving http://(\S+?)(/\S+)", line) for line in server.stderr)))
        threading.Thread(target=server.stderr.read, daemon=True).start()
        connection = http.client.HTTPConnection(url[1])
        tensor = {"name": "input", "shape": [1, *SHAPE], "datatype": "FP32"}
        start = time.monotonic()
        for _ in range(images):
            data = [random.random() for _ in range(SHAPE[0] * SHAPE[1] * SHAPE[2])]
            connection.request("POST", url[2] + "/infer", json.dumps({"inputs": [tensor | {"data": data}]}))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            response.read()
        return time.monotonic() - start
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quench", default=str(ROOT / ".build/release/quench"))
    parser.add_argument("--latency", type=float, default=0.25, help="seconds of a request")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16, help="images a request")
    options = parser.parse_args()
    random.seed(1)
    Endpoint.latency = options.latency
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = ["--endpoint", f"http://127.0.0.1:{server.server_port}/v2/models/slow"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quench(options.quench, "defend", "pretrain", "autoencoder", "--architecture", "cifar-48", "--epochs", 1,
               "--train-limit", 64, "--out", folder / "autoencoder")
        seconds, peaks = {}, {}
        for count in (1, options.connections):
            Endpoint.peak = 0
            wires = [*endpoint, "--connections", count]
            run = folder / f"defense-{count}"
            training = quench(
                options.quench, "defend", "train", *wires, "--autoencoder", folder / "autoencoder", "--estimator",
                "rge", "--directions", 48, "--query-batch", options.batch, "--train-limit", 32, "--epochs", 1,
                "--batch-size", 16, "--denoiser-depth", 3, "--denoiser-width", 8, "--no-probe", "--out", run)
            certified = quench(
                options.quench, "defend", "evaluate", *wires, "--defense", folder / "defense-1", "--query-batch",
                options.batch, "--limit", 8, "--fixed", "--n0", 20, "--n", 200, "--out", folder / f"certified-{count}")
            seconds[count] = {
                "train": training["seconds"], "evaluate": certified["seconds"],
                "serve": served(options.quench, [
                    *wires, "--defend", folder / "defense-1", "--batch-size", options.batch], 4)}
            peaks[count] = Endpoint.peak
    one, several = seconds[1], seconds[options.connections]
    print(json.dumps({
        "latency": options.latency, "seconds": {str(key): value for key, value in seconds.items()},
        "most_at_once": peaks, "ratios": {key: round(one[key] / several[key], 2) for key in one}}, indent=1))


if __name__ == "__main__":
    main()
