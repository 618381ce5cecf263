"""Networks: gradients and Hessian-vector products of a perceptron; a residual block of small convolutions."""

from __future__ import annotations

from functools import partial

import numpy as np

from .row import JAX, TORCH, Row


def loss_of_perceptron(np, layers, x, y):
    """The mean square of what a perceptron with tanh is off by."""
    *hidden, (w, b) = layers
    for weight, bias in hidden:
        x = np.tanh(x @ weight + bias)
    return np.mean((x @ w + b - y) ** 2)


class Mlp(Row):
    """The gradient of a perceptron's loss: 784-512-512-10, tanh, a batch of 128."""

    peers = (JAX, TORCH)
    factor = 1.0
    name = "gradient"
    widths, batch = (784, 512, 512, 10), 128

    def __init__(self, dtype: str):
        self.dtype = dtype
        self.rtol = 1e-9 if dtype == "float64" else 1e-4
        self.label = f"tanh MLP, {self.name}, {dtype}"
        self.issue = {
            ("gradient", "float64"): "JAX 9.0, torch.compile 8.6 ms; best of both",
            ("HVP", "float64"): "JAX 15.7, torch.compile 18 ms; best of both, at most 1.5 gradients",
            ("gradient", "float32"): "JAX 4.5, torch.compile 4.6 ms; best of both",
            ("HVP", "float32"): "JAX 7.1, torch.compile 7.2 ms; best of both, at most 1.5 gradients",
        }[self.name, dtype]

    def data(self):
        rng = np.random.default_rng(0)

        def random(*shape):
            return rng.normal(size=shape).astype(self.dtype)

        def layers():
            return [
                (random(m, n) / np.sqrt(m).astype(self.dtype), 0.1 * random(n))
                for m, n in zip(self.widths[:-1], self.widths[1:])
            ]

        return layers(), random(self.batch, self.widths[0]), random(self.batch, self.widths[-1]), layers()

    loss = staticmethod(loss_of_perceptron)

    def function(self, lib):
        gradient = lib.grad(partial(self.loss, lib.np))
        return lambda layers, x, y, _: gradient(layers, x, y)

    def torch(self, torch):
        loss = torch.compile(partial(self.loss, torch))

        def gradient(layers, x, y, _):
            flat = [p.detach().requires_grad_() for layer in layers for p in layer]
            return torch.autograd.grad(loss(list(zip(flat[::2], flat[1::2])), x, y), flat)

        return gradient


class Hvp(Mlp):
    """Its Hessian times a vector: forward over reverse."""

    name = "HVP"

    def __init__(self, dtype: str):
        super().__init__(dtype)
        self.multiple_of = (f"tanh MLP, gradient, {dtype}", 1.5)

    def function(self, lib):
        gradient = lib.grad(partial(self.loss, lib.np))
        return lambda layers, x, y, v: lib.jvp(lambda p: gradient(p, x, y), (layers,), (v,))[1]

    def torch(self, torch):
        gradient = torch.func.grad(partial(self.loss, torch))
        return torch.compile(lambda layers, x, y, v: torch.func.jvp(lambda p: gradient(p, x, y), (layers,), (v,))[1])


class Residual(Row):
    """x plus two convolutions of 3 x 3, with relu, of 8 images of 32 x 32 pixels with 16 channels."""

    peers = (TORCH,)
    factor = 1.3
    rtol = 2e-4

    def __init__(self, is_gradient: bool):
        self.is_gradient = is_gradient
        self.label = f"residual block of convolutions, float32, {'gradient' if is_gradient else 'forward'}"
        self.issue = "JAX 12.5, torch.compile 1.6 ms; within 1.3 of torch.compile"

    def data(self):
        rng = np.random.default_rng(0)

        def random(*shape):
            return rng.normal(size=shape).astype("float32")

        return (0.1 * random(16, 16, 3, 3), 0.1 * random(16, 16, 3, 3)), random(8, 16, 32, 32)

    def function(self, lib):
        np = lib.np

        def convolution(x, w):
            return lib.lax.conv_general_dilated(
                x, w, window_strides=(1, 1), padding="SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
            )

        def block(weights, x):
            first, second = weights
            return lib.nn.relu(x + convolution(lib.nn.relu(convolution(x, first)), second))

        return lib.grad(lambda weights, x: np.sum(block(weights, x) ** 2)) if self.is_gradient else block

    def torch(self, torch):
        convolution = torch.nn.functional.conv2d

        def block(first, second, x):
            return torch.relu(x + convolution(torch.relu(convolution(x, first, padding=1)), second, padding=1))

        if not self.is_gradient:
            forward = torch.compile(block)
            return lambda weights, x: forward(*weights, x)
        loss = torch.compile(lambda *args: torch.sum(block(*args) ** 2))

        def gradient(weights, x):
            weights = [w.detach().requires_grad_() for w in weights]
            return torch.autograd.grad(loss(*weights, x), weights)

        return gradient


class Convolution(Row):
    """The derivatives of the squares of one convolution, summed up, by images and by weights.

    Args:
        space: that of an image, with channels and batch before.
        window: that of the weights, with features before and channels of a group after these.
    """

    peers = (JAX, TORCH)
    factor = 1.5
    rtol = 1e-3

    def __init__(self, name: str, images: tuple[int, ...], window: tuple[int, ...], stride: int = 1, groups: int = 1):
        self.shapes, self.stride, self.groups = (images, window), stride, groups
        self.label = f"gradient of a convolution, float32, {name}"
        self.issue = "within 1.5 of torch.compile"

    def data(self):
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=shape).astype("float32") for shape in self.shapes)

    def function(self, lib):
        rank, pads = len(self.shapes[1]) - 2, [(k // 2, k // 2) for k in self.shapes[1][2:]]

        def loss(x, w):
            y = lib.lax.conv_general_dilated(x, w, (self.stride,) * rank, pads, feature_group_count=self.groups)
            return lib.np.sum(y**2)

        return lib.grad(loss, argnums=(0, 1))

    def torch(self, torch):
        kind = getattr(torch.nn.functional, f"conv{len(self.shapes[1]) - 2}d")
        pads = tuple(k // 2 for k in self.shapes[1][2:])
        loss = torch.compile(lambda x, w: torch.sum(kind(x, w, None, self.stride, pads, 1, self.groups) ** 2))

        def gradient(x, w):
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
            return torch.autograd.grad(loss(x, w), (x, w))

        return gradient


ROWS: list[Row] = [
    *(kind(dtype) for dtype in ("float64", "float32") for kind in (Mlp, Hvp)), Residual(False), Residual(True),
    Convolution("3 x 3, 64 channels", (2, 64, 56, 56), (64, 64, 3, 3)),
    Convolution("7 x 7 of 3 channels, stride 2", (1, 3, 112, 112), (64, 3, 7, 7), stride=2),
    Convolution("depthwise", (4, 64, 28, 28), (64, 1, 3, 3), groups=64),
    Convolution("101 taps of a signal", (1, 1, 100_000), (1, 1, 101)),
]  # fmt: skip
