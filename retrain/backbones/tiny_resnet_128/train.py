"""Trains tiny_resnet from scratch on Tiny ImageNet and folds it into plain arrays (weights.npz).

Usage: python train.py EPOCHS FOLDER     FOLDER holds X.npy (uint8 [100000, 64, 64, 3]), Y.npy (int64 [100000]) and Xv.npy, Yv.npy.
Needs PyTorch 2.13 and numpy; about an hour and a half on two cores with bfloat16 multiply units.
"""

import copy
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

WIDTHS, FEATURES, CLASSES, BATCH = (24, 48, 96, 192), 512, 200, 128


def conv(n_in, n_out, size=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a = conv(n, n)
        self.b = nn.Sequential(nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n))

    def forward(self, x):
        return torch.relu(x + self.b(self.a(x)))


def build():
    w = WIDTHS
    return nn.Sequential(
        conv(3, w[0]),
        conv(w[0], w[1], stride=2),
        Residual(w[1]),
        conv(w[1], w[2], stride=2),
        Residual(w[2]),
        conv(w[2], w[3], stride=2),
        Residual(w[3]),
        conv(w[3], FEATURES, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(FEATURES, CLASSES),
    )


def normalise(u8):
    return (u8.permute(0, 3, 1, 2).float() - 127.5) / 127.5


def augment(x):
    """Random scale 0.55 to 1.1, aspect, shift, mirror, contrast and brightness; x float32 [N, 3, 64, 64] in [-1, 1]."""
    n = len(x)
    scale, aspect = torch.empty(n).uniform_(0.55, 1.1), torch.empty(n).uniform_(-0.15, 0.15).exp()
    room = (1 - scale).clamp(min=0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = scale * aspect * ((torch.rand(n) < 0.5).float() * 2 - 1)
    theta[:, 1, 1] = scale / aspect
    theta[:, 0, 2] = torch.empty(n).uniform_(-1, 1) * room
    theta[:, 1, 2] = torch.empty(n).uniform_(-1, 1) * room
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False, padding_mode="reflection")
    brightness, contrast = torch.empty(n, 1, 1, 1).uniform_(0.7, 1.3), torch.empty(n, 1, 1, 1).uniform_(0.7, 1.3)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (((x - mean) * contrast + mean) * brightness).clamp(-1, 1)


def train(epochs, folder):
    torch.manual_seed(0)
    x, y, xv, yv = (torch.from_numpy(np.load(f"{folder}/{name}.npy")) for name in ("X", "Y", "Xv", "Yv"))
    net = build().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0}], lr=0.1, momentum=0.9, nesterov=True
    )
    n_batches = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.2, total_steps=epochs * n_batches, pct_start=0.15, div_factor=10, final_div_factor=1000
    )
    step, start = 0, time.time()
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(x))
        for i in range(n_batches):
            chosen = order[i * BATCH : (i + 1) * BATCH]
            images = augment(normalise(x[chosen])).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(images)
            loss = F.cross_entropy(logits.float(), y[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
            decay = min(0.999, (1 + step) / (10 + step))
            with torch.no_grad():
                for a, b in zip(average.parameters(), net.parameters()):
                    a.lerp_(b, 1 - decay)
                for a, b in zip(average.buffers(), net.buffers()):
                    a.copy_(b)
        with torch.no_grad():
            right = sum(
                (average(normalise(xv[j : j + 500])).argmax(1) == yv[j : j + 500]).sum().item() for j in range(0, len(xv), 500)
            )
        print(
            f"epoch {epoch} loss {loss.item():.3f} validation accuracy {right / len(xv):.4f} {time.time() - start:.0f} s",
            flush=True,
        )
    return average


def fold(net, scale):
    """Folds each BatchNorm into its convolution; the last one is multiplied by scale. Kernels [h, w, in, out], biases [out]."""
    arrays = {}

    def put(name, block, factor=1.0):
        c, b = block[0], block[1]
        s = (b.weight / torch.sqrt(b.running_var + b.eps)).detach()
        arrays[name + "/weights"] = ((c.weight * s[:, None, None, None]).detach().permute(2, 3, 1, 0) * factor).numpy()
        arrays[name + "/biases"] = ((b.bias - b.running_mean * s).detach() * factor).numpy()

    for module, name in zip(net, ("conv0", "conv1", "res1", "conv2", "res2", "conv3", "res3", "conv4")):
        if name.startswith("res"):
            put(name + "/a", module.a)
            put(name + "/b", module.b)
        else:
            put(name, module, scale if name == "conv4" else 1.0)
    return arrays


if __name__ == "__main__":
    np.savez("weights.npz", **fold(train(int(sys.argv[1]), sys.argv[2]), scale=float(sys.argv[3]) if len(sys.argv) > 3 else 1.0))
