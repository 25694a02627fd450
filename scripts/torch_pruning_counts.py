#!/usr/bin/env python3
"""Halves every layer of a network by Torch-Pruning and prints what is left, beside Quench's figures.

    python3 scripts/torch_pruning_counts.py NAME ...     # needs torch, torchvision, timm and torch-pruning

Networks are those of reference_networks.py. Prints multiply-adds of convolutions and linear layers and all parameters,
before and after; the classifier's outputs stay.
"""
import sys

import torch
import torch_pruning
from torch import nn

import reference_networks as networks


def multiply_adds(network, images):
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output[0].numel() * (layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.in_features)

    hooks = [layer.register_forward_hook(count) for layer in network.modules()
             if isinstance(layer, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return total


def figures(network, images):
    return multiply_adds(network, images), sum(parameter.numel() for parameter in network.parameters())


def halve(network, images):
    classifier = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    heads = {layer.qkv: layer.num_heads for layer in network.modules()
             if type(layer).__name__ == "Attention" and hasattr(layer, "qkv")}
    pruner = torch_pruning.pruner.MagnitudePruner(
        network, images, importance=torch_pruning.importance.MagnitudeImportance(p=2), pruning_ratio=0.5,
        ignored_layers=[classifier], num_heads=heads)
    pruner.step()
    for layer in network.modules():
        if getattr(layer, "qkv", None) in heads:
            layer.num_heads = pruner.num_heads[layer.qkv]
            layer.head_dim = layer.qkv.out_features // (3 * layer.num_heads)


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        make, side = networks.NETWORKS[name]
        torch.manual_seed(0)
        network = make().eval()
        images = torch.rand(1, 3, side, side)
        before = figures(network, images)
        try:
            halve(network, images)
            after = figures(network, images)
        except Exception as error:  # whatever its tracing could not do
            after = str(error).splitlines()[0]
        print(name, before, after, flush=True)


if __name__ == "__main__":
    main()
