#!/usr/bin/env python3
"""Exports networks with `torch.export` and writes beside each what PyTorch computes with it.

    python3 scripts/reference_networks.py FOLDER [NAME ...]     # needs torch as in .libtorch, torchvision, timm
    python3 scripts/reference_networks.py --tiny                # Tests/TorchTests/Reference/exported-*.json

SIDE=n exports for square images of that side, for networks that take any. THREADS=n sets the threads, 1 unless given: equal bits need as many. FOLDER gets NAME.pt2, exported with a free batch
size, and NAME.pt: `images`, `seed`, `logits`, and `gradient`, that of the sum of logits times seed by the images;
`training.logits`, and `state.*`, the buffers after one pass in training mode, where nothing in that pass is random.
Weights are random; statistics are those of one batch.
"""
import json
import os
import pathlib
import sys
import warnings
import zipfile

import torch
from torch import nn

SEED = 20
THREADS = int(os.environ.get("THREADS", "1"))
BATCH = 3
REFERENCE = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "TorchTests" / "Reference"


class Logits(nn.Module):
    """A transformers network that returns its logits alone."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images).logits


def torchvision(name, **options):
    import torchvision.models

    return torchvision.models.get_model(name, weights=None, num_classes=10, **options)


def timm(name, **options):
    import timm

    return timm.create_model(name, pretrained=False, num_classes=10, **options)


def transformers(kind, **options):
    import transformers

    config = getattr(transformers, kind + "Config")(num_labels=10, **options)
    return Logits(getattr(transformers, kind + "ForImageClassification")(config))


class Tiny(nn.Module):
    """Convolution, batch norm, ReLU, dropout, a residual sum, a pool and a linear layer."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.mix = nn.Conv2d(2, 2, 1)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2, 3)

    def forward(self, images):
        x = torch.relu(self.norm(self.conv(images * 2 - 1)))
        x = x + self.mix(x)
        return self.head(self.drop(x.mean((2, 3))))


class Rooms(nn.Module):
    """For images as data sets have them: convolutions, batch norms, a matrix product, a constant, a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.mix = nn.Parameter(torch.randn(6, 8) / 2)
        self.register_buffer("gain", torch.tensor([1.5]), persistent=False)
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        x = torch.relu(self.norm1(self.conv1(images)))
        x = torch.relu(self.norm2(self.conv2(x)))
        x = torch.nn.functional.max_pool2d(x, 4).mean((2, 3)) @ self.mix
        return self.head(torch.relu(x) * self.gain)


class Attention(nn.Module):
    """Patches, a class token and one attention layer: what a vision transformer does."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.register_buffer("scale", torch.tensor([0.5]), persistent=False)
        self.norm = nn.LayerNorm(4)
        self.qkv = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        n, count, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, count, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + y.transpose(1, 2).reshape(n, count, width) * self.scale
        return self.head(x[:, 0])


class Channels(nn.Module):
    """What channels go through: depthwise and transposed convolutions, gates, shuffles, sums of features put together,
    heads of attention, hidden units."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.point = nn.Conv2d(8, 8, 1, bias=False)
        self.left = nn.Conv2d(8, 4, 1)
        self.right = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.down = nn.Conv2d(14, 8, 2, stride=2)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.project = nn.Linear(8, 8)
        self.hidden = nn.Linear(8, 16)
        self.out = nn.Linear(16, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        stem = torch.relu(self.stem_norm(self.stem(images)))
        x = nn.functional.silu(self.depthwise_norm(self.depthwise(stem)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = stem + self.point(x * gate)
        x = self.left(x)
        kept, changed = x, torch.relu(self.right(x))
        x = torch.cat([kept, changed], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        up = torch.relu(self.up(x))
        x = self.down(torch.cat([up, nn.functional.interpolate(x, scale_factor=2.0)], 1))
        x = x.flatten(2).transpose(1, 2)
        n, count, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, count, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, count, width)
        x = x + self.project(y)
        x = x + self.out(nn.functional.gelu(self.hidden(self.norm(x))))
        return self.head(x.mean(1))


class Modes(nn.Module):
    """Parts under modes of their own: autocast off, and no derivatives; a pool in place of sizes that are told."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        x = self.conv(images).clamp_(min=0)
        with torch.autocast("cpu", enabled=False):
            x = x.float() * 0.5
        with torch.no_grad():
            scale = x.mean((1, 2, 3), keepdim=True) + 1
        x = x / scale
        return self.head(x.view(x.shape[0] * 2, 2, -1).mean(2).view(-1, 4))


# Name: (the network, the side of its square images).
NETWORKS = {
    "tiny": (lambda: Tiny(), 4),
    "rooms": (lambda: Rooms(), 32),
    "attention": (lambda: Attention(), 4),
    "channels": (lambda: Channels(), 16),
    "modes": (lambda: Modes(), 4),
    "resnet18": (lambda: torchvision("resnet18"), 64),
    "resnet50": (lambda: torchvision("resnet50"), 64),
    "resnext50": (lambda: torchvision("resnext50_32x4d"), 64),
    "vgg11-bn": (lambda: torchvision("vgg11_bn"), 32),
    "alexnet": (lambda: torchvision("alexnet"), 64),
    "googlenet": (lambda: torchvision("googlenet", aux_logits=False, init_weights=False), 64),
    "inception-v3": (lambda: torchvision("inception_v3", aux_logits=False, init_weights=False), 96),
    "mobilenet-v2": (lambda: torchvision("mobilenet_v2"), 64),
    "mobilenet-v3": (lambda: torchvision("mobilenet_v3_small"), 64),
    "efficientnet-b0": (lambda: torchvision("efficientnet_b0"), 64),
    "densenet121": (lambda: torchvision("densenet121"), 64),
    "regnet": (lambda: torchvision("regnet_y_400mf"), 64),
    "shufflenet": (lambda: torchvision("shufflenet_v2_x1_0"), 64),
    "squeezenet": (lambda: torchvision("squeezenet1_1"), 64),
    "mnasnet": (lambda: torchvision("mnasnet0_5"), 64),
    "convnext": (lambda: torchvision("convnext_tiny"), 64),
    "swin": (lambda: torchvision("swin_t"), 64),
    "swin-v2": (lambda: torchvision("swin_v2_t"), 64),
    "maxvit": (lambda: torchvision("maxvit_t", input_size=(224, 224)), 224),
    "mobilenet-v4": (lambda: timm("mobilenetv4_conv_small"), 64),
    "ghostnet": (lambda: timm("ghostnet_100"), 64),
    "vit": (lambda: timm("vit_tiny_patch16_224", img_size=64), 64),
    "vit-small": (lambda: timm("vit_small_patch16_224", img_size=64), 64),
    "deit": (lambda: timm("deit_tiny_patch16_224", img_size=64), 64),
    "eva02": (lambda: timm("eva02_tiny_patch14_224", img_size=56), 56),
    "coatnet": (lambda: timm("coatnet_nano_rw_224", img_size=64), 64),
    "coat": (lambda: timm("coat_lite_tiny", img_size=64), 64),
    "cait": (lambda: timm("cait_xxs24_224", img_size=64), 64),
    "convnext-v2": (lambda: timm("convnextv2_atto"), 64),
    "mixer": (lambda: timm("mixer_s32_224", img_size=64), 64),
    "levit": (lambda: timm("levit_128", img_size=128), 128),
    "edgenext": (lambda: timm("edgenext_xx_small"), 64),
    "repvit": (lambda: timm("repvit_m0_9"), 64),
    "poolformer": (lambda: timm("poolformer_s12"), 64),
    "xcit": (lambda: timm("xcit_nano_12_p16_224", img_size=64), 64),
    "res2net": (lambda: timm("res2net50_26w_4s"), 64),
    "hf-vit": (lambda: transformers(
        "ViT", image_size=32, patch_size=8, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=96), 32),
    "hf-swin": (lambda: transformers("Swin", image_size=64, patch_size=4, window_size=2, embed_dim=24), 64),
    "hf-beit": (lambda: transformers(
        "Beit", image_size=32, patch_size=8, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=96), 32),
    "hf-mobilevit": (lambda: transformers(
        "MobileViT", image_size=64, hidden_sizes=[24, 32, 48], neck_hidden_sizes=[8, 16, 24, 32, 48, 64, 128]), 64),
}


SMALL = ("tiny", "attention", "modes")
TEXT = SMALL + ("rooms", "channels")


def prepared(make, side, channels=3):
    """The network in evaluation mode with the statistics of one batch, and images of [0, 1]."""
    torch.manual_seed(SEED)
    network = make()
    with torch.no_grad():
        for p in network.parameters():
            if (p == 0).all():
                p.normal_(0, 0.02)
    images = torch.rand(BATCH, channels, side, side)
    network.train()
    norms = [(m, m.momentum) for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network(torch.rand(16, channels, side, side))
    for norm, momentum in norms:
        norm.momentum = momentum
    return network.eval(), images


def exported(network, side, channels=3):
    batch = torch.export.Dim("batch", min=1, max=512)
    sample = (torch.rand(2, channels, side, side),)
    return torch.export.export(network, sample, dynamic_shapes=({0: batch},))


def is_random(network):
    """Whether two passes in training mode differ."""
    return any(
        isinstance(getattr(m, key, None), float) and getattr(m, key) > 0
        for m in network.modules() for key in ("p", "drop_prob", "drop_rate"))


def figures(network, images):
    """What PyTorch computes."""
    torch.manual_seed(SEED + 1)
    leaf = images.clone().requires_grad_()
    logits = network(leaf)
    seed = torch.randn_like(logits)
    gradient, = torch.autograd.grad(logits, leaf, seed)
    out = {"images": images, "seed": seed, "logits": logits.detach(), "gradient": gradient}
    if not is_random(network):
        network.train()
        with torch.no_grad():
            out["training.logits"] = network(images)
        out |= {"state." + name: b.clone() for name, b in network.named_buffers()}
    return out


def write(folder, name):
    make, side = NETWORKS[name]
    side = int(os.environ.get("SIDE", side))
    channels = 1 if name in SMALL else 3
    network, images = prepared(make, side, channels)
    program = exported(network, side, channels)
    torch.export.save(program, folder / (name + ".pt2"))
    torch.save(figures(network, images), folder / (name + ".pt"))
    operators = sorted({str(n.target) for n in program.graph.nodes if n.op == "call_function"})
    print(f"{name}: {len(program.graph.nodes)} nodes, {len(operators)} operators", flush=True)
    return operators


def without_traces(value):
    """A program without the lines of Python that its nodes are from."""
    if isinstance(value, list):
        return [without_traces(v) for v in value]
    if isinstance(value, dict):
        return {key: without_traces(v) for key, v in value.items() if key not in ("stack_trace", "torch_fn")}
    return value


def pattern(count, side):
    """Images whose byte k is (37 k + 11 ⌊k / 256⌋ + 5) mod 256."""
    k = torch.arange(count * 3 * side * side)
    return ((37 * k + 11 * (k // 256) + 5) % 256).reshape(count, 3, side, side).to(torch.uint8)


def tiny():
    """The smallest networks as text: the archive's entries and PyTorch's figures."""
    for name in TEXT:
        make, side = NETWORKS[name]
        channels = 1 if name in SMALL else 3
        network, images = prepared(make, side, channels)
        path = REFERENCE / (name + ".pt2")
        torch.export.save(exported(network, side, channels), path)
        entries = {}
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                content = archive.read(entry)
                short = entry.split("/", 1)[1]
                if short.endswith(".json"):
                    value = json.loads(content)
                    entries[short] = json.dumps(without_traces(value), separators=(",", ":"))
                elif "/weights/weight_" in entry or "/constants/tensor_" in entry:
                    entries[short] = {"hexadecimal": content.hex()}
                elif short in ("byteorder", "archive_format", "archive_version", "version"):
                    entries[short] = content.decode()
        path.unlink()
        stored = {
            key: {"dtype": str(x.dtype).removeprefix("torch."), "shape": list(x.shape),
                  "values": x.to(torch.float64).reshape(-1).tolist()}
            for key, x in told(name, network, images, side).items()}
        text = json.dumps({"torch": torch.__version__, "entries": entries, "figures": stored}, indent=1)
        (REFERENCE / f"exported-{name}.json").write_text(text + "\n")


def told(name, network, images, side):
    if name in SMALL:
        return figures(network, images)
    with torch.no_grad():
        return {"logits": network(pattern(3, side).float() / 255)}


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    if sys.argv[1:] == ["--tiny"]:
        return tiny()
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    union = set()
    for name in sys.argv[2:] or NETWORKS:
        try:
            union.update(write(folder, name))
        except Exception as error:  # the others are still wanted
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print(len(union), "operators:", *sorted(union))


if __name__ == "__main__":
    main()
