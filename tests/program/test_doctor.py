"""What `steplapse doctor` says of a machine."""

import json
import os

from harness import ROOT

NAMES = [
    "steplapse",
    "libtorch",
    "system",
    "cpu",
    "instruction sets",
    "threads",
    "memory",
    "device",
    "model",
    "terminal",
]


def test_ten_lines_say_it_all(run):
    told = run("doctor")
    assert (told.code, told.err) == (0, "")
    assert [line[:17].strip() for line in told.out.splitlines()] == NAMES
    assert json.loads(run("doctor", "--json").out).keys() == set(NAMES)


def test_versions_are_those_of_version(run):
    told = json.loads(run("doctor", "--json").out)
    libtorch = told["libtorch"].split(",")[0]
    assert run("version").out == f"steplapse {told['steplapse']}, libtorch {libtorch}\n"


def test_threads_are_the_users_and_so_are_instruction_sets(run):
    told = json.loads(run("doctor", "--json", OMP_NUM_THREADS="1", ATEN_CPU_CAPABILITY="default").out)
    assert told["threads"].startswith("1, on ") and "OMP_NUM_THREADS=1" in told["threads"]
    assert "libtorch uses DEFAULT (ATEN_CPU_CAPABILITY=default" in told["instruction sets"]


def test_the_kernel_agrees(run):
    told = json.loads(run("doctor", "--json").out)
    about = os.uname()
    assert told["system"] == f"{about.sysname} {about.release}, {about.machine}"


def test_a_model_is_named_or_what_is_wrong_with_it(run, tmp_path):
    def said_of(folder):
        return json.loads(run("doctor", "--json", "--model", folder).out)["model"]

    assert said_of(ROOT / "models/emoji-64") == f"emoji-64 in {ROOT}/models/emoji-64"
    assert said_of(tmp_path).startswith(f"refused: {tmp_path}/model.json: ")
