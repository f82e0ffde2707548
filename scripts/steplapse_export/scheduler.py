"""What a pipeline's scheduler does, said or not: the settings of it that a bundle has.

A scheduler's config need not say everything, and diffusers' classes differ in what holds then. EulerDiscreteScheduler
never clips x0, DDIMScheduler does unless told otherwise. So a setting that the config lacks is taken from the config's
own class.
"""

import inspect

import diffusers

from steplapse_export.programs import ExportError

# What holds where the config does not say. In brackets: the class has no such key, and this is what it does.
# (`last` is set_alpha_to_one: whether the last level has no noise at all. Of classes without that key,
# final_sigmas_type goes before it.)
TABLE = """
class                            beta_start  beta_end  beta_schedule  spacing     offset  clip     last     zero_snr
DDIMScheduler                    0.0001      0.02      linear         leading     0       True     True     False
DDIMParallelScheduler            0.0001      0.02      linear         leading     0       True     True     False
DDPMScheduler                    0.0001      0.02      linear         leading     0       True     (True)   False
DDPMParallelScheduler            0.0001      0.02      linear         leading     0       True     (True)   False
PNDMScheduler                    0.0001      0.02      linear         leading     0       (False)  False    (False)
LMSDiscreteScheduler             0.0001      0.02      linear         linspace    0       (False)  (True)   (False)
EulerDiscreteScheduler           0.0001      0.02      linear         linspace    0       (False)  (True)   False
EulerAncestralDiscreteScheduler  0.0001      0.02      linear         linspace    0       (False)  (True)   False
HeunDiscreteScheduler            0.00085     0.012     linear         linspace    0       False    (True)   (False)
KDPM2DiscreteScheduler           0.00085     0.012     linear         linspace    0       (False)  (True)   (False)
KDPM2AncestralDiscreteScheduler  0.00085     0.012     linear         linspace    0       (False)  (True)   (False)
DPMSolverMultistepScheduler      0.0001      0.02      linear         linspace    0       (False)  (True)   False
DPMSolverSinglestepScheduler     0.0001      0.02      linear         (linspace)  (0)     (False)  (True)   (False)
DPMSolverSDEScheduler            0.00085     0.012     linear         linspace    0       (False)  (True)   (False)
DEISMultistepScheduler           0.0001      0.02      linear         linspace    0       (False)  (False)  (False)
SASolverScheduler                0.0001      0.02      linear         linspace    0       (False)  (False)  (False)
UniPCMultistepScheduler          0.0001      0.02      linear         linspace    0       (False)  (True)   False
LCMScheduler                     0.00085     0.012     scaled_linear  leading     0       False    True     False
TCDScheduler                     0.00085     0.012     scaled_linear  leading     0       False    True     False
"""
COLUMNS = {
    "spacing": "timestep_spacing",
    "offset": "steps_offset",
    "clip": "clip_sample",
    "last": "set_alpha_to_one",
    "zero_snr": "rescale_betas_zero_snr",
}

# The same in all classes that have them.
ALIKE = {
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "prediction_type": "epsilon",
    "clip_sample_range": 1.0,
    "final_sigmas_type": "zero",
}

# What a bundle can't express: keys, and the value at which they ask for nothing.
REFUSED = {
    "thresholding": False,
    "use_flow_sigmas": False,
    "use_dynamic_shifting": False,
    "timestep_type": "discrete",
    "shift_terminal": None,
}

# Other noise levels than the spacing's: the schedule that has them here.
LEVELS = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta_sigma",
    "use_lu_lambdas": None,
}

# How to get from one level to the next, or settings of what is off: the user's choice of sampler, nothing a bundle has.
OF_THE_SAMPLER = {
    "algorithm_type",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "noise_sampler_seed",
    "original_inference_steps",
    "predict_x0",
    "predictor_order",
    "sample_max_value",
    "sigma_max",
    "sigma_min",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "tau_func",
    "time_shift_type",
    "timestep_scaling",
    "variance_type",
}


def read_table() -> dict[str, dict[str, tuple]]:
    """Of each class: key -> (what holds where the config does not say, whether the class has that key)."""
    (_, *names), *rows = (line.split() for line in TABLE.strip().splitlines())
    keys = [COLUMNS.get(name, name) for name in names]
    words = {"True": True, "False": False}

    def value_of(cell: str):
        text = cell.strip("()")
        if text in words:
            return words[text]
        return float(text) if "." in text else int(text) if text.isdigit() else text

    return {
        kind: {key: (value_of(cell), not cell.startswith("(")) for key, cell in zip(keys, cells, strict=True)}
        for kind, *cells in rows
    }


UNSAID = read_table()


def refuse_inexpressible(kind: str, config) -> None:
    for key in ("beta_start", "beta_end", "beta_schedule", "prediction_type"):
        if key not in config:
            raise ExportError(
                f"the scheduler, a {kind}, has no {key}: a bundle has the training noise of "
                "Stable Diffusion 1.x, 2.x and XL"
            )
    if kind not in UNSAID:
        raise ExportError(
            f"the scheduler is a {kind}, which this exporter does not know; expected: {', '.join(UNSAID)}"
        )
    for key, harmless in REFUSED.items():
        # A class that lacks the key ignores it.
        if key in knows(kind) and config[key] != harmless:
            asked = key if config[key] is True else f"{key} {config[key]}"
            raise ExportError(f"the scheduler's config asks for {asked}, which a bundle can't express")
    if config["prediction_type"] not in ("epsilon", "v_prediction", "sample"):
        raise ExportError(
            f"the scheduler's prediction type is {config['prediction_type']}, "
            "a bundle has epsilon, v_prediction or sample"
        )


def knows(kind: str) -> set[str]:
    """The keys that diffusers' class has."""
    return set(inspect.signature(getattr(diffusers, kind).__init__).parameters) - {"self"}


def settings_of(scheduler) -> dict:
    """Key by key: what the config says, else what its class does."""
    kind, config = type(scheduler).__name__, scheduler.config
    refuse_inexpressible(kind, config)
    settings = {key: config.get(key, unsaid) for key, (unsaid, _) in UNSAID[kind].items()}
    if not UNSAID[kind]["clip_sample"][1]:
        settings["clip_sample"] = (
            False  # left over from another scheduler: this class clips nothing, whatever it is told
        )
    if "set_alpha_to_one" not in config and "final_sigmas_type" in knows(kind):
        settings["set_alpha_to_one"] = config["final_sigmas_type"] == "zero"
    settings["prediction_type"] = config["prediction_type"]
    settings["clip_sample_range"] = config.get("clip_sample_range", ALIKE["clip_sample_range"])
    return settings


def as_ddim(scheduler) -> diffusers.DDIMScheduler:
    """Of the same training noise and settings.

    Not DDIMScheduler.from_config(), which puts DDIM's own defaults in the place of the other class's.
    """
    settings = settings_of(scheduler)
    if UNSAID[type(scheduler).__name__]["rescale_betas_zero_snr"][1]:
        settings["rescale_betas_zero_snr"] = False  # its betas are rescaled already
    return diffusers.DDIMScheduler(
        **settings, num_train_timesteps=len(scheduler.betas), trained_betas=scheduler.betas.tolist()
    )


def remark_on_levels(scheduler) -> str | None:
    """One line where the pipeline draws at other levels than the bundle's own schedule has."""
    config = scheduler.config
    for key, schedule in LEVELS.items():
        if key in knows(type(scheduler).__name__) and config[key]:
            return f"the scheduler's config asks for {key}: a bundle has no such default" + (
                f", draw with --schedule {schedule}" if schedule else ""
            )
    return None
