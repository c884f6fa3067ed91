#!/usr/bin/env python3
"""The values of coalitions of bench/explain_step.cpp in PyTorch: the same weights, rows and coalitions (written by
`bench_explain_step --dump FOLDER`). Draws take a component by our uniform numbers and a value by normal numbers of their
own, as one would in PyTorch, which is less work than our quantiles; so values agree within Monte Carlo errors. Otherwise written the way one would for speed: coalitions in blocks sorted by size so that only
unfinished ones are computed, all draws of a block in one product per layer, known features scanned once a coalition, the
energy's mask and context once a coalition, the four predictors as one batched product with their batch normalisation folded
in, inference mode. On a GPU (--device cuda) the sizes of the coalitions are known to the host, so that nothing waits; the
variant "graph" captures every block in a CUDA graph. Prints JSON: seconds an explicand (best block size) per variant, and how
far the values are from ours.
"""
import argparse
import json
import math
import pathlib
import time
import warnings

import numpy as np
import torch

import device

warnings.filterwarnings("ignore")


class Model:
    def __init__(self, folder):
        here = torch.get_default_device()
        get = lambda name: torch.from_numpy(np.load(folder / f"{name}.npy")).to(here)
        self.get = get
        self.raw, self.x, self.masks, self.noise = get("raw"), get("x"), get("masks"), get("noise")
        self.F, self.K = self.x.shape[1], self.noise.shape[0]
        self.mean, self.cov = get("base.mean"), get("base.covariance")
        self.a, self.b, self.start = get("token.scale"), get("token.shift"), get("start")
        self.w_ih, self.w_hh = get("gru.weight_ih").T.contiguous(), get("gru.weight_hh").T.contiguous()
        self.b_ih, self.b_hh = get("gru.bias_ih"), get("gru.bias_hh")
        self.w1, self.moments, self.e = get("head.state"), get("head.moments"), get("head.feature")
        self.w2, self.w3, self.b3 = get("head.hidden"), get("head.mixture"), get("head.mixture_bias")
        self.C = self.b3.shape[0] // 3
        self.by_x, self.by_row = get("energy.completion.weight"), get("energy.condition.weight")
        self.by_row_bias = get("energy.condition.bias")
        self.blocks = [[(get(f"energy.block{i}.{j}.linear.weight"), get(f"energy.block{i}.{j}.linear.bias"))
                        for j in range(2)] for i in range(2)]
        self.out_w, self.out_b = get("energy.output.weight"), get("energy.output.bias")
        self.load_space()
        self.load_power()

    def load_space(self):
        get, F = self.get, self.F
        knots = [get(f"space.knots{t}") for t in range(F)]
        scores = [get(f"space.scores{t}") for t in range(F)]
        below, above = get("space.below"), get("space.above")
        most = max(len(k) for k in knots)
        self.scores = torch.full((F, most), math.inf)
        self.line_from = torch.zeros(F, most + 1)  # origin, value and slope of line i: below knot i
        self.line_value = torch.zeros(F, most + 1)
        self.line_slope = torch.zeros(F, most + 1)
        for t in range(F):
            n = len(knots[t])
            self.scores[t, :n] = scores[t].float()
            self.line_from[t, 0], self.line_value[t, 0], self.line_slope[t, 0] = scores[t][0], knots[t][0], below[t]
            self.line_from[t, 1:n + 1], self.line_value[t, 1:n + 1] = scores[t].float(), knots[t].float()
            self.line_slope[t, 1:n] = (torch.diff(knots[t]) / torch.diff(scores[t])).float()
            self.line_slope[t, n] = above[t]
        self.low, self.high = get("space.low").float(), get("space.high").float()

    def load_power(self):
        get, F = self.get, self.F
        means, scales = get("power.means"), get("power.scales")
        source, shift, slope, least, most = [], [], [], [], []
        for t in range(F):
            edges = get(f"power.edges{t}") * scales[t] + means[t]
            source += [t] * len(edges)
            shift += [float(means[t])] + [float(v) for v in edges[:-1]]
            slope += [1 / float(scales[t])] + [1 / float(v) for v in torch.diff(edges)]
            least += [-math.inf] + [0.0] * (len(edges) - 1)
            most += [math.inf] + [1.0] * (len(edges) - 1)
        self.source = torch.tensor(source)
        self.shift, self.slope = torch.tensor(shift).float(), torch.tensor(slope).float()
        self.least, self.most = torch.tensor(least), torch.tensor(most)

        def layer(member, index):
            name = f"power.member{member}.hidden{index}"
            weight = get(f"{name}.linear.weight").double()
            scale = get(f"{name}.norm.gamma").double() / torch.sqrt(get(f"{name}.norm.running_var").double() + 1e-5)
            bias = get(f"{name}.norm.beta").double() - scale * get(f"{name}.norm.running_mean").double()
            return (weight * scale).float(), bias.float()

        members = range(4)
        self.p1 = torch.cat([layer(m, 0)[0] for m in members], 1)
        self.p1_bias = torch.cat([layer(m, 0)[1] for m in members])
        self.p2 = torch.stack([layer(m, 1)[0] for m in members])
        self.p2_bias = torch.stack([layer(m, 1)[1] for m in members])[:, None, :]
        self.p3 = torch.stack([get(f"power.member{m}.output.weight") for m in members])
        self.p3_bias = torch.stack([get(f"power.member{m}.output.bias") for m in members])[:, None, :]
        self.target_mean, self.target_scale = (float(v) for v in get("power.target"))

    captured = False

    # Functions of one step each, so that torch.compile can take them.
    def cell(self, value, t, h):
        """value (n,), t (n,) feature of each row, h (n, H)."""
        return torch.gru_cell(value[:, None] * self.a[t] + self.b[t], h, self.w_ih, self.w_hh, self.b_ih, self.b_hh)

    def head(self, h, mean, log_sd, t, u, z):
        """Draws (n,): u uniform, z normal."""
        g = torch.relu(torch.addmm(self.e[t], h, self.w1) + mean[:, None] * self.moments[0] +
                       log_sd[:, None] * self.moments[1])
        g = g + torch.relu(g @ self.w2)
        l, a, r = torch.addmm(self.b3, g, self.w3).split(self.C, 1)
        weights = torch.cumsum(torch.softmax(l, 1), 1)
        c = (u[:, None] >= weights[:, :-1]).sum(1, keepdim=True)
        s = torch.exp(log_sd)
        place = torch.gather(a, 1, c)[:, 0]
        spread = torch.nn.functional.softplus(torch.gather(r, 1, c)[:, 0]) + 1e-3
        return mean + s * (place + spread * z)

    def energy(self, x, mask, context):
        """g (n, K) from x (n, K, F)."""
        row = torch.addmm(self.by_row_bias, torch.cat([mask, context], 1), self.by_row)
        h = torch.relu(x @ self.by_x + row[:, None, :]).flatten(0, 1)
        for first, second in self.blocks:
            u = torch.relu(torch.addmm(first[1], h, first[0]))
            h = h + torch.relu(torch.addmm(second[1], u, second[0]))
        g = torch.addmm(self.out_b, h, self.out_w)[:, 0]
        return (8 * torch.tanh(g / 8)).view(x.shape[0], x.shape[1])

    def to_raw(self, x):
        """(n, F) from model space, clamped to the widened range."""
        z = x.T.contiguous()
        line = torch.searchsorted(self.scores, z, right=True)
        pick = lambda table: torch.gather(table, 1, line)
        raw = (pick(self.line_value) + (z - pick(self.line_from)) * pick(self.line_slope)).T
        return torch.minimum(torch.maximum(raw, self.low), self.high)

    def predict(self, raw):
        encoded = torch.clamp((raw[:, self.source] - self.shift) * self.slope, self.least, self.most)
        h = torch.relu(torch.addmm(self.p1_bias, encoded, self.p1))
        h = h.view(-1, 4, h.shape[1] // 4).transpose(0, 1)
        h = torch.relu(torch.baddbmm(self.p2_bias, h, self.p2))
        y = torch.baddbmm(self.p3_bias, h, self.p3)[:, :, 0].mean(0)
        return self.target_mean + self.target_scale * y

    def compile(self):
        for name in ("cell", "head", "energy", "to_raw", "predict"):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=True))

    @torch.inference_mode()
    def values(self, row, block):
        """v(S) (C,) and standard errors of all coalitions for one explicand."""
        if not hasattr(self, "z"):
            self.z = torch.randn(self.noise.shape, generator=torch.Generator(torch.get_default_device()).manual_seed(1))
        if getattr(self, "cut", None) != block:
            self.cut, self.replays = block, {}
            self.chunks = torch.argsort(self.masks.sum(1), stable=True).split(block)
            self.sizes = [self.masks[chunk].sum(1).long().tolist() for chunk in self.chunks]
            self.now_x, self.now_raw = self.x[row].clone(), self.raw[row].clone()
            self.value, self.error = torch.empty(len(self.masks)), torch.empty(len(self.masks))
        self.now_x.copy_(self.x[row])
        self.now_raw.copy_(self.raw[row])
        for i, chunk in enumerate(self.chunks):
            if self.captured and i not in self.replays:
                self.replays[i] = device.graphed(lambda: self.into(chunk, self.sizes[i]))
            if self.captured:
                self.replays[i]()
            else:
                self.into(chunk, self.sizes[i])
        return self.value, self.error

    def into(self, chunk, sizes):
        self.value[chunk], self.error[chunk] = self.block(self.masks[chunk], sizes)

    def block(self, mask, sizes):
        """Coalitions of ascending size; `sizes` says how many features each knows."""
        n, F, K = mask.shape[0], self.F, self.K
        x = self.now_x
        sequence = torch.argsort(1 - mask, dim=1, stable=True)  # known ascending, then unknown ascending
        known = mask.sum(1).long()
        # The base: gains depend on the sequence only, means of the known part on x.
        cov = self.cov.expand(n, F, F).clone()
        mean = self.mean.expand(n, F).clone()
        gains, log_sds = [], []
        rows = torch.arange(n)
        for k in range(F):
            t = sequence[:, k]
            column = cov[rows, :, t]
            pivot = column[rows, t]
            gain = column / pivot[:, None]
            gains.append(gain)
            log_sds.append(0.5 * torch.log(pivot))
            cov = cov - gain[:, :, None] * column[:, None, :]
            cov.diagonal(dim1=1, dim2=2).clamp_min_(1e-12)
            step = mean + gain * (x[t].double() - mean[rows, t])[:, None]
            mean = torch.where((known > k)[:, None], step, mean)
        gains, log_sds = torch.stack(gains, 1).float(), torch.stack(log_sds, 1).float()
        h = self.start.expand(n, -1).clone()
        for k in range(max(sizes)):
            first = sum(size <= k for size in sizes)  # sizes ascend: those behind still have known features
            t = sequence[first:, k]
            h[first:] = self.cell(x[t], t, h[first:])
        context = h
        h = h.repeat_interleave(K, 0)
        mean = mean.float().repeat_interleave(K, 0)
        out = x.expand(n * K, F).clone()
        for k in range(F - min(sizes)):
            rows = sum(F - size > k for size in sizes)  # the first ones, which have most unknown features
            m = rows * K
            at = known[:rows] + k
            t_row = sequence[torch.arange(rows), at]
            t = t_row.repeat_interleave(K)
            gain = gains[torch.arange(rows), at]
            log_sd = log_sds[torch.arange(rows), at].repeat_interleave(K)
            mu = torch.gather(mean[:m], 1, t[:, None])[:, 0]
            u = self.noise.T[t_row].reshape(-1)
            z = self.z.T[t_row].reshape(-1)
            value = self.head(h[:m], mu, log_sd, t, u, z)
            out[:m].scatter_(1, t[:, None], value[:, None])
            more = sum(F - size > k + 1 for size in sizes)
            m = more * K
            if more == 0:
                continue
            mean[:m].view(more, K, F).add_(gain[:more, None, :] * (value - mu)[:m].view(more, K, 1))
            h[:m] = self.cell(value[:m], t[:m], h[:m])
        g = self.energy(out.view(n, K, F), mask, context)
        w = torch.softmax(-g.double(), 1)
        raw = torch.where(mask.bool().repeat_interleave(K, 0), self.now_raw, self.to_raw(out))
        f = self.predict(raw).view(n, K).double()
        v = (w * f).sum(1, keepdim=True)
        return v[:, 0].float(), torch.sqrt((w * w * (f - v) ** 2).sum(1)).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=pathlib.Path, required=True)
    parser.add_argument("--variants", default="")
    parser.add_argument("--blocks", default="16,64,256,1024")
    parser.add_argument("--rounds", type=int, default=2)
    device.add_arguments(parser)
    args = parser.parse_args()
    device.prepare(args)
    every = "eager,compile" + (",graph" if args.device == "cuda" else "")
    ours = torch.from_numpy(np.load(args.dump / "values.npy")).to(args.device)
    deviation = torch.from_numpy(np.load(args.dump / "deviation.npy")).to(args.device)
    groups = deviation.shape[1]
    error = torch.sqrt(groups / (groups - 1) * (deviation ** 2).sum(1)).view(ours.shape)
    results = []
    for variant in (args.variants or every).split(","):
        model = Model(args.dump)
        model.captured = variant == "graph"
        if variant == "compile":
            model.compile()
        row = {"variant": variant, "device": args.device, "threads": args.threads, "coalitions": len(model.masks), "draws": model.K}
        try:
            for block in map(int, args.blocks.split(",")):
                value, their_error = (t.clone() for t in model.values(0, block))  # warms up
                device.wait()
                times = []
                for _ in range(args.rounds):
                    start = time.perf_counter()
                    model.values(0, block)
                    device.wait()
                    times.append(time.perf_counter() - start)
                if min(times) < row.get("seconds", math.inf):
                    row.update(seconds=min(times), block=block)
            away = (value.double() - ours[0]).abs()
            row["largest_difference"] = float(away.max())
            both = torch.sqrt(error[0] ** 2 + their_error.double() ** 2).clamp_min(1e-30)
            row["difference_in_errors"] = float(torch.sqrt(((away / both) ** 2).mean()))
            row["spread_of_values"] = float(ours[0].std())
        except Exception as problem:  # torch.compile needs a compiler; eager results still count
            row["error"] = str(problem)[:300]
        results.append(row)
    print(json.dumps({"torch": torch.__version__, "results": results}))


if __name__ == "__main__":
    main()
