"""What a single file's UNet predicts is read wherever such files say it (steplapse_export.sources.prediction_type)."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from export.checkpoints import Made, diffusers
from parity.pipelines import difference, final_of, latents_of
from steplapse_export.exporter import ExportOptions, export_bundle
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_pipeline
from steplapse_export.sources.prediction_type import said_by_yaml, stated_prediction_type, states_zero_terminal_snr

V, EPSILON = "v_prediction", "epsilon"
FILE = Path("model.safetensors")
LDM = "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    {}\n    linear_start: 0.00085\n"
SGM = (
    "model:\n  target: sgm.models.diffusion.DiffusionEngine\n  params:\n    denoiser_config:\n      params:\n"
    "        scaling_config:\n          target: sgm.modules.diffusionmodules.denoiser_scaling.{}\n"
)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return Made("sd1", tmp_path_factory.mktemp("sd1"))


def saved(made, path, keys=(), metadata=None):
    save_file({**made.tensors, **{key: torch.zeros(0) for key in keys}}, path, metadata)
    return path


def forget_prediction_type(folder):
    file = folder / "scheduler/scheduler_config.json"
    settings = json.loads(file.read_text())
    del settings["prediction_type"]
    file.write_text(json.dumps(settings))


# --- the places ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["v_pred", "ztsnr"])
def test_a_marker_among_the_tensors_says_v(key):
    assert stated_prediction_type(FILE, {key: torch.zeros(0)}, {}) == V


@pytest.mark.parametrize(
    "key, text, what",
    [
        ("modelspec.prediction_type", "v", V),
        ("modelspec.prediction_type", "epsilon", EPSILON),
        ("modelspec.prediction_type", "v_prediction", V),
        ("modelspec.prediction_type", "v-prediction", V),
        ("modelspec.prediction_type", "sample", "sample"),
        ("modelspec.prediction_type", "None", None),
        ("modelspec.architecture", "stable-diffusion-v2-768-v", V),
        ("modelspec.architecture", "stable-diffusion-v1", None),
        ("ss_v_parameterization", "True", V),
        ("ss_v_parameterization", "False", EPSILON),
        ("ss_v_parameterization", "None", None),
    ],
)
def test_metadata_says_it(key, text, what):
    assert stated_prediction_type(FILE, {}, {key: text}) == what


@pytest.mark.parametrize(
    "text, what",
    [
        (LDM.format('parameterization: "v"'), V),
        (LDM.format("parameterization: eps"), EPSILON),
        (LDM.format("parameterization: x0"), "sample"),
        (LDM.format("timesteps: 1000"), None),
        (SGM.format("VScaling"), V),
        (SGM.format("EpsScaling"), EPSILON),
        ("", None),
        ("- a list", None),
    ],
)
def test_a_yaml_file_beside_it_says_it(tmp_path, text, what):
    (tmp_path / "model.yaml").write_text(text)
    assert stated_prediction_type(tmp_path / "model.ckpt", {}, {}) == what


def test_a_yaml_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "model.yaml").write_text("a: [")
    with pytest.raises(CheckpointError, match="the config beside .* can't be read.*--prediction-type"):
        said_by_yaml(tmp_path / "model.safetensors")


def test_an_unknown_word_is_refused_with_the_way_out():
    with pytest.raises(CheckpointError) as caught:
        stated_prediction_type(FILE, {}, {"modelspec.prediction_type": "flow"})
    assert str(caught.value) == (
        "model.safetensors: its metadata 'modelspec.prediction_type' is 'flow'; expected: epsilon, v or "
        "sample. Say it with --prediction-type epsilon, v_prediction or sample"
    )


@pytest.mark.parametrize(
    "weights, metadata, is_zero",
    [
        ({"ztsnr": torch.zeros(0)}, {}, True),
        ({}, {"ss_zero_terminal_snr": "True"}, True),
        ({}, {"ss_zero_terminal_snr": "False"}, False),
        ({"v_pred": torch.zeros(0)}, {}, False),
        ({"alphas_cumprod": diffusers.DDIMScheduler(rescale_betas_zero_snr=True).alphas_cumprod}, {}, True),
        ({"alphas_cumprod": diffusers.DDIMScheduler().alphas_cumprod}, {}, False),
        ({"alphas_cumprod": torch.zeros(1000)}, {}, False),
    ],
)
def test_zero_terminal_snr_is_said_by_a_marker_metadata_or_the_table(weights, metadata, is_zero):
    assert states_zero_terminal_snr(weights, metadata) == is_zero


# --- where they meet -------------------------------------------------------------------------------------------------


def test_places_that_disagree_are_an_error_that_names_both(sd1, tmp_path):
    file = saved(sd1, tmp_path / "two.safetensors", ["v_pred"], {"modelspec.prediction_type": "epsilon"})
    with pytest.raises(CheckpointError) as caught:
        sd1.load(file)
    assert str(caught.value) == (
        f"{file}: its key 'v_pred' says v_prediction, its metadata 'modelspec.prediction_type' says "
        "epsilon; say which it is with --prediction-type epsilon, v_prediction or sample"
    )
    for what in (V, EPSILON):
        assert sd1.load(file, prediction_type=what).pipeline.scheduler.config.prediction_type == what


def test_where_nothing_says_epsilon_is_assumed_and_said_so(sd1, tmp_path, capfd):
    config = tmp_path / "config"
    shutil.copytree(sd1.config, config)
    forget_prediction_type(config)
    said = load_pipeline(str(sd1.file), config=config).pipeline.scheduler.config.prediction_type
    assert (said, capfd.readouterr().err) == (
        EPSILON,
        (
            f"{sd1.file} does not say what its UNet predicts: epsilon is assumed. If the pictures are noise, "
            "try --prediction-type v_prediction\n"
        ),
    )
    sd1.load(saved(sd1, tmp_path / "said.safetensors", metadata={"modelspec.prediction_type": "epsilon"}))
    assert capfd.readouterr().err == ""


def test_a_folder_whose_scheduler_does_not_say_is_told_so_too(sd1, tmp_path, capfd):
    sd1.pipeline.save_pretrained(tmp_path / "saved")
    load_pipeline(tmp_path / "saved")
    assert "epsilon is assumed" not in capfd.readouterr().err
    forget_prediction_type(tmp_path / "saved")
    load_pipeline(tmp_path / "saved")
    assert "epsilon is assumed" in capfd.readouterr().err


def test_zero_terminal_snr_of_epsilon_is_left_out_and_said_so(sd1, tmp_path, capfd):
    metadata = {"ss_zero_terminal_snr": "True", "ss_v_parameterization": "False"}
    scheduler = sd1.load(saved(sd1, tmp_path / "eps.safetensors", metadata=metadata)).pipeline.scheduler
    assert scheduler.alphas_cumprod[-1] > 0
    assert "zero terminal SNR, which is left out" in capfd.readouterr().err
    metadata["ss_v_parameterization"] = "True"
    scheduler = sd1.load(saved(sd1, tmp_path / "v.safetensors", metadata=metadata)).pipeline.scheduler
    assert (scheduler.alphas_cumprod[-1], scheduler.config.timestep_spacing) == (0, "trailing")


def test_v_that_only_the_metadata_says_draws_as_diffusers_does(sd1, tmp_path, draw):
    file = saved(sd1, tmp_path / "v.safetensors", metadata={"modelspec.prediction_type": "v"})
    export_bundle(
        sd1.load(file).pipeline, tmp_path / "bundle", ExportOptions("v", source="", licence="", sizes=[[16, 16]])
    )
    pipeline = copy.copy(sd1.pipeline)
    pipeline.check_inputs = lambda *_: None
    pipeline.set_progress_bar_config(disable=True)
    drawn = {}
    for what in (V, EPSILON):
        pipeline.scheduler = diffusers.DDIMScheduler.from_config(sd1.pipeline.scheduler.config, prediction_type=what)
        drawn[what] = latents_of(pipeline, "a photo of a cat", 3, (16, 16), num_inference_steps=4, guidance_scale=3)
    run = draw("a photo of a cat", "--model", tmp_path / "bundle", "--seed", 3, "--steps", 4, "--guidance-scale", 3)
    assert difference(final_of(run), drawn[V]) <= 1e-4
    assert difference(drawn[EPSILON], drawn[V]) > 0.1
