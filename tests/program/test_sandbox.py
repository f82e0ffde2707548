"""The second wall: what a bundle's programs can do, should one of them get past all checks."""

import ctypes
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from harness import PROGRAM, TIMEOUT, environment

HOSTILE = PROGRAM.parent / "tests" / "hostile_steplapse"
STANDS = re.compile(r"landlock ABI \d+, seccomp")
DRAW = ("red apple", "--seed", 1, "--progress", "none")

LANDLOCK_CREATE_RULESET, SECCOMP = 444, {"x86_64": 317, "aarch64": 277}[os.uname().machine]  # numbers of system calls


def without_calls(*numbers: int):
    """For subprocess's preexec_fn: the kernel then has none of these system calls. The filter is as in seccomp(2)."""
    LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06
    ENOSYS, ALLOW = 0x00050000 | 38, 0x7FFF0000
    code = [(LOAD, 0, 0, 0)]
    for i, number in enumerate(numbers):
        code.append((EQUALS, len(numbers) - i, 0, number))
    code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ENOSYS)]
    filters = b"".join(struct.pack("HBBI", *line) for line in code)

    def take_away():
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(filters)
        program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
        set_no_new_privs, set_seccomp, filter_mode = 38, 22, 2
        assert libc.prctl(set_no_new_privs, 1, 0, 0, 0) == 0
        assert libc.prctl(set_seccomp, filter_mode, program, 0, 0) == 0

    return take_away


def sandbox_of(run_folder) -> str:
    return json.loads((run_folder / "run.json").read_text())["sandbox"]


@pytest.fixture(scope="session")
def has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0


@pytest.fixture
def attacked(tiny_bundle, tmp_path):
    """attacked(*flags) draws while silu attacks a file of the user's; what came of it, by thread."""
    own = tmp_path / "own.txt"
    own.write_text("mine")

    def attacked(*flags) -> list[dict]:
        if not HOSTILE.exists():
            pytest.skip(f"{HOSTILE} is not built")
        ended = subprocess.run(
            [HOSTILE, *map(str, DRAW), "--steps", "1", *map(str, flags)],
            cwd=tmp_path,
            env=environment(tiny_bundle, STEPLAPSE_ATTACKED=str(own)),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert ended.returncode == 0, ended
        return [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]

    return attacked


def test_a_bundle_without_checks_can_do_nothing_to_the_system(attacked, has_landlock, tmp_path):
    tries = attacked("--out", "run")
    assert [each.pop("thread") for each in tries] == ["that computes", "of its own"]
    for each in tries:
        assert (each["connect"], each["execve"]) == ("EPERM", "EPERM")
        if has_landlock:
            assert {each[what] for what in ("write", "read", "create", "delete")} == {"EACCES"}
    if has_landlock:
        assert (tmp_path / "own.txt").read_text() == "mine"


@pytest.mark.parametrize("film", ["film.webp", "film.mp4"])
def test_a_picture_and_a_film_beside_the_users_files_open_nothing_else(attacked, has_landlock, tmp_path, film):
    if not has_landlock:
        pytest.skip("this kernel has no Landlock")
    tries = attacked("--out", "x.png", "--film", film)
    assert {each[what] for each in tries for what in ("write", "read", "create", "delete")} == {"EACCES"}
    # ffmpeg starts late, so where it is needed the ban on programs is Landlock's, which has it alone on its list.
    assert {each["execve"] for each in tries} == ({"EACCES"} if film == "film.mp4" else {"EPERM"})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([film, "own.txt", "x", "x.png"])


def test_the_attack_succeeds_without_the_sandbox(attacked, tmp_path):
    """Else the test above says nothing."""
    tries = attacked("--out", "run", "--no-sandbox")
    assert {tries[0][what] for what in ("write", "read", "create", "delete", "execve")} == {"done"}
    assert tries[0]["connect"] in ("done", "ECONNREFUSED")


def test_log_and_run_json_say_what_stood(run, tmp_path, has_landlock):
    assert run(*DRAW, "--out", "a").code == run(*DRAW, "--out", "b", "--no-sandbox").code == 0
    if has_landlock:
        assert STANDS.fullmatch(sandbox_of(tmp_path / "a"))  # and so no thread was there before
    assert sandbox_of(tmp_path / "b") == "off"


@pytest.mark.parametrize("threads", [1, 2])
def test_no_thread_is_older_than_the_walls(run, tmp_path, has_landlock, threads):
    if not has_landlock:
        pytest.skip("this kernel has no Landlock")
    more = ("--threads", threads)
    assert run(*DRAW, "--out", "a", *more).code == 0
    assert run("branch", "a", "--at", 1, "--noise", "0.1", "--out", "b", "--progress", "none", *more).code == 0
    assert run("race", "red apple", "--samplers", "euler", "--calls", "2", "--out", "c", *more).code == 0
    assert run("sweep", "red apple", "--steps", "1,2", "--out", "d", "--progress", "none", *more).code == 0
    folders = [path.parent for path in tmp_path.rglob("run.json")]
    assert len(folders) >= 5
    assert all(STANDS.fullmatch(sandbox_of(folder)) for folder in folders)


def test_a_kernel_without_landlock_gets_one_line_and_works(start, tmp_path):
    ended = start(tmp_path, *DRAW, "--out", "a", preexec_fn=without_calls(LANDLOCK_CREATE_RULESET))
    assert ended.code == 0
    assert ended.err == (
        "steplapse: warning: the sandbox is not whole on this kernel (Landlock: Function not implemented): behind its "
        "checks a bundle's programs run with more of your rights than they need\n"
    )
    assert sandbox_of(tmp_path / "a") == "seccomp"


def test_a_kernel_with_neither_gets_one_line_and_works(start, tmp_path):
    ended = start(tmp_path, *DRAW, "--out", "a", preexec_fn=without_calls(LANDLOCK_CREATE_RULESET, SECCOMP))
    assert ended.code == 0
    (line,) = ended.err.splitlines()
    assert line.startswith("steplapse: warning: the sandbox is off on this kernel (Landlock: ")
    assert sandbox_of(tmp_path / "a") == "none"


def test_verify_says_what_stood(run, has_landlock):
    told = run("model", "verify", "--json")
    assert told.code == 0
    assert not has_landlock or STANDS.fullmatch(json.loads(told.out)["sandbox"])
    assert "     sandbox: off\n" in run("model", "verify", "--no-sandbox").out


def test_a_refused_bundle_leaves_nothing(run, tiny_bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    program = (copy / "denoiser.pt").read_bytes()
    (copy / "denoiser.pt").write_bytes(b"\0" * len(program))
    manifest = json.loads((copy / "model.json").read_text())
    manifest["files"]["denoiser.pt"]["sha256"] = hashlib.sha256(b"\0" * len(program)).hexdigest()
    (copy / "model.json").write_text(json.dumps(manifest))
    ended = run(*DRAW, "--model", "copy", "--out", "deep/x.png", "--film", "film.webp")
    assert ended.code == 3, ended
    assert ended.err.startswith("steplapse: copy/denoiser.pt: ")
    assert len(ended.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_program_that_has_passed_is_not_read_twice_at_each_start(start, tiny_bundle, tmp_path):
    cache = tmp_path / "cache"
    manifest = json.loads((tiny_bundle / "model.json").read_text())
    modules = [manifest["modules"][name] for name in ("text_encoder", "denoiser")]
    programs = [module["program"] for module in [*modules, manifest["modules"]["decoders"]["full"]]]
    assert start(tmp_path, *DRAW, "--out", "a", XDG_CACHE_HOME=str(cache)).code == 0
    marks = {path.name for path in cache.glob("steplapse/*/*")}
    assert marks == {manifest["files"][name]["sha256"] for name in programs}


def test_temporary_folders_are_gone_at_the_end(start, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    more = {"TMPDIR": str(temporary)}
    assert start(tmp_path, *DRAW, "--out", "a", **more).code == 0
    assert start(tmp_path, "report", "a", "--decoder", "full", **more).code == 0
    assert list(temporary.iterdir()) == []
