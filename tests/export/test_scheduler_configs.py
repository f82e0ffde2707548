"""A pipeline's scheduler as its bundle has it: what the config does not say is what the config's own class does."""

import inspect
import json

import diffusers
import pytest
import torch

from parity.pipelines import final_of, latents_of, pipeline_of
from steplapse_export.exporter import ExportOptions, export_bundle
from steplapse_export.manifest import describe_training_noise
from steplapse_export.programs import ExportError
from steplapse_export.scheduler import ALIKE, LEVELS, OF_THE_SAMPLER, REFUSED, UNSAID, remark_on_levels
from steplapse_export.sources.load import load_pipeline

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numpy's, of diffusers

PROMPT, SEED = "a photo of a red apple on a table", 20240607
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
CLASSES = sorted(UNSAID)


def defaults_of(kind: str) -> dict:
    parameters = inspect.signature(getattr(diffusers, kind).__init__).parameters
    return {key: parameter.default for key, parameter in parameters.items() if key != "self"}


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_the_table_has_the_defaults_of_diffusers(kind):
    defaults = defaults_of(kind)
    for key, (unsaid, is_known) in UNSAID[kind].items():
        assert is_known == (key in defaults), key
        assert not is_known or defaults[key] == unsaid, key
    for key, unsaid in ALIKE.items():
        assert defaults.get(key, unsaid) == unsaid, key


@pytest.mark.parametrize("kind", CLASSES)
def test_every_key_of_a_class_is_in_the_table_refused_or_of_no_concern(kind):
    placed = {*UNSAID[kind], *ALIKE, *REFUSED, *LEVELS, *OF_THE_SAMPLER}
    assert set(defaults_of(kind)) - placed == set()


def test_all_classes_are_there_that_diffusers_gives_a_pipeline():
    of_pipelines = {each.name for each in diffusers.schedulers.KarrasDiffusionSchedulers}
    assert of_pipelines - set(UNSAID) == {"EDMEulerScheduler"}  # of other noise levels: refused


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_clips_and_ends_as_the_table_says_where_it_has_no_such_key(kind):
    """Seen by asking the class itself: a step from the last level but one to the end, on a network whose x0 is 5."""
    scheduler = getattr(diffusers, kind)(**BETAS)
    scheduler.set_timesteps(10)
    clips, ends_clean = UNSAID[kind]["clip_sample"][0], UNSAID[kind]["set_alpha_to_one"][0]
    if hasattr(scheduler, "sigmas") and kind != "LCMScheduler":
        assert (scheduler.sigmas[-1].item() == 0) == ends_clean
    x0, random = torch.full((1, 1, 2, 2), 5.0), torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 2, 2, generator=random) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        told = scheduler.scale_model_input(x, t)
        alpha = scheduler.alphas_cumprod[t.long()] ** 0.5
        eps = (told - alpha * x0) / (1 - alpha**2) ** 0.5
        arguments = {"generator": random} if "generator" in inspect.signature(scheduler.step).parameters else {}
        x = scheduler.step(eps, t, x, **arguments).prev_sample
    assert (x.mean().item() < 2) == clips


# --- what is exported ------------------------------------------------------------------------------------------------


def saved_folder(folder, kind: str, config: dict, family: str = "sd1"):
    """A pipeline's folder whose scheduler config says no more than this."""
    pipeline_of(family).save_pretrained(folder)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps({"_class_name": kind, **config}))
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", kind]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("kind", CLASSES)
def test_what_a_config_does_not_say_is_what_its_class_does(kind):
    scheduler = getattr(diffusers, kind).from_config({"_class_name": kind})
    noise = describe_training_noise(scheduler)
    row = {key: unsaid for key, (unsaid, _) in UNSAID[kind].items()}
    assert noise["alphas_cumprod"] == scheduler.alphas_cumprod.tolist()
    assert noise["clip_sample_range"] == (1.0 if row["clip_sample"] else None)
    assert noise["timestep_spacing"] == row["timestep_spacing"]
    assert noise["steps_offset"] == row["steps_offset"]
    assert noise["final_alpha_cumprod"] == (1.0 if row["set_alpha_to_one"] else noise["alphas_cumprod"][0])
    assert noise["prediction_type"] == "epsilon"


@pytest.mark.parametrize("kind", CLASSES)
def test_what_a_config_says_goes_before_the_class(kind):
    said = {
        **BETAS,
        "num_train_timesteps": 500,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "steps_offset": 1,
        "set_alpha_to_one": False,
    }
    noise = describe_training_noise(getattr(diffusers, kind).from_config(said))
    wanted = diffusers.DDIMScheduler(**said, clip_sample=False).alphas_cumprod.tolist()
    assert noise["alphas_cumprod"] == wanted
    assert {key: noise[key] for key in ("prediction_type", "timestep_spacing", "steps_offset")} == {
        key: said[key] for key in ("prediction_type", "timestep_spacing", "steps_offset")
    }
    assert noise["final_alpha_cumprod"] == wanted[0]


def test_clip_sample_left_over_from_another_scheduler_clips_nothing():
    scheduler = diffusers.EulerDiscreteScheduler.from_config({**BETAS, "clip_sample": True, "clip_sample_range": 3.0})
    assert describe_training_noise(scheduler)["clip_sample_range"] is None
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=True, clip_sample_range=3.0)
    assert describe_training_noise(scheduler)["clip_sample_range"] == 3


def test_an_end_at_the_smallest_sigma_is_the_first_alpha():
    scheduler = diffusers.EulerDiscreteScheduler(**BETAS, final_sigmas_type="sigma_min")
    noise = describe_training_noise(scheduler)
    assert noise["final_alpha_cumprod"] == noise["alphas_cumprod"][0]


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if UNSAID[kind]["rescale_betas_zero_snr"][1]])
def test_zero_terminal_snr_is_zero_to_the_bit_and_rescaled_once(kind):
    zero_snr = {**BETAS, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    noise = describe_training_noise(getattr(diffusers, kind)(**zero_snr))
    assert noise["alphas_cumprod"] == diffusers.DDIMScheduler(**zero_snr).alphas_cumprod.tolist()
    assert noise["alphas_cumprod"][-1] == 0


def test_zero_terminal_snr_that_the_class_does_not_know_is_of_the_training_all_the_same():
    zero_snr = {**BETAS, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    noise = describe_training_noise(diffusers.DEISMultistepScheduler.from_config(zero_snr))
    assert noise["alphas_cumprod"] == diffusers.DDIMScheduler(**zero_snr).alphas_cumprod.tolist()


@pytest.mark.parametrize(
    "scheduler, asked",
    [
        (diffusers.DDIMScheduler(**BETAS, thresholding=True), "thresholding"),
        (diffusers.DPMSolverMultistepScheduler(**BETAS, use_flow_sigmas=True), "use_flow_sigmas"),
        (diffusers.UniPCMultistepScheduler(**BETAS, use_flow_sigmas=True), "use_flow_sigmas"),
        (
            diffusers.EulerDiscreteScheduler(
                **BETAS, timestep_type="continuous", prediction_type="v_prediction", sigma_min=0.1, sigma_max=10.0
            ),
            "timestep_type continuous",
        ),
    ],
)
def test_what_a_bundle_can_not_express_is_refused(scheduler, asked):
    with pytest.raises(ExportError) as caught:
        describe_training_noise(scheduler)
    assert str(caught.value) == f"the scheduler's config asks for {asked}, which a bundle can't express"


@pytest.mark.parametrize("kind", ["DDIMInverseScheduler", "CogVideoXDDIMScheduler", "RePaintScheduler"])
def test_schedulers_of_other_kinds_of_pipelines_are_refused(kind):
    with pytest.raises(ExportError) as caught:
        describe_training_noise(getattr(diffusers, kind)())
    assert kind in str(caught.value)


def test_other_levels_than_the_spacings_are_said_with_the_schedule_that_has_them():
    assert remark_on_levels(diffusers.EulerDiscreteScheduler(**BETAS)) is None
    assert (
        remark_on_levels(diffusers.EulerDiscreteScheduler(**BETAS, use_karras_sigmas=True))
        == "the scheduler's config asks for use_karras_sigmas: a bundle has no such default, "
        "draw with --schedule karras"
    )


# --- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "EulerDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "UniPCMultistepScheduler",
        "PNDMScheduler",
        "LMSDiscreteScheduler",
        "DEISMultistepScheduler",
        "KDPM2DiscreteScheduler",
    ],
)
def test_latents_are_as_large_as_the_pipelines_own_scheduler_makes_them(draw, tmp_path, kind):
    folder = saved_folder(tmp_path / "saved", kind, BETAS)
    source = load_pipeline(folder)
    bundle = tmp_path / "bundle"
    export_bundle(source.pipeline, bundle, ExportOptions("tiny", source="", licence="", sizes=[[32, 32]]))
    pipeline = source.pipeline
    pipeline.set_progress_bar_config(disable=True)
    pipeline.check_inputs = lambda *_: None
    own = latents_of(pipeline, PROMPT, SEED, num_inference_steps=20, guidance_scale=1)
    run = draw(PROMPT, "--model", bundle, "--seed", SEED, "--steps", 20, "--guidance-scale", 1)
    found = final_of(run)
    assert found.std().item() == pytest.approx(own.std().item(), rel=0.1)
    assert found.abs().max() > 3  # it was 1


# --- bundles that were exported by an earlier exporter ---------------------------------------------------------------


def test_verify_warns_of_latents_that_are_clipped_and_ends_well(run, changed_bundle):
    def change(manifest):
        manifest["training_noise"].update(clip_sample_range=1)
        manifest.pop("x0_rms")  # an earlier exporter knew no such key

    bundle = changed_bundle(change)
    ended = run("model", "verify", bundle)
    warned = [line for line in ended.out.splitlines() if not line.startswith(("ok   ", "     sandbox: "))]
    assert (ended.code, ended.err) == (0, "")
    assert warned == [
        "WARN training_noise.clip_sample_range is 1, so ddim and ddpm cut off x0, whose root mean square is 1 "
        "(assumed); export it again. If the warning stays, set clip_sample to false in the pipeline's "
        "scheduler_config.json first"
    ]
    verdict = json.loads(run("model", "verify", bundle, "--json").out)
    assert (verdict["warnings"], verdict["refused"]) == ([warned[0].removeprefix("WARN ")], [])


def test_verify_says_in_json_what_it_says_in_lines(run, tiny_bundle, changed_bundle):
    lines, ended = run("model", "verify", tiny_bundle).out.splitlines(), run("model", "verify", tiny_bundle, "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == {
        "bundle": str(tiny_bundle),
        "passed": [line.removeprefix("ok   ") for line in lines if line.startswith("ok   ")],
        "refused": [],
        "warnings": [],
        "sandbox": lines[-1].removeprefix("     sandbox: "),
    }
    bundle = changed_bundle(lambda manifest: manifest["files"]["denoiser.pt"].update(size=3))
    ended, verdict = run("model", "verify", bundle), json.loads(run("model", "verify", bundle, "--json").out)
    assert run("model", "verify", bundle, "--json").code == ended.code == 3
    assert ["BAD  " + line for line in verdict["refused"]] == [
        line for line in ended.out.splitlines() if line[:3] == "BAD"
    ]
    assert len(verdict["refused"]) == 1 and "denoiser.pt" in verdict["refused"][0]
