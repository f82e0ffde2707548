"""`steplapse replay`: a run made again with its network, and held against its log."""

import hashlib
import json
import re
import shlex
import shutil
import sqlite3

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file, save_file

from harness import ROOT
from measure.bits import accept_files

DONE, USAGE, DIFFERS = 0, 2, 6
THREE = ("--steps", 3, "--seed", 3)


@pytest.fixture
def replayed(run):
    """replayed(what, ...) is the exit code, and what `replay --json` says."""

    def replayed(*arguments, **more):
        ended = run("replay", *arguments, "--json", **more)
        assert ended.err == ""
        return ended.code, json.loads(ended.out)

    return replayed


@pytest.mark.parametrize("sampler", ["ddim", "euler_a", "heun", "dpmpp_2m", "dpm_adaptive"])
def test_a_run_on_the_same_machine_is_the_same_to_the_bit(draw, replayed, sampler):
    code, told = replayed(draw("red apple", *THREE, "--sampler", sampler))
    assert (code, told["verdict"], told["changed"], told["first_off"]) == (DONE, "identical", [], None)
    assert told["picture"]["pixels"] == 0 and told["final_latents"] == 0


def test_the_text_says_what_the_json_says(draw, run):
    folder = draw("red apple", *THREE)
    ended = run("replay", folder)
    assert (ended.code, ended.err) == (DONE, "")
    assert "calls          3 calls in 3 steps: the same to the bit" in ended.out
    assert "verdict        identical" in ended.out


def change_weights(bundle, factor):
    """A denoiser that answers differently, with the hashes that its model.json wants."""
    tensors = load_file(bundle / "denoiser.safetensors")
    key = next(key for key, tensor in sorted(tensors.items()) if tensor.dtype == np.float32 and tensor.ndim > 1)
    tensors[key] = tensors[key] * np.float32(factor)
    save_file(tensors, bundle / "denoiser.safetensors")
    accept_files(bundle)


def test_another_export_is_held_against_the_log(draw, run, replayed, tiny_bundle, tmp_path):
    folder = draw("red apple", *THREE)
    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(tiny_bundle, same)
    manifest = json.loads((same / "model.json").read_text())
    manifest["name"] = "same"
    (same / "model.json").write_text(json.dumps(manifest))
    code, told = replayed(folder, "--model", same)
    assert (code, told["verdict"]) == (DONE, "identical")
    assert [change["name"] for change in told["changed"]] == ["model", "model_sha256"]

    shutil.copytree(tiny_bundle, other)
    change_weights(other, 1.5)
    code, told = replayed(folder, "--model", other)
    assert (code, told["verdict"]) == (DIFFERS, "differs")
    first = told["first_off"]
    assert (first["call"], first["latents"]) == (1, 0) and first["answer"] > 1e-4
    assert replayed(folder, "--model", other, "--tolerance", 1e9, "--levels", 255)[0] == DONE


def test_a_run_whose_model_is_gone_names_it(draw, run, changed_bundle):
    def rename(manifest):
        manifest["name"] = "moved"

    moved = changed_bundle(rename)
    folder = draw("red apple", *THREE, "--model", moved)
    shutil.rmtree(moved)
    ended = run("replay", folder)
    assert (ended.code, ended.out, len(ended.lines())) == (USAGE, "", 1)
    assert "was made with the model 'moved'" in ended.err and "--model says where it is" in ended.err


def test_an_altered_answer_is_found_at_its_call(draw, replayed):
    folder = draw("red apple", *THREE, "--sampler", "ddim")
    database = sqlite3.connect(folder / "run.sqlite")
    [cond] = database.execute("SELECT cond FROM calls WHERE call = 3").fetchone()
    altered = (np.frombuffer(cond, "<f4") * np.float32(1.01)).tobytes()
    database.execute(
        "UPDATE calls SET cond = ?, cond_sha256 = ? WHERE call = 3", (altered, hashlib.sha256(altered).hexdigest())
    )
    database.commit()
    database.close()
    code, told = replayed(folder)
    assert code == DIFFERS
    assert told["first_off"]["call"] == 3
    assert told["first_off"]["answer"] == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_an_unfinished_run_is_replayed_as_far_as_it_goes(draw, replayed):
    folder = draw("red apple", "--steps", 4, "--seed", 3, "--sampler", "ddim")
    database = sqlite3.connect(folder / "run.sqlite")
    database.executescript("DELETE FROM calls WHERE call > 2; DELETE FROM steps WHERE step > 2;")
    database.execute("DELETE FROM run WHERE key IN ('ended', 'ended_reason')")
    database.commit()
    database.close()
    code, told = replayed(folder)
    assert (code, told["calls"], told["verdict"]) == (DONE, 2, "identical")
    assert told["remarks"] == ["the run is unfinished: replayed are its 2 calls so far"]


def test_a_log_of_version_1_is_replayed_by_the_rules_of_its_time(draw, replayed):
    folder = draw("red apple", *THREE, "--guidance-scale", 1, "--sampler", "ddim")
    database = sqlite3.connect(folder / "run.sqlite")
    later = "guidance_first_step guidance_last_step guidance_sigma_low guidance_sigma_high guidance_rescale s_churn "
    later += "s_tmin s_tmax s_noise sigma_min sigma_max rho shift alphas_cumprod"
    for key in later.split():
        database.execute("DELETE FROM run WHERE key = ?", (key,))
    database.execute("UPDATE run SET value = 0.5 WHERE key = 'guidance_scale'")  # which meant none then
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    code, told = replayed(folder)
    assert (code, told["verdict"]) == (DONE, "identical")


# ---- pictures


def test_a_frame_of_each_kind_is_made_again(draw, replayed):
    folder = draw("red apple", *THREE, "--sampler", "euler_a", frames="x0,xt")
    for file in ("frames/x0/0001.png", "frames/x0/0003.png", "frames/xt/0000.png", "frames/xt/0002.png", "final.png"):
        code, told = replayed(folder / file)
        assert (code, told["verdict"], told["picture"]["pixels"]) == (DONE, "identical", 0), file


@pytest.mark.parametrize(
    "flags",
    [
        ("--sampler", "a1111:DPM++ 2M Karras", "--steps", 4),
        ("--schedule", "ddim_uniform", "--steps", 150),
        ("--timesteps", "900,500,100"),
        ("--guidance-interval", "2..3", "--guidance-scale", 3, "--steps", 4),
    ],
)
def test_a_picture_whose_levels_its_names_do_not_tell_is_made_again(draw, replayed, flags):
    code, told = replayed(draw("red apple", "--seed", 1, *flags) / "final.png")
    assert (code, told["verdict"]) == (DONE, "identical")


def test_a_retouched_picture_differs_and_says_by_how_much(draw, replayed, tmp_path):
    picture = Image.open(draw("red apple", *THREE) / "final.png")
    texts = PngImagePlugin.PngInfo()
    for keyword, text in picture.text.items():
        texts.add_text(keyword, text)
    for off, code in ((1, DONE), (9, DIFFERS)):
        pixels = np.asarray(picture).astype(int)
        pixels[3, 4, 1] += off if pixels[3, 4, 1] < 128 else -off
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "retouched.png", pnginfo=texts)
        found, told = replayed(tmp_path / "retouched.png")
        assert (found, told["picture"]["levels"], told["picture"]["pixels"], told["picture"]["of"]) == (
            code,
            off,
            1,
            256,
        )


def test_what_cannot_be_replayed_is_one_line(draw, run, tmp_path):
    shape = load_file(draw("red apple", *THREE) / "final.safetensors")["latents"].shape
    save_file({"latents": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}, tmp_path / "start")
    started = draw("red apple", *THREE, "--latents", tmp_path / "start")
    Image.new("RGB", (8, 8)).save(tmp_path / "theirs.png")
    (tmp_path / "half.png").write_bytes((started / "final.png").read_bytes()[:300])
    (tmp_path / "empty").mkdir()
    for what, said in (
        (started / "final.png", "its start came from --latents"),
        ("theirs.png", "is no picture of steplapse"),
        ("half.png", "a damaged PNG file"),
        ("empty", "holds no run"),
        ("nowhere", "nowhere"),
    ):
        ended = run("replay", what)
        assert (ended.code, ended.out, len(ended.lines())) == (USAGE, "", 1), ended.err
        assert said in ended.err
    assert run("replay", started).code == DONE


# ---- docs/ci.md


def test_the_commands_of_the_ci_page_hold_an_export_against_a_run(run, tiny_bundle, tmp_path):
    page = (ROOT / "docs/ci.md").read_text().split("## A new export against an old run")[1]
    draw, replay = re.findall(r"^steplapse (.*?) +#", page.split("```sh\n")[1].split("```")[0], flags=re.MULTILINE)
    for folder in ("models", "build"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine").symlink_to(tiny_bundle)
    for command in (draw, replay):
        assert run(*shlex.split(command)).code == DONE
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])["jobs"].values()
    assert [replay in step.get("run", "") for step in job["steps"]].count(True) == 1
