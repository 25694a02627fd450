#!/usr/bin/env python3
"""Prints the accuracy of exported classifiers in onnxruntime.

    python Benchmarks/onnx_accuracy.py IMAGES LABELS MODEL.onnx ...     # needs numpy and onnxruntime

IMAGES and LABELS are a test set in MNIST's format (t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, unpacked).
"""
import sys

import numpy
import onnxruntime

HEADERS = {"images": 16, "labels": 8}


def main():
    images_path, labels_path, *models = sys.argv[1:]
    sides = numpy.fromfile(images_path, ">u4", 4)[2:]
    images = numpy.fromfile(images_path, numpy.uint8)[HEADERS["images"]:].reshape(-1, 1, *sides)
    labels = numpy.fromfile(labels_path, numpy.uint8)[HEADERS["labels"]:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for model in models:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        right = 0
        for start in range(0, len(labels), 500):
            batch = images[start:start + 500].astype(numpy.float32) / 255
            right += int((session.run(None, {name: batch})[0].argmax(1) == labels[start:start + 500]).sum())
        print(f"{model}: {100 * right / len(labels):.2f} % of {len(labels):,} images")


if __name__ == "__main__":
    main()
