"""The loop every stage of train.py shares: workers, learning rate, averaged weights, checkpoints.

On a CPU each core is a worker process with one thread, computing the gradient of its own part of the batch.
One process with a thread a core would meet at a barrier in every operator, and stand still there whenever
something else runs on one of the cores; workers meet once a step.

All chance (which drawings, which noise) is a function of seed, step and worker, so a run that was interrupted
goes on as if it had not been.
"""

import ctypes
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as multiprocessing


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed: giving it back and faulting it in again costs a third of a step."""
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, (1 << 31) - 1)
        libc.mallopt(m_top_pad, 1 << 28)
    except (OSError, AttributeError):
        pass  # another C library: slower, not wrong


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware computes in it: elsewhere it takes ten times longer than float32."""
    enabled = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def save_whole(value, path: Path) -> None:
    """Saves so that `path` holds either the old checkpoint or the new one, never half of one."""
    temporary = path.with_name(path.name + ".part")
    torch.save(value, temporary)
    os.replace(temporary, path)


def generator(*key: int) -> torch.Generator:
    """A random stream of its own for each key, such as (seed, step, worker)."""
    words = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


def batch_indices(count: int, size: int, seed: int, step: int) -> torch.Tensor:
    """Which of `count` drawings are in the batch of this step: each once a pass, in a new order every pass."""
    positions = torch.arange(step * size, (step + 1) * size)
    passes = positions // count
    orders = {int(p): torch.randperm(count, generator=generator(seed, int(p))) for p in passes.unique()}
    return torch.stack([orders[int(p)][i % count] for p, i in zip(passes, positions)])


class Progress:
    """How much of a stage is done, by steps or by the clock, across interruptions; and its learning rate."""

    def __init__(self, steps: int | None, minutes: float | None):
        self.steps, self.seconds = steps, minutes * 60 if minutes else None
        self.step, self.elapsed = 0, 0.0
        self._last = time.monotonic()

    def share(self) -> float:
        """0 at the start, 1 at the end."""
        return self.step / self.steps if self.steps else self.elapsed / self.seconds

    def done(self) -> bool:
        return self.share() >= 1

    def tick(self) -> None:
        now = time.monotonic()
        self.step, self.elapsed, self._last = self.step + 1, self.elapsed + now - self._last, now

    def learning_rate(self, peak: float, warm_up: int = 200) -> float:
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1, self.share()))
        return peak * min(1, (self.step + 1) / warm_up) * max(1e-3, falling)


def add_training_stage(stages, name: str, run, batch: int, rate: float, average: float):
    """A subcommand with the flags that train() reads; returns its parser, for more of them."""
    stage = stages.add_parser(name)
    stage.set_defaults(run=run)
    length = stage.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int)
    length.add_argument("--minutes", type=float)
    stage.add_argument("--batch", type=int, default=batch)
    stage.add_argument("--rate", type=float, default=rate)
    stage.add_argument("--average", type=float, default=average, help="decay of the averaged weights")
    stage.add_argument(
        "--workers",
        type=int,
        default=1 if torch.cuda.is_available() else torch.get_num_threads(),
        help="processes that share a batch (CPU only)",
    )
    return stage


def _work(task, model, gradients, step, stop, meeting, args, worker) -> None:
    """A worker other than the first: the gradient of its part, once a step, until told to stop."""
    torch.set_num_threads(1)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first worker ends the others
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)  # and a killed one takes them along
    while True:
        meeting.wait()
        if stop.value:
            return
        _compute(task, model, gradients[worker], int(step.value), args, worker)
        meeting.wait()


def _compute(task, model, gradient, step, args, worker) -> dict:
    indices = batch_indices(len(task), args.batch, args.seed, step).tensor_split(args.workers)[worker]
    model.zero_grad(set_to_none=True)
    loss, figures = task.loss(model, indices, generator(args.seed, step, 1 + worker))
    loss.backward()
    if gradient is not None:
        torch.cat([p.grad.reshape(-1) for p in model.parameters()], out=gradient)
    return figures


def train(
    task, model: torch.nn.Module, checkpoint: Path, args, every_minutes: float = 5, watch=None
) -> torch.nn.Module:
    """Trains `model` on `task` and returns the average of its weights.

    task.loss(model, indices, generator) gives the loss and a dict of figures; len(task) is the number of drawings.
    args: device, workers, batch, rate, steps or minutes, average (decay of the weight average, 0 for none), seed.
    watch(averaged model, progress) is called with each checkpoint.
    """
    keep_freed_memory()
    progress = Progress(args.steps, args.minutes)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    averaged = [p.detach().clone() for p in parameters]
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        averaged = saved["averaged"]
        progress.step, progress.elapsed = saved["step"], saved["elapsed"]
        say(f"going on from step {progress.step}, {progress.share():.1%}")

    others, gradients = [], [None]
    if args.workers > 1:
        torch.set_num_threads(1)
        model.share_memory()
        total = sum(p.numel() for p in parameters)
        gradients = [torch.zeros(total).share_memory_() for _ in range(args.workers)]
        context = multiprocessing.get_context("spawn")
        meeting, step, stop = context.Barrier(args.workers), context.Value("q"), context.Value("b")
        for worker in range(1, args.workers):
            others.append(
                context.Process(
                    target=_work, daemon=True, args=(task, model, gradients, step, stop, meeting, args, worker)
                )
            )
            others[-1].start()
        sizes = [p.numel() for p in parameters]

    def averaged_model() -> torch.nn.Module:
        copy = task.new_model().to(args.device).eval()
        copy.load_state_dict(model.state_dict())
        for parameter, average in zip(copy.parameters(), averaged):
            parameter.data.copy_(average)
        return copy

    def save() -> None:
        save_whole(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "averaged": averaged,
                "step": progress.step,
                "elapsed": progress.elapsed,
            },
            checkpoint,
        )

    interrupted = []
    before = {
        number: signal.signal(number, lambda received, frame: interrupted.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    recent, said, saved_at = [], time.monotonic(), time.monotonic()
    while not progress.done() and not interrupted:
        if others:
            step.value = progress.step
            meeting.wait()
        figures = _compute(task, model, gradients[0], progress.step, args, 0)
        if others:
            meeting.wait()
            mean = torch.stack(gradients).mean(0) if args.workers > 2 else torch.add(*gradients).div_(2)
            for parameter, part in zip(parameters, mean.split(sizes)):
                parameter.grad = part.view_as(parameter)
        for group in optimizer.param_groups:
            group["lr"] = progress.learning_rate(args.rate)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay = min(args.average, (1 + progress.step) / (10 + progress.step))
        torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - decay)
        progress.tick()

        recent.append(figures)
        if time.monotonic() - said > 30:
            means = ", ".join(f"{name} {np.mean([f[name] for f in recent]):.4g}" for name in figures)
            pace = (time.monotonic() - said) / len(recent)
            say(f"step {progress.step} {progress.share():.1%} {pace:.3f} s a step, {means}")
            recent, said = [], time.monotonic()
        if time.monotonic() - saved_at > every_minutes * 60:
            save()
            if watch:
                watch(averaged_model(), progress)
            saved_at = time.monotonic()
    save()
    for number, handler in before.items():
        signal.signal(number, handler)
    if others:
        stop.value = 1
        meeting.wait()
        for other in others:
            other.join()
        torch.set_num_threads(args.workers)
    if interrupted:
        say(f"interrupted at step {progress.step}; the same command goes on from here")
        raise SystemExit(128 + interrupted[0])
    return averaged_model()
