"""What steplapse says of input it can't use: one line, an exit code, and nothing left on disk."""

import contextlib
import hashlib
import json
import resource
import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file

from harness import PROGRAM, assert_readable, environment
from measure.bits import accept_files

FAILED, USAGE, REFUSED, OUTPUT, MEMORY = 1, 2, 3, 4, 5


def everything_under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def refusal(run, tmp_path):
    """refusal(code, "red apple", ...) is the one line on stderr, without `steplapse: `. No file appears."""

    def refusal(code: int, *arguments, **more) -> str:
        before = everything_under(tmp_path)
        ended = run(*arguments, **more)
        assert ended.code == code, ended
        assert ended.out == ""
        assert everything_under(tmp_path) == before
        (line,) = ended.lines()
        place, _, message = line.partition(": ")
        assert place == "steplapse"
        return message

    return refusal


# ---- the command line

COUNT = "expected an integer of 1 or more"
SEED = "expected an integer from 0 to 18446744073709551615, or -1 for a random one"
SCALE = "expected a number of 0 or more"
TRAINED = "the model has 1000 timesteps; expected 1 to 500 or 999"
STEPS = "expected step numbers with commas between, as 1,5,30"
KINDS = "choose from x0, xt, diff, signed_diff, cond, uncond, none"
PIXELS = "expected WIDTHxHEIGHT in pixels, as 512x768"
QUOTES = "unexpected 'apple'; a prompt of several words wants quotes: steplapse \"red apple\""
MODEL = "steplapse model wants one of: inspect [DIR], verify [DIR], prompts [WORD] (to draw the prompt "

SAMPLERS = (
    "ddim, ddpm, euler, euler_a, heun, dpm2, dpm2_a, lms, pndm, ipndm, dpmpp_2s_a, dpmpp_sde, dpmpp_2m, "
    "dpmpp_2m_sde, dpmpp_2m_sde_heun, dpmpp_3m_sde, unipc, deis, lcm, tcd, er_sde, res_multistep, restart, dpm_fast, "
    "dpm_adaptive"
)

COMMAND_LINES = [
    ([], 'no PROMPT; try steplapse "red apple", or steplapse --help'),
    (["generate"], "no PROMPT; see steplapse generate --help"),
    (["red apple", "--steps"], "--steps: wants a value; see steplapse generate --help"),
    (["red apple", "--steps", "3", "--steps", "4"], "--steps: given more than once; see steplapse generate --help"),
    # Names.
    (["red apple", "--stpes", "5"], "unknown flag '--stpes', did you mean '--steps'?"),
    (["red apple", "--guidence-scale=5"], "unknown flag '--guidence-scale', did you mean '--guidance-scale'?"),
    (["red apple", "--nonsense"], "unknown flag '--nonsense', see steplapse generate --help"),
    (["red apple", "--sampler", "dim"], f"--sampler 'dim': did you mean 'ddim'? choose from {SAMPLERS}"),
    (["red apple", "--sampler", "nonsense"], f"--sampler 'nonsense': choose from {SAMPLERS}"),
    (
        ["red apple", "--schedule", "treiling"],
        "--schedule 'treiling': did you mean 'trailing'? choose from ays, bundle, leading, linspace, trailing, "
        "linspace_sigma, linspace_solver, leading_solver, normal, simple, sgm_uniform, ddim_uniform, karras, "
        "exponential, polyexponential, beta, beta_sigma, kl_optimal, ays_sd1, ays_sdxl, "
        "laplace, linear_quadratic, lcm",
    ),
    (["red apple", "--rng", "philux"], "--rng 'philux': did you mean 'philox'? choose from cpu, philox"),
    (
        ["red apple", "--progress", "bars"],
        "--progress 'bars': did you mean 'bar'? choose from auto, bar, lines, json, none",
    ),
    (["red apple", "--decoder", "linaer"], "--decoder 'linaer': tiny has full, linear"),
    (["red apple", "--device", "gpi"], "--device 'gpi': choose from auto, cpu, cuda, cuda:N"),
    # Numbers.
    (["red apple", "--steps", "0"], f"--steps '0': {COUNT}"),
    (["red apple", "--steps", "-5"], f"--steps '-5': {COUNT}"),
    (["red apple", "--steps", "1e9"], f"--steps '1e9': {COUNT}"),
    (["red apple", "--steps", "3.5"], f"--steps '3.5': {COUNT}"),
    (["red apple", "--steps", ""], f"--steps '': {COUNT}"),
    (["red apple", "--steps", "99999999999999999999"], f"--steps '99999999999999999999': {COUNT}"),
    (["red apple", "--steps", "1001"], f"--steps 1001: {TRAINED}"),
    (["red apple", "--steps", "1000000000"], f"--steps 1000000000: {TRAINED}"),
    (["red apple", "--seed", "18446744073709551616"], f"--seed '18446744073709551616': {SEED}"),
    (["red apple", "--seed", "-2"], f"--seed '-2': {SEED}"),
    (["red apple", "--seed", "0x10"], f"--seed '0x10': {SEED}"),
    (["red apple", "--guidance-scale", "nan"], f"--guidance-scale 'nan': {SCALE}"),
    (["red apple", "--guidance-scale", "inf"], f"--guidance-scale 'inf': {SCALE}"),
    (["red apple", "--guidance-scale", "-1"], f"--guidance-scale '-1': {SCALE}"),
    (["red apple", "--eta", "2"], "--eta '2': expected a number from 0 to 1"),
    (["red apple", "--eta", "nan"], "--eta 'nan': expected a number from 0 to 1"),
    (["red apple", "--threads", "0"], "--threads '0': expected an integer from 1 to 1024"),
    (["red apple", "--size", "17x16"], "--size 17x16: the model 'tiny' makes 16x16"),
    (["red apple", "--size", "32x32"], "--size 32x32: the model 'tiny' makes 16x16"),
    (["red apple", "--size", "16"], "--size '16': expected WIDTHxHEIGHT in pixels, as 16x16"),
    (["red apple", "--size", "-16x16"], f"--size '-16x16': {PIXELS}"),
    # Frames.
    (["red apple", "--frames", "x1"], f"--frames 'x1': did you mean 'x0'? {KINDS}"),
    (["red apple", "--frames", ""], f"--frames '': {KINDS}"),
    (["red apple", "--frames", "none,x0"], "--frames 'none,x0': none stands alone"),
    (["red apple", "--frames", "none", "--every", "2"], "--every: there are no frames with --frames none"),
    (["red apple", "--every", "0"], f"--every '0': {COUNT}"),
    (["red apple", "--at", "1,x"], f"--at '1,x': {STEPS}"),
    (["red apple", "--at", "1,,2"], f"--at '1,,2': {STEPS}"),
    (["red apple", "--at", "31"], "--at 31: a run of 30 steps has frames 1 to 30"),
    (["red apple", "--at", "0"], "--at 0: a run of 30 steps has frames 1 to 30"),
    (["red apple", "--at", "31", "--frames", "xt"], "--at 31: a run of 30 steps has frames 0 to 30"),
    (["red apple", "--at", "1", "--every", "2"], "--at names the steps already; leave out --every"),
    (["red apple", "--from", "5", "--to", "3"], "--from 5 is after --to 3"),
    (["red apple", "--to", "31"], "--to 31: a run of 30 steps has frames 1 to 30"),
    # Prompts.
    (["red", "apple"], QUOTES),
    (["red", "apple", "--steps", "3"], QUOTES),
    (
        ["a", "$1 cat", "--steps", "3"],
        "unexpected '$1 cat'; a prompt of several words wants quotes: steplapse \"a \\$1 cat\"",
    ),
    (
        ["model", "prompts", "red", "apple"],
        "unexpected 'apple'; several words want quotes: steplapse model prompts \"red apple\"",
    ),
    (
        ["model", "inspect", "my", "model"],
        "unexpected 'model'; several words want quotes: steplapse model inspect \"my model\"",
    ),
    (
        ["schedule", "of", "love"],
        "unexpected 'of'; steplapse schedule takes flags alone (to draw the prompt 'schedule of love': "
        'steplapse generate "schedule of love")',
    ),
    (
        ["--", "--weird", "--out", "x"],
        "unexpected '--out' after --, where everything is a word; write flags before the --",
    ),
    # Commands.
    (["model"], MODEL + "'model': steplapse generate model)"),
    (
        ["model", "aeroplane"],
        f"unknown command 'model aeroplane'; {MODEL}'model aeroplane': steplapse generate \"model aeroplane\")",
    ),
    (
        ["sampler"],
        "unknown command 'sampler', did you mean: steplapse samplers? (to draw the prompt 'sampler': "
        "steplapse generate sampler)",
    ),
    (
        ["img2img", "--seed", "3"],
        "'img2img' is not a command of this version; steplapse help lists them (to draw the prompt 'img2img': "
        "steplapse generate img2img)",
    ),
    (
        ["help", "me"],
        "no command 'me'; steplapse help lists them (to draw the prompt 'help me': steplapse generate \"help me\")",
    ),
    (
        ["help", "sampler"],
        "no command 'sampler', did you mean: steplapse help samplers? (to draw the prompt 'help sampler': "
        'steplapse generate "help sampler")',
    ),
    (
        ["version", "2"],
        "unexpected '2'; steplapse version takes flags alone (to draw the prompt 'version 2': "
        'steplapse generate "version 2")',
    ),
    (
        ["schedule", "--stpes", "3"],
        "unknown flag '--stpes', did you mean '--steps'? (to draw the prompt 'schedule': steplapse generate schedule)",
    ),
    ([b"red \xff\xfe"], "PROMPT: not valid UTF-8"),
    (["red apple", "--negative-prompt", b"blue\xff"], "--negative-prompt: not valid UTF-8"),
]


@pytest.mark.parametrize(
    "arguments, message", COMMAND_LINES, ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else ""
)
def test_a_command_line_that_makes_no_sense_is_answered_in_one_line(refusal, arguments, message):
    assert refusal(USAGE, *arguments) == message


def test_a_prompt_of_a_megabyte_is_refused(refusal):
    assert refusal(USAGE, "-", stdin=b"apple " * 166_667) == "PROMPT: 1000002 bytes, at most 100000 expected"


def test_standard_input_that_is_too_long_or_cannot_be_read_is_no_prompt(refusal, tiny_bundle, tmp_path):
    assert refusal(USAGE, "-", stdin=b"a" * ((1 << 20) + 1)) == "standard input: more than 1048576 bytes"
    most = 64 << 20
    assert refusal(USAGE, "--prompts", "-", stdin=b"a" * (most + 1)) == f"standard input: more than {most} bytes"
    command = ["sh", "-c", f'exec "{PROGRAM}" - < /']  # a folder
    ended = subprocess.run(command, cwd=tmp_path, env=environment(tiny_bundle), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (USAGE, "steplapse: standard input: cannot read: Is a directory\n")


def test_a_device_that_is_not_there_is_named(refusal):
    if subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout if shutil.which("nvidia-smi") else b"":
        pytest.skip("there is a CUDA device")
    said = "this libtorch sees no CUDA device; use --device cpu"
    for name in ("cuda", "gpu"):
        assert refusal(USAGE, "red apple", "--device", name) == f"--device cuda: {said}"
    assert refusal(USAGE, "red apple", "--device", "cuda:1") == f"--device cuda:1: {said}"


def test_a_prompt_beyond_the_window_is_cut_with_a_warning_that_quotes_what_was_cut(run, tiny_bundle):
    prompt = "red apple and a blue whale in a castle"
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tiny_bundle / "tokenizer.model"))
    beyond = tokenizer.encode(prompt, out_type=str)[18:]  # 20 tokens, less bos and eos
    cut = "".join(beyond).replace("▁", " ").lstrip()
    assert cut and prompt.endswith(cut)
    ended = run(prompt, "--steps", 1, "--frames", "none", "--schedule", "trailing", "--progress", "none")
    assert ended.code == 0
    assert ended.lines() == [f"steplapse: warning: the prompt is longer than the model's 20 tokens; left out: '{cut}'"]


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["red apple", "--steps", "0"], USAGE, f"--steps '0': {COUNT}"),
        (["red apple", "--stpes", "5"], USAGE, "unknown flag '--stpes', did you mean '--steps'?"),
        (["red apple", "--size", "17x16"], USAGE, "--size 17x16: the model 'tiny' makes 16x16"),
        (
            ["sampler"],
            USAGE,
            "unknown command 'sampler', did you mean: steplapse samplers? (to draw the prompt 'sampler': "
            "steplapse generate sampler)",
        ),
        (
            ["red apple", "--model", "gone"],
            REFUSED,
            "gone: no such folder; name one with --model DIR, or make one with scripts/export_bundle.py",
        ),
    ],
)
def test_with_json_progress_an_error_is_an_object_too(run, arguments, code, message):
    ended = run(*arguments, "--progress", "json")
    assert ended.code == code
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"event": "error", "message": message, "exit_code": code}
    ]
    assert ended.err == f"steplapse: {message}\n"


# ---- starting noise


def test_latents_that_can_not_be_used_are_refused(refusal, tmp_path):
    noise = np.zeros((1, 4, 4, 4), np.float32)

    def of(tensors) -> str:
        save_file(tensors, tmp_path / "x.safetensors")
        return refusal(USAGE, "red apple", "--latents", "x.safetensors")

    (tmp_path / "text").write_text("not a safetensors file, but longer than eight bytes")
    assert of({"latents": noise[..., :3].copy()}) == (
        "--latents: 'latents' is [1, 4, 4, 3], this model and size want [1, 4, 4, 4]"
    )
    assert of({"latents": noise + np.float32("nan")}) == "--latents: 'latents' holds numbers that are not finite"
    assert of({"latents": noise.astype(np.float64) + 1e300}) == "--latents: 'latents' holds numbers that are not finite"
    assert of({"noise": noise}) == "--latents: x.safetensors: no tensor 'latents' in it"
    assert refusal(USAGE, "red apple", "--latents", "gone") == (
        "--latents: gone: can't be opened: No such file or directory"
    )
    assert refusal(USAGE, "red apple", "--latents", "text") == (
        f"--latents: text: says its header has {int.from_bytes(b'not a sa', 'little')} bytes, the file has 51"
    )


# ---- bundles


@pytest.fixture
def bundle(tiny_bundle, tmp_path) -> Path:
    """A copy of the tiny bundle, for breaking."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "broken"))


def change_manifest(bundle: Path, change) -> None:
    manifest = json.loads((bundle / "model.json").read_text())
    change(manifest)
    (bundle / "model.json").write_text(json.dumps(manifest))


@pytest.fixture
def bundle_refusal(refusal):
    return lambda: refusal(REFUSED, "red apple", "--model", "broken", "--steps", 3, "--out", "out")


def test_a_folder_without_a_bundle_is_refused(refusal, tmp_path):
    assert refusal(REFUSED, "red apple", "--model", "gone") == (
        "gone: no such folder; name one with --model DIR, or make one with scripts/export_bundle.py"
    )
    (tmp_path / "empty").mkdir()
    assert refusal(REFUSED, "red apple", "--model", "empty") == (
        "empty/model.json: is missing; a bundle is a folder with model.json, as scripts/export_bundle.py writes it"
    )


def set_key(place: str, value):
    """A change of the manifest: at `place`, as a.b, stands `value`."""

    def change(manifest):
        *path, key = place.split(".")
        for part in path:
            manifest = manifest[part]
        manifest[key] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda manifest: manifest.pop("tokenizers"), "key 'tokenizers' is missing"),
        (
            lambda manifest: manifest["training_noise"].pop("steps_offset"),
            "key 'training_noise.steps_offset' is missing",
        ),
        (set_key("modules.safety_checker", {}), "unknown key 'modules.safety_checker'"),
        (set_key("latent_channels", "four"), "'latent_channels' is \"four\", expected an integer from 1 to 4096"),
        (set_key("latent_channels", 4.0), "'latent_channels' is 4.0, expected an integer from 1 to 4096"),
        (set_key("defaults.steps", 1001), "'defaults.steps' is 1001, expected an integer from 1 to 1000"),
        (set_key("name", None), "'name' is null, expected text"),
        (set_key("files", []), "'files' is a list of 0, expected an object"),
        (
            set_key("training_noise.prediction_type", "noise"),
            "'training_noise.prediction_type' is \"noise\", expected epsilon or v_prediction or sample or flow",
        ),
        (set_key("training_noise.prediction_type", "flow"), "unknown key 'training_noise.alphas_cumprod'"),
        (
            set_key("modules.denoiser.weights", ["elsewhere"]),
            "'modules.denoiser.weights[0]' is \"elsewhere\", expected a key of 'files'",
        ),
        (set_key("version", 3), "is of version 3, this steplapse reads versions 1 and 2; use a newer one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_manifest_that_is_not_as_documented_is_refused(bundle, bundle_refusal, change, message):
    change_manifest(bundle, change)
    assert bundle_refusal() == f"broken/model.json: {message}"


def test_a_manifest_that_is_no_json_is_refused(bundle, bundle_refusal):
    (bundle / "model.json").write_text('{"format": "steplapse-bundle",')
    assert bundle_refusal() == "broken/model.json: is not JSON: wrong at byte 31 of 30"
    (bundle / "model.json").write_text('{"format": "steplapse-bundle", "format": "steplapse-bundle"}')
    assert bundle_refusal() == 'broken/model.json: has the key "format" twice in one object'


@pytest.mark.parametrize("path", ["../denoiser.pt", "/etc/passwd", "a/../../denoiser.pt"])
def test_a_path_that_leaves_the_bundle_is_refused(bundle, bundle_refusal, tmp_path, path):
    (tmp_path / "denoiser.pt").write_bytes((bundle / "denoiser.pt").read_bytes())

    def lead_out(manifest):
        manifest["files"][path] = manifest["files"].pop("denoiser.pt")
        manifest["modules"]["denoiser"]["program"] = path

    change_manifest(bundle, lead_out)
    assert bundle_refusal() == (
        f"broken/model.json: 'files.{path}' is an object, expected a path that stays inside the "
        "bundle, with no '..' and no leading '/'"
    )


def test_a_link_out_of_the_bundle_is_refused(bundle, bundle_refusal, tmp_path):
    (bundle / "text_encoder.pt").rename(tmp_path / "elsewhere.pt")
    (bundle / "text_encoder.pt").symlink_to("../elsewhere.pt")
    assert bundle_refusal() == (
        "broken/text_encoder.pt: leads out of the bundle, to "
        f"{tmp_path.resolve()}/elsewhere.pt; copy the file into the folder"
    )


def test_a_file_that_is_gone_or_cut_or_changed_is_refused(bundle, bundle_refusal):
    path = bundle / "text_encoder.safetensors"
    content = path.read_bytes()
    changed = content[:-1] + bytes([content[-1] ^ 1])
    again = "fetch or export the bundle again"

    path.write_bytes(content[:-1])
    assert bundle_refusal() == (
        f"broken/text_encoder.safetensors: has {len(content) - 1} bytes, model.json asks for {len(content)}; {again}"
    )
    path.write_bytes(changed)
    found, wanted = (hashlib.sha256(each).hexdigest() for each in (changed, content))
    assert bundle_refusal() == (
        f"broken/text_encoder.safetensors: its SHA-256 is {found}, model.json asks for {wanted}; {again}"
    )
    path.unlink()
    assert bundle_refusal() == (
        "broken/text_encoder.safetensors: can't be opened (No such file or directory), though model.json names it"
    )


# A safetensors file that lies, in a bundle whose sizes and hashes are right.

LINEAR = "decoder_linear.safetensors"


def split(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(path: Path, header: bytes, data: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


@pytest.fixture
def lie(bundle, refusal):
    """lie(change) is what is said of the linear decoder's weights when `change(header, names in the data's order)` has
    been at their header."""
    header, data = split(bundle / LINEAR)
    header.pop("__metadata__", None)
    names = sorted(header, key=lambda name: header[name]["data_offsets"])

    def lie(change) -> str:
        copy = json.loads(json.dumps(header))
        change(copy, names)
        join(bundle / LINEAR, json.dumps(copy).encode(), data)
        accept_files(bundle)
        message = refusal(REFUSED, "red apple", "--model", "broken", "--decoder", "linear", "--steps", 3)
        assert message.startswith(f"broken/{LINEAR}: ")
        return message.removeprefix(f"broken/{LINEAR}: ")

    lie.names, lie.header, lie.size = names, header, len(data)
    return lie


def offsets(which: int, begin_by: int, end_by: int):
    def change(header, names):
        begin, end = header[names[which]]["data_offsets"]
        header[names[which]]["data_offsets"] = [begin + begin_by, end + end_by]

    return change


def test_tensors_that_do_not_lie_end_to_end_in_the_data_are_refused(lie):
    first, last = lie.names[0], lie.names[-1]
    (zero, end), (begin, size) = (lie.header[name]["data_offsets"] for name in (first, last))
    assert (zero, size) == (0, lie.size)
    assert lie(offsets(-1, 4, 4)) == f'tensor "{last}" lies at bytes {begin + 4} to {size + 4} of {size}'
    assert lie(offsets(-1, -4, -4)) == (
        f'tensor "{last}" begins at byte {begin - 4}, inside the one before, which ends at {begin}'
    )
    assert lie(offsets(0, 4, 0)).startswith(f'tensor "{first}" has {end - 4} bytes, its dtype and shape ask for {end}')
    assert lie(offsets(0, 4, 4)).startswith(f'tensor "{first}" begins at byte 4, after a gap from 0')


def test_offsets_and_shapes_that_are_no_sizes_are_refused(lie):
    first = lie.names[0]

    def with_end(end):
        return lambda header, names: header[first].update(data_offsets=[0, end])

    def with_shape(*shape):
        return lambda header, names: header[first].update(shape=shape)

    not_negative = "expected an integer, not negative"
    assert lie(with_end(-1)) == f'tensor "{first}"\'s end is -1, {not_negative}'
    assert lie(with_end(2**64 - 1)) == f'tensor "{first}" lies at bytes 0 to {2**64 - 1} of {lie.size}'
    assert lie(with_end(1e300)) == f'tensor "{first}"\'s end is 1e+300, {not_negative}'
    assert lie(with_shape(-1, 4)) == f'tensor "{first}"\'s shape is -1, {not_negative}'
    assert lie(with_shape(2**62, 2**62)) == f'tensor "{first}" has a shape of more than 2^63 bytes'


@pytest.mark.parametrize(
    "content, message",
    [
        (b"short", "has 5 bytes, too few for a header"),
        (struct.pack("<Q", 1000) + b"{}", "says its header has 1000 bytes, the file has 10"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "says its header has 18446744073709551615 bytes, the file has 10"),
        (struct.pack("<Q", 4) + b"nope", "its header is not JSON: wrong at byte 2 of 4"),
        (struct.pack("<Q", 2) + b"[]", "its header is a list of 0, expected an object"),
        (struct.pack("<Q", 2) + b"{}" + b"data", "its tensors end at byte 0 of 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_header_that_is_none_is_refused(bundle, bundle_refusal, content, message):
    (bundle / "text_encoder.safetensors").write_bytes(content)
    accept_files(bundle)
    assert bundle_refusal() == f"broken/text_encoder.safetensors: {message}"


def test_tensors_that_are_not_those_of_the_manifest_are_refused(bundle, bundle_refusal):
    path = bundle / "text_encoder.safetensors"
    tensors = load_file(path)
    name = min(tensors, key=lambda name: (tensors[name].ndim != 2, name))
    rows, columns = tensors[name].shape

    def refusal_of(tensors) -> str:
        save_file(tensors, path)
        accept_files(bundle)
        message = bundle_refusal()
        assert message.startswith("broken/text_encoder.safetensors: '")
        return message.removeprefix("broken/text_encoder.safetensors: ")

    without = {key: value for key, value in tensors.items() if key != name}
    assert refusal_of(without) == f"'{name}' is missing, model.json asks for it"
    assert refusal_of({**tensors, "extra": np.zeros(3, np.float32)}) == "'extra' is not in model.json"
    assert refusal_of({**tensors, name: tensors[name].T.copy()[:, :1]}) == (
        f"'{name}' is [{columns}, 1], model.json asks for [{rows}, {columns}]"
    )
    assert refusal_of({**tensors, name: tensors[name].astype(np.float16)}) == (
        f"'{name}' is F16, model.json asks for F32"
    )


def test_tensors_that_are_not_those_of_the_program_are_refused(bundle, bundle_refusal):
    path = bundle / "text_encoder.safetensors"
    tensors = load_file(path)
    tensors["extra"] = np.zeros(3, np.float32)
    save_file(tensors, path)
    change_manifest(
        bundle,
        set_key(
            "modules.text_encoder.tensors",
            {
                name: {"dtype": "I64" if tensor.dtype == np.int64 else "F32", "shape": tensor.shape}
                for name, tensor in tensors.items()
            },
        ),
    )
    accept_files(bundle)
    assert bundle_refusal() == "broken/text_encoder.pt: has no 'extra', model.json has a tensor for it"

    del tensors["extra"]
    name = min(tensors)
    del tensors[name]
    save_file(tensors, path)
    change_manifest(
        bundle, lambda manifest: [manifest["modules"]["text_encoder"]["tensors"].pop(key) for key in ("extra", name)]
    )
    accept_files(bundle)
    assert bundle_refusal() == f"broken/text_encoder.pt: its '{name}' has no tensor in model.json"


# ---- hostile programs


def hostile_programs(place: str) -> dict:
    """Modules that write or read the file `place` where PyTorch loads or runs them."""
    import torch

    class Hostile(torch.nn.Module):
        place: str

        def __init__(self):
            super().__init__()
            self.place = place

    class RestoresItself(Hostile):
        place: Final[str]  # its state does not have it

        @torch.jit.export
        def __getstate__(self):
            return self.training

        @torch.jit.export
        def __setstate__(self, state: bool):
            self.training = state
            torch.ops.aten.save(torch.zeros([1]), self.place)

        def forward(self, x):
            return x

    class Saves(Hostile):
        def forward(self, x):
            torch.ops.aten.save(x, self.place)
            return x

    class ReadsAFile(Hostile):
        def forward(self, x):
            return x + torch.from_file(self.place, False, 1)

    return {module.__name__: torch.jit.script(module()) for module in (RestoresItself, Saves, ReadsAFile)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is on its way out of PyTorch
def test_a_program_that_does_more_than_compute_is_refused_by_name_and_writes_nothing(bundle, bundle_refusal, tmp_path):
    import torch

    loot = tmp_path / "loot"
    programs = hostile_programs(str(loot))

    def refusal_of(name: str) -> str:
        programs[name].save(str(bundle / "text_encoder.pt"))
        accept_files(bundle)
        return bundle_refusal()

    def run_with_pytorch():
        torch.jit.load(str(bundle / "text_encoder.pt"))(torch.zeros(1))

    only = "which is not on the list of allowed operators; a bundle's program may only compute"
    assert refusal_of("ReadsAFile") == f"broken/text_encoder.pt: its code calls aten::from_file, {only}"
    assert refusal_of("Saves") == f"broken/text_encoder.pt: its code calls aten::save, {only}"
    run_with_pytorch()
    assert loot.exists(), "this program does no harm"
    loot.unlink()
    assert refusal_of("RestoresItself") == (
        "broken/text_encoder.pt: its code has __setstate__; a bundle's program may only compute"
    )
    run_with_pytorch()
    assert loot.exists(), "this program does no harm"


# ---- sizes


def any_size(manifest):
    manifest["sizes"] = {"default": [16, 16], "allowed": {"min": 16, "max": 65536, "multiple": 8}}


def test_a_size_that_is_no_multiple_or_too_large_is_refused(refusal, changed_bundle):
    bundle = changed_bundle(any_size)
    for size in ("20x16", "16x8", "16x65544"):
        assert refusal(USAGE, "red apple", "--model", bundle, "--size", size) == (
            f"--size {size}: the model 'tiny' makes sides from 16 to 65536, multiples of 8"
        )
    # 4 channels of 16384 x 16384, float32
    assert refusal(USAGE, "red apple", "--model", bundle, "--size", "65536x65536") == (
        "--size 65536x65536: its latents take 4.29 GB, and a run's log has room for 1 GB each"
    )


def test_a_size_for_which_there_is_no_memory_is_said_to_be_so(run, refusal, changed_bundle):
    def with_3_gb():
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    if run("--version", preexec_fn=with_3_gb).code != 0:
        pytest.skip("this libtorch does not even load into 3 GB")
    message = refusal(
        MEMORY,
        "red apple",
        "--model",
        changed_bundle(any_size),
        "--steps",
        3,
        "--size",
        "30720x30720",
        preexec_fn=with_3_gb,
    )
    # Of what is free, or of what libtorch then could not get: that depends on the machine.
    assert message.startswith(("a step at 30720x30720 takes ", "out of memory, "))
    assert message.endswith("; a smaller --size or a bundle exported with a smaller dtype needs less")


# ---- runs that fail


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def with_nan(bundle: Path, weights: str, name: str) -> None:
    tensors = load_file(bundle / weights)
    tensors[name] = tensors[name] * np.float32("nan")
    save_file(tensors, bundle / weights)
    accept_files(bundle)


def assert_kept_and_marked_failed(folder: Path, message: str) -> None:
    assert facts(folder)["ended"] == "failed"
    assert facts(folder)["ended_reason"] == message
    with contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as log:
        assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert log.execute("SELECT value FROM run WHERE key = 'ended'").fetchall() == [("failed",)]
    assert not list(folder.rglob("*.png")) and not (folder / "final.safetensors").exists()


def test_a_network_that_answers_nan_fails_the_run_at_the_step_and_the_log_is_kept(run, bundle, tmp_path):
    with_nan(bundle, "denoiser.safetensors", "unet.conv_out.bias")
    ended = run("red apple", "--model", "broken", "--steps", 3, "--out", "out", "--progress", "none")
    message = (
        "step 1: the denoiser answered NaN at timestep 667, sigma 0.946383; a smaller guidance scale or another "
        "compute dtype may help"
    )
    assert (ended.code, ended.out, ended.err) == (FAILED, "", f"steplapse: {message}\n")
    assert_kept_and_marked_failed(tmp_path / "out", message)


def test_a_decoder_that_answers_nan_fails_the_run_at_the_frame_and_the_log_is_kept(run, bundle, tmp_path):
    with_nan(bundle, "decoder_full.safetensors", "decoder.conv_out.bias")
    ended = run("red apple", "--model", "broken", "--steps", 3, "--out", "out", "--progress", "none")
    message = "step 1, x0: the decoded picture is not finite"
    assert (ended.code, ended.out, ended.err) == (FAILED, "", f"steplapse: {message}\n")
    assert_kept_and_marked_failed(tmp_path / "out", message)


# ---- the disk


def test_a_run_folder_that_can_not_be_made_is_named(refusal, tmp_path):
    (tmp_path / "file").write_text("")
    assert refusal(OUTPUT, "red apple", "--steps", 3, "--progress", "none", "--out", "file/run") == (
        "file/run: cannot make the folder: Not a directory"
    )
    assert refusal(OUTPUT, "red apple", "--steps", 3, "--progress", "none", "--out", "file") == (
        "file: cannot make the folder: Not a directory"
    )
    assert refusal(OUTPUT, "red apple", "--steps", 3, "--progress", "none", "--out", "/proc/run") in (
        "/proc/run: cannot make the folder: No such file or directory",  # what the kernel tells root
        "/proc/run: cannot make the folder: Permission denied",
    )


def assert_nothing_is_half_written(folder: Path) -> None:
    """Whatever has its final name is whole."""
    for path in folder.rglob("*"):
        assert_readable(path)
        if path.suffix == ".sqlite":
            with contextlib.closing(sqlite3.connect(path)) as log:
                assert log.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert log.execute("SELECT value FROM run WHERE key = 'prompt'").fetchall() == [("red apple",)]
                calls = [call for (call,) in log.execute("SELECT call FROM calls ORDER BY call")]
                assert calls == list(range(1, len(calls) + 1))


# 100 steps: a log of 107 kB in the end, its tables 24 kB at the start; a picture has 1.4 kB.
LONG_RUN = ["red apple", "--steps", 100, "--seed", 1, "--at", "1,2,3", "--out", "out", "--progress", "none"]


@pytest.mark.parametrize("limit", [0, 1000, 4096, 25_000, 40_000, 65_536])
def test_a_full_disk_ends_the_run_in_one_line_with_nothing_half_written(run, tmp_path, limit):
    ended = run(*LONG_RUN, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert ended.code == OUTPUT, ended
    assert ended.out == ""
    (line,) = ended.lines()
    assert line.startswith("steplapse: out/")
    assert_nothing_is_half_written(tmp_path)


def test_a_run_for_whose_log_there_was_no_room_can_be_tried_again(run, tmp_path):
    assert run(*LONG_RUN, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))).code == OUTPUT
    again = run("red apple", "--steps", 1, "--frames", "none", "--out", "out")
    assert again.code == 0, again
    assert facts(tmp_path / "out")["ended"] == "done"


def test_a_small_disk_that_fills_up_ends_the_run_in_one_line_with_nothing_half_written(run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "none", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        ended = run("red apple", "--steps", 100, "--frames", "x0,xt", "--out", "disk/out", "--progress", "none")
        assert ended.code == OUTPUT, ended
        assert ended.out == ""
        (line,) = ended.lines()
        assert line.startswith("steplapse: disk/out/")
        assert line.endswith(("No space left on device", "database or disk is full", "disk I/O error"))
        assert_nothing_is_half_written(disk)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


# ---- what a shell can hand over


def test_a_prompt_that_begins_with_a_hyphen_stands_behind_two(run):
    assert run("--dry-run", "--seed", 1, "--", "-x").out.startswith("would draw '-x', seed 1")


def test_a_prompt_with_a_nul_is_refused(run, tmp_path):
    ended = run("-", stdin=b"a\0b")
    assert ended.code == 2
    assert ended.lines() == ["steplapse: PROMPT: holds a NUL character, which no picture's text can"]
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_line_end_is_shown_on_one_line(run):
    ended = run("red apple", "--model", "no\nsuch")
    assert ended.code == 3 and len(ended.lines()) == 1


def test_names_too_long_for_a_file_system_are_refused(run):
    assert run("red apple", "--out", 300 * "x").code == 4
    assert run("red apple", "--model", 300 * "x").code == 3


def test_an_output_that_takes_nothing_is_exit_code_4(tiny_bundle):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [PROGRAM, "schedule", "--json", "--model", tiny_bundle], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (ended.returncode, ended.stderr) == (4, "steplapse: standard output: cannot write\n")
