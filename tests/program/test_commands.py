"""What a newcomer types first: help, a command's own help, the version."""

import re

import pytest

COMMANDS = [
    "generate",
    "race",
    "schedule",
    "samplers",
    "tokens",
    "model inspect",
    "model verify",
    "model prompts",
    "help",
    "doctor",
    "version",
]


def test_the_overview_fits_a_screen_and_has_each_command(run):
    told = run("help")
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    listed = lines[lines.index("Commands:") + 1 :]
    assert [re.match("  ((model )?[a-z]+)", line)[1] for line in listed[: listed.index("")]] == COMMANDS
    assert run("--help") == run("-h") == told


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_what_its_flag_prints(run, command):
    told = run("help", *command.split())
    assert (told.code, told.err) == (0, "")
    assert re.search(rf"^Usage: steplapse {command}\b", told.out, re.MULTILINE)
    assert run(*command.split(), "--help") == told


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
