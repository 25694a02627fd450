#!/usr/bin/env python3
"""Writes the figures that Tests/TorchTests compares with: what PyTorch computes for every wrapped operator.

    python3 scripts/reference_operators.py        # needs the torch that Quench builds on

It writes Tests/TorchTests/Reference/{operators,training}.json. Inputs are drawn once from `SEED` and stored beside the
results, so the tests draw nothing. A case is a function of tensors; the Swift test of the same name does the same.
"""
import json
import pathlib

import torch
import torch.nn.functional as F

SEED = 20
OUT = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "TorchTests" / "Reference"
DTYPES = {
    torch.uint8: "uint8", torch.int8: "int8", torch.int16: "int16", torch.int32: "int32", torch.int64: "int64",
    torch.float16: "float16", torch.float32: "float32", torch.float64: "float64", torch.bool: "bool",
    torch.bfloat16: "bfloat16",
}
cases = {}
draw = torch.Generator().manual_seed(SEED)


def real(*shape, positive=False):
    """Normal numbers with three decimals, float64; with `positive`, from 0.1 up."""
    x = (torch.randn(shape, generator=draw, dtype=torch.float64) * 1000).round() / 1000
    return x.abs() + 0.1 if positive else x


def integers(values, dtype=torch.int64):
    return torch.tensor(values, dtype=dtype)


def truths(values):
    return torch.tensor(values, dtype=torch.bool)


def stored(x):
    values = x.detach().to(torch.float64).contiguous().reshape(-1).tolist()
    if not x.is_floating_point():
        values = [int(v) for v in values]
    return {"dtype": DTYPES[x.dtype], "shape": list(x.shape), "values": values}


def case(name, function, *inputs):
    """Records inputs, outputs and, where they exist, the gradients of the outputs times drawn seeds."""
    assert name not in cases, name
    inputs = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    entry = {"inputs": [stored(x) for x in inputs], "outputs": [stored(y) for y in outputs]}
    smooth = [y for y in outputs if y.requires_grad]
    leaves = [x for x in inputs if x.requires_grad]
    if smooth:
        seeds = [real(*y.shape) for y in smooth]
        gradients = iter(torch.autograd.grad(smooth, leaves, seeds, allow_unused=True))
        entry["seeds"] = [stored(s) for s in seeds]
        found = [next(gradients) if x.requires_grad else None for x in inputs]
        entry["gradients"] = [None if g is None else stored(g) for g in found]
    cases[name] = entry


def changed(function):
    """An operator that works in place, on a copy of the first input."""
    def apply(x, *others):
        y = x.clone()
        function(y, *others)
        return y
    return apply


def seeded():
    return torch.Generator().manual_seed(SEED)


def arithmetic():
    a, b, row = real(2, 3), real(2, 3, positive=True), real(3)
    case("add", lambda x, y: x + y, a, row)
    case("addNumber", lambda x: [x + 1.5, 1.5 + x, x - 1.5], a)
    case("subtract", lambda x, y: x - y, a, row)
    case("subtractFromNumber", lambda x: 1.5 - x, a)
    case("multiply", lambda x, y: x * y, a, row)
    case("multiplyNumber", lambda x: [x * 1.5, 1.5 * x], a)
    case("divide", lambda x, y: x / y, a, b)
    case("divideByNumber", lambda x: x / 1.5, a)
    case("divideNumber", lambda x: 1.5 / x, b)
    case("negate", lambda x: -x, a)
    case("addInPlace", changed(lambda x, y: x.add_(y)), a, row)
    case("addNumberInPlace", changed(lambda x: x.add_(1.5)), a)
    case("subtractInPlace", changed(lambda x, y: x.sub_(y)), a, row)
    case("subtractNumberInPlace", changed(lambda x: x.sub_(1.5)), a)
    case("multiplyInPlace", changed(lambda x, y: x.mul_(y)), a, row)
    case("multiplyNumberInPlace", changed(lambda x: x.mul_(1.5)), a)
    case("divideInPlace", changed(lambda x, y: x.div_(y)), a, b)
    case("divideNumberInPlace", changed(lambda x: x.div_(1.5)), a)
    case("addScaled", changed(lambda x, y: x.add_(y, alpha=-0.25)), a, row)
    case("fill", changed(lambda x: x.fill_(2.5)), a)
    case("copy", changed(lambda x, y: x.copy_(y)), a, row)
    case("floorDivide", lambda x: torch.div(x, 0.4, rounding_mode="floor"), integers([-7, 7, 3]).double())
    case("remainder", lambda x: torch.remainder(x, 3), integers([-7, -1, 0, 7]))
    case("addProduct", lambda x, y, z: torch.addcmul(x, y, z, value=-0.5), a, b, row)
    case("interpolate", lambda x, y: torch.lerp(x, y, 0.3), a, b)


def functions():
    a, b = real(2, 4), real(2, 4, positive=True)
    for name in ["abs", "square", "exp", "expm1", "sin", "cos", "tanh", "sigmoid", "erf"]:
        case(name, getattr(torch, name), a)
    for name in ["sqrt", "rsqrt", "log", "log1p"]:
        case(name, getattr(torch, name), b)
    halves = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5], dtype=torch.float64)
    for name in ["sign", "floor", "ceil", "round"]:
        case(name, getattr(torch, name), halves)
    case("pow", lambda x: torch.pow(x, 2.5), b)
    case("isNaN", lambda x: torch.isnan(x / 0.0), halves)
    case("isFinite", lambda x: torch.isfinite(x / x), halves)
    case("clamp", lambda x: [x.clamp(-0.5, 0.5), x.clamp(min=0.1), x.clamp(max=0.1)], a)
    case("clampTensors", lambda x, low, high: torch.clamp(x, low, high), a, real(4) - 1, real(4) + 1)
    case("clampInPlace", changed(lambda x: x.clamp_(-0.5, 0.5)), a)
    case("maximum", torch.maximum, a, b)
    case("minimum", torch.minimum, a, b)


def comparisons():
    a, b = integers([[1, 2, 3], [3, 2, 1]]).double(), integers([2, 2, 2]).double()
    case("compareTensors", lambda x, y: [x == y, x != y, x < y, x <= y, x > y, x >= y], a, b)
    case("compareNumber", lambda x: [x == 2, x != 2, x < 2, x <= 2, x > 2, x >= 2], a)
    p, q = truths([True, True, False, False]), truths([True, False, True, False])
    case("logical", lambda x, y: [x.logical_and(y), x.logical_or(y), x.logical_not()], p, q)
    case("choose", lambda c, x, y: torch.where(c, x, y), p, real(4), real(2, 4))
    case("maskedFill", lambda x, m: x.masked_fill(m, -2.0), real(2, 4), p)
    case("isEqual", lambda x, y: [torch.tensor(torch.equal(x, x.clone())), torch.tensor(torch.equal(x, y))], a, b)
    case("isClose", lambda x: [torch.tensor(torch.allclose(x, x + d, 1e-5, 1e-8)) for d in (1e-6, 1e-4)], a)


def reductions():
    a, b = real(2, 3, 2), real(2, 3, 2, positive=True)
    case("sum", lambda x: [x.sum(), x.sum([0, 2]), x.sum([1], keepdim=True)], a)
    case("mean", lambda x: [x.mean(), x.mean([0, 2]), x.mean([1], keepdim=True)], a)
    case("variance", lambda x: [x.var([0, 1]), x.var([2], correction=0, keepdim=True)], a)
    case("standardDeviation", lambda x: [x.std([0, 1]), x.std([1], correction=0, keepdim=True)], a)
    case("product", lambda x: x.prod(), b)
    case("max", lambda x: [x.amax(), x.amax([0, 2]), x.amax([1], keepdim=True)], a)
    case("min", lambda x: [x.amin(), x.amin([0, 2]), x.amin([1], keepdim=True)], a)
    case("argmax", lambda x: [x.argmax(1), x.argmax(-1, keepdim=True)], a)
    case("argmin", lambda x: [x.argmin(1), x.argmin(-1, keepdim=True)], a)
    p = truths([[True, False], [True, True], [False, False]])
    case("anyAll", lambda x: [x.any(), x.all(), x.all(1), x.all(0, keepdim=True)], p)
    case("norm", lambda x: [torch.linalg.vector_norm(x), torch.linalg.vector_norm(x, 1, [0, 2]),
                            torch.linalg.vector_norm(x, float("inf"), [1], keepdim=True)], a)
    case("cumulativeSum", lambda x: x.cumsum(1), a)
    case("logSumExp", lambda x: [x.logsumexp([1]), x.logsumexp([0, 2], keepdim=True)], a)
    case("binCount", lambda x: [x.bincount(), x.bincount(minlength=7)], integers([1, 1, 3, 0, 1]))
    case("nonzeroCount", lambda x: x.count_nonzero(), integers([1, 0, 3, 0, -1]))
    ties = integers([[3, 1, 2, 1, 3], [2, 2, 1, 0, 1]]).double()
    case("sort", lambda x: [*x.sort(dim=-1, stable=True), *x.sort(dim=0, stable=True, descending=True)], ties)
    case("argsort", lambda x: [x.argsort(stable=True, dim=-1), x.argsort(stable=True, dim=0, descending=True)], ties)
    case("topK", lambda x: [*x.topk(2, 1), *x.topk(3, 1, largest=False)], a)
    case("kthValue", lambda x: x.kthvalue(2, 1), a)
    case("maxWithIndex", lambda x: x.max(1), a)
    case("minWithIndex", lambda x: x.min(1), a)


def shaping():
    a, v = real(2, 3, 2), real(2, 3)
    case("reshape", lambda x: [x.reshape(3, -1), x.view(4, 3), x.flatten(1), x.flatten(0, 1)], a)
    case("permute", lambda x: [x.permute(2, 0, 1), x.transpose(-2, -1), x.transpose(0, 1)], a)
    case("squeeze", lambda x: [x.unsqueeze(1), x[:1].squeeze(0)], v)
    case("expand", lambda x: x.unsqueeze(0).expand(2, -1, -1), v)
    case("repeat", lambda x: [x.repeat(2, 1), x.repeat_interleave(2, 1)], v)
    case("concatenate", lambda x, y: [torch.cat([x, y]), torch.cat([x, y], 1), torch.stack([x, y], 2)], v, real(2, 3))
    case("split", lambda x: [*x.split(2, 1), *x.split([1, 2], 1), *x.unbind(1)], a)
    case("flip", lambda x: x.flip([0, 2]), a)
    case("pad", lambda x: F.pad(x, [1, 0, 0, 2], value=0.5), v)
    case("clone", lambda x: [x.clone(), x.detach(), x.t().contiguous()], v)
    case("channelsLast", lambda x: x.contiguous(memory_format=torch.channels_last), real(1, 2, 2, 3))
    case("cast", lambda x: [x.to(d) for d in
                            (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool)], v)
    case("castOnDevice", lambda x: x.to(torch.device("cpu"), torch.float32), v)


def indexing():
    a = real(4, 3)
    rows, columns = integers([2, 0, 2]), integers([0, 1, 2])
    case("subscript", lambda x: [x[1], x[-1, 2], x[1:3, ::2], x[2:], x[:1], x[None, :, 1]], a)
    def assign(x, y):
        x[1:3, 0] = y
    case("assignSubscript", changed(assign), a, real(2))
    case("index", lambda x, r, c: [x[r], x[r, c], x[:, c]], a, rows, columns)
    case("put", changed(lambda x, y, r, c: x.index_put_([r, c], y)), a, real(3), rows, columns)
    case("putAccumulating", changed(lambda x, y, r: x.index_put_([r], y, accumulate=True)), a, real(3, 3), rows)
    case("select", lambda x, r, c: [x.index_select(0, r), x.index_select(1, c)], a, rows, columns)
    case("addSlices", changed(lambda x, y, r: x.index_add_(0, r, y)), a, real(3, 3), rows)
    index = integers([[0, 1, 2], [3, 0, 1]])
    case("gather", lambda x, i: x.gather(0, i), a, index)
    case("scatter", lambda x, y, i: [x.scatter(0, i, y), x.scatter(0, i, 0.5)], a, real(2, 3), index)
    case("scatterInPlace", changed(lambda x, i: x.scatter_(0, i, 0.5)), a, index)
    case("scatterAdd", lambda x, y, i: x.scatter_add(0, i, y), a, real(2, 3), integers([[0, 0, 2], [0, 0, 1]]))
    case("masked", lambda x: [x.masked_select(x > 0), (x > 0).nonzero()], a)


def networks():
    image = real(2, 2, 5, 4)
    case("matmul", torch.matmul, real(2, 2, 3), real(3, 2))
    case("linear", F.linear, real(2, 3), real(4, 3), real(4))
    case("linearWithoutBias", F.linear, real(2, 3), real(4, 3))
    case("conv2d", lambda x, w, b: F.conv2d(x, w, b, 2, 1), image, real(3, 2, 3, 3), real(3))
    case("conv2dGrouped", lambda x, w: F.conv2d(x, w, None, 1, 2, 2, 2), image, real(4, 1, 3, 3))
    case("convTranspose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), image, real(2, 3, 3, 3), real(3))
    case("batchNormTraining", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), image, real(2), real(2))
    case("batchNormRunning", lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, False, 0.1, 1e-3),
         image, real(2), real(2), real(2), real(2, positive=True))
    def update(x, w, b, m, v):
        mean, variance = m.detach().clone(), v.detach().clone()
        return [F.batch_norm(x, mean, variance, w, b, True, 0.3), mean, variance]
    case("batchNormUpdate", update, image, real(2), real(2), real(2), real(2, positive=True))
    case("layerNorm", lambda x, w, b: F.layer_norm(x, [3, 2], w, b), real(2, 3, 2), real(3, 2), real(3, 2))
    case("groupNorm", lambda x, w, b: F.group_norm(x, 2, w, b), real(2, 4, 2, 1), real(4), real(4))
    case("maxPool2d", lambda x: F.max_pool2d(x, 3, 2, 1), image)
    case("avgPool2d", lambda x: F.avg_pool2d(x, 3, 2, 1), image)
    case("adaptiveAvgPool2d", lambda x: [F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, 2)], image)
    case("upsample", lambda x: [F.interpolate(x, (7, 6), mode="bilinear"), F.interpolate(x, (7, 6), mode="nearest")],
         image)
    case("resize", lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True), image)
    a = real(3, 3)
    case("relu", F.relu, a)
    case("reluInPlace", changed(F.relu_), a)
    case("leakyRelu", lambda x: F.leaky_relu(x, 0.2), a)
    case("gelu", F.gelu, a)
    case("silu", F.silu, a)
    case("softplus", F.softplus, a)
    case("softmax", lambda x: [x.softmax(-1), x.softmax(0), x.log_softmax(-1), x.log_softmax(0)], a)


def losses():
    logits, labels = real(4, 3), integers([2, 0, 1, 1])
    kinds = ["none", "mean", "sum"]
    case("crossEntropy", lambda x, y: [F.cross_entropy(x, y, reduction=k) for k in kinds]
         + [F.cross_entropy(x, y, label_smoothing=0.1)], logits, labels)
    case("crossEntropyOfProbabilities", lambda x, y: F.cross_entropy(x, y.softmax(1)), logits, real(4, 3))
    case("negativeLogLikelihood", lambda x, y: [F.nll_loss(x.log_softmax(1), y, reduction=k) for k in kinds],
         logits, labels)
    a, b = real(4), real(4)
    case("meanSquaredError", lambda x, y: [F.mse_loss(x, y, reduction=k) for k in kinds], a, b)
    case("absoluteError", lambda x, y: [F.l1_loss(x, y, reduction=k) for k in kinds], a, b)
    case("huberLoss", lambda x, y: [F.huber_loss(x, y, reduction=k, delta=0.5) for k in kinds], a, b)
    case("binaryCrossEntropy",
         lambda x, y: [F.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction=k) for k in kinds], a, b)
    case("klDivergence", lambda x, y: [F.kl_div(x.log_softmax(1), y.softmax(1), reduction=k) for k in kinds],
         logits, real(4, 3))


def creation():
    case("full", lambda: [torch.full([2, 2], 1.5), torch.zeros(3, dtype=torch.int32), torch.ones(2, dtype=torch.bool)])
    case("empty", lambda: torch.empty([2, 0], dtype=torch.float64))
    case("arange", lambda: [torch.arange(4), torch.arange(1, 2, 0.25, dtype=torch.float64)])
    case("linspace", lambda: torch.linspace(-1, 1, 5, dtype=torch.float64))
    case("eye", lambda: torch.eye(3))
    case("like", lambda x: [torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 2.5),
                            torch.empty_like(x).fill_(1.0)], real(2, 3))
    case("oneHot", lambda x: F.one_hot(x, 4), integers([[2, 0], [3, 1]]))


def random():
    def empty(count, dtype=torch.float64):
        return torch.empty(count, dtype=dtype)
    case("uniform", lambda: [empty(8).uniform_(-1, 2, generator=seeded()),
                             empty(40, torch.float32).uniform_(0, 1, generator=seeded())])
    case("normal", lambda: [empty(8).normal_(0.5, 2, generator=seeded()), empty(40).normal_(0, 1, generator=seeded()),
                            empty(8, torch.float32).normal_(0, 1, generator=seeded())])
    case("fillUniform", lambda x: x.detach().clone().uniform_(-1, 2, generator=seeded()), real(8))
    case("fillNormal", lambda x: x.detach().clone().normal_(0.5, 2, generator=seeded()), real(8))

    def dropout(x):
        torch.manual_seed(SEED)
        return F.dropout(x, 0.4)
    case("dropout", dropout, real(3, 4))
    case("bernoulli", lambda: empty(16, torch.float32).bernoulli_(0.3, generator=seeded()))
    case("randint", lambda: torch.randint(-5, 6, [12], generator=seeded()))
    case("permutation", lambda: torch.randperm(12, generator=seeded()))
    case("multinomial", lambda w: [torch.multinomial(w, 3, generator=seeded()),
                                   torch.multinomial(w, 8, True, generator=seeded())], real(2, 5, positive=True))


def lists():
    def each(x, y):
        tensors = [x.detach().clone(), y.detach().clone()]
        norms = torch._foreach_norm(tensors)
        torch._foreach_mul_(tensors, 0.5)
        torch._foreach_add_(tensors, 1)
        return [*norms, *tensors]
    case("foreach", each, real(2, 3), real(4))


def network(x, labels, p):
    """Convolution, batch norm, ReLU, linear and cross-entropy: the model of the training and double-backward cases."""
    y = F.conv2d(x, p[0], None, 1, 1)
    y = F.relu(F.batch_norm(y, None, None, p[1], p[2], True))
    return F.cross_entropy(F.linear(y.flatten(1), p[3], p[4]), labels)


def training():
    """Twenty steps of each optimiser and a gradient penalty's gradients, on one small network."""
    x, labels = real(4, 2, 3, 3), integers([0, 2, 1, 0])
    start = [real(3, 2, 3, 3), real(3), real(3), real(3, 27), real(3)]

    def run(make):
        parameters = [p.clone().requires_grad_() for p in start]
        optimizer, losses = make(parameters), []
        for _ in range(20):
            optimizer.zero_grad()
            loss = network(x, labels, parameters)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return {"losses": losses, "parameters": [stored(p) for p in parameters]}

    leaves = [p.clone().requires_grad_() for p in [x, *start]]
    loss = network(leaves[0], labels, leaves[1:])
    gradients = torch.autograd.grad(loss, leaves, create_graph=True)
    penalty = sum(g.square().sum() for g in gradients)
    second = torch.autograd.grad(penalty, leaves)

    clipped = [p.clone().requires_grad_() for p in start]
    network(x, labels, clipped).backward()
    norm = torch.nn.utils.clip_grad_norm_(clipped, 0.1)

    optim = torch.optim
    return {
        "images": stored(x), "labels": stored(labels), "start": [stored(p) for p in start],
        "optimizers": {
            "sgd": run(lambda p: optim.SGD(p, 0.1)),
            "momentum": run(lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)),
            "nesterov": run(lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
            "adam": run(lambda p: optim.Adam(p, 0.01, weight_decay=0.01)),
            "adamW": run(lambda p: optim.AdamW(p, 0.01, (0.8, 0.95), 1e-6, weight_decay=0.1)),
        },
        "clipped": {"norm": norm.item(), "gradients": [stored(p.grad) for p in clipped]},
        "penalty": penalty.item(),
        "gradients": [stored(g) for g in gradients], "secondGradients": [stored(g) for g in second],
    }


def write(name, head, entries):
    """One entry a line, so that a change shows as the lines it touches."""
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in {**head, **entries}.items())
    (OUT / name).write_text("{\n" + lines + "\n}\n")


def main():
    torch.set_num_threads(1)
    head = {"torch": torch.__version__.split("+")[0], "seed": SEED}
    for group in (arithmetic, functions, comparisons, reductions, shaping, indexing, networks, losses, creation, random,
                  lists):
        group()
    OUT.mkdir(parents=True, exist_ok=True)
    cases_text = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in cases.items())
    header = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in head.items())
    (OUT / "operators.json").write_text("{\n" + header + ',\n  "cases": {\n' + cases_text + "\n  }\n}\n")
    write("training.json", head, training())


if __name__ == "__main__":
    main()
