#!/usr/bin/env python3
"""Asks PyTorch's dispatcher whether every operator that the sources name has a kernel on CUDA.

    python scripts/cuda_operators.py      # a Python with a CUDA build of torch; no GPU is needed

Operators that oneDNN has for the CPU alone are listed apart: what calls them must ask for the device. Ends with exit
code 1 if another one lacks a kernel.
"""
import pathlib
import re
import sys

import torch

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "Sources"
NAME = re.compile(r'"((?:aten|mkl|mkldnn|onednn|quantized|torchvision|prims)::\w+(?:\.\w+)?)"')
# Where the dispatcher looks for a tensor on CUDA: the backend's own kernel, or one made of other operators.
KEYS = ("CUDA", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutograd")
CPU_ONLY = re.compile(r"^(mkl|mkldnn|onednn|quantized)::|_for_cpu$")


def main():
    if not torch.version.cuda:
        sys.exit("cuda_operators: this torch was built without CUDA")
    places = {}
    for file in sorted(SOURCES.rglob("*.swift")):
        for name in NAME.findall(file.read_text()):
            places.setdefault(name, set()).add(str(file.relative_to(SOURCES)))
    known = torch._C._dispatch_get_all_op_names()
    has = torch._C._dispatch_has_kernel_for_dispatch_key

    def is_there(name):
        """A rule about operators names them without their overloads, or by how their names begin."""
        named = [each for each in known if each == name or each.startswith(name + ".")]
        named = named or [each for each in known if each.startswith(name)]
        return any(has(each, key) for each in named for key in KEYS)

    lacking = [name for name in sorted(places) if not is_there(name)]
    wrong = [name for name in lacking if not CPU_ONLY.search(name)]
    for name in lacking:
        title = "WITHOUT A KERNEL ON CUDA" if name in wrong else "for the CPU alone"
        print(f"{title}: {name} ({', '.join(sorted(places[name]))})")
    print(f"torch {torch.__version__}: {len(places)} operators, {len(places) - len(lacking)} with a kernel on CUDA")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
