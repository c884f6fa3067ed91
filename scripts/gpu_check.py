"""The stages behind gpu-check.sh. Each writes what it found to results/<stage>.json; gpu_report.py makes the report."""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import gpu_report

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
REFUSED = re.compile(r"^=+ .*(device not supported|unable to (?:attach|find|initialize)|failed to initialize|not compatible|"
                     r"error 999|no CUDA-capable|could not (?:be )?load)", re.I | re.M)


def passed(name, detail="", **more):
    return {"name": name, "status": "passed", "detail": detail, **more}


def failed(name, detail, **more):
    return {"name": name, "status": "FAILED", "detail": detail, **more}


def not_run(name, why):
    return {"name": name, "status": "not run", "detail": why}


def prepend(env, name, folder):
    env[name] = ":".join(filter(None, [str(folder), env.get(name)]))


def link(path, to):
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Check:
    def __init__(self, args):
        self.args = args
        self.host = args.host
        self.dir = ROOT / "build" / ("gpu-check-host" if self.host else "gpu-check")
        self.logs = self.dir / "logs"
        self.results = self.dir / "results"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.results.mkdir(exist_ok=True)
        self.prebuilt = None
        if args.prebuilt and self.runs(pathlib.Path(args.prebuilt)):
            self.prebuilt = pathlib.Path(args.prebuilt).resolve()
        self.build = self.prebuilt or self.dir / "build"
        self.python = os.environ.get("EMSHAP_RIVAL_PYTHON", "python3")
        self.end = 0.0

    # Running things -------------------------------------------------------------------------------------------------

    def environment(self, **more):
        env = dict(os.environ, **more)
        if self.args.packages:
            prepend(env, "LD_LIBRARY_PATH", pathlib.Path(self.args.packages).resolve() / "usr/lib/x86_64-linux-gnu")
        if (self.dir / "cublas").exists():
            prepend(env, "LD_LIBRARY_PATH", self.dir / "cublas/lib")
            prepend(env, "CPLUS_INCLUDE_PATH", self.dir / "cublas/include")
        return env

    def cublas_of_python(self, nvcc):
        """CMake options where the toolkit has no cuBLAS but the wheels beside PyTorch do; None where neither has."""
        root = pathlib.Path(nvcc).resolve().parent.parent
        if list(root.glob("include/cublas_v2.h")) + list(root.glob("targets/*/include/cublas_v2.h")):
            return []
        site = output_of(self.python, "-c", "import nvidia; print(list(nvidia.__path__)[0])")
        for header in sorted(pathlib.Path(site or "/nonexistent").glob("*/include/cublas_v2.h")):
            libraries = header.parent.parent / "lib"
            here = self.dir / "cublas"
            (here / "lib").mkdir(parents=True, exist_ok=True)
            link(here / "include", header.parent)
            options = []
            for name in ("cublas", "cublasLt"):
                for library in sorted(libraries.glob(f"lib{name}.so*")):
                    link(here / "lib" / library.name, library)
                    link(here / "lib" / f"lib{name}.so", library)
                options.append(f"-DCUDA_{name}_LIBRARY={here / 'lib' / f'lib{name}.so'}")
            return options
        return None

    def run(self, log, command, **env):
        """Exit code (None: out of time) and output; the output also goes to a log file."""
        left = self.end - time.monotonic()
        if left < 1:
            return None, ""
        command = [str(c) for c in command]
        with open(self.logs / (log + ".log"), "w") as file:
            try:
                code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, timeout=left,
                                      env=self.environment(**env)).returncode
            except subprocess.TimeoutExpired:
                code = None
            except OSError as error:
                file.write(str(error))
                code = 127
        return code, (self.logs / (log + ".log")).read_text(errors="replace")

    def runs(self, folder):
        tests = sorted(folder.glob("tests/cuda/test_cuda_*"))
        try:
            return bool(tests) and subprocess.run([tests[0], "--version"], capture_output=True, timeout=60,
                                                  env=self.environment()).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def tests(self):
        found = [p for p in sorted(self.build.glob("tests/cuda/test_cuda_*")) if os.access(p, os.X_OK)]
        layers = self.build / "tests/layers/test_layers"
        return found + [layers] * layers.exists()

    def say(self, item):
        print(f"  {item['name']}: {item['status']}" + (f", {item['detail']}" if item["detail"] else ""), flush=True)
        return item

    # Stages ---------------------------------------------------------------------------------------------------------

    def stage_build(self):
        if self.prebuilt:
            return [passed("built beforehand", f"the programs in {self.args.prebuilt} run here")]
        items = []
        if self.args.prebuilt:
            items.append(not_run("built beforehand",
                                 f"no test program in {self.args.prebuilt} runs here, so it is built here"))
        cuda = "HOST" if self.host else "ON"
        nvcc = self.nvcc()
        if not self.host and not nvcc:
            return items + [not_run("build", "nvcc is missing: install the CUDA toolkit, or set CUDACXX")]
        for tool in ("cmake", "ninja"):
            if not shutil.which(tool):
                return items + [not_run("build", f"{tool} is missing")]
        options = ["-DCMAKE_BUILD_TYPE=Release", f"-DEMSHAP_WITH_CUDA={cuda}", "-DEMSHAP_WITH_IO=OFF",
                   "-DEMSHAP_BUILD_APPS=OFF", "-DEMSHAP_INSTALL=OFF"]
        if not self.host:
            options += ["-DCMAKE_CUDA_ARCHITECTURES=" + ";".join(a + "-real" for a in self.args.arch.split(";")),
                        f"-DCMAKE_CUDA_COMPILER={nvcc}"]
            cublas = self.cublas_of_python(nvcc)
            if cublas is None:
                return items + [not_run("build", "cuBLAS is missing: neither the CUDA toolkit nor Python's nvidia wheels "
                                                 "have cublas_v2.h")]
            options += cublas
        if self.args.packages:
            options.append(f"-DCMAKE_PREFIX_PATH={pathlib.Path(self.args.packages).resolve() / 'usr'}")
        if shutil.which("ccache"):
            options += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", "-DCMAKE_CUDA_COMPILER_LAUNCHER=ccache"]
        code, text = self.run("configure", ["cmake", "-S", ".", "-B", self.build, "-G", "Ninja", *options])
        if code != 0:
            return items + [failed("configure", self.why_configure(text))]
        for what, package in (("tests", "doctest"), ("benchmarks", "Google Benchmark"), ("JSON files", "nlohmann-json")):
            if re.search(rf"^--   {what} +no", text, re.M):
                items.append(not_run(what, f"{package} is missing: give it by --packages (scripts/gpu-carry.sh)"))
        # Two runs, so that tests are there even if a benchmark does not compile or time runs out.
        listing = output_of("ninja", "-C", str(self.build), "-t", "targets", "all")
        for name, wanted in (("tests", ["tests/cuda/all", "test_layers"]), ("benchmarks", ["bench_cuda", "bench_explain_step"])):
            targets = [t for t in wanted if re.search(rf"^{re.escape(t)}:", listing, re.M)]
            if not targets:
                continue
            began = time.monotonic()
            code, text = self.run("build-" + name, ["ninja", "-C", self.build, "-k", "0", "-j", str(self.args.jobs), *targets])
            seconds = round(time.monotonic() - began)
            if code == 0:
                items.append(passed("build " + name, f"{seconds} s"))
            elif code is None:
                items.append(failed("build " + name, f"out of time after {seconds} s; run the stage build again, it goes on"))
            else:
                first = re.search(r"^.*(?:error|undefined reference|FAILED).*$", text, re.M)
                items.append(failed("build " + name, first.group(0)[:300] if first else text[-300:]))
        return items

    def why_configure(self, text):
        match = re.search(r"package configuration\s+file provided by \"(\w+)\"|Could NOT find (\w+)", text)
        if match:
            return (f"{match.group(1) or match.group(2)} is missing: give it by --packages, a folder that "
                    "scripts/gpu-carry.sh has filled on a machine that has it")
        match = re.search(r"CMake Error.*?\n\s*(.+)", text)
        return match.group(1).strip() if match else text[-300:].strip()

    @staticmethod
    def nvcc():
        for path in (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"):
            if path and os.access(path, os.X_OK):
                return path
        return None

    def stage_test(self):
        tests = self.tests()
        if not tests:
            return [not_run("tests", "none is built: run the stage build first")]
        return [self.say(self.one_test(test)) for test in tests]

    def one_test(self, test):
        began = time.monotonic()
        code, text = self.run(test.name, [test], EMSHAP_REQUIRE_GPU="1", EMSHAP_TEST_DEVICE="cuda")
        seconds = time.monotonic() - began
        cases = re.search(r"test cases: +(\d+) \| +(\d+) passed \| +(\d+) failed", text)
        if code is None:
            return not_run(test.name, f"out of time after {seconds:.0f} s")
        if code == 0 and cases and int(cases.group(2)) > 0:
            return passed(test.name, f"{cases.group(2)} cases, {seconds:.1f} s", cases=int(cases.group(2)))
        errors = re.findall(r"(?:ERROR|FATAL ERROR): (.*)", text)
        return failed(test.name, f"exit code {code}" + (": " + errors[0][:200] if errors else ""))

    def stage_sanitize(self):
        if self.host:
            return [not_run("compute-sanitizer " + t, "kernels ran on the processor") for t in TOOLS]
        if not shutil.which("compute-sanitizer"):
            return [not_run("compute-sanitizer " + t, "it is not installed") for t in TOOLS]
        tests = [t for t in self.tests() if self.small_cases(t) > 0]
        if not tests:
            return [not_run("compute-sanitizer " + t, "no test with small sizes is built") for t in TOOLS]
        jobs = [(tool, test) for tool in TOOLS for test in tests]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda job: self.sanitize(*job), jobs))
        items = []
        for tool in TOOLS:
            parts = [f for (t, _), f in zip(jobs, found) if t == tool]
            by = {s: [p for p in parts if p["status"] == s] for s in ("passed", "FAILED", "not run")}
            status = "FAILED" if by["FAILED"] else "not run" if by["not run"] else "passed"
            detail = f"{len(by['passed'])} of {len(parts)} test programs without errors"
            for part in (by["FAILED"] + by["not run"])[:5]:
                detail += f"; {part['name']}: {part['status']}, {part['detail']}"
            items.append(self.say({"name": "compute-sanitizer " + tool, "status": status, "detail": detail, "parts": parts}))
        return items

    def small_cases(self, test):
        code, text = self.run("list-" + test.name, [test, "--count", "--test-case=small:*"])
        match = re.search(r"passing the current filters: (\d+)", text)
        return int(match.group(1)) if code == 0 and match else 0

    def sanitize(self, tool, test):
        code, text = self.run(f"{tool}-{test.name}", ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", test,
                                                      "--test-case=small:*"],
                              EMSHAP_REQUIRE_GPU="1", EMSHAP_TEST_DEVICE="cuda")
        if code is None:
            return not_run(test.name, "out of time")
        return classify_sanitizer(test.name, code, text)

    def stage_bench(self):
        programs = [p for p in sorted(self.build.glob("bench/cuda/bench_cuda_*")) if os.access(p, os.X_OK)]
        items = []
        if not programs:
            items.append(not_run("benchmarks", "none is built: run the stage build first"))
        seconds = "0.001" if self.host else "0.1"
        for program in programs:
            out = self.dir / (program.name + ".json")
            out.unlink(missing_ok=True)
            code, text = self.run(program.name, [program, f"--benchmark_min_time={seconds}", f"--benchmark_out={out}",
                                                 "--benchmark_out_format=json"])
            if code is None:
                item = not_run(program.name, "out of time")
            elif code == 4:
                item = not_run(program.name, "there is no CUDA device")
            elif code < 0:
                item = failed(program.name, f"ended by signal {-code}; see logs/{program.name}.log")
            elif code != 0 or not out.exists():
                item = failed(program.name, f"exit code {code}: {text.strip()[-200:]}")
            else:
                item = self.read_benchmarks(program.name, json.loads(out.read_text()))
            items.append(self.say(item))
        return items + [self.say(item) for item in self.compare()]

    @staticmethod
    def read_benchmarks(name, report):
        rows, broken, missing = [], [], []
        for b in report["benchmarks"]:
            label = b["name"].replace("/manual_time", "").replace("/real_time", "")
            if b.get("error_occurred"):
                text = b["error_message"]
                (missing if "no CUDA kernel" in text else broken).append(label)
                rows.append({"name": label, "error": text})
            else:
                rows.append({"name": label, **{k: b[k] for k in ("us", "bytes", "flop", "GB/s", "GFLOP/s", "floor_us",
                                                                  "of_floor") if k in b}})
        detail = f"{len(rows) - len(broken) - len(missing)} of {len(rows)} measured"
        if missing:
            detail += f"; no kernel for {', '.join(sorted({m.split('/')[0] for m in missing}))}"
        if broken:
            detail += f"; wrong or failed: {', '.join(broken[:5])}"
        make = failed if broken else passed
        if missing and len(missing) == len(rows):
            return {**not_run(name, detail), "rows": rows, "context": report["context"]}
        return make(name, detail, rows=rows, context=report["context"])

    def compare(self):
        """The steps in PyTorch on the same device, one process each."""
        device = "cpu" if self.host else "cuda"
        probe = "import torch; print(torch.__version__, torch.cuda.is_available())"
        version, _, there = output_of(self.python, "-c", probe).partition(" ")
        if not version:
            return [not_run("PyTorch", f"{self.python} has no torch (EMSHAP_RIVAL_PYTHON names another)")]
        if device == "cuda" and there != "True":
            return [not_run("PyTorch", f"PyTorch {version} sees no CUDA device")]
        items = []
        here = ROOT / "bench/compare"
        tiny = ["--batches", "32", "--variants", "eager", "--seconds", "0.05"] if self.host else ["--seconds", "0.5"]
        for name, command in (("power_step", ["power_step.py", *tiny]), ("emshap_step", ["emshap_step.py", *tiny])):
            code, text = self.run("torch-" + name, [self.python, here / command[0], "--device", device, *command[1:]])
            items.append(self.read_rival("PyTorch " + name, code, text))
        items.append(self.explain(device))
        return items

    def explain(self, device):
        name = "PyTorch explain_step"
        program, dump = self.build / "bench/bench_explain_step", self.dir / "explain"
        if not program.exists():
            return not_run(name, "bench_explain_step is not built (it needs nlohmann-json)")
        if self.host:
            return not_run(name, "it takes minutes on a processor")
        if not (dump / "values.npy").exists():
            code, text = self.run("explain-dump", [program, "--dump", dump])
            if code != 0:
                return not_run(name, "its input could not be written in time" if code is None else text.strip()[-200:])
        code, text = self.run("torch-explain_step", [self.python, ROOT / "bench/compare/explain_step.py", "--dump", dump,
                                                     "--device", device])
        return self.read_rival(name, code, text)

    @staticmethod
    def read_rival(name, code, text):
        if code is None:
            return not_run(name, "out of time")
        try:
            report = json.loads(text.strip().splitlines()[-1])
        except (IndexError, ValueError):
            return failed(name, f"exit code {code}: {text.strip()[-200:]}")
        good = [r for r in report["results"] if "error" not in r]
        detail = f"PyTorch {report['torch']}, {len(good)} of {len(report['results'])} measured"
        wrong = [f"{r['variant']}: {r['error'][:120]}" for r in report["results"] if "error" in r]
        if wrong:
            detail += "; not run: " + "; ".join(sorted(set(wrong))[:3])
        return {**(passed if good else not_run)(name, detail), "rows": report["results"]}


def classify_sanitizer(name, code, text):
    """Passed only where the tool says that it found nothing and test cases ran."""
    summary = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", text)
    cases = re.search(r"test cases: +(\d+) \| +(\d+) passed \| +(\d+) failed", text)
    if summary and int(summary.group(1)) > 0 and not REFUSED.search(text):
        first = re.search(r"^=+ (?!COMPUTE-SANITIZER)(\S.*)$", text, re.M)
        return failed(name, f"{summary.group(1)} errors" + (": " + first.group(1)[:160] if first else ""))
    if code == 0 and summary and cases and int(cases.group(2)) > 0:
        return passed(name, f"{cases.group(2)} cases")
    refused = REFUSED.search(text)
    if refused:
        return not_run(name, "the tool refuses the device: " + refused.group(1))
    if cases and int(cases.group(1)) == 0:
        return not_run(name, "no test case has small sizes")
    what = "the tests fail under the tool" if summary else "the program ended without the tool's summary"
    return failed(name, f"exit code {code}, {what}")


def about(check):
    """Date, machine and versions."""
    commit = output_of("git", "rev-parse", "HEAD")
    if commit and output_of("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    carried = pathlib.Path(check.args.packages or "/nonexistent") / "commit"
    if not commit and carried.exists():
        commit = carried.read_text().strip()
    smi = output_of("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader").splitlines()
    nvcc = check.nvcc()
    release = re.search(r"release (\S+), (\S+)", output_of(nvcc, "--version")) if nvcc else None
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or "unknown",
        "kernels": "on the processor" if check.host else "on the GPU",
        "gpu": "none: kernels ran on the processor" if check.host else smi[0] if smi else "not found by nvidia-smi",
        "cuda": release.group(2) if release else "no nvcc",
        "architectures": "host" if check.host else check.args.arch,
        "cpu": cpu.group(1) if cpu else "",
    }


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--packages", default=os.environ.get("EMSHAP_GPU_PACKAGES", ""))
    parser.add_argument("--prebuilt", default=os.environ.get("EMSHAP_GPU_CHECK_BUILD", ""))
    parser.add_argument("--arch", default="90")
    parser.add_argument("--host", action="store_true")
    parser.add_argument("--limit", type=float, default=460)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if args.prebuilt == "host":
        args.prebuilt, args.host = "", True
    if args.packages and not pathlib.Path(args.packages).is_dir():
        sys.exit(f"gpu-check: --packages {args.packages} is no folder")
    every = ("build", "test", "sanitize", "bench")
    for stage in args.stages:
        if stage not in every:
            parser.error(f"unknown stage '{stage}'")
    check = Check(args)
    statuses = []
    for stage in args.stages or every:
        print(f"=== {stage}", flush=True)
        began = time.monotonic()
        check.end = began + args.limit
        items = getattr(check, "stage_" + stage)()
        if stage == "build":
            for item in items:
                check.say(item)
        result = {"stage": stage, "seconds": round(time.monotonic() - began), "about": about(check), "items": items}
        (check.results / (stage + ".json")).write_text(json.dumps(result, indent=1))
        statuses += [i["status"] for i in items]
    gpu_report.write(check.results, check.dir / "report.md", check.dir / "report.json")
    print(f"report: {(check.dir / 'report.md').relative_to(ROOT)}")
    counts = {s: statuses.count(s) for s in ("passed", "FAILED", "not run")}
    print(", ".join(f"{n} {s.lower()}" for s, n in counts.items()))
    sys.exit(1 if counts["FAILED"] else 0 if counts["passed"] else 4)


if __name__ == "__main__":
    main()
