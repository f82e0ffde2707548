"""What a person sees: the program in a pseudo-terminal, read as a screen of so many columns shows it."""

import fcntl
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import termios
import unicodedata
from pathlib import Path

import pytest

from harness import PROGRAM, ROOT, TIMEOUT, environment

FEW = ("--steps", 12, "--seed", 1, "--schedule", "trailing")


class Screen:
    """Lines as a terminal has them, without end above. It wraps as xterm does: when a character no longer fits."""

    def __init__(self, columns: int):
        self.columns, self.lines, self.column = columns, [[]], 0

    def write(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self.column = 0
            elif character == "\b":
                self.column = max(0, self.column - 1)
            elif character == "\n":
                self.lines.append([])
            else:
                assert character.isprintable(), f"{character!r} is no text"
                self.put(character)

    def put(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self.column + width > self.columns:
            self.lines.append([])
            self.column = 0
        line = self.lines[-1]
        line += [" "] * (self.column + width - len(line))
        line[self.column : self.column + width] = [character, ""][:width]
        self.column += width

    def text(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.lines]


class Terminal:
    def __init__(self, folder: Path, model: Path, columns: int, arguments, stdout: bool, **more: str):
        self.screen, self.bytes = Screen(columns), b""
        self.main, end = pty.openpty()
        self.resize(columns)
        self.program = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=folder,
            env=environment(model, **more),
            stdin=end,
            stdout=end if stdout else subprocess.PIPE,
            stderr=end,
        )
        os.close(end)

    def resize(self, columns: int) -> None:
        self.screen.columns = columns
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self) -> bool:
        """Some more of what it writes; False at the end."""
        ready, _, _ = select.select([self.main], [], [], TIMEOUT)
        assert ready, "nothing came"
        try:
            more = os.read(self.main, 1 << 16)
        except OSError:  # Linux says so that all have closed the other end
            return False
        self.bytes += more
        return bool(more)

    def finish(self) -> int:
        while self.read():
            pass
        self.screen.write(self.bytes.decode())
        if self.program.stdout:
            self.program.stdout.close()
        os.close(self.main)
        return self.program.wait(TIMEOUT)


@pytest.fixture
def in_terminal(tiny_bundle, tmp_path):
    """in_terminal(80, "red apple", ...) is the ended Terminal; the closing lines are not on it unless stdout=True."""

    def in_terminal(columns: int, *arguments, stdout: bool = False, code: int = 0, **more: str) -> Terminal:
        terminal = Terminal(tmp_path, tiny_bundle, columns, arguments, stdout, **more)
        assert terminal.finish() == code, terminal.screen.text()
        return terminal

    return in_terminal


def updates(terminal: Terminal) -> list[str]:
    return [
        text.replace("\b", "").rstrip()
        for text in re.split(r"[\r\n]", terminal.bytes.decode())
        if re.match(r"\[|s", text)
    ]


# ---- the bar


@pytest.mark.parametrize("more", [{"TERM": "xterm-256color"}, {"TERM": "dumb"}], ids=lambda more: more["TERM"])
@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_bar_stays_on_one_line(in_terminal, columns, more):
    terminal = in_terminal(columns, "red apple", *FEW, "--frames", "x0,xt", "--out", "out", **more)
    *start, bar, below = terminal.screen.text()
    assert (" ".join(line.strip() for line in start), below) == (
        "'red apple', seed 1, 12 steps of ddim on trailing, tiny 16x16 -> out",
        "",
    )
    assert max(map(len, updates(terminal))) <= columns - 3  # which leaves room for ^C
    assert re.match(r"\[#{10,30}\] step 12/12, 0:00 left", bar)
    assert ("frames written" in bar) == (columns > 40)
    assert "\x1b" not in terminal.bytes.decode()


@pytest.mark.parametrize("columns, least", [(20, r"\[#{3,7}\] step 12/12"), (10, r"step 12"), (3, "s"), (1, "s")])
def test_a_narrow_terminal_has_what_fits(in_terminal, columns, least):
    terminal = in_terminal(columns, "red apple", *FEW, "--out", "out")
    assert re.fullmatch(least, updates(terminal)[-1])
    assert not any(text.startswith("[") for text in terminal.screen.text()[:-2])


def test_the_width_is_asked_again(tiny_bundle, tmp_path):
    terminal = Terminal(
        tmp_path,
        tiny_bundle,
        120,
        ["red apple", "--steps", 400, "--seed", 1, "--frames", "none", "--out", "out", "--schedule", "trailing"],
        stdout=False,
    )
    while b"step 3/" not in terminal.bytes:
        assert terminal.read()
    wide = len(updates(terminal)[-1])
    terminal.resize(40)
    assert terminal.finish() == 0
    assert wide > 60
    assert len(updates(terminal)[-1]) <= 37


@pytest.mark.parametrize("told, widest", [("50", 47), ("", 77), ("wide", 77)])
def test_where_a_terminal_does_not_tell_its_width_the_environment_does(in_terminal, told, widest):
    terminal = in_terminal(0, "red apple", *FEW, "--out", "out", COLUMNS=told)
    assert widest - 30 < max(map(len, updates(terminal))) <= widest


def test_a_race_has_such_a_bar(in_terminal):
    terminal = in_terminal(80, "race", "red apple", "--samplers", "euler,heun", "--calls", "4,6")
    bar, below = terminal.screen.text()
    assert re.fullmatch(r"\[#{30}\] answer (\d+)/\1, 0:00 left", bar)
    assert below == ""


def test_what_is_said_in_between_stands_above_the_bar(in_terminal, tmp_path, tiny_bundle):
    """The second of three runs can't have its folder: said while the bar is shown."""
    arguments = ("red apple", *FEW, "--count", 3, "--max-batch", 1, "--out", "out", "--frames", "none")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0002-red-apple-2").write_text("in the way")
    terminal = in_terminal(80, *arguments, "--overwrite", code=4)
    first, said, *rest = terminal.screen.text()
    assert first == "3 runs -> out"
    assert said.startswith("steplapse: out/0002-red-apple-2")
    assert sum(line.startswith("[") for line in terminal.screen.text()) == 1


def test_a_prompt_in_wide_characters_is_folded_where_the_terminal_ends(in_terminal):
    terminal = in_terminal(40, "红苹果 在 桌子上 🍎", *FEW, "--out", "out")
    sent = [line.rstrip("\r") for line in terminal.bytes.decode().split("\n")]
    assert terminal.screen.text()[:2] == sent[:2]  # no line was too long for the screen
    assert (
        " ".join(line.strip() for line in sent[:-2])
        == "'红苹果 在 桌子上 🍎', seed 1, 12 steps of ddim on trailing, tiny 16x16 -> out"
    )


# ---- lists and tables


@pytest.mark.parametrize(
    "command",
    [
        "help",
        "samplers",
        "schedule --list",
        "schedule",
        "model inspect",
        "tokens apple",
        "generate --help",
        "race --help",
        "schedule --help",
        "tokens --help",
        "model prompts --help",
    ],
)
def test_lists_fit_a_terminal_and_do_not_depend_on_one_in_a_pipe(run, in_terminal, command):
    piped = run(*command.split())
    assert piped.code == 0
    assert max(len(line) for line in piped.out.splitlines()) <= 80
    assert run(*command.split(), COLUMNS="40") == piped
    terminal = in_terminal(80, *command.split(), stdout=True)
    assert "\n".join(terminal.screen.text()) == "\n".join(line.rstrip() for line in (piped.out + piped.err).split("\n"))
    in_terminal(40, *command.split(), stdout=True)


def test_a_race_fits_a_terminal(run):
    ended = run("race", "red apple", "--samplers", "euler,dpmpp_2m_sde_heun", "--calls", "4,6", "--progress", "none")
    assert max(map(len, ended.out.splitlines())) <= 80


def test_samplers_star_the_names_that_promise_more(run):
    lines = run("samplers").out.splitlines()
    for sampler in json.loads(run("samplers", "--json").out):
        start = next(i for i, line in enumerate(lines) if line.split()[0] == sampler["name"])
        block = " ".join(line.strip() for line in lines[start : start + 8])
        assert set(sampler["shortfalls"]) <= set(sampler["aliases"])
        for name, what in sampler["shortfalls"].items():
            assert f"{name}*" in block and what in " ".join(line.strip() for line in lines[start : start + 12])


def test_samplers_say_their_usual_schedule(run):
    lines = run("samplers").out.splitlines()
    usual = [sampler for sampler in json.loads(run("samplers", "--json").out) if sampler["usual_schedule"]]
    assert len(usual) >= 5
    for sampler in usual:
        start = next(i for i, line in enumerate(lines) if line.split()[0] == sampler["name"])
        assert "usually " + sampler["usual_schedule"] in " ".join(line.strip() for line in lines[start : start + 3])


def test_the_names_that_docs_call_different_are_starred(run):
    """The names of docs/sampling.md's table of what is not followed, those of a kind of schedule aside."""
    page = (ROOT / "docs/sampling.md").read_text().split("Nor are these\n")[1].split("\n\n")[1]
    named = re.findall(r"^\| `(\w+:\w[^`]*)` \|", page, re.MULTILINE)
    starred = [name for sampler in json.loads(run("samplers", "--json").out) for name in sampler["shortfalls"]]
    assert (
        len(named) >= 5
        and set(named) <= set(starred)
        and {"a1111:DDIM", "diffusers:DEISMultistepScheduler"} <= set(starred)
    )


def test_the_examples_of_generate_are_commands(run, tmp_path):
    (tmp_path / "prompts.txt").write_text("red apple\n")
    lines = run("generate", "--help").out.split("Examples:\n")[1].rstrip().splitlines()
    assert len(lines) == 5
    for line in lines:
        command = re.match(r"  steplapse (.*?)  ", line)[1]
        assert run(*shlex.split(command), "--dry-run").code == 0, command
