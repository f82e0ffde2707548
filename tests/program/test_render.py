"""steplapse render: frames made from a run's log are those that the run makes itself."""

import contextlib
import fcntl
import json
import resource
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KINDS = ["x0", "xt", "diff", "signed_diff", "cond", "uncond"]
ALL = ",".join(KINDS)
APPLE = ["red apple", "--steps", 5, "--seed", 1, "--negative-prompt", "blue whale"]


def pictures_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=np.float64)


def about(path: Path) -> dict:
    return json.loads(Image.open(path).text["steplapse"])


@contextlib.contextmanager
def changed_log(folder: Path):
    with contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as log:
        yield log
        log.commit()


def cut_off(run_folder: Path, step: int) -> None:
    """As a run of one call a step is left that was killed after this step."""
    with changed_log(run_folder) as log:
        log.execute("DELETE FROM calls WHERE step > ?", (step,))
        log.execute("DELETE FROM steps WHERE step > ?", (step,))
        log.execute("DELETE FROM run WHERE key IN ('ended', 'ended_reason', 'frame_steps')")
    for name in ("run.json", "steps.csv", "final.png", "final.safetensors"):
        (run_folder / name).unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, start) -> Path:
    """A run with all frames; for reading."""
    folder = tmp_path_factory.mktemp("render")
    ended = start(folder, *APPLE, "--frames", ALL, "--out", "whole")
    assert ended.code == 0, ended
    return folder / "whole"


@pytest.fixture
def bare(whole, tmp_path) -> Path:
    """The same run without any picture."""
    bare = tmp_path / "bare"
    shutil.copytree(whole, bare, ignore=shutil.ignore_patterns("*.png", "frames"))
    return bare


# ---- the same bytes


def test_a_run_without_frames_gets_those_that_it_would_have_made(run, whole, tmp_path):
    assert run(*APPLE, "--frames", "none", "--out", "bare").code == 0
    (tmp_path / "bare/final.png").unlink()
    told = run("render", "bare", "--frames", ALL)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("rendered 29 frames and final.png of 5 steps in ")
    assert told.out.endswith(" s by tiny's decoder 'full': bare\n")
    assert pictures_in(tmp_path / "bare") == pictures_in(whole)
    assert len(pictures_in(whole)) == 5 + 6 + 4 + 4 + 5 + 5 + 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--every", 2],
        ["--at", "1,4"],
        ["--from", 2, "--to", 4],
        ["--every", 3, "--number", "frames"],
        ["--decoder", "linear", "--at", "2,3"],
    ],
)
def test_flags_choose_the_same_frames_as_at_the_run(run, tmp_path, flags):
    assert run(*APPLE, "--frames", ALL, *flags, "--out", "at-once").code == 0
    assert run(*APPLE, "--frames", "none", "--out", "later").code == 0
    assert run("render", "later", "--frames", ALL, *flags).code == 0
    assert pictures_in(tmp_path / "later") == pictures_in(tmp_path / "at-once")


@pytest.mark.parametrize("sampler", ["euler_a", "heun", "lcm", "dpm_adaptive", "dpm_fast"])
def test_any_samplers_run_is_rendered(run, tmp_path, sampler):
    assert run(*APPLE, "--sampler", sampler, "--frames", ALL, "--every", 2, "--out", "at-once").code == 0
    assert run(*APPLE, "--sampler", sampler, "--frames", "none", "--out", "later").code == 0
    assert run("render", "later", "--frames", ALL, "--every", 2).code == 0
    assert pictures_in(tmp_path / "later") == pictures_in(tmp_path / "at-once")


def test_the_decoder_of_the_runs_own_frames_is_taken(run, tmp_path):
    assert run(*APPLE, "--frames", "x0", "--decoder", "linear", "--out", "at-once").code == 0
    assert run("render", "at-once", "--out", "again").code == 0
    assert run("render", "at-once", "--out", "full", "--decoder", "full").code == 0
    assert pictures_in(tmp_path / "again") == pictures_in(tmp_path / "at-once")
    first = tmp_path / "full/frames/x0/0001.png"
    assert about(first)["decoder"] == "full"
    assert (pixels(first) != pixels(tmp_path / "again/frames/x0/0001.png")).any()


# ---- what the kinds show


def test_cond_and_uncond_are_x0_by_one_answer_alone(run, whole, tmp_path):
    """At step 1 all guidance scales ask about the same noise, so scale 1 and scale 0 show what each answer gives."""
    for kind, scale in (("cond", 1), ("uncond", 0)):
        assert run(*APPLE, "--guidance-scale", scale, "--at", "1", "--out", kind).code == 0
        alone = pixels(tmp_path / kind / "frames/x0/0001.png")
        assert np.abs(pixels(whole / f"frames/{kind}/0001.png") - alone).max() <= 1  # other batches round otherwise


def test_diffs_are_on_the_documented_scale(whole):
    for step in range(2, 6):
        change = pixels(whole / f"frames/x0/{step:04}.png") - pixels(whole / f"frames/x0/{step - 1:04}.png")
        place = np.log2(1 + np.abs(change).mean(axis=2)) / 8
        heat = np.stack([np.clip(3 * place - colour, 0, 1) * 255 for colour in range(3)], axis=2)
        assert np.abs(pixels(whole / f"frames/diff/{step:04}.png") - heat).max() <= 0.5001
        signed = 128 + 127 * np.sign(change) * np.log2(1 + np.abs(change)) / 8
        assert np.abs(pixels(whole / f"frames/signed_diff/{step:04}.png") - signed).max() <= 0.5001
        said = about(whole / f"frames/diff/{step:04}.png")
        assert (said["kind"], said["compared_step"]) == ("diff", step - 1) and "log2(1 + c) / 8" in said["scale"]
    assert not (whole / "frames/diff/0001.png").exists()


def test_a_diff_is_since_the_frame_before(run, whole, tmp_path):
    assert run("render", whole, "--frames", "diff", "--every", 3, "--out", "out").code == 0
    assert sorted(pictures_in(tmp_path / "out/frames")) == ["diff/0003.png", "diff/0005.png"]
    change = np.abs(pixels(whole / "frames/x0/0005.png") - pixels(whole / "frames/x0/0003.png")).mean(axis=2)
    red = np.clip(3 * np.log2(1 + change) / 8, 0, 1) * 255
    assert np.abs(pixels(tmp_path / "out/frames/diff/0005.png")[..., 0] - red).max() <= 0.5001
    assert about(tmp_path / "out/frames/diff/0005.png")["compared_step"] == 3


def test_the_table_of_a_run_names_its_frames_of_each_kind(whole):
    header, *table = [line.split(",") for line in (whole / "steps.csv").read_text().splitlines()]
    assert header[-6:] == [f"{kind}_file" for kind in KINDS]
    assert table[0][-6:] == ["frames/x0/0001.png", "frames/xt/0001.png", "", "", *table[0][-2:]]
    assert table[4][-4:] == [f"frames/{kind}/0005.png" for kind in KINDS[2:]]
    assert json.loads((whole / "run.json").read_text())["frame_steps"]["diff"] == [2, 3, 4, 5]


def test_a_run_with_one_answer_has_no_frames_of_the_other(run, tmp_path):
    ended = run(*APPLE, "--guidance-scale", 1, "--frames", "cond,uncond", "--out", "out")
    assert ended.code == 0
    assert (
        "steplapse: warning: --frames uncond: at guidance scale 1 the network is never asked for that answer, so there "
        "are no such frames" in ended.lines()
    )
    assert len(pictures_in(tmp_path / "out")) == 5 + 1
    told = run("render", "out", "--frames", "uncond", "--out", "other")
    assert (told.code, told.lines()) == (
        2,
        ["steplapse: out: --frames uncond: the network was not asked for that answer in the steps that are chosen"],
    )
    assert not (tmp_path / "other").exists()


def test_frames_of_a_guidance_interval_are_of_its_steps(run, tmp_path):
    assert run(*APPLE, "--guidance-interval", "2..3", "--frames", "uncond", "--out", "out").code == 0
    assert sorted(pictures_in(tmp_path / "out/frames")) == ["uncond/0002.png", "uncond/0003.png"]


# ---- what is loaded


def test_the_denoiser_is_not_needed(run, whole, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    for path in bundle.iterdir():
        if path.name != "model.json" and "decoder_full" not in path.name:
            path.unlink()
    assert run("render", whole, "--model", bundle, "--frames", ALL, "--out", "out").code == 0
    assert pictures_in(tmp_path / "out") == pictures_in(whole)


def test_the_final_picture_of_the_run_stays_whatever_is_rendered(run, whole, changed_bundle, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    other = changed_bundle(lambda manifest: manifest.update(name="other"))
    assert run("render", "run", "--model", other, "--overwrite").code == 0
    assert about(tmp_path / "run/frames/x0/0001.png")["decoder_model"] == "other"
    assert (tmp_path / "run/final.png").read_bytes() == (whole / "final.png").read_bytes()


def test_a_damaged_decoder_is_refused(run, whole, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    with open(bundle / "decoder_full.safetensors", "r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte[0] ^ 1]))
    told = run("render", whole, "--model", bundle, "--out", "out")
    assert told.code == 3 and "decoder_full.safetensors: its SHA-256 is" in told.err
    assert not (tmp_path / "out").exists()


def test_another_bundle_decodes_only_where_it_is_named_and_pictures_say_so(run, tiny_bundle, changed_bundle, tmp_path):
    gone = shutil.copytree(tiny_bundle, tmp_path / "gone")
    whole = tmp_path / "whole"
    assert run(*APPLE, "--model", gone, "--out", whole).code == 0
    shutil.rmtree(gone)
    other = changed_bundle(lambda manifest: manifest.update(name="other"))
    told = run("render", whole, "--out", "out", STEPLAPSE_MODEL=str(other))
    assert told.code == 2 and "was made with the model 'tiny'" in told.err and "--model says where it is" in told.err
    assert not (tmp_path / "out").exists()
    told = run("render", whole, "--model", other, "--out", "out")
    assert told.code == 0
    assert told.err == (f"steplapse: warning: {other}: is another model than the run's, 'tiny'; its pictures say so\n")
    said = about(tmp_path / "out/frames/x0/0001.png")
    assert (said["decoder_model"], said["settings"]["model"]) == ("other", "tiny")
    assert said["settings"] == about(whole / "frames/x0/0001.png")["settings"]


# ---- runs that have no end


def test_a_run_that_was_cut_off_is_rendered_as_far_as_its_log_goes(run, whole, bare, tmp_path):
    shutil.copy(whole / "final.png", bare)
    cut_off(bare, 3)
    told = run("render", bare, "--frames", ALL)
    assert (told.code, told.err) == (0, f"steplapse: warning: {bare}: was cut off; its log has 3 steps\n")
    assert told.out.startswith("rendered 17 frames of 3 steps")
    made = pictures_in(bare)
    assert made == {name: pictures_in(whole)[name] for name in made} and len(made) == 3 + 4 + 2 + 2 + 3 + 3


def test_an_interrupted_run_is_rendered_with_its_end(run, begin, tmp_path):
    process = begin("red apple", "--steps", 500, "--seed", 1, "--frames", "x0", "--out", "out", "--progress", "lines")
    while not (tmp_path / "out/frames/x0/0003.png").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    told = run("render", "out", "--out", "again")
    assert (told.code, told.err) == (0, "")
    assert pictures_in(tmp_path / "again") == pictures_in(tmp_path / "out")


def test_a_run_that_is_being_written_is_rendered_elsewhere_alone(run, whole, bare, tmp_path):
    with open(bare / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = run("render", bare)
        assert (told.code, told.err) == (
            4,
            f"steplapse: {bare}: another steplapse is writing this run; name another --out\n",
        )
        told = run("render", bare, "--out", "out")
        assert told.code == 0
        assert told.err == f"steplapse: warning: {bare}: is being written; its log has 5 steps\n"
    assert pictures_in(tmp_path / "out/frames/x0") == pictures_in(whole / "frames/x0")


def as_version(folder: Path, version: int) -> None:
    """What programs of that time wrote: run-folder.md says which keys version 1 lacked."""
    newer = ["sigma_min", "sigma_max", "rho", "shift", "alphas_cumprod", "s_churn", "s_tmin", "s_tmax", "s_noise"]
    newer += ["guidance_first_step", "guidance_last_step", "guidance_sigma_low", "guidance_sigma_high"]
    newer += ["guidance_rescale"]
    with changed_log(folder) as log:
        if version < 4:
            log.execute("DROP TABLE interventions")
            log.execute("CREATE TABLE interventions (id INTEGER PRIMARY KEY, step INTEGER, kind TEXT, reason TEXT)")
        if version < 2:
            log.execute(f"DELETE FROM run WHERE key IN ({','.join('?' * len(newer))})", newer)
        log.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_older_logs_are_read(run, whole, bare, version, tmp_path):
    as_version(bare, version)
    assert run("render", bare, "--frames", ALL).code == 0
    assert pictures_in(bare) == pictures_in(whole)
    assert run("export", bare, "run.safetensors").code == 0
    assert run("explain", bare).code == 0


# ---- what is refused, and what stays


def test_another_folder_than_out_is_not_written_to(run, bare, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in [bare, *bare.rglob("*")]}
    assert run("render", bare, "--out", "out").code == 0
    assert run("export", bare, "run.safetensors").code == 0
    assert run("explain", bare).code == 0
    assert {path: path.stat().st_mtime_ns for path in [bare, *bare.rglob("*")]} == before


def test_frames_that_exist_are_replaced_only_when_asked(run, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    frame = tmp_path / "run/frames/x0/0002.png"
    told = run("render", "run", "--at", "2")
    assert (told.code, told.err) == (
        4,
        "steplapse: run/frames/x0/0002.png: is there already; name another --out, or --overwrite to replace it\n",
    )
    frame.write_bytes(b"not a picture")
    assert run("render", "run", "--at", "2", "--overwrite").code == 0
    assert pictures_in(tmp_path / "run") == pictures_in(whole)


def test_a_folder_that_cannot_be_made_is_named(run, bare, tmp_path):
    (tmp_path / "file").write_text("in the way")
    told = run("render", bare, "--out", "file")
    assert (told.code, told.err) == (4, "steplapse: file: cannot make the folder: Not a directory\n")


@pytest.mark.parametrize(
    "flags, error",
    [
        (["--at", "6"], "{run}: --at 6: a run of 5 steps has frames 1 to 5"),
        (["--at", "0"], "{run}: --at 0: a run of 5 steps has frames 1 to 5"),
        (["--from", "7"], "{run}: --from 7: a run of 5 steps has frames 1 to 5"),
        (["--frames", "diff", "--at", "3"], "{run}: --frames diff: compares two steps, and fewer are chosen"),
        (["--frames", "eps"], "--frames 'eps': choose from x0, xt, diff, signed_diff, cond, uncond, none"),
        (["--decoder", "none"], "--decoder none: the model 'tiny' has full, linear"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(run, whole, tmp_path, flags, error):
    told = run("render", whole, *flags, "--out", "out")
    assert (told.code, told.lines()) == (2, ["steplapse: " + error.format(run=whole)])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["render"], ["export", "x.safetensors"], ["explain"]])
def test_a_folder_without_a_run_is_refused(run, tmp_path, command):
    (tmp_path / "empty").mkdir()
    told = run(command[0], "empty", *command[1:])
    assert (told.code, told.err) == (
        2,
        "steplapse: 'empty': holds no run (no run.sqlite); expected a run folder\n",
    )
    told = run(command[0], "missing", *command[1:])
    assert told.code == 2 and len(told.lines()) == 1 and "'missing'" in told.err


@pytest.mark.parametrize("command", [["render", "--out", "out"], ["export", "x.safetensors"], ["explain"]])
def test_a_damaged_log_is_named_and_nothing_is_written(run, bare, tmp_path, command):
    with changed_log(bare) as log:
        (cond,) = log.execute("SELECT cond FROM calls WHERE call = 4").fetchone()
        log.execute("UPDATE calls SET cond = ? WHERE call = 4", (bytes([cond[0] ^ 1]) + cond[1:],))
    told = run(command[0], bare, *command[1:])
    assert (told.code, told.err) == (
        1,
        f"steplapse: {bare}/run.sqlite: call 4, step 4: the logged cond answer lacks its checksum; "
        "the log is damaged\n",
    )
    assert not (tmp_path / "out").exists() and not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("command", [["render", "--out", "out"], ["export", "x.safetensors"]])
def test_a_full_disk_is_named_and_nothing_is_left_half_written(run, whole, tmp_path, command):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    told = run(command[0], whole, *command[1:], preexec_fn=small_files)
    assert told.code == 4 and len(told.lines()) == 1 and "cannot write: File too large" in told.err
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "whole" not in path.parts] == []
