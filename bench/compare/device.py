"""What the PyTorch programs of this folder share: device, timing, CUDA graphs."""
import statistics
import time

import torch


def add_arguments(parser):
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="of the processor")


def prepare(args):
    """All tensors without a device are made on this one; single precision as ours, without TF32 (cuDNN's default is with)."""
    torch.set_num_threads(args.threads)
    torch.set_default_device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def wait():
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()


def graphed(step):
    """The step captured in a CUDA graph, after warming up on a stream of its own; returns its replay."""
    if torch.get_default_device().type != "cuda":
        raise RuntimeError("CUDA graphs need --device cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def compiled(function, variant):
    """torch.compile for the variants "compile" and "compile-graphs" (which replays CUDA graphs), else the function."""
    if variant == "compile":
        return torch.compile(function)
    if variant == "compile-graphs":
        fast = torch.compile(function, mode="reduce-overhead")

        def call(*arguments):
            torch.compiler.cudagraph_mark_step_begin()
            return fast(*arguments)

        return call
    return function


def median_ms(step, seconds, warm=3):
    """Median of measurements of several steps in a row (on a GPU; on a processor of one), a step."""
    for _ in range(warm):
        step()
    wait()
    start = time.perf_counter()
    step()
    wait()
    once = time.perf_counter() - start
    in_a_row = 1
    if torch.get_default_device().type == "cuda":
        in_a_row = max(1, min(50, int(0.02 / max(once, 1e-5))))
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        for _ in range(in_a_row):
            step()
        wait()
        times.append((time.perf_counter() - start) * 1e3 / in_a_row)
    return statistics.median(times)
