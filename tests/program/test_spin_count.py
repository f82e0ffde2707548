"""OpenMP's threads sleep soon, unless the user says otherwise; nothing of how the program was called is lost by it."""

import array
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios

import pytest

from harness import PROGRAM, ROOT


def without_openmp(**settings) -> dict:
    return {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))} | settings


def spin_count_of_libgomp(**settings) -> str:
    shown = subprocess.run(
        [PROGRAM, "version"],
        env=without_openmp(OMP_DISPLAY_ENV="verbose", **settings),
        capture_output=True,
        text=True,
        check=True,
    )
    return re.search(r"GOMP_SPINCOUNT = '(\w+)'", shown.stderr)[1]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, "2000"),
        ({"OMP_NUM_THREADS": "1"}, "2000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "passive"}, "0"),
    ],
)
def test_threads_spin_shortly_unless_the_user_says_how_they_wait(settings, expected):
    assert spin_count_of_libgomp(**settings) == expected


def test_scripts_wait_as_the_program_does():
    shown = subprocess.run(
        [sys.executable, "-c", "import steplapse_export, os; print(os.environ['GOMP_SPINCOUNT'])"],
        cwd=ROOT / "scripts",
        env=without_openmp(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == spin_count_of_libgomp()


def program_that_reads() -> subprocess.Popen:
    """A program that has begun: it took a part of its prompt from standard input, and waits for the rest."""
    process = subprocess.Popen(
        [PROGRAM, "tokens", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=without_openmp(),
    )
    process.stdin.write("red ")
    process.stdin.flush()
    unread = array.array("i", [1])
    while unread[0] > 0:
        assert process.poll() is None
        fcntl.ioctl(process.stdin, termios.FIONREAD, unread)
    return process


def test_the_process_has_the_programs_name():
    process = program_that_reads()
    with open(f"/proc/{process.pid}/comm") as file:
        assert file.read() == "steplapse\n"
    shown, _ = process.communicate("apple")
    assert shown and process.returncode == 0


def test_a_signal_ends_what_was_begun_again():
    process = program_that_reads()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143


def test_spaced_arguments_arrive_whole():
    ended = subprocess.run(
        [PROGRAM, "generate", "", "two  words"], env=without_openmp(), capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "'two  words'" in ended.stderr


def test_an_empty_environment_will_do():
    assert subprocess.run([PROGRAM, "version"], env={}, capture_output=True).returncode == 0
