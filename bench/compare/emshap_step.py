#!/usr/bin/env python3
"""The training steps of bench/set_gru_step.cpp and bench/energy_step.cpp in PyTorch: the same model (docs/model.md), written the way one would
for speed: one torch.nn.GRU over each row's random order, all (prefix, target) pairs of the batch in one product per
head layer, base moments by one batched Cholesky, draws with the rows sorted so that only unfinished ones are computed,
fused Adam. On a GPU (--device cuda; torch.nn.GRU is cuDNN's) the host reads the sizes of the masks once a step and nothing
else; the variant "graph" captures the whole step, with draws of fixed shapes in which finished rows are computed and
dropped. Prints JSON: milliseconds (median) per step, batch, threads and variant.

  proposal: order, base moments, likelihood of all prefixes, backward, clip, Adam, moving average
  energy:   masks, 16 autoregressive draws a row (no gradient), skip MLP on data and draws, NCE, backward, clip, Adam
  draw:     the 16 draws alone
"""
import argparse
import json
import math
import warnings

import torch
import torch.nn.functional as fn

import device

warnings.filterwarnings("ignore")
F, H, E, C, DRAWS, HIDDEN = 20, 64, 16, 5, 16, 128
LOG_2PI = math.log(2 * math.pi)


class Base:
    """Gaussian with an equicorrelated covariance, in float64."""

    def __init__(self):
        self.mean = torch.zeros(F, dtype=torch.float64)
        self.cov = 0.5 * torch.ones(F, F, dtype=torch.float64) + 0.5 * torch.eye(F, dtype=torch.float64)

    def prefix_moments(self, x, order):
        """(B, F, F) mean and log sd of position j given the first i positions, for j >= i."""
        xo = torch.gather(x.double() - self.mean, 1, order)
        cov = self.cov[order[:, :, None], order[:, None, :]]
        chol = torch.linalg.cholesky_ex(cov).L  # without a wait for the check
        w = torch.linalg.solve_triangular(chol, xo[:, :, None], upper=False)[:, :, 0]
        parts = chol * w[:, None, :]  # (B, j, k)
        mean = torch.cumsum(parts, 2) - parts  # sum over k < i
        square = chol * chol
        variance = square.flip(2).cumsum(2).flip(2)  # sum over k >= i
        mean = mean.transpose(1, 2) + self.mean[order][:, None, :]
        return mean.float(), 0.5 * torch.log(variance.transpose(1, 2).clamp_min(1e-12)).float()


class Proposal(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(0.5 * torch.randn(F, E))
        self.b = torch.nn.Parameter(0.5 * torch.randn(F, E))
        self.gru = torch.nn.GRU(E, H, batch_first=True)
        self.h0 = torch.nn.Parameter(torch.zeros(H))
        self.w1 = torch.nn.Linear(H, H, bias=False)
        self.moments = torch.nn.Parameter(0.1 * torch.randn(2, H))
        self.e = torch.nn.Parameter(0.3 * torch.randn(F, H))
        self.w2 = torch.nn.Linear(H, H)
        self.w3 = torch.nn.Linear(H, 3 * C)
        i, j = torch.triu_indices(F, F)
        self.register_buffer("prefix", i)
        self.register_buffer("target", j)

    def head(self, first, mean, log_sd, e):
        u = torch.relu(first + mean[..., None] * self.moments[0] + log_sd[..., None] * self.moments[1] + e)
        u = u + torch.relu(self.w2(u))
        return self.w3(u)

    @staticmethod
    def mixture(out, mean, log_sd):
        l, a, r = out.split(C, -1)
        s = torch.exp(log_sd)[..., None]
        return torch.log_softmax(l, -1), mean[..., None] + s * a, s * (fn.softplus(r) + 1e-3)

    def loss(self, x, order, mean, log_sd):
        xo = torch.gather(x, 1, order)
        tokens = xo[:, :, None] * self.a[order] + self.b[order]
        h, _ = self.gru(tokens, self.h0.expand(1, x.shape[0], H).contiguous())
        states = torch.cat([self.h0.expand(x.shape[0], 1, H), h[:, :-1]], 1)
        first = self.w1(states)[:, self.prefix]
        m, s = mean[:, self.prefix, self.target], log_sd[:, self.prefix, self.target]
        out = self.head(first, m, s, self.e[order[:, self.target]])
        weights, means, sds = self.mixture(out, m, s)
        z = (xo[:, self.target, None] - means) / sds
        log_q = torch.logsumexp(weights - 0.5 * z * z - torch.log(sds) - 0.5 * LOG_2PI, -1)
        return -log_q.mean()

    @torch.no_grad()
    def draw(self, base, x, mask, cell, static=False):
        """DRAWS completions of each row; (B DRAWS, F), and the context (B, H). `static`: shapes do not depend on the masks."""
        batch = x.shape[0]
        sequence = torch.argsort(1 - mask, dim=1, stable=True)  # known ascending, then unknown ascending
        known = mask.sum(1).long()
        by_unknown = torch.argsort(known)  # most unknown first
        x, mask, sequence, known = x[by_unknown], mask[by_unknown], sequence[by_unknown], known[by_unknown]
        h = self.h0.expand(batch, H)
        mean = base.mean.expand(batch, F).clone()
        cov = base.cov.expand(batch, F, F).clone()
        sizes = [F] * batch if static else known.tolist()
        most = max(sizes)
        gains, log_sds = [], []
        for k in range(F):  # gains depend on the sequence only
            t = sequence[:, k]
            column = torch.gather(cov, 2, t[:, None, None].expand(batch, F, 1))[:, :, 0]
            pivot = torch.gather(column, 1, t[:, None])
            gains.append(column / pivot)
            log_sds.append(0.5 * torch.log(pivot[:, 0]).float())
            cov = cov - gains[-1][:, :, None] * column[:, None, :]
            cov.diagonal(dim1=1, dim2=2).clamp_min_(1e-12)
        for k in range(most):
            t = sequence[:, k]
            xt = torch.gather(x, 1, t[:, None])
            active = (known > k)[:, None]
            h = torch.where(active, cell(xt * self.a[t] + self.b[t], h), h)
            step = mean + gains[k] * (xt.double() - torch.gather(mean, 1, t[:, None]))
            mean = torch.where(active, step, mean)
        context, gains, log_sds = h, torch.stack(gains, 1), torch.stack(log_sds, 1)
        h = h.repeat_interleave(DRAWS, 0)
        mean = mean.float().repeat_interleave(DRAWS, 0)
        out = x.repeat_interleave(DRAWS, 0)
        for k in range(F if static else F - min(sizes)):
            rows = batch if static else sum(size + k < F for size in sizes)
            n = rows * DRAWS
            at = (known[:rows] + k).clamp_max(F - 1)
            t = torch.gather(sequence[:rows], 1, at[:, None])[:, 0].repeat_interleave(DRAWS)
            gain = torch.gather(gains[:rows], 1, at[:, None, None].expand(rows, 1, F))[:, 0].float()
            gain = gain.repeat_interleave(DRAWS, 0)
            log_sd = torch.gather(log_sds[:rows], 1, at[:, None])[:, 0].repeat_interleave(DRAWS)
            m = torch.gather(mean[:n], 1, t[:, None])[:, 0]
            weights, means, sds = self.mixture(self.head(self.w1(h[:n]), m, log_sd, self.e[t]), m, log_sd)
            c = torch.searchsorted(torch.cumsum(weights.exp(), -1), torch.rand(n, 1)).clamp_max(C - 1)
            value = torch.gather(means, 1, c) + torch.gather(sds, 1, c) * torch.randn(n, 1)
            if static:
                value = torch.where((known + k < F)[:, None].repeat_interleave(DRAWS, 0), value, torch.gather(out, 1, t[:, None]))
            out[:n].scatter_(1, t[:, None], value)
            mean[:n] += gain * (value - m[:, None])
            h[:n] = cell(value * self.a[t] + self.b[t], h[:n])
        return out, context, x, mask

    def cell(self):
        w_ih, w_hh = self.gru.weight_ih_l0, self.gru.weight_hh_l0
        b_ih, b_hh = self.gru.bias_ih_l0, self.gru.bias_hh_l0
        return lambda token, h: torch.gru_cell(token, h, w_ih, w_hh, b_ih, b_hh)


class Energy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.by_x = torch.nn.Linear(F, HIDDEN, bias=False)
        self.by_row = torch.nn.Linear(F + H, HIDDEN)  # mask and context: once per row, not per draw
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, HIDDEN),
                                torch.nn.ReLU()) for _ in range(2))
        self.out = torch.nn.Linear(HIDDEN, 1)

    def forward(self, x, mask, context):
        row = self.by_row(torch.cat([mask, context], 1))[:, None, :]
        h = torch.relu(self.by_x(x) + row)
        for block in self.blocks:
            h = h + block(h)
        return 8 * torch.tanh(self.out(h)[..., 0] / 8)


def adam(model, variant):
    return torch.optim.Adam(model.parameters(), lr=3e-3, fused=True, capturable=variant == "graph")


def make_step(kind, batch, variant):
    torch.manual_seed(1)
    base, proposal, energy = Base(), Proposal(), Energy()
    chol = torch.linalg.cholesky(base.cov)
    x = (torch.randn(batch, F, dtype=torch.float64) @ chol.T).float()
    compiled = device.compiled(proposal.loss, variant)
    scores = device.compiled(energy, variant)
    optimizer = adam(proposal if kind == "proposal" else energy, variant)
    static = variant == "graph"
    average = [p.detach().clone() for p in proposal.parameters()]

    def proposal_step():
        order = torch.argsort(torch.rand(batch, F), dim=1)
        mean, log_sd = base.prefix_moments(x, order)
        optimizer.zero_grad(set_to_none=True)
        loss = compiled(x, order, mean, log_sd)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(proposal.parameters(), 5.0)
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in proposal.parameters()], 0.01)
        return loss

    def masks():
        size = torch.randint(0, F, (batch, 1))
        return (torch.argsort(torch.argsort(torch.rand(batch, F), dim=1), dim=1) < size).float()

    def draw_step():
        return proposal.draw(base, x, masks(), proposal.cell(), static)

    def energy_step():
        draws, context, rows, mask = proposal.draw(base, x, masks(), proposal.cell(), static)
        both = torch.cat([rows[:, None, :], draws.view(batch, DRAWS, F)], 1)
        optimizer.zero_grad(set_to_none=True)
        g = scores(both, mask, context)
        loss = fn.softplus(g[:, 0]).mean() + fn.softplus(-g[:, 1:]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(energy.parameters(), 5.0)
        optimizer.step()
        return loss

    step = {"proposal": proposal_step, "energy": energy_step, "draw": draw_step}[kind]
    return device.graphed(step) if variant == "graph" else step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="32,256,4096")
    parser.add_argument("--steps", default="proposal,energy,draw")
    parser.add_argument("--variants", default="")
    parser.add_argument("--seconds", type=float, default=2.0)
    device.add_arguments(parser)
    args = parser.parse_args()
    device.prepare(args)
    every = "eager,compile" + (",compile-graphs,graph" if args.device == "cuda" else "")
    results = []
    for kind in args.steps.split(","):
        for batch in map(int, args.batches.split(",")):
            for variant in (args.variants or every).split(","):
                if kind == "draw" and variant.startswith("compile"):
                    continue
                row = {"step": kind, "device": args.device, "batch": batch, "threads": args.threads, "variant": variant}
                try:
                    row["ms"] = device.median_ms(make_step(kind, batch, variant), args.seconds)
                except Exception as error:  # torch.compile needs a compiler; eager results still count
                    row["error"] = str(error)[:200]
                results.append(row)
    print(json.dumps({"torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
