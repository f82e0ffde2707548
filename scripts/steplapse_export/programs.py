"""From a module to a TorchScript program without weights, beside its weights in safetensors; and the proof that it
answers as the module did."""

import functools
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SAFETENSORS_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}

LARGEST_FILE = 256 << 20  # bytes of weights: files are hashed side by side when they are loaded

# Largest difference between a program and its eager module, as a share of the largest answer. Batches of another
# size take other paths through the matrix kernels, which round differently; anything structural is far above this.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}


class ExportError(Exception):
    """What keeps a pipeline from being a bundle."""


def slot_of(program, name: str):
    """Where a program holds its parameter or buffer `name`: the module in it, and its own name there."""
    *path, own = name.split(".")
    return functools.reduce(getattr, path, program)._c, own


@dataclass
class Written:
    program: Path
    weights: list[Path]
    tensors: dict  # by the names they have in both


def write_program(wrapper, inputs, folder: Path, name: str, store: torch.dtype) -> Written:
    """Traces the module, and writes NAME.pt without weights, and its weights."""
    with torch.no_grad(), warnings.catch_warnings():
        # What a trace takes for constant is held against the eager module afterwards.
        warnings.simplefilter("ignore")
        program = torch.jit.trace(wrapper, inputs, check_trace=False)
    tensors = {**dict(program.named_parameters()), **dict(program.named_buffers())}
    held = {key: (t.data.to(store) if t.is_floating_point() else t).contiguous() for key, t in tensors.items()}
    weights = [folder / file for file in write_weights(held, folder, name)]
    for key, tensor in tensors.items():
        module, own = slot_of(program, key)
        module.setattr(own, torch.empty(0, dtype=tensor.dtype))  # not tensor.data: the pipeline's own module has it too
    program.save(str(folder / f"{name}.full.pt"))
    strip_records(folder / f"{name}.full.pt", folder / f"{name}.pt")
    for path in (folder / f"{name}.pt", *weights):
        path.chmod(0o644)
    return Written(folder / f"{name}.pt", weights, held)


def write_weights(tensors: dict, folder: Path, name: str) -> list[str]:
    """NAME.safetensors, or NAME-00001-of-00004.safetensors and so on."""
    parts, size = [{}], 0
    for key, tensor in tensors.items():
        if size > 0 and size + tensor.nbytes > LARGEST_FILE:
            parts.append({})
            size = 0
        parts[-1][key] = tensor
        size += tensor.nbytes
    files = [f"{name}-{i:05}-of-{len(parts):05}.safetensors" for i in range(1, len(parts) + 1)]
    if len(parts) == 1:
        files = [f"{name}.safetensors"]
    for file, part in zip(files, parts):
        save_file(part, folder / file)
    return files


def strip_records(archive: Path, stripped: Path) -> None:
    """Leaves out the inputs it was traced with, and which line of whose Python each operator came from: most of the
    archive, and this machine's paths."""
    reader = torch._C.PyTorchFileReader(str(archive))
    writer = torch._C.PyTorchFileWriter(str(stripped))
    # An archive that calls itself older than its operators would have them replaced on loading, `div` for one.
    with zipfile.ZipFile(archive) as records:
        version = next(name for name in records.namelist() if name.rsplit("/", 1)[-1] == "version")
        writer.set_min_version(int(records.read(version)))
    for record in reader.get_all_records():
        own = record in ("version", "byteorder") or record.startswith(".data/")  # the writer has its own of these
        if not own and not record.endswith(".debug_pkl") and not record.startswith("traced_inputs"):
            content = reader.get_record(record)
            writer.write_record(record, content, len(content))
    writer.write_end_of_file()
    archive.unlink()


def refuse_constants(archive: Path) -> None:
    """A program must not name a device, nor carry tensors of its own, which would stay where they are.

    Single numbers are fine: tracing makes `1.702 * x` a tensor without dimensions, and such a one goes with any device.
    """
    with zipfile.ZipFile(archive) as records:
        for record in (name for name in records.namelist() if name.endswith(".py")):
            for number, line in enumerate(records.read(record).decode().splitlines(), 1):
                if "torch.device(" in line:
                    raise ExportError(f"{archive.name}: {record}:{number} names a device: {line.strip()}")
    graph = torch.jit.load(str(archive)).inlined_graph  # its nodes live as long as it does
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t" and node.t("value").dim() > 0:
            raise ExportError(f"{archive.name} carries a tensor of shape {list(node.t('value').shape)} in its code")


def load_program(archive: Path, weights: list[Path], compute: torch.dtype, device: str = "cpu"):
    """As steplapse loads it: the program, then each tensor put in its place by name."""
    program = torch.jit.load(str(archive))
    held = {name: tensor for file in weights for name, tensor in load_file(file).items()}
    for name in [key for key, _ in [*program.named_parameters(), *program.named_buffers()]]:
        value = held.pop(name)
        module, own = slot_of(program, name)
        module.setattr(own, value.to(device, compute if value.is_floating_point() else None))
    if held:
        raise ExportError(f"{weights[0].name}: nothing in {archive.name} is called {sorted(held)[0]}")
    return program.eval()


def as_tuple(answer) -> tuple:
    return answer if isinstance(answer, tuple) else (answer,)


@torch.no_grad()
def verify(program, eager, inputs, what: str, tolerance: float) -> None:
    try:
        answer = program(*inputs)
    except RuntimeError as error:
        raise ExportError(f"{what}: the program fails: {str(error).strip().splitlines()[-1]}") from error
    for found, wanted in zip(as_tuple(answer), as_tuple(eager(*inputs)), strict=True):
        if found.shape != wanted.shape or found.dtype != torch.float32:
            raise ExportError(
                f"{what}: the program answers {list(found.shape)} {found.dtype}, the pipeline {list(wanted.shape)}"
            )
        difference = ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6)).item()
        if not difference <= tolerance:
            raise ExportError(
                f"{what}: the program is {difference:.2g} off the pipeline's answer, {tolerance:.2g} is allowed"
            )
