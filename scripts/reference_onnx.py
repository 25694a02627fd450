#!/usr/bin/env python3
"""Exports networks as ONNX files and writes beside each what onnxruntime computes with it.

    python3 scripts/reference_onnx.py FOLDER [NAME ...]
    python3 scripts/reference_onnx.py FOLDER --files FILE.onnx ...    # somebody's classifiers, such as in PyPI packages

Needs torch, torchvision, timm, onnx, onnxruntime and, for the newer exporter, onnxscript. FOLDER gets
NAME-EXPORTER-OPSET.onnx, exported with a free batch size, and the same name with .safetensors: `images`, `logits` by
onnxruntime, and `exact`, PyTorch's in float64. Networks are those of reference_networks.py, weights random, statistics
those of one batch. Of FILE the logits are those before a softmax at its end.
"""
import pathlib
import shutil
import sys
import warnings

import numpy
import onnx
import onnxruntime
import torch
from safetensors.numpy import save_file

import reference_networks as networks

# Name: exporter ("script" or "dynamo") and opset, one after the other.
EXPORTS = {
    "tiny": [("script", 9), ("dynamo", 18)],
    "resnet18": [("script", 11), ("dynamo", 18)],
    "vgg11-bn": [("script", 9)],
    "alexnet": [("script", 13)],
    "googlenet": [("script", 13)],
    "inception-v3": [("script", 11)],
    "mobilenet-v2": [("script", 11), ("dynamo", 21)],
    "mobilenet-v3": [("script", 17), ("dynamo", 18)],
    "efficientnet-b0": [("script", 13), ("dynamo", 18)],
    "densenet121": [("script", 11)],
    "regnet": [("script", 13)],
    "shufflenet": [("script", 13), ("dynamo", 18)],
    "squeezenet": [("script", 11)],
    "mnasnet": [("script", 17)],
    "convnext": [("script", 17), ("dynamo", 18)],
    "swin": [("script", 17), ("dynamo", 18)],
    "swin-v2": [("script", 17)],
    "mobilenet-v4": [("script", 17), ("dynamo", 21)],
    "ghostnet": [("script", 17)],
    "vit": [("script", 17), ("dynamo", 18)],
    "deit": [("script", 14), ("dynamo", 21)],
    "eva02": [("script", 17)],
    "coatnet": [("script", 17)],
    "coat": [("script", 17)],
    "mixer": [("script", 17)],
    "levit": [("script", 17)],
    "poolformer": [("script", 18)],
    "hf-vit": [("script", 17)],
}


# Those whose adaptive pools the older exporter only writes for images of this side.
SIDES = {"vgg11-bn": 224, "alexnet": 224}


def export(network, images, path, exporter, opset):
    names = {"input_names": ["images"], "output_names": ["logits"], "opset_version": opset}
    if exporter == "dynamo":
        free = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            network, (images,), path, dynamo=True, dynamic_shapes=free, external_data=False, verbose=False, **names)
    else:
        free = {"images": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(network, (images,), path, dynamo=False, dynamic_axes=free, **names)


def reference(model, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = networks.THREADS
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return session.run(None, {name: images})[-1]


def file(folder, path):
    """A file with the logits that it gives for random images."""
    model = onnx.load(path)
    taken = {tensor.name for tensor in model.graph.initializer}
    entry, = [value for value in model.graph.input if value.name not in taken]
    sizes = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    shape = [size if size > 0 else free for size, free in zip(sizes, (2, 3, 224, 224))]
    images = numpy.random.default_rng(networks.SEED).random(shape, numpy.float32)
    makers = {name: node for node in model.graph.node for name in node.output}
    last = makers[model.graph.output[0].name]
    while last.op_type == "Identity":
        last = makers[last.input[0]]
    if last.op_type in ("Softmax", "Sigmoid"):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    logits = reference(model.SerializeToString(), images)
    stem = pathlib.Path(path).stem
    shutil.copy(path, folder / (stem + ".onnx"))
    if shape[3] == 3:
        images = numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))
    save_file({"images": images, "logits": logits}, folder / (stem + ".safetensors"))
    print(f"{stem}: {len(model.graph.node)} nodes", flush=True)


def write(folder, name, exporter, opset):
    make, side = networks.NETWORKS[name]
    side = SIDES.get(name, side)
    network, images = networks.prepared(make, side, 1 if name in networks.SMALL else 3)
    stem = f"{name}-{exporter}-{opset}"
    path = folder / (stem + ".onnx")
    with torch.no_grad():
        export(network, images[:2], path, exporter, opset)
        exact = network.double()(images.double()).numpy()
    logits = numpy.ascontiguousarray(reference(str(path), images.numpy()))
    save_file({"images": images.numpy(), "logits": logits, "exact": exact}, folder / (stem + ".safetensors"))
    model = onnx.load(path, load_external_data=False)
    operators = sorted({node.op_type for node in model.graph.node})
    print(f"{stem}: {len(model.graph.node)} nodes, {len(operators)} operators", flush=True)
    return operators


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(networks.THREADS)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if sys.argv[2:3] == ["--files"]:
        for path in sys.argv[3:]:
            file(folder, path)
        return
    union = set()
    for name in sys.argv[2:] or EXPORTS:
        for exporter, opset in EXPORTS[name]:
            try:
                union.update(write(folder, name, exporter, opset))
            except Exception as error:  # the others are still wanted
                print(f"{name}-{exporter}-{opset}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print(len(union), "operators:", *sorted(union))


if __name__ == "__main__":
    main()
