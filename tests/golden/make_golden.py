#!/usr/bin/python3
"""Writes PyTorch's results in float64 as reference files for the C++ tests.

Run:   apt-get install -y python3-torch && /usr/bin/python3 tests/golden/make_golden.py
The files are committed; neither the tests nor scripts/install-deps.sh need torch. Weights are written (inputs,
outputs), as the library stores them, under the names of its parameters.
"""
import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 20240401
HEADER = f"# torch {torch.__version__}, float64, seed {SEED}, command: /usr/bin/python3 tests/golden/make_golden.py"
FOLDER = pathlib.Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class File:
    """One reference file: named tensors in order of adding."""

    def __init__(self, name):
        self.path, self.lines = FOLDER / f"{name}.txt", [HEADER]
        torch.manual_seed(SEED + sum(map(ord, name)))

    def add(self, name, values):
        values = torch.as_tensor(values).detach()
        self.lines.append(" ".join(["tensor", name, *map(str, values.shape)]))
        rows = values.reshape(-1, values.shape[-1]) if values.dim() > 0 else values.reshape(1, 1)
        for row in rows.tolist():
            self.lines.append(" ".join(repr(float(v)) for v in row))

    def write(self):
        self.path.write_text("\n".join(self.lines) + "\n")
        print(f"{self.path.name}: {self.path.stat().st_size} bytes")


def ours(name, tensor):
    """Our name and layout of a parameter or buffer."""
    name = name.replace("norm.weight", "norm.gamma").replace("norm.bias", "norm.beta").replace("_l0", "")
    return name, tensor.t() if tensor.dim() == 2 else tensor


class Block(nn.Module):
    """Linear - BatchNorm - activation, the MlpBlock without dropout."""

    def __init__(self, inputs, outputs, batch_norm, activation):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not batch_norm)
        self.norm = nn.BatchNorm1d(outputs) if batch_norm else None
        self.activation = activation

    def forward(self, x):
        z = self.linear(x)
        return self.activation(z if self.norm is None else self.norm(z))


class Residual(nn.Module):
    def __init__(self, features, batch_norm, activation):
        super().__init__()
        self.first = Block(features, features, batch_norm, activation)
        self.second = nn.Linear(features, features, bias=not batch_norm)

    def forward(self, x):
        return x + self.second(self.first(x))


class Predictor(nn.Module):
    """PowerPredictor without dropout: names hidden<i>, hidden<i>.residual<r>, output."""

    def __init__(self, features, hidden, residual_blocks=0, batch_norm=True, activation=F.relu):
        super().__init__()
        self.order, width = [], features
        for i, outputs in enumerate(hidden):
            block = Block(width, outputs, batch_norm, activation)
            self.add_module(f"hidden{i}", block)
            self.order.append(block)
            width = outputs
            for r in range(residual_blocks):
                residual = Residual(width, batch_norm, activation)
                block.add_module(f"residual{r}", residual)
                self.order.append(residual)
        self.output = nn.Linear(width, 1)

    def forward(self, x):
        for block in self.order:
            x = block(x)
        return self.output(x)


class SkipMlp(nn.Module):
    def __init__(self, inputs, hidden, outputs, blocks, depth, concat, activation):
        super().__init__()
        self.concat, self.blocks, self.depth, self.activation = concat, blocks, depth, activation
        width = hidden + inputs if concat else hidden
        self.input = Block(inputs, hidden, False, activation)
        for b in range(blocks):
            self.add_module(f"block{b}", nn.ModuleList(
                Block(width if j == 0 else hidden, hidden, False, activation) for j in range(depth)))
        self.output = nn.Linear(width, outputs)

    def forward(self, x):
        h = self.input(x)
        for b in range(self.blocks):
            u = torch.cat([h, x], 1) if self.concat else h
            for layer in getattr(self, f"block{b}"):
                u = layer(u)
            h = u if self.concat else h + u
        return self.output(torch.cat([h, x], 1) if self.concat else h)


def add_state(file, prefix, module):
    for name, p in module.named_parameters():
        name, value = ours(name, p)
        file.add(f"{prefix}.{name}", value)
    for name, b in module.named_buffers():
        if not name.endswith("num_batches_tracked"):
            file.add(f"{prefix}.{name}", b)


def randomise(module):
    """Nothing at a special value: norms away from 1 and 0, biases away from 0."""
    for name, p in module.named_parameters():
        with torch.no_grad():
            if "norm.weight" in name:
                p.copy_(1 + .3 * torch.randn_like(p))
            elif p.dim() == 1:
                p.copy_(.3 * torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) / math.sqrt(p.shape[1]))


def training(file, prefix, module, start, x, target, optimiser, clip):
    """Ten steps on the mean squared error, as the trainer runs them; losses, gradient norms, final state."""
    module.load_state_dict(start)
    module.train()
    decayed = [p for p in module.parameters() if p.dim() == 2]
    others = [p for p in module.parameters() if p.dim() != 2]
    if optimiser == "adam":
        steps = torch.optim.Adam(module.parameters(), lr=.01)
    else:  # no decay on biases and norms
        steps = torch.optim.AdamW([{"params": decayed, "weight_decay": .1}, {"params": others, "weight_decay": 0}],
                                  lr=.01)
    losses, norms = [], []
    for _ in range(10):
        steps.zero_grad()
        loss = F.mse_loss(module(x), target)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), clip if clip > 0 else math.inf)
        steps.step()
        losses.append(loss.item())
        norms.append(norm.item())
    file.add(f"{prefix}.loss", losses)
    file.add(f"{prefix}.norm", norms)
    add_state(file, f"{prefix}.final", module)


def network(name, module, inputs, outputs, rows=11):
    """Forward, all gradients, evaluation mode, ten Adam and ten AdamW steps (the latter clipped)."""
    file = File(name)
    randomise(module)
    x = torch.randn(rows, inputs, requires_grad=True)
    dy, target = torch.randn(rows, outputs), torch.randn(rows, outputs)
    file.add("x", x)
    file.add("dy", dy)
    file.add("target", target)
    add_state(file, "start", module)
    start = {k: v.clone() for k, v in module.state_dict().items()}
    module.train()
    y = module(x)
    y.backward(dy)
    file.add("y", y)
    file.add("dx", x.grad)
    for parameter, p in module.named_parameters():
        parameter, gradient = ours(parameter, p.grad)
        file.add(f"gradient.{parameter}", gradient)
    for buffer, b in module.named_buffers():
        if not buffer.endswith("num_batches_tracked"):
            file.add(f"after.{buffer}", b)
    module.eval()
    file.add("y_eval", module(x))  # with the running statistics after that forward pass
    data = x.detach()
    training(file, "adam", module, start, data, target, "adam", 0)
    training(file, "adamw", module, start, data, target, "adamw", .5)
    file.write()


class NamedNorm(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x):
        return self.norm(x)


class NamedLinear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.linear(x)


class NamedGru(nn.Module):
    """Sequences as rows: x (B, T I), y (B, T H)."""

    def __init__(self, inputs, hidden, steps):
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.steps = steps

    def forward(self, x):
        return self.gru(x.reshape(len(x), self.steps, -1))[0].reshape(len(x), -1)


def activations():
    file = File("activations")
    x = torch.cat([torch.linspace(-8, 8, 33), torch.randn(31) * 3, torch.tensor([-40., 40., -1e-9, 1e-9])])
    x = x.reshape(4, 17).requires_grad_()
    dy = torch.randn_like(x)
    file.add("x", x)
    file.add("dy", dy)
    for name, function in {"identity": lambda z: z * 1, "relu": F.relu, "leaky_relu": lambda z: F.leaky_relu(z, .01),
                           "gelu": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
                           "softplus": lambda z: F.softplus(z, threshold=50), "silu": F.silu}.items():
        x.grad = None
        y = function(x)
        y.backward(dy)
        file.add(f"{name}.y", y)
        file.add(f"{name}.dx", x.grad)
    file.write()


def losses():
    file = File("losses")
    prediction, target = (2 * torch.randn(9, 3)).requires_grad_(), torch.randn(9, 3)
    file.add("prediction", prediction)
    file.add("target", target)
    for name, loss in {"mse": nn.MSELoss(), "huber_1": nn.HuberLoss(delta=1.), "huber_0.3": nn.HuberLoss(delta=.3),
                       "smooth_l1": nn.SmoothL1Loss()}.items():
        prediction.grad = None
        value = loss(prediction, target)
        value.backward()
        file.add(f"{name}.loss", value)
        file.add(f"{name}.gradient", prediction.grad)
    file.write()


def density():
    file = File("density")
    P, C, V = 37, 5, 6
    head = (1.3 * torch.randn(P, 3 * C)).requires_grad_()
    mean, log_sd, x = torch.randn(P), .5 * torch.randn(P) - .5, 1.5 * torch.randn(P)
    weight = torch.rand(P) + .5
    l, a, r = head.split(C, 1)
    s = log_sd.exp()[:, None]
    q = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=l),
        torch.distributions.Normal(mean[:, None] + s * a, s * (F.softplus(r, threshold=50) + 1e-3)))
    value = -weight * q.log_prob(x)
    value.sum().backward()
    for name, values in {"head": head, "mean": mean, "log_sd": log_sd, "x": x, "weight": weight, "value": value,
                         "dhead": head.grad, "moment_mean": q.mean, "moment_variance": q.variance}.items():
        file.add(f"mixture.{name}", values)
    logits = (1.5 * torch.randn(P, V)).requires_grad_()
    frequencies, code = torch.rand(V) + .1, torch.randint(V, (P,))
    frequencies /= frequencies.sum()
    log_p = (.99 * logits.softmax(1) + .01 * frequencies).log()
    value = -weight * log_p.gather(1, code[:, None])[:, 0]
    value.sum().backward()
    for name, values in {"logits": logits, "frequencies": frequencies, "code": code, "weight": weight,
                         "value": value, "dlogits": logits.grad, "log_p": log_p}.items():
        file.add(f"category.{name}", values)
    file.write()


def energy_loss():
    file = File("energy_loss")
    B, K = 13, 6
    scores = (2 * torch.randn(B, 1 + K)).requires_grad_()
    file.add("scores", scores)
    data, draws = scores[:, 0], scores[:, 1:]
    for name, loss in {"binary-nce": (F.softplus(-data) + F.softplus(draws).mean(1)).mean(),
                       "ranking-nce": F.cross_entropy(scores, torch.zeros(B, dtype=torch.long)),
                       "importance": (draws.logsumexp(1) - math.log(K) - data).mean()}.items():
        file.add(f"{name}.loss", loss)
        file.add(f"{name}.dscores", torch.autograd.grad(loss, scores, retain_graph=True)[0])
    file.write()


def make(name, build, inputs, outputs, rows=11):
    torch.manual_seed(SEED)
    network(name, build(), inputs, outputs, rows)


if __name__ == "__main__":
    activations()
    losses()
    density()
    energy_loss()
    make("linear", lambda: NamedLinear(5, 4), 5, 4)
    make("batch_norm", lambda: NamedNorm(6), 6, 6, 13)
    make("mlp", lambda: Predictor(5, (8, 4)), 5, 1, 16)
    make("mlp_plain_gelu", lambda: Predictor(5, (8, 4), batch_norm=False, activation=F.gelu), 5, 1)
    make("residual", lambda: Predictor(5, (6, 4), residual_blocks=1, activation=torch.tanh), 5, 1, 16)
    make("skip_mlp_add", lambda: SkipMlp(4, 6, 2, 2, 2, False, F.silu), 4, 2)
    make("skip_mlp_concat", lambda: SkipMlp(4, 6, 2, 2, 1, True, F.relu), 4, 2)
    make("gru", lambda: NamedGru(3, 5, 4), 12, 20, 7)
