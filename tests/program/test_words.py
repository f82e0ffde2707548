"""The words that people bring from other tools: flags, names of samplers and schedules, lines of a prompts file."""

import json
import re

import pytest

from harness import ROOT


@pytest.fixture
def planned(run):
    """planned("red apple", ...) is what a dry run says it would draw, and what it says of that on stderr."""

    def planned(*arguments, **more) -> dict:
        ended = run(*arguments, "--dry-run", "--progress", "json", **more)
        assert ended.code == 0, ended
        said = [json.loads(line) for line in ended.out.splitlines()]
        plans = [event for event in said if event["event"] == "plan"]
        return {
            **plans[0],
            "all": plans,
            "warnings": [event["message"] for event in said if event["event"] == "warning"],
        }

    return planned


@pytest.fixture
def refused(run):
    def refused(*arguments, **more) -> str:
        ended = run(*arguments, **more)
        (line,) = ended.lines()
        assert (ended.code, ended.out) == (2, ""), ended
        return line.removeprefix("steplapse: ")

    return refused


@pytest.mark.parametrize(
    "words, expected",
    [
        (["-p", "red apple"], {"prompt": "red apple"}),
        (["--prompt=red apple"], {"prompt": "red apple"}),
        (["red apple", "--ddim_steps", 7], {"steps": 7}),
        (["red apple", "--num_inference_steps=7"], {"steps": 7}),
        (["red apple", "--cfg-scale", 2.5], {"guidance_scale": 2.5}),
        (["red apple", "--cfg", 2.5], {"guidance_scale": 2.5}),
        (["red apple", "--scale", 2.5], {"guidance_scale": 2.5}),
        (["red apple", "--guidance_scale", 2.5], {"guidance_scale": 2.5}),
        (["red apple", "--sampling-method", "heun"], {"sampler": "heun"}),
        (["red apple", "-W", 16, "-H16"], {"width": 16, "height": 16}),
        (["red apple", "--W", 16], {"width": 16, "height": 16}),
        (["red apple", "--size", "16X16"], {"width": 16, "height": 16}),
        (["red apple", "-o", "there"], {"folder": "there"}),
        (["red apple", "--neg", "-p"], {"prompt": "red apple"}),  # a value is a value, whatever it looks like
    ],
)
def test_a_word_that_means_the_same_is_the_flag(planned, words, expected):
    plan = planned(*words)
    assert {key: plan[key] for key in expected} == expected
    assert plan["warnings"] == []


def test_a_flag_is_given_twice_however_it_is_spelled(refused):
    for twice in (["--steps", 3, "--ddim_steps", 4], ["--num_inference_steps", 3, "--num-inference-steps", 3]):
        assert refused("red apple", *twice) == "--steps: given more than once; see steplapse generate --help"
    assert refused("red apple", "-p", "castle").startswith("--prompt: given more than once")
    assert (
        refused("red apple", "--size", "16x16", "--width", 16) == "--size and --width both say how large; leave one out"
    )


@pytest.mark.parametrize(
    "word, ours",
    [
        ("-n", ["--negative-prompt", "--count"]),
        ("-s", ["--seed", "--steps"]),
        ("-b", ["--count", "--max-batch"]),
        ("-m", ["--model", "--sampler"]),
        ("--scheduler", ["--schedule", "--sampler"]),
    ],
)
def test_a_word_of_several_meanings_is_refused_with_all_of_them(refused, word, ours):
    said = refused("red apple", word, 3)
    assert said.startswith(f"{word}: means {ours[0]} in ") and said.endswith(f"; write {ours[0]} or {ours[1]}")


@pytest.mark.parametrize(
    "word, way",
    [
        ("--n_iter", "--count N"),
        ("--batch_size", "--count N"),
        ("--n_samples", "--count N"),
        ("--num-images-per-prompt", "--count N"),
        ("--plms", "--sampler pndm"),
        ("--dpm_solver", "--sampler dpmpp_2m"),
        ("--outdir", "--out DIR"),
        ("--ckpt", "--model"),
        ("--vae", "--model"),
        ("--lora-model-dir", "--lora FILE:WEIGHT"),
        ("--clip_skip", "--clip-skip N"),
        ("--type", "--dtype"),
        ("--precision", "--dtype"),
        ("--init-img", "starts from no picture"),
        ("--strength", "starts from no picture"),
        ("--hires-fix", "--size WxH"),
    ],
)
def test_a_word_that_does_not_mean_the_same_is_answered(refused, word, way):
    said = refused("red apple", word, "x")
    assert said.startswith(f"{word}: ") and way in said


def test_every_flag_that_an_answer_names_is_one(run):
    """Of ours or of the exporter's: an answer must not send anyone astray."""
    known = set(re.findall(r"--[a-z][a-z-]+", run("generate", "--help-all").out))
    known |= set(re.findall(r'"(--[a-z][a-z-]+)"', (ROOT / "scripts/steplapse_export/cli.py").read_text()))
    (source,) = (ROOT / "src").rglob("flag_words.cpp")
    table = source.read_text()
    answers = [text for text in re.findall(r'"((?:[^"\\]|\\.)*)"', table) if not text.startswith("-")]
    named = {flag for text in answers for flag in re.findall(r"--[a-z][a-z-]+", text)}
    named |= set(re.findall(r'^ +\{"[^"]+", "[^"]+", "(--[a-z-]+)"', table, re.MULTILINE))
    assert len(named) > 15 and named <= known, named - known


def test_seed_minus_1_is_random_and_other_tools_generators_are_known(planned, refused):
    assert planned("red apple", "--seed", "-1")["seed"] != planned("red apple", "--seed", "-1")["seed"]
    for rng in ("philox", "cuda", "NV", "gpu", "cpu", "CPU"):
        planned("red apple", "--rng", rng)
    assert refused("red apple", "--device", "mps") == "--device 'mps': not here; choose from auto, cpu, cuda, cuda:N"


# ---- samplers and schedules


@pytest.mark.parametrize(
    "word, sampler, schedule, taken",
    [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras", "a1111:DPM++ 2M Karras"),
        ("dpm++ 2m karras", "dpmpp_2m", "karras", "a1111:DPM++ 2M Karras"),
        ("euler_ancestral", "euler_a", "simple", "comfyui:euler_ancestral"),
        ("EulerAncestralDiscreteScheduler", "euler_a", "linspace_sigma", "diffusers:EulerAncestralDiscreteScheduler"),
        ("dpm++2m", "dpmpp_2m", "normal", "sd.cpp:dpm++2m"),
        ("Euler", "euler", "leading", "euler"),
        ("DDIM", "ddim", "leading", "ddim"),
        (
            "Euler Karras",
            "euler",
            "karras",
            "euler on the schedule karras; tools differ in the rest: a1111:Euler Karras, comfyui:euler karras, "
            "sd.cpp:euler karras",
        ),
    ],
)
def test_a_sampler_is_known_without_its_tool(planned, word, sampler, schedule, taken):
    plan = planned("red apple", "--sampler", word)
    assert (plan["sampler"], plan["schedule"]) == (sampler, schedule)
    assert plan["warnings"][0] == f"--sampler '{word}' is taken for {taken}"


@pytest.mark.parametrize(
    "word, schedule",
    [
        ("Karras", "karras"),
        ("SGM Uniform", "sgm_uniform"),
        ("KL Optimal", "kl_optimal"),
        ("discrete", "normal"),
        ("use_karras_sigmas", "karras"),
    ],
)
def test_a_schedule_is_known_without_its_tool(planned, word, schedule):
    plan = planned("red apple", "--schedule", word)
    assert (plan["schedule"], plan["warnings"]) == (schedule, [f"--schedule '{word}' is taken for {schedule}"])


def test_names_of_ours_are_taken_in_silence_and_unlike_schedules_of_one_name_are_refused(planned, refused):
    for name in ("sgm_uniform", "beta"):
        assert planned("red apple", "--schedule", name)["warnings"] == []
    said = refused("red apple", "--schedule", "Beta")
    assert said == "--schedule 'Beta' is different schedules in different tools; write one of: beta, a1111:Beta"


def test_a_race_knows_them_too(run):
    ended = run("race", "red apple", "--samplers", "DPM++ 2M,euler_ancestral", "--calls", "5", "--reference", "Heun:20")
    assert ended.code == 0, ended
    assert "--sampler 'euler_ancestral' is taken for comfyui:euler_ancestral" in ended.err


# ---- prompts files


def test_lines_of_flags_and_other_tools_keys_are_read(planned, tmp_path):
    (tmp_path / "prompts").write_text(
        '--prompt "red apple" --steps 5 --cfg_scale 7 --sampler_name "DPM++ 2M" --width 16 --seed 4 '
        "--negative_prompt blue whale\n"
        "--prompt two words --steps=6 --seed 5\n"
        '{"prompt": "sun", "num_inference_steps": 7, "cfg": 2, "seed": 6}\n'
    )
    plan = planned("--prompts", "prompts", "--size", "16x16")
    assert [(each["prompt"], each["steps"], each["guidance_scale"], each["seed"]) for each in plan["all"]] == [
        ("red apple", 5, 7, 4),
        ("two words", 6, 5, 5),
        ("sun", 7, 2, 6),
    ]
    assert plan["sampler"] == "dpmpp_2m"


def test_a_json_array_is_read(planned, tmp_path):
    (tmp_path / "prompts").write_text('[\n "red apple",\n {"prompt": "sun", "steps": 7}]\n')
    assert [(each["prompt"], each["steps"]) for each in planned("--prompts", "prompts", "--seed", 1)["all"]] == [
        ("red apple", 30),
        ("sun", 7),
    ]


@pytest.mark.parametrize(
    "text, said",
    [
        ("red apple --steps 5", "prompts:1: a prompt with '--steps' behind it"),
        ("red apple\n--steps 5", "prompts:2: no --prompt in it"),
        ('--prompt "red apple', 'prompts:1: the quote " is not closed'),
        ("--prompt a --n_iter 3", "prompts:1: --n_iter: write --count N"),
        ('{"prompt": "a", "steps": 3, "ddim_steps": 4}', "prompts:1: 'steps' is given twice"),
        ("prompt,steps\nred apple,5", "prompts:1: these look like the names of a table's columns"),
        ('["red apple", 3]', "prompts: item 2: 3: expected a prompt"),
        ('["red apple",', "--prompts 'prompts': "),
    ],
)
def test_what_is_no_prompt_is_never_drawn_as_one(refused, tmp_path, text, said):
    (tmp_path / "prompts").write_text(text)
    assert refused("--prompts", "prompts").startswith(said)


def test_brackets_and_dashes_of_a_prompt_stay(planned, tmp_path):
    prompts = ["[red] apple", "an apple -- red", "well--made"]
    (tmp_path / "prompts").write_text("\n".join(prompts))
    assert [each["prompt"] for each in planned("--prompts", "prompts", "--seed", 1)["all"]] == prompts


# ---- where the picture goes


def test_out_may_name_the_picture(run, tmp_path):
    ended = run("red apple", "--steps", 3, "--seed", 1, "--frames", "none", "-o", "there/x.PNG")
    assert ended.code == 0, ended
    assert ended.out.startswith("done: there/x.PNG\n")
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["x", "x.PNG"]
    first = (tmp_path / "there/x.PNG").read_bytes()
    assert first == (tmp_path / "there/x/final.png").read_bytes()

    (tmp_path / "y.png").write_text("mine")
    ended = run("red apple", "--steps", 3, "--out", "y.png")
    assert (ended.code, ended.lines()) == (
        4,
        ["steplapse: y.png: is there already; name another file, or --overwrite to replace it"],
    )
    assert (tmp_path / "y.png").read_text() == "mine" and not (tmp_path / "y").exists()
    ended = run(
        "red apple",
        "--steps",
        3,
        "--seed",
        1,
        "--frames",
        "none",
        "--out",
        "y.png",
        "--overwrite",
        "--progress",
        "json",
    )
    assert ended.code == 0, ended
    assert (tmp_path / "y.png").read_bytes() == first
    assert json.loads(ended.out.splitlines()[-1])["picture"] == "y.png"


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--out", "x.jpg"], "--out 'x.jpg': pictures are PNG files; write --out x.png, or a folder's name"),
        (["--out", "x.png", "--count", 2], "--out 'x.png': is one picture, and there will be 2; name a folder"),
    ],
)
def test_out_names_one_png(refused, tmp_path, flags, said):
    assert refused("red apple", *flags) == said
    assert list(tmp_path.iterdir()) == []
