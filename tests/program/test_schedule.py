"""`steplapse schedule` lists what diffusers and k-diffusion list: all work on the same training noise."""

import importlib.util
import json
import math
import sys
import types
from xml.etree import ElementTree

import pytest
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
)
from diffusers.schedulers import AysSchedules
from PIL import Image

# (steps, schedule, steps_offset, set_alpha_to_one). Where a timestep lies at a half, or near it, the ways to compute a
# list part: trailing at 48 and 96, linspace at 27. At 61 diffusers' trailing is odd (below).
SCHEDULES = [
    *((steps, "leading", 1, False) for steps in (1, 3, 30, 333, 999)),
    *((steps, "linspace", 1, False) for steps in (2, 10, 27, 1000)),
    *((steps, "trailing", 1, False) for steps in (1, 30, 48, 61, 96, 1000)),
    *((steps, "leading", 0, True) for steps in (7, 500, 1000)),
    (50, "linspace", 0, True),
    (100, "trailing", 0, True),
]


def scheduler_of(schedule: str, offset: int, set_alpha_to_one: bool) -> DDIMScheduler:
    """As the tiny bundle's pipeline has it, but for these."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        timestep_spacing=schedule,
        steps_offset=offset,
        set_alpha_to_one=set_alpha_to_one,
    )


def timesteps_of(scheduler: DDIMScheduler, steps: int) -> list[int]:
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    # At 61 steps and some others, arange(1000, 0, -1000 / steps) goes one too far, to 1e-13, and trailing ends with
    # timestep -1, which no network knows.
    return timesteps[:-1] if timesteps[-1] == -1 else timesteps


@pytest.fixture
def bundle_of(changed_bundle):
    def bundle_of(scheduler: DDIMScheduler):
        def change(manifest):
            # Its own table: whose float32 products are rounded how is the CPU's business.
            manifest["training_noise"]["alphas_cumprod"] = scheduler.alphas_cumprod.tolist()
            manifest["training_noise"]["steps_offset"] = scheduler.config.steps_offset
            manifest["training_noise"]["final_alpha_cumprod"] = float(scheduler.final_alpha_cumprod)

        return changed_bundle(change)

    return bundle_of


@pytest.mark.parametrize("steps, schedule, offset, set_alpha_to_one", SCHEDULES)
def test_levels_are_those_of_diffusers(run, bundle_of, steps, schedule, offset, set_alpha_to_one):
    scheduler = scheduler_of(schedule, offset, set_alpha_to_one)
    ended = run("schedule", "--json", "--steps", steps, "--schedule", schedule, "--model", bundle_of(scheduler))
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["init_scale"] == scheduler.init_noise_sigma

    *levels, last = found["levels"]
    timesteps = timesteps_of(scheduler, steps)
    assert [level["timestep"] for level in levels] == timesteps
    alphas_cumprod = scheduler.alphas_cumprod.double()[timesteps].tolist()
    assert [level["alpha"] for level in levels] == pytest.approx([math.sqrt(a) for a in alphas_cumprod], abs=1e-12)
    assert [level["sigma"] for level in levels] == pytest.approx([math.sqrt(1 - a) for a in alphas_cumprod], abs=1e-12)

    final = float(scheduler.final_alpha_cumprod)
    assert last["timestep"] == (None if set_alpha_to_one else 0)
    assert (last["alpha"], last["sigma"]) == pytest.approx((math.sqrt(final), math.sqrt(1 - final)), abs=1e-12)


def levels_of(run, *arguments) -> dict:
    ended = run("schedule", "--json", *arguments)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def sigmas_of(schedule: dict) -> list[float]:
    return [level["sigma"] / level["alpha"] for level in schedule["levels"]]


def euler_scheduler(**options) -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, **options
    )


@pytest.mark.parametrize("steps", [1, 2, 10, 25])
@pytest.mark.parametrize(
    "schedule, options",
    [
        ("karras", {"use_karras_sigmas": True}),
        ("exponential", {"use_exponential_sigmas": True}),
        ("beta_sigma", {"use_beta_sigmas": True}),
    ],
)
def test_sigmas_are_those_of_diffusers(run, schedule, options, steps):
    # Else its ends are what the spacing makes of them, in float32.
    table = euler_scheduler().alphas_cumprod.double()
    ends = ((1 - table) / table).sqrt().tolist()
    scheduler = euler_scheduler(sigma_min=ends[0], sigma_max=ends[-1], **options)
    scheduler.set_timesteps(steps)
    found = levels_of(run, "--steps", steps, "--schedule", schedule)
    assert sigmas_of(found) == pytest.approx(scheduler.sigmas.tolist(), rel=2e-6)
    *asked, last = [level["timestep"] for level in found["levels"]]
    assert asked == pytest.approx(scheduler.timesteps.tolist(), abs=2e-3)
    assert last is None
    assert found["init_scale"] == found["levels"][0]["sigma"]


def solver_scheduler(**options) -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, **options
    )


@pytest.mark.parametrize("steps", [1, 2, 27, 61])
@pytest.mark.parametrize(
    "schedule, make, spacing",
    [
        ("linspace_sigma", euler_scheduler, "linspace"),
        ("leading", euler_scheduler, "leading"),
        ("trailing", euler_scheduler, "trailing"),
        ("linspace_solver", solver_scheduler, "linspace"),
        ("leading_solver", solver_scheduler, "leading"),
        ("trailing", solver_scheduler, "trailing"),
    ],
)
def test_spacings_of_samplers_over_sigma_are_those_of_diffusers(run, schedule, make, spacing, steps):
    scheduler = make(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    timesteps, sigmas = scheduler.timesteps.tolist(), scheduler.sigmas.tolist()
    if timesteps[-1] == -1:  # as above
        del timesteps[-1], sigmas[-2]
    found = levels_of(run, "--steps", steps, "--schedule", schedule, "--sampler", "euler")
    assert [level["timestep"] for level in found["levels"]] == pytest.approx([*timesteps, None], abs=1e-4)
    assert sigmas_of(found) == pytest.approx(sigmas, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("shift", [1, 3])
def test_flow_levels_are_those_of_diffusers(run, changed_bundle, shift, steps):
    def change(manifest):
        manifest["training_noise"] = {"prediction_type": "flow", "timestep_spacing": "linspace", "shift": shift}

    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    found = levels_of(run, "--steps", steps, "--sampler", "euler", "--model", changed_bundle(change))
    assert [level["sigma"] for level in found["levels"]] == pytest.approx(scheduler.sigmas.tolist(), rel=1e-6)
    assert [level["timestep"] for level in found["levels"][:-1]] == pytest.approx(
        scheduler.timesteps.tolist(), rel=1e-6
    )


@pytest.mark.parametrize("steps", [1, 4, 7, 50])
def test_lcm_has_the_timesteps_of_diffusers(run, steps):
    scheduler = LCMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    scheduler.set_timesteps(steps)
    found = levels_of(run, "--steps", steps, "--schedule", "lcm")
    assert [level["timestep"] for level in found["levels"][:-1]] == scheduler.timesteps.tolist()


@pytest.mark.parametrize(
    "schedule, key",
    [("ays_sd1", "StableDiffusionSigmas"), ("ays_sdxl", "StableDiffusionXLSigmas"), ("ays", "StableDiffusionSigmas")],
)
def test_align_your_steps_has_the_published_sigmas(run, schedule, key):
    assert sigmas_of(levels_of(run, "--steps", 10, "--schedule", schedule)) == pytest.approx(
        AysSchedules[key], rel=1e-9
    )


@pytest.mark.parametrize("family", ["sdxl", None])
def test_align_your_steps_takes_the_list_of_the_models_family(run, changed_bundle, family):
    def change(manifest):
        if family:
            manifest["family"] = family
        else:
            del manifest["family"]
            manifest["tokenizers"] *= 2  # as Stable Diffusion XL has

    found = levels_of(run, "--steps", 10, "--schedule", "ays", "--model", changed_bundle(change))
    assert sigmas_of(found) == pytest.approx(AysSchedules["StableDiffusionXLSigmas"], rel=1e-9)


@pytest.fixture(scope="module")
def k_diffusion():
    """Its sampling.py alone: what else it imports is for other things than levels."""
    package = importlib.util.find_spec("k_diffusion")
    if package is None:
        pytest.skip("k-diffusion is not installed")
    file = f"{package.submodule_search_locations[0]}/sampling.py"
    names = ["scipy.integrate", "torchdiffeq", "torchsde", "k_diffusion", "k_diffusion.utils"]
    missing = {name: types.ModuleType(name) for name in names if name not in sys.modules}
    missing.setdefault("torchdiffeq", types.ModuleType("torchdiffeq")).odeint = None
    with pytest.MonkeyPatch.context() as patch:
        for name, module in missing.items():
            patch.setitem(sys.modules, name, module)
        spec = importlib.util.spec_from_file_location("k_diffusion.sampling", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("steps", [2, 10, 33])
@pytest.mark.parametrize("rho", [None, 1, 3.5, 7])
@pytest.mark.parametrize("schedule", ["karras", "exponential", "polyexponential"])
def test_sigmas_are_those_of_k_diffusion(run, k_diffusion, schedule, steps, rho):
    limits, flags = {"sigma_min": 0.05, "sigma_max": 12.5}, ["--sigma-min", 0.05, "--sigma-max", 12.5]
    options = {}
    if rho is not None:
        if schedule == "exponential":
            pytest.skip("it has no rho")
        options, flags = {"rho": rho}, [*flags, "--rho", rho]
    expected = getattr(k_diffusion, f"get_sigmas_{schedule}")(steps, **limits, **options).tolist()
    assert sigmas_of(levels_of(run, "--steps", steps, "--schedule", schedule, *flags)) == pytest.approx(
        expected, rel=1e-5
    )


def test_a_schedule_in_whole_strides_says_how_many_steps_it_makes(run):
    ended = run("schedule", "--json", "--steps", 80, "--schedule", "ddim_uniform")
    assert len(json.loads(ended.out)["levels"]) == 85
    assert ended.lines() == ["steplapse: warning: --schedule ddim_uniform makes 84 steps where 80 are asked"]


def test_the_users_own_levels_are_taken_as_they_are(run, tmp_path):
    found = levels_of(run, "--timesteps", "999,850,736,645,1")
    assert [level["timestep"] for level in found["levels"]] == [
        999,
        850,
        736,
        645,
        1,
        0,
    ]  # ddim ends at the model's own
    found = levels_of(run, "--sigmas", "14.615,6.475,0.5,0")
    assert sigmas_of(found) == pytest.approx([14.615, 6.475, 0.5, 0])
    printed = run("schedule", "--json", "--steps", 5, "--schedule", "karras").out
    (tmp_path / "levels.json").write_text(printed)
    assert run("schedule", "--json", "--levels", "levels.json").out == printed


def test_schedules_are_listed(run):
    rows = " ".join(run("schedule", "--list").out.split())  # folded to 80 columns
    listed = json.loads(run("schedule", "--list", "--json").out)
    names = [row["name"] for row in listed]
    assert {"leading", "karras", "ays_sdxl", "lcm"} <= set(names)
    for row in listed:
        assert row["about"] in rows and row["source"] in rows
        levels_of(run, "--schedule", row["name"], "--steps", 5)


def test_a_schedule_is_drawn(run, tmp_path):
    assert run("schedule", "--schedule", "karras", "--steps", 7, "--plot", "levels.svg").code == 0
    svg = ElementTree.parse(tmp_path / "levels.svg")
    shapes = [element.tag.rsplit("}")[-1] for element in svg.iter()]
    assert shapes.count("circle") == 7 + 7  # sigma 0 is not on a logarithmic axis, and has no timestep
    assert "karras, 7 steps" in [element.text for element in svg.iter()]
    assert run("schedule", "--plot", "levels.png").code == 0
    assert run("schedule", "--plot", "levels.png").code == 4  # it is there
    assert run("schedule", "--plot", "levels.png", "--overwrite").code == 0
    with Image.open(tmp_path / "levels.png") as picture:
        assert picture.size == (720, 720)
        # Between an axis and its numbers is nothing: no line begins where a text ended.
        assert {picture.getpixel((x, 308)) for x in range(720)} == {(255, 255, 255)}
    ended = run("schedule", "--plot", "levels.jpg")
    assert (ended.code, ended.lines()) == (
        2,
        ["steplapse: levels.jpg: expected a file's name that ends in .svg or .png"],
    )


def test_a_table_has_a_row_a_level(run, tiny_bundle):
    ended = run("schedule", "--steps", 4, "--schedule", "trailing")
    assert (ended.code, ended.err) == (0, "")
    header, *rows = ended.out.splitlines()
    assert header.split() == ["step", "timestep", "alpha", "sigma", "sigma/alpha", "log_snr"]
    table = json.loads((tiny_bundle / "model.json").read_text())["training_noise"]["alphas_cumprod"]
    wanted = [
        (
            step,
            timestep,
            math.sqrt(table[timestep]),
            math.sqrt(1 - table[timestep]),
            math.sqrt(1 / table[timestep] - 1),
            -math.log(1 / table[timestep] - 1),
        )
        for step, timestep in enumerate([999, 749, 499, 249, 0])
    ]
    assert [tuple(map(float, row.split())) for row in rows] == [pytest.approx(row, abs=1e-6) for row in wanted]


def test_a_last_level_without_a_timestep_has_a_dash(run, bundle_of):
    model = bundle_of(scheduler_of("leading", 0, True))
    rows = run("schedule", "--steps", 1, "--schedule", "trailing", "--model", model).out.splitlines()
    assert rows[2].split() == ["1", "-", "1.000000", "0.000000", "0.000000", "inf"]


def test_steps_and_schedule_are_the_bundles_where_none_are_named(run):
    said = run("schedule", "--json", "--steps", 30, "--schedule", "leading")
    assert run("schedule", "--json").out == said.out


REFUSALS = [
    (
        501,
        "leading with 501 steps would start at timestep 501, not at the noisiest, 999; use at most 500 steps, or "
        "trailing or linspace",
    ),
    (
        998,
        "leading with 998 steps would start at timestep 998, not at the noisiest, 999; use at most 500 steps, or "
        "trailing or linspace",
    ),
    (
        1000,
        "leading with offset 1 and 1000 steps would start at timestep 1000, outside the model's 0 to 999; use "
        "trailing or linspace",
    ),
    (1001, "the model has 1000 timesteps; expected 1 to 500 or 999"),
]


@pytest.mark.parametrize("steps, reason", REFUSALS)
def test_leading_is_refused_where_it_would_not_start_in_noise(run, steps, reason):
    ended = run("schedule", "--steps", steps)
    assert (ended.code, ended.out) == (2, "")
    assert ended.lines() == [f"steplapse: --steps {steps}: {reason}"]


@pytest.mark.parametrize("schedule, steps, first", [("leading", 1, 1), ("linspace", 1, 0)])
def test_a_start_with_little_noise_gets_a_warning(run, schedule, steps, first):
    ended = run("schedule", "--json", "--steps", steps, "--schedule", schedule)
    assert ended.code == 0
    assert json.loads(ended.out)["levels"][0]["timestep"] == first
    assert ended.lines() == [
        f"steplapse: warning: --schedule {schedule} with 1 step starts at timestep {first} of 1000, "
        "where the network expects little noise; --schedule trailing starts at the noisiest"
    ]


NAMES = (
    "ays, bundle, leading, linspace, trailing, linspace_sigma, linspace_solver, leading_solver, normal, simple, "
    "sgm_uniform, ddim_uniform, karras, exponential, polyexponential, beta, beta_sigma, kl_optimal, ays_sd1, ays_sdxl, "
    "laplace, linear_quadratic, lcm"
)
RANGE = "the model was trained at sigmas from 0.0291675 to 14.6146"
BAD_LEVELS = [
    (["--schedule", "karas"], f"--schedule 'karas': did you mean 'karras'? choose from {NAMES}"),
    (["--schedule", "karras", "--sigma-max", "20"], f"--sigma-max 20: {RANGE}"),
    (["--schedule", "karras", "--sigma-min", "0"], f"--sigma-min 0: {RANGE}"),
    (["--schedule", "karras", "--sigma-min", "-1"], "--sigma-min '-1': expected a number of 0 or more"),
    (["--schedule", "karras", "--sigma-min", "5", "--sigma-max", "3"], "--sigma-min 5: not below the largest sigma, 3"),
    (["--schedule", "karras", "--rho", "0"], "--rho 0: expected a number above 0"),
    (
        ["--schedule", "exponential", "--rho", "7"],
        "--rho: the schedule 'exponential' does not take it; those that do: karras, polyexponential",
    ),
    (
        ["--schedule", "lcm", "--sigma-max", "7"],
        "--sigma-max: the schedule 'lcm' does not take it; those that do: normal, sgm_uniform, karras, exponential, "
        "polyexponential, beta_sigma, kl_optimal, laplace, linear_quadratic",
    ),
    (
        ["--schedule", "lcm", "--steps", "51"],
        "--steps 51: lcm picks from the 50 timesteps of the distillation; use at most 50 steps",
    ),
    (
        ["--timesteps", "999,850,", "--steps", "3"],
        "--timesteps '999,850,': expected numbers with commas between, as 999,750,500,250",
    ),
    (["--timesteps", "999,850", "--steps", "3"], "--timesteps has all levels already; leave out --steps"),
    (["--sigmas", "14,0", "--schedule", "karras"], "--sigmas has all levels already; leave out --schedule"),
    (["--sigmas", "14,0", "--rho", "7"], "--sigmas has all levels already; leave out --rho"),
    (["--sigmas", "14,0", "--timesteps", "999"], "--timesteps and --sigmas both say which levels; leave one out"),
    (["--timesteps", "1000,500"], "--timesteps: 1000: the model was trained on timesteps 0 to 999"),
    (["--timesteps", "500,600"], "--timesteps: 600 after 500: expected numbers that fall"),
    (["--sigmas", "14,1"], "--sigmas: ends at 1, which would leave noise in the picture; expected 0 at the end"),
    (["--sigmas", "14,nan,0"], "--sigmas '14,nan,0': expected numbers with commas between, as 14.6,3.9,0.9,0"),
    (["--sigmas", "100,0"], f"--sigmas: 100: {RANGE}"),
    (["--sigmas", "1,2,0"], "--sigmas: 2 after 1: expected numbers that fall"),
    (["--sampler", "a1111:DPM+++ 9M"], "unknown sampler 'a1111:DPM+++ 9M', did you mean 'a1111:DPM++ 2M'?"),
    (
        ["--sampler", "invoke:euler"],
        "unknown tool 'invoke'; choose from a1111, comfyui, k-diffusion, sd.cpp, diffusers",
    ),
    (["--schedule", "a1111:Karas"], "unknown schedule 'a1111:Karas', did you mean 'a1111:Karras'?"),
    (["--shift", "3"], "--shift: is for flow models; this one predicts epsilon"),
    (["--levels", "none.json"], "--levels none.json: cannot read: No such file or directory"),
    (["--levels", "text.json"], "--levels 'text.json': is not JSON: wrong at byte 1 of 5"),
    (
        ["--levels", "list.json"],
        '--levels \'list.json\': expected what steplapse schedule --json prints, {"init_scale": 1, "levels": '
        '[{"timestep": 999, "alpha": 0.1, "sigma": 0.995}, …]}',
    ),
    (["--levels", "rises.json"], "--levels: noise levels do not fall: sigma 0.9 at level 1, after 0.5 at level 0"),
]


@pytest.mark.parametrize("arguments, message", BAD_LEVELS)
def test_levels_that_cannot_be_had_are_refused(run, tmp_path, arguments, message):
    (tmp_path / "text.json").write_text("steps")
    (tmp_path / "list.json").write_text("[1, 2]")
    rises = [
        {"timestep": 400, "alpha": 0.75**0.5, "sigma": 0.5},
        {"timestep": 600, "alpha": 0.19**0.5, "sigma": 0.9},
        {"timestep": None, "alpha": 1, "sigma": 0},
    ]
    (tmp_path / "rises.json").write_text(json.dumps({"init_scale": 1, "levels": rises}))
    ended = run("schedule", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.lines() == [f"steplapse: {message}"]


GUIDANCE = [
    (["--guidance-interval", "3"], "--guidance-interval '3': expected steps A..B, as 3..20"),
    (["--guidance-interval", ".."], "--guidance-interval '..': expected steps A..B, as 3..20"),
    (["--guidance-interval", "1.5..2"], "--guidance-interval '1.5..2': expected steps A..B, as 3..20"),
    (["--guidance-interval", "3..2"], "--guidance-interval 3..2: expected steps A..B from 1, A no greater than B"),
    (["--guidance-interval", "0..2"], "--guidance-interval 0..2: expected steps A..B from 1, A no greater than B"),
    (["--guidance-interval", "3..31"], "--guidance-interval 3..31: the run has 30 steps"),
    (["--guidance-interval", "31.."], "--guidance-interval 31..: the run has 30 steps"),
    (["--guidance-sigmas", "5..1"], "--guidance-sigmas 5..1: expected LOW..HIGH, LOW below HIGH"),
    (["--guidance-sigmas", "low..1"], "--guidance-sigmas 'low..1': expected sigmas LOW..HIGH, as 0.28..5.42"),
    (["--guidance-rescale", "2"], "--guidance-rescale '2': expected a number from 0 to 1"),
    (
        ["--guidance-rescale", "0.5", "--guidance-scale", "1"],
        "--guidance-rescale: there is no guidance at --guidance-scale 1; expected another",
    ),
    (["--s-churn", "1"], "--s-churn: the sampler 'ddim' does not churn"),
    (["--s-noise", "1"], "--s-noise: the sampler 'ddim' draws no fresh noise with --eta 0"),
]


@pytest.mark.parametrize("arguments, message", GUIDANCE)
def test_guidance_and_noise_that_cannot_be_had_are_refused(run, arguments, message):
    ended = run("red apple", "--steps", 30, "--dry-run", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert [line[: len(message) + 11] for line in ended.lines()] == [f"steplapse: {message}"]


def test_a_dry_run_says_how_many_rows_are_asked(run):
    out = run("red apple", "--steps", 10, "--frames", "none", "--guidance-interval", "3..6", "--dry-run").out
    assert "4 denoiser calls of 2 rows and 6 denoiser calls of 1 row" in out


def test_a_sampler_brings_its_usual_levels_to_schedule_and_generate_alike(run, tmp_path):
    karras = json.loads(run("schedule", "--json", "--steps", 5, "--schedule", "karras").out)
    assert json.loads(run("schedule", "--json", "--steps", 5, "--sampler", "dpmpp_2m").out) == karras
    ended = run(
        "red apple",
        "--seed",
        1,
        "--steps",
        5,
        "--sampler",
        "dpmpp_2m",
        "--frames",
        "none",
        "--out",
        tmp_path / "run",
        "--progress",
        "lines",
    )
    assert "5 steps of dpmpp_2m on karras" in ended.err
    told = json.loads((tmp_path / "run/run.json").read_text())
    assert (told["schedule"], told["levels"]) == ("karras", karras)
    with Image.open(tmp_path / "run/final.png") as picture:
        assert "Sampler: DPM++ 2M, Schedule type: Karras" in picture.text["parameters"]

    bundle = json.loads(run("schedule", "--json", "--steps", 5, "--sampler", "dpmpp_2m", "--schedule", "leading").out)
    assert (
        json.loads(run("schedule", "--json", "--steps", 5, "--sampler", "dpmpp_2m", "--schedule", "bundle").out)
        == bundle
    )
    (tmp_path / "list.txt").write_text('{"prompt": "red", "sampler": "dpmpp_2m"}\nred\n')
    dry = run("--prompts", tmp_path / "list.txt", "--dry-run").out
    assert "schedule karras (usual for dpmpp_2m; --schedule bundle is leading), " in dry
    assert "schedule leading, " in dry


def test_a_name_that_is_taken_for_another_tools_brings_that_tools_levels(run):
    assert (
        "schedule karras, " in run("red apple", "--sampler", "DPM++ 2M SDE Karras", "--dry-run").out
    )  # the usual: exponential
    assert "schedule karras (usual for dpmpp_2m" in run("red apple", "--sampler", "DPMPP_2M", "--dry-run").out
