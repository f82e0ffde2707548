"""What a newcomer types first: help, a command's own help, the version."""

import re
import shlex
import shutil
import subprocess

import pytest

COMMANDS = [
    "generate",
    "resume",
    "branch",
    "replay",
    "runs",
    "render",
    "export",
    "explain",
    "compare",
    "film",
    "report",
    "sheet",
    "spectrum",
    "paths",
    "race",
    "sweep",
    "sweep plan",
    "sweep run",
    "sweep status",
    "sweep grid",
    "sweep summary",
    "sweep merge",
    "sweep slurm",
    "sweep parallel",
    "schedule",
    "samplers",
    "tokens",
    "model inspect",
    "model verify",
    "model prompts",
    "help",
    "doctor",
    "completion",
    "man",
    "version",
]


# Those that load a bundle, or its manifest.
LOADING = {
    *("generate", "resume", "branch", "replay", "render", "explain", "compare", "film", "report", "sheet", "spectrum"),
    *("race", "schedule", "tokens", "sweep", "sweep plan", "sweep run"),
}
DRAWING = {"generate", "resume", "branch", "race", "sweep", "sweep run"}


def test_the_overview_fits_a_screen_and_has_each_command(run):
    told = run("help")
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    listed = lines[lines.index("Draw:") :]
    headings = [line for line in listed if re.fullmatch("[A-Z][a-z ]+:", line)]
    assert headings == ["Draw:", "Go on from a run:", "Look at runs:", "Experiments:", "Know:"]
    parts = [command for command in COMMANDS if command.startswith("sweep ")]  # which stand in help of sweep
    found = [re.match("  ((model )?[a-z]+)", line)[1] for line in listed if line.startswith("  ")]
    assert found == [command for command in COMMANDS if command not in parts]
    listed = run("sweep", "--help").out.split("Parts of a sweep:\n")[1].split("\n\n")[0]
    assert re.findall("^  (sweep [a-z]+)", listed, re.MULTILINE) == parts
    assert run("--help") == run("-h") == told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_what_its_flag_prints(run, command):
    told = run("help", *command.split())
    assert (told.code, told.err) == (0, "")
    assert re.search(rf"^Usage: steplapse {command}\b", told.out, re.MULTILINE)
    assert run(*command.split(), "--help") == told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_how_it_may_end(run, command):
    told = " ".join(run(*command.split(), "--help").out.split("\nExit codes: ")[1].split("\n\n")[0].split())
    ends = {int(code): meaning for code, meaning in re.findall(r"(\d+) ([A-Za-z -]+)", told)}
    assert (ends[0], ends[2]) == ("done", "usage")
    loads = command in LOADING or command.startswith("model")
    assert (3 in ends) == loads
    assert (143 in ends) == (command in DRAWING)


def flags_in(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]+", text))


@pytest.mark.parametrize("command", ["generate", "race"])
def test_help_is_short_and_help_all_whole(run, command):
    short, whole = run(command, "--help").out, run(command, "--help-all").out
    assert flags_in(short) < flags_in(whole)
    hidden = len(re.findall(r"^  (?:-\w,)?--", whole, re.MULTILINE)) - len(
        re.findall(r"^  (?:-\w,)?--", short, re.MULTILINE)
    )
    assert hidden > 10 and f"steplapse {command} --help-all shows {hidden} more flags." in short
    assert max(map(len, whole.splitlines())) <= 80


def test_a_misspelt_command_is_named(run):
    told = run("ganerate", "x")
    assert (told.code, told.out) == (2, "")
    assert "did you mean: steplapse generate?" in told.err


# ---- completions and the manual page are made from the same table


def completed(run, *words: str) -> list[str]:
    """What bash offers for the last word."""
    script = run("completion", "bash").out
    line = " ".join(shlex.quote(word) for word in ("steplapse", *words))
    asked = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _steplapse; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    told = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    return told.stdout.split()


def test_bash_completes_commands_flags_and_names(run):
    assert completed(run, "sam") == ["samplers"]
    assert completed(run, "model", "ver") == ["verify"]
    assert completed(run, "red apple", "--guidance-s") == ["--guidance-scale", "--guidance-sigmas"]
    assert completed(run, "race", "x", "--cal") == ["--calls"]
    assert completed(run, "race", "x", "--guidance-i") == []  # which only drawing has
    samplers = [line.split()[0] for line in run("samplers").out.splitlines() if re.match(r"dpmpp_2m", line)]
    assert completed(run, "red apple", "--sampler", "dpmpp_2m") == samplers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_read_its_script_which_has_every_command_and_flag(run, shell):
    script = run("completion", shell).out
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)
    for command in COMMANDS:
        assert all(word in script for word in command.split())
        flags = flags_in(run(*command.split(), "--help-all").out if command in ("generate", "race") else "")
        assert flags - {"--list"} <= flags_in(script) or all(f"-l {flag[2:]}" in script for flag in flags - {"--list"})


def test_the_manual_page_has_every_command_and_flag(run):
    page = run("man").out.replace("\\-", "-")
    for command in COMMANDS:
        assert f'.SS "steplapse {command}' in page
    assert flags_in(run("generate", "--help-all").out) <= flags_in(page)
    if shutil.which("groff"):
        told = subprocess.run(["groff", "-man", "-ww", "-z"], input=run("man").out, text=True, capture_output=True)
        assert (told.returncode, told.stderr) == (0, "")


def test_help_of_model_names_its_commands(run):
    told = run("help", "model")
    assert [line.split()[1] for line in told.out.splitlines()] == ["inspect", "verify", "prompts"]
    assert run("model", "--help") == told


def test_version_is_a_command_and_a_flag(run):
    told = run("version")
    assert re.fullmatch(r"steplapse \d+\.\d+\.\d+, libtorch \d.*\n", told.out)
    assert run("--version") == run("red apple", "--version") == told


@pytest.mark.parametrize("prompt", ["castle", "a sampler", "face", "Film"])
def test_a_prompt_that_is_near_no_command_is_drawn(run, prompt):
    drawn = run(prompt, "--dry-run")
    assert (drawn.code, drawn.out.startswith(f"would draw '{prompt}'")) == (0, True)


def test_generate_draws_a_word_that_is_a_command(run):
    for word in ("sampler", "help", "film"):
        assert run("generate", word, "--dry-run").out.startswith(f"would draw '{word}'")
