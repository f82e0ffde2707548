#!/usr/bin/env python3
"""Draws what theory says of the samplers beside what the program does: docs/sampler-orders.svg and
docs/sampler-distributions.svg, and prints their numbers as Markdown.

    scripts/measure/theory.py docs --program build/release/steplapse

The program runs on a bundle whose denoiser is exact (scripts/measure/known_data.py), so what is left is the samplers'
own error: that of a path from a level to a smaller one against the probability flow ODE, which without fresh noise all
of them solve, and that of the distribution that whole runs end in.
"""

import argparse
import io
import json
import math
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts/
import steplapse_export  # noqa: F401  before torch: it sets how long OpenMP's threads spin

# isort: split
import matplotlib
import numpy
import torch
from matplotlib import pyplot
from safetensors.torch import load_file, save_file

from measure import known_data
from measure.known_data import SIDE

# DPM fast makes its steps of three calls each; a last one of one call is left where 3 divides all but 1, as here.
STEPS = (7, 10, 19, 40, 79, 160)
FITTED = STEPS[-3:]  # slopes are fitted to these
SMALLEST_SIGMA = 0.1  # sigma / alpha where the paths of the first plot end
FEW, MANY = 20, 100  # steps of the runs whose distributions are shown
SEED = 1
TIMEOUT = 120  # seconds; a run needs less than one


# --- runs ------------------------------------------------------------------------------------------------------------


@dataclass
class Program:
    """steplapse on the bundle of known data."""

    path: Path
    folder: Path

    def __post_init__(self):
        self.bundle = known_data.write_bundle(self.folder / "bundle")

    def __call__(self, *arguments) -> str:
        environment = {**os.environ, "STEPLAPSE_MODEL": str(self.bundle), "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            [self.path, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
        if ended.returncode != 0:
            sys.exit(f"theory.py: {ended.stderr.strip()}")
        return ended.stdout

    def samplers(self) -> list[dict]:
        return json.loads(self("samplers", "--json"))

    def levels(self, steps: int, smallest_sigma: float | None = None) -> dict:
        """Karras' levels to sigma 0; or, if it is given, to `smallest_sigma`."""
        ends_above = smallest_sigma is not None
        flags = ["--sigma-min", smallest_sigma] if ends_above else []
        levels = json.loads(self("schedule", "--json", "--schedule", "karras", "--steps", steps + ends_above, *flags))
        levels["init_scale"] = 1  # the latents are x itself
        if ends_above:
            levels["levels"].pop()
        return levels

    def end(self, sampler: str, levels: dict, x: numpy.ndarray, *flags) -> tuple[numpy.ndarray, int]:
        """Where x ends, and how often the denoiser was asked on the way."""
        run, start, file = (self.folder / name for name in ("run", "start.safetensors", "levels.json"))
        save_file({"latents": torch.from_numpy(x).float().reshape(1, 1, SIDE, SIDE)}, start)
        file.write_text(json.dumps(levels))
        self(
            "generate",
            "",
            "--sampler",
            sampler,
            "--levels",
            file,
            "--latents",
            start,
            "--seed",
            SEED,
            "--frames",
            "none",
            "--out",
            run,
            "--overwrite",
            "--progress",
            "none",
            *flags,
        )
        with sqlite3.connect(run / "run.sqlite") as log:
            (calls,) = log.execute("SELECT count(*) FROM calls").fetchone()
        return load_file(run / "final.safetensors")["latents"].double().numpy().ravel(), calls


def end_levels(levels: dict) -> tuple[tuple, tuple]:
    """(alpha, sigma) of the first and of the last."""
    return tuple((level["alpha"], level["sigma"]) for level in (levels["levels"][0], levels["levels"][-1]))


def even_quantiles(level: tuple) -> numpy.ndarray:
    """x at a level, as the data's noisy distribution has it: what a sampler starts from, without the luck of a draw."""
    return known_data.quantile((numpy.arange(SIDE**2) + 0.5) / SIDE**2, *level)


def root_mean_square(x: numpy.ndarray) -> float:
    return math.sqrt((x * x).mean())


# --- the probability flow ODE -----------------------------------------------------------------------------------------


@dataclass
class Line:
    """Errors of samplers that, without fresh noise, are one and the same."""

    names: list[str]
    order: int
    calls: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def slope(self) -> float | None:
        """-d log(error) / d log(calls); none where the number of steps is the sampler's own choice."""
        if len(set(self.calls)) < len(self.calls):
            return None
        points = numpy.log(self.calls[-len(FITTED) :]), numpy.log(self.errors[-len(FITTED) :])
        return -numpy.polyfit(*points, 1)[0]


def solves_the_ode(sampler: dict) -> bool:
    return sampler["eta"] is not None or not sampler["draws_noise"]


def ode_error(program: Program, sampler: dict, levels: dict) -> tuple[int, float]:
    """Calls, and the root mean square over the data's distribution."""
    start, end = end_levels(levels)
    x = even_quantiles(start)
    flags = ["--eta", 0] if sampler["eta"] is not None else []
    found, calls = program.end(sampler["name"], levels, x, *flags)
    return calls, root_mean_square(found - known_data.carried(x, start, end))


def measured_line(program: Program, sampler: dict, steps, smallest_sigma: float | None) -> Line:
    line = Line([sampler["name"]], sampler["order"])
    for n in steps:
        calls, error = ode_error(program, sampler, program.levels(n, smallest_sigma))
        line.calls.append(calls)
        line.errors.append(error)
    return line


def measure_orders(program: Program, smallest_sigma: float | None) -> list[Line]:
    lines = []
    for sampler in filter(solves_the_ode, program.samplers()):
        line = measured_line(program, sampler, STEPS, smallest_sigma)
        same = [
            other
            for other in lines
            if other.calls == line.calls and numpy.allclose(other.errors, line.errors, rtol=0.01)
        ]
        if same:
            same[0].names += line.names
        else:
            lines.append(line)
    return lines


def last_step_error() -> float:
    """What the step from the model's smallest sigma to 0 leaves, even from an exact x: x0 is the mean of what the data
    may have been, the ODE goes on."""
    start = tuple(float(x) for x in (known_data.ALPHAS_CUMPROD[0].sqrt(), (1 - known_data.ALPHAS_CUMPROD[0]).sqrt()))
    x = even_quantiles(start)
    return root_mean_square(known_data.posterior_mean(x, *start) - known_data.carried(x, start, (1, 0)))


def print_orders(lines: list[Line], whole: list[Line]) -> None:
    ends = {name: line.errors[-1] for line in whole for name in line.names}
    print(
        f"| sampler, without fresh noise | order | slope | error after {STEPS[2]} steps | after {STEPS[-1]} | "
        "whole run, after "
        f"{STEPS[-1]} |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for line in lines:
        slope = "-" if line.slope() is None else f"{line.slope():.2f}"
        names = ", ".join(f"`{name}`" for name in line.names)
        print(
            f"| {names} | {line.order} | {slope} | {line.errors[2]:.1e} | {line.errors[-1]:.1e} | "
            f"{ends[line.names[0]]:.1e} |"
        )
    print(f"\nThe last step alone leaves {last_step_error():.1e} of a whole run.\n")


# --- distributions ----------------------------------------------------------------------------------------------------


@dataclass
class Ends:
    """Whole runs of a sampler."""

    name: str
    few: numpy.ndarray
    many: numpy.ndarray


def measure_distributions(program: Program) -> list[Ends]:
    samplers = [sampler for sampler in program.samplers() if sampler["draws_noise"] or sampler["name"] == "ddim"]
    all_ends = []
    for sampler in samplers:
        ends = []
        for steps in (FEW, MANY):
            levels = program.levels(steps)
            x, _ = program.end(sampler["name"], levels, even_quantiles(end_levels(levels)[0]))
            ends.append(x)
        all_ends.append(Ends(sampler["name"], *ends))
    return all_ends


def sampling_errors() -> tuple[float, float]:
    """Standard errors of the mean and the variance of SIDE² draws."""
    variance = known_data.VARIANCE
    return math.sqrt(variance) / SIDE, math.sqrt(known_data.FOURTH_MOMENT - variance**2) / SIDE


def print_distributions(all_ends: list[Ends]) -> None:
    of_mean, of_variance = sampling_errors()
    print(f"| sampler | mean, {FEW} steps | {MANY} steps | variance, {FEW} steps | {MANY} steps |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| *the data, ± the sampling error* | {known_data.MEAN:.3f} ± {of_mean:.3f} | | "
        f"{known_data.VARIANCE:.3f} ± {of_variance:.3f} | |"
    )
    for ends in all_ends:
        print(
            f"| `{ends.name}` | {ends.few.mean():.3f} | {ends.many.mean():.3f} | {ends.few.var():.3f} | "
            f"{ends.many.var():.3f} |"
        )
    print()


# --- drawings ---------------------------------------------------------------------------------------------------------

GREY = "0.6"
# Of the lines in their order, in all panels alike.
COLORS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#111111",
    "#d62728",
    "#9467bd",
    "#e377c2",
    "#8c564b",
    "#17becf",
    "#bcbd22",
    "#7f7f7f",
    "#0b3d91",
    "#b8860b",
    "#6b8e23",
)
MARKERS = "osDPv^<>XphHd*"
SHOWN_WHOLE = ("ddim", "heun", "dpm2", "lms", "dpmpp_2m", "unipc")


def write_svg(figure, path: Path) -> None:
    """The same bytes each time, and half as many: a tenth of a point is fine enough for a line."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    rounded = re.sub(r"\d+\.\d\d+(?=[\d. ]*$)", lambda number: f"{float(number[0]):.1f}", drawn.getvalue(), flags=re.M)
    path.write_text(rounded.replace(" \nL ", "L"))


def draw_guide(axes, order: int, calls, error: float) -> None:
    """A straight line that falls with this order from `error` at the first of `calls`."""
    calls = numpy.array(calls, float)
    errors = error * (calls / calls[0]) ** -order
    axes.plot(calls, errors, color="0.85", lw=4, zorder=0, solid_capstyle="butt")
    axes.annotate(
        f"order {order}",
        (calls[-1], errors[-1]),
        (4, 0),
        textcoords="offset points",
        color=GREY,
        va="center",
        fontsize=8,
    )


def draw_lines(axes, lines: list[Line], title: str, styles: dict) -> None:
    for line in lines:
        single = line.slope() is None
        x, y = (line.calls[:1], line.errors[:1]) if single else (line.calls, line.errors)
        color, marker = styles[line.names[0]]
        axes.plot(
            x,
            y,
            color=color,
            marker=marker,
            ms=9 if single else 4.5,
            lw=1.4,
            ls="none" if single else "-",
            label=", ".join(line.names),
        )
    axes.set(xscale="log", yscale="log", title=title, xlabel="denoiser calls")
    axes.set_xticks([10, 20, 50, 100, 200, 400], ["10", "20", "50", "100", "200", "400"])
    axes.minorticks_off()
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, frameon=False, loc="lower left")


def draw_orders(lines: list[Line], whole: list[Line], samplers: list[dict], path: Path) -> None:
    once = {sampler["name"] for sampler in samplers if sampler["calls_a_step"] == 1 and not sampler["picks_levels"]}
    styles = {line.names[0]: style for line, style in zip(lines, zip(COLORS, MARKERS), strict=True)}
    multistep = [line for line in lines if line.order > 1 and line.names[0] in once]
    alone = [line for line in lines if line not in multistep]
    figure, (left, middle, right) = pyplot.subplots(
        1, 3, figsize=(13, 5.2), sharex=True, sharey=True, layout="constrained"
    )
    draw_lines(left, alone, f"each step by itself, to sigma {SMALLEST_SIGMA}", styles)
    draw_lines(middle, multistep, f"multistep, to sigma {SMALLEST_SIGMA}", styles)
    draw_lines(right, [line for line in whole if line.names[0] in SHOWN_WHOLE], "whole runs, to sigma 0", styles)
    for axes in (left, middle):
        draw_guide(axes, 1, [30, 240], 0.25)
        draw_guide(axes, 2, [30, 240], 0.06)
    right.axhline(last_step_error(), color=GREY, lw=1, ls="--")
    right.annotate(
        "the last step alone",
        (7, last_step_error()),
        (0, -4),
        textcoords="offset points",
        va="top",
        color="0.4",
        fontsize=8,
    )
    left.set_ylabel("root mean square error of x")
    left.set(xlim=(5.5, 480), ylim=(2e-6, 1))
    write_svg(figure, path)


def draw_distributions(all_ends: list[Ends], path: Path) -> None:
    columns = 5
    rows = -(-len(all_ends) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(13, 2.1 * rows), sharex=True, sharey=True, layout="constrained"
    )
    x, bins = numpy.linspace(-2.2, 2.6, 73), numpy.linspace(-2.2, 2.6, 41)
    for axes, ends in zip(grid.flat, all_ends):
        axes.hist(ends.few, bins, density=True, histtype="stepfilled", color="#9ecae1", label=f"{FEW} steps")
        axes.hist(ends.many, bins, density=True, histtype="step", color="#08519c", lw=1, label=f"{MANY} steps")
        axes.plot(x, known_data.density(x), color="#d94801", lw=1, label="the data")
        axes.set_title(ends.name, fontsize=10)
        moments = (f"{steps}: {x.mean():.3f}, {x.var():.3f}" for steps, x in ((FEW, ends.few), (MANY, ends.many)))
        axes.text(
            0.5, 0.98, "\n".join(moments), transform=axes.transAxes, ha="center", va="top", fontsize=7.5, color="0.3"
        )
        axes.set(yticks=[], xticks=[-2, -1, 0, 1, 2], ylim=(0, 1.25))
        axes.spines.left.set_visible(False)
    for axes in list(grid.flat)[len(all_ends) :]:
        axes.set_axis_off()
    of_mean, of_variance = sampling_errors()
    figure.legend(
        *grid.flat[0].get_legend_handles_labels(),
        loc="lower right",
        frameon=False,
        fontsize=10,
        alignment="left",
        title=f"steps: mean, variance of {SIDE**2:,} trajectories\nthe data: {known_data.MEAN:.3f} ± "
        f"{of_mean:.3f}, {known_data.VARIANCE:.3f} ± {of_variance:.3f}",
    )
    write_svg(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="where the drawings go")
    parser.add_argument(
        "--program", type=Path, default=Path("build/release/steplapse"), help="(build/release/steplapse)"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # Letters as outlines look alike everywhere.
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "steplapse",
            "svg.fonttype": "path",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        program = Program(args.program.resolve(), Path(folder))
        lines, whole = measure_orders(program, SMALLEST_SIGMA), measure_orders(program, None)
        print_orders(lines, whole)
        draw_orders(lines, whole, program.samplers(), args.out / "sampler-orders.svg")
        all_ends = measure_distributions(program)
        print_distributions(all_ends)
        draw_distributions(all_ends, args.out / "sampler-distributions.svg")


if __name__ == "__main__":
    main()
