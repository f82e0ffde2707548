"""`steplapse generate --from-png`: the settings of pictures of four tools, in the form that each of them writes."""

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

DONE, USAGE = 0, 2


@pytest.fixture
def picture(tmp_path):
    """picture(parameters="…") is a PNG with these texts."""

    def picture(**texts: str):
        info = PngImagePlugin.PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
        name = f"{len(list(tmp_path.iterdir()))}.png"
        Image.new("RGB", (16, 16)).save(tmp_path / name, pnginfo=info)
        return name

    return picture


@pytest.fixture
def settings(run, tmp_path):
    """settings(file, ...) is what the run that is drawn from it says of itself, and the line about what was taken."""

    def settings(file, *flags):
        ended = run("generate", "--from-png", file, *flags, "--out", "drawn", "--overwrite", "--progress", "none")
        assert ended.code == DONE, ended.err
        return json.loads((tmp_path / "drawn/run.json").read_text()), ended.lines()[0]

    return settings


def some(facts: dict, *keys: str) -> list:
    return [facts[key] for key in keys]


# ---- ours


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--sampler", "euler_a", "--eta", 0.5, "--negative-prompt", "leaves", "--guidance-scale", 3),
        ("--sampler", "a1111:DPM++ 2M Karras", "--rng", "philox"),
        ("--sampler", "heun", "--s-churn", 2, "--s-noise", 1.1, "--schedule", "karras", "--rho", 5),
        ("--sigmas", "9,3,1,0"),
        ("--guidance-scale", 2, "--guidance-interval", "2..", "--guidance-rescale", 0.5),
    ],
)
def test_a_picture_of_ours_is_drawn_again(draw, run, tmp_path, flags):
    steps = () if "--sigmas" in flags else ("--steps", 4)
    drawn = draw("red apple", "--seed", 8, *steps, *flags)
    ended = run("generate", "--from-png", drawn / "final.png", "--out", "again", "--progress", "none")
    assert ended.code == DONE, ended.err
    assert ended.lines()[0].startswith(f"steplapse: '{drawn}/final.png', a picture of steplapse: taken are PROMPT, ")
    one, two = (np.asarray(Image.open(folder / "final.png")) for folder in (drawn, tmp_path / "again"))
    assert np.array_equal(one, two)


def test_flags_win_over_the_picture(draw, settings):
    drawn = draw("red apple", "--seed", 8, "--steps", 4, "--sampler", "euler_a", "--eta", 0.5)
    facts, _ = settings(drawn / "final.png", "--sampler", "heun", "--steps", 2, "--width", 16, "--prompt", "sun")
    assert some(facts, "prompt", "seed", "sampler", "steps", "width", "height") == ["sun", 8, "heun", 2, 16, 16]


def test_count_goes_on_from_the_picture_s_seed(draw, run, tmp_path):
    drawn = draw("red apple", "--seed", 8, "--steps", 1)
    ended = run("generate", "--from-png", drawn / "final.png", "--count", 2, "--out", "two", "--progress", "none")
    assert ended.code == DONE, ended.err
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["0001-red-apple-8", "0002-red-apple-9"]


# ---- A1111's, as modules/processing.py of 1.10 writes it

A1111 = """(red:1.2) apple <lora:detail:0.8>
on a table
Negative prompt: leaves,
a worm
Steps: 4, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 3.5, Seed: 77, Size: 16x16, Model hash: abc, \
Model: "one, two", Denoising strength: 0.4, Clip skip: 2, RNG: CPU, Hires upscale: 2, Version: v1.10.1"""


def test_a1111(picture, settings):
    facts, line = settings(picture(parameters=A1111))
    assert facts["prompt"] == "(red:1.2) apple \non a table"
    assert facts["negative_prompt"] == "leaves,\na worm"
    keys = ("sampler", "schedule", "steps", "guidance_scale", "seed", "rng", "width")
    assert some(facts, *keys) == ["dpmpp_2m", "karras", 4, 3.5, 77, "cpu", 16]
    without = line.split("without equivalent here: ")[1].split(", ")
    assert without == ["<lora:detail:0.8>", "Clip skip: 2", "Denoising strength: 0.4", "hires fix"]


def test_a1111_before_1_9_has_the_schedule_in_the_sampler_s_name_and_a_gpu_s_noise(picture, settings):
    text = "apple\nSteps: 3, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 16x16"
    facts, line = settings(picture(parameters=text))
    assert some(facts, "sampler", "schedule", "rng") == ["dpmpp_2m", "karras", "philox"]
    assert "guessed: --rng philox, A1111's own on NVIDIA cards, for no RNG is said" in line


def test_a_sampler_that_is_unknown_here_becomes_the_bundle_s(picture, settings, draw):
    facts, line = settings(picture(parameters="apple\nSteps: 2, Sampler: Magic 5, CFG scale: 7, Seed: 1, RNG: CPU"))
    assert "guessed: --sampler: the bundle's, for 'Magic 5' is not known here" in line
    usual = json.loads((draw("apple", "--steps", 2) / "run.json").read_text())
    assert facts["sampler"] == usual["sampler"]


# ---- ComfyUI's, as nodes.py and the API format have it


def graph(**sampler) -> dict:
    inputs = {
        "seed": 5,
        "steps": 3,
        "cfg": 2.5,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "denoise": 1.0,
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
    }
    return {
        "3": {"class_type": "KSampler", "inputs": {**inputs, **sampler}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 16, "height": 16, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "red apple", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "leaves", "clip": ["4", 1]}},
    }


def test_comfyui(picture, settings):
    facts, line = settings(picture(prompt=json.dumps(graph()), workflow="{}"))
    keys = ("prompt", "negative_prompt", "seed", "steps", "guidance_scale", "sampler", "schedule", "width", "height")
    assert some(facts, *keys) == ["red apple", "leaves", 5, 3, 2.5, "dpmpp_2m", "karras", 16, 16]
    assert facts["rng"] == "cpu" and "guessed" not in line and "without" not in line


def test_comfyui_links_are_followed_and_what_is_left_out_is_named(picture, settings):
    nodes = graph(seed=["9", 0], denoise=0.5, positive=["10", 0])
    nodes["9"] = {"class_type": "PrimitiveInt", "inputs": {"value": 123}}
    nodes["10"] = {"class_type": "ControlNetApply", "inputs": {"conditioning": ["6", 0], "strength": 1.0}}
    nodes["6"]["inputs"]["text"] = ["11", 0]
    nodes["11"] = {"class_type": "StringConstant", "inputs": {"string": "sun"}}
    nodes["12"] = {"class_type": "LoraLoader", "inputs": {}, "is_changed": [float("nan")]}
    facts, line = settings(picture(prompt=json.dumps(nodes)))  # Python's own NaN
    assert some(facts, "prompt", "seed") == ["sun", 123]
    assert line.split("without equivalent here: ")[1] == "ControlNetApply, denoise 0.5, 1 LoraLoader"


# ---- InvokeAI's, as invocations/metadata.py has it


def test_invokeai(picture, settings):
    said = {
        "app_version": "5.0.0",
        "generation_mode": "txt2img",
        "positive_prompt": "red apple",
        "negative_prompt": "leaves",
        "width": 16,
        "height": 16,
        "seed": 9,
        "rand_device": "cpu",
        "cfg_scale": 4.5,
        "cfg_rescale_multiplier": 0,
        "steps": 3,
        "scheduler": "dpmpp_2m_k",
        "clip_skip": 0,
        "model": {"name": "x"},
        "loras": [{"model": {"name": "y"}, "weight": 0.7}],
    }
    facts, line = settings(picture(invokeai_metadata=json.dumps(said)))
    keys = ("prompt", "negative_prompt", "seed", "steps", "guidance_scale", "sampler", "schedule", "rng")
    assert some(facts, *keys) == ["red apple", "leaves", 9, 3, 4.5, "dpmpp_2m", "karras", "cpu"]
    assert line.endswith("without equivalent here: LoRAs")


# ---- what is refused


def test_a_file_without_settings_is_one_line(picture, run, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for file, said in (
        (picture(), "says nothing of how it was made"),
        (picture(parameters="no settings at all"), "its last line is not A1111's"),
        (picture(prompt="{"), "its text 'prompt' is not in the form"),
        (picture(prompt='{"1": {"class_type": "LoadImage", "inputs": {}}}'), "has no KSampler node"),
        (picture(invokeai_metadata="[]"), "its text 'invokeai_metadata'"),
        (picture(steplapse="{}"), "its text 'steplapse'"),
        ("text.png", "not a PNG file"),
        ("nowhere.png", "cannot read"),
    ):
        ended = run("generate", "--from-png", file)
        assert (ended.code, ended.out, len(ended.lines())) == (USAGE, "", 1), ended.err
        assert said in ended.err
