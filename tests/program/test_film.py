"""steplapse film: what a player shows is what the frames are, for as long as was asked."""

import base64
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

STEPS = 6
APPLE = ["red apple", "--steps", STEPS, "--seed", 1]
DONE, USAGE, OUTPUT = 0, 2, 4
CHROMIUM = "/usr/bin/chromium"
RED = (200, 30, 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("film")


@pytest.fixture(scope="module")
def apple(folder, start) -> Path:
    """A run of 16 x 16 pictures; a film shows each pixel as 16 x 16."""
    assert start(folder, *APPLE, "--frames", "x0,xt,diff", "--out", "apple", "--progress", "none").code == DONE
    return folder / "apple"


@pytest.fixture
def film(run, tmp_path):
    """film("apple.mp4", RUN, "--fps", 5) is the path of a film that was made."""

    def film(name: str, *arguments) -> Path:
        *runs, flags = [], list(arguments)
        while flags and not str(flags[0]).startswith("--"):
            runs.append(flags.pop(0))
        made = run("film", *runs, name, *flags)
        assert (made.code, made.err) == (DONE, "")
        assert not list(tmp_path.glob("*.part"))
        return tmp_path / name

    return film


@pytest.fixture
def refusal(run, tmp_path):
    """refusal(CODE, ...) is the one line of a `film` that ends so and leaves nothing."""

    def refusal(code: int, *arguments, **more) -> str:
        before = sorted(tmp_path.rglob("*"))
        ended = run("film", *arguments, **more)
        assert (ended.code, ended.out) == (code, ""), ended.err
        (line,) = ended.lines()
        assert sorted(tmp_path.rglob("*")) == before
        return line.removeprefix("steplapse: ")

    return refusal


def frames(run: Path, kind: str = "x0") -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((run / "frames" / kind).iterdir())]


def enlarged(picture: np.ndarray, factor: int = 16) -> np.ndarray:
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def pictures(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        shown = []
        for i in range(film.n_frames):
            film.seek(i)
            shown.append(np.asarray(film.convert("RGB")))
        return shown


def milliseconds(path: Path) -> list[int]:
    with Image.open(path) as film:
        times = []
        for i in range(film.n_frames):
            film.seek(i)
            film.load()
            times.append(round(film.info["duration"]))
        return times


def probed(path: Path) -> dict:
    """ffprobe's fields of the only stream, and of the file."""
    entries = "stream=codec_name,pix_fmt,color_range,color_space,color_transfer,color_primaries,r_frame_rate"
    entries += ",nb_read_frames,width,height:format=duration:format_tags:stream_tags"
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", f"file:{path}"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    (stream,) = told["streams"]
    return stream | told["format"]


def decoded(path: Path, matrix: str = "bt709") -> list[np.ndarray]:
    """Every frame, where a player takes the colours for those of BT.709."""
    size = probed(path)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", f"file:{path}", "-vf", f"scale=in_color_matrix={matrix}"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, size["height"], size["width"], 3))


def ratios(run: Path) -> list[float]:
    """sigma / alpha of each x0."""
    with open(run / "steps.csv") as file:
        return [float(row["sigma"]) / float(row["alpha"]) for row in csv.DictReader(file)]


# ---- video


@pytest.mark.parametrize(
    ("ending", "flags", "codec"),
    [
        ("mp4", [], "h264"),
        ("webm", [], "vp9"),
        ("mp4", ["--codec", "av1"], "av1"),
        ("webm", ["--codec", "av1"], "av1"),
        ("mkv", ["--codec", "av1"], "av1"),
    ],
)
def test_video_says_what_players_want_to_know(film, apple, ending, flags, codec):
    told = probed(film(f"apple.{ending}", apple, "--fps", 5, *flags))
    assert told["codec_name"] == codec
    assert told["pix_fmt"] == "yuv420p"
    assert (told["color_range"], told["color_space"]) == ("tv", "bt709")
    assert (told["color_transfer"], told["color_primaries"]) == ("iec61966-2-1", "bt709")
    assert told["r_frame_rate"] == "5/1"
    assert int(told["nb_read_frames"]) == STEPS + 5  # the last stands a second longer
    assert float(told["duration"]) == pytest.approx((STEPS + 5) / 5, abs=0.01)
    assert (told["width"], told["height"]) == (256, 256)


@pytest.fixture
def flat(apple, tmp_path) -> Path:
    """A run whose pictures are of one colour."""
    shutil.copytree(apple, tmp_path / "flat")
    for path in (tmp_path / "flat/frames/x0").iterdir():
        Image.new("RGB", (16, 16), RED).save(path)
    return tmp_path / "flat"


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "h264"), ("webm", "vp9"), ("mp4", "av1"), ("webm", "av1"), ("mkv", "av1")]
)
def test_colours_come_back_where_video_is_decoded_as_bt709(film, flat, ending, codec):
    for shown in decoded(film(f"flat.{ending}", flat, "--codec", codec)):
        assert np.abs(shown.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("name", ["apple.mkv", "apple.png", "apple.webp"])
def test_lossless_films_have_the_frames_themselves(film, apple, name):
    path = film(name, apple, "--hold-last", 0)
    shown = decoded(path) if name.endswith(".mkv") else pictures(path)
    expected = [enlarged(frame) for frame in frames(apple)]
    if name.endswith(".webp"):  # equal ones are one there
        expected = [frame for i, frame in enumerate(expected) if i == 0 or (frame != expected[i - 1]).any()]
    assert np.array_equal(shown, expected)


def test_an_mp4_can_be_played_while_it_is_loaded(film, apple):
    bytes_ = film("apple.mp4", apple).read_bytes()
    assert bytes_.index(b"moov") < bytes_.index(b"mdat")


def test_lossy_webp_is_smaller_and_near(film, apple):
    lossless, lossy = film("a.webp", apple), film("b.webp", apple, "--quality", 50)
    assert lossy.stat().st_size < lossless.stat().st_size
    error = pictures(lossless)[-1].astype(float) - pictures(lossy)[-1]
    assert 0 < np.sqrt((error**2).mean()) < 20


@pytest.fixture
def page():
    """An empty page in Debian's Chromium."""
    if not os.path.exists(CHROMIUM):
        pytest.skip("Debian's chromium is missing")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_a_browser_plays_video(page, film, apple, tmp_path):
    names = ["apple.mp4", "apple.webm"]
    for name in names:
        film(name, apple, "--hold-last", 0, "--duration", 0.5)
    (tmp_path / "page.html").write_text("".join(f'<video muted src="{name}"></video>' for name in names))
    play = """video => new Promise((done, failed) => {
        video.onended = () => done([video.videoWidth, video.videoHeight, video.duration, video.error]);
        video.onerror = () => failed(video.error.message);
        video.play().catch(failed);
    })"""
    page.goto((tmp_path / "page.html").as_uri())
    for video in page.locator("video").all():
        width, height, duration, error = video.evaluate(play)
        assert (width, height, error) == (256, 256, None)
        assert duration == pytest.approx(0.5, abs=0.05)


def test_a_browser_shows_the_pictures_of_animations_for_their_times(page, film, apple, tmp_path):
    decode = """async ([text, type]) => {
        const data = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        const decoder = new ImageDecoder({data, type});
        await decoder.tracks.ready;
        await decoder.completed;
        const track = decoder.tracks.selectedTrack, shown = [];
        for (let frameIndex = 0; frameIndex < track.frameCount; ++frameIndex) {
            const {image} = await decoder.decode({frameIndex});
            const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight).getContext("2d");
            canvas.drawImage(image, 0, 0);
            shown.push([image.duration / 1000, ...canvas.getImageData(8, 8, 1, 1).data.slice(0, 3)]);
        }
        return [track.repetitionCount, shown];
    }"""
    (tmp_path / "page.html").write_text("")
    page.goto((tmp_path / "page.html").as_uri())
    times = [250] * (STEPS - 1) + [1250]
    expected = [[time, *map(int, frame[0, 0])] for time, frame in zip(times, frames(apple))]
    for ending in ("png", "webp"):
        bytes_ = film(f"apple.{ending}", apple, "--fps", 4).read_bytes()
        loops, shown = page.evaluate(decode, [base64.b64encode(bytes_).decode(), f"image/{ending}"])
        assert loops in (None, float("inf"))
        assert shown == expected


# ---- how long pictures stand


def test_pictures_stand_alike_and_the_first_and_last_longer_as_asked(film, apple):
    flags = ["--fps", 4, "--hold-first", 0.5, "--hold-last", 2]
    expected = [750] + [250] * (STEPS - 2) + [2250]
    assert milliseconds(film("apple.png", apple, *flags)) == expected
    assert milliseconds(film("apple.gif", apple, *flags)) == expected
    assert int(probed(film("apple.mkv", apple, *flags))["nb_read_frames"]) == sum(expected) / 250


def test_a_duration_is_that_of_the_whole_film(film, apple):
    for name in ("apple.png", "apple.gif"):
        times = milliseconds(film(name, apple, "--duration", 4, "--hold-last", 1))
        assert sum(times) == 4000
        assert times == pytest.approx([500] * (STEPS - 1) + [1500], abs=10)
    assert float(probed(film("apple.mp4", apple, "--duration", 4))["duration"]) == 4


def with_least(shares: np.ndarray) -> np.ndarray:
    shares = np.maximum(shares, 0.1 * shares.mean())
    return shares / shares.sum()


def test_pictures_stand_as_far_as_the_noise_falls(film, apple):
    falls = np.abs(np.diff(np.log(ratios(apple))))
    shares = with_least(np.append(falls, falls.mean()))
    times = milliseconds(film("apple.png", apple, "--pace", "sigma", "--duration", 10, "--hold-last", 0))
    assert times == pytest.approx(10000 * shares, abs=2)


def test_pictures_stand_as_far_as_x0_changes(film, run, apple, tmp_path):
    assert run("export", apple, "apple.safetensors").code == DONE
    x0 = load_file(tmp_path / "apple.safetensors")["x0"].astype(np.float64).reshape(STEPS, -1)
    changes = np.sqrt((np.diff(x0, axis=0) ** 2).mean(axis=1))
    shares = with_least(np.insert(changes, 0, changes[0]))
    times = milliseconds(film("apple.png", apple, "--pace", "change", "--duration", 10, "--hold-last", 0))
    assert times == pytest.approx(10000 * shares, abs=2)


# ---- what they show


def test_kinds_are_those_of_the_frames(film, apple):
    gap = np.full((256, 8, 3), 255, np.uint8)
    flags = ["--hold-last", 0]
    assert np.array_equal(
        pictures(film("xt.png", apple, "--kind", "xt", *flags)), [*map(enlarged, frames(apple, "xt"))]
    )
    assert np.array_equal(
        pictures(film("diff.png", apple, "--kind", "diff", *flags)), [*map(enlarged, frames(apple, "diff"))]
    )
    beside = [np.hstack([enlarged(a), gap, enlarged(b)]) for a, b in zip(frames(apple), frames(apple, "xt")[1:])]
    assert np.array_equal(pictures(film("both.png", apple, "--kind", "both", *flags)), beside)


def test_a_log_alone_gives_the_same_film(film, apple, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(apple / "run.sqlite", bare)
    a, b = film("a.png", apple, "--kind", "both"), film("b.png", bare, "--kind", "both")
    assert np.array_equal(pictures(a), pictures(b))


def test_a_run_that_ended_early_has_a_film_of_what_there_is(film, draw):
    stopped = draw(*APPLE, "--stop-at", 3, frames="x0")
    assert len(pictures(film("stopped.png", stopped))) == 3


def test_pictures_between_are_decoded_from_latents_on_the_straight_way(film, apple):
    # The decoder `linear` is linear but for the ends of its range, so the way between two pictures is straight too.
    flags = ["--decoder", "linear", "--hold-last", 0, "--scale", 1]
    steps = pictures(film("steps.png", apple, *flags))
    shown = pictures(film("all.png", apple, *flags, "--between", 3))
    assert len(shown) == STEPS + 3 * (STEPS - 1)
    assert np.array_equal(shown[::4], steps)
    for part in (1, 2, 3):
        for before, after, picture in zip(steps, steps[1:], shown[part::4]):
            inner = (before > 0) & (before < 255) & (after > 0) & (after < 255)
            straight = before + (after.astype(float) - before) * part / 4
            assert np.abs(picture - straight)[inner].max() <= 1


def test_runs_stand_side_by_side_where_their_noise_is_alike(film, draw, apple):
    short = draw("red apple", "--steps", 3, "--seed", 2, frames="x0")
    own, other = ratios(apple), ratios(short)
    expected = []
    for i, ratio in enumerate(own):
        past = [k for k, reached in enumerate(other) if reached <= ratio * (1 + 1e-6)]
        place = past[0] if past and i + 1 < len(own) else len(other) - 1
        gap = np.full((256, 8, 3), 255, np.uint8)
        expected.append(np.hstack([enlarged(frames(apple)[i]), gap, enlarged(frames(short)[place])]))
    assert np.array_equal(pictures(film("both.png", apple, short)), expected)


def test_labels_stand_below_and_leave_the_pictures_alone(film, apple):
    plain = pictures(film("plain.png", apple))
    for label, lines in (("step", 1), ("recipe", 3)):
        labelled = pictures(film(f"{label}.png", apple, "--label", label))
        for before, after in zip(plain, labelled):
            assert after.shape == (256 + 20 * lines, 256, 3)
            assert np.array_equal(after[:256], before)
            for line in range(lines):
                assert after[256 + 20 * line :][:20].min() < 100
        assert (labelled[0][256:] != labelled[1][256:]).any()  # the step's number


def test_sides_of_video_are_even(film, start, tmp_path, apple):
    odd = tmp_path / "odd"
    shutil.copytree(apple, odd)
    for path in (odd / "frames/x0").iterdir():
        Image.open(path).resize((15, 17)).save(path)
    told = probed(film("odd.mp4", odd, "--scale", 3))
    assert (told["width"], told["height"]) == (46, 52)


# ---- what is said of it


def test_the_parameters_are_in_the_metadata(film, draw):
    run = draw("red äpple, 林檎", "--steps", 2, "--seed", 1, frames="x0")
    with Image.open(run / "final.png") as picture:
        expected = picture.text["parameters"]
    for name in ("apple.mp4", "apple.webm", "apple.mkv"):
        tags = {key.lower(): text for key, text in probed(film(name, run))["tags"].items()}
        assert tags["comment"] == expected
    with Image.open(film("apple.png", run)) as apng:
        apng.load()
        assert apng.text["parameters"] == expected
    with Image.open(film("apple.gif", run)) as gif:
        assert gif.info["comment"].decode() == expected
    told = subprocess.run(["exiftool", "-j", "-UserComment", film("apple.webp", run)], capture_output=True, check=True)
    assert json.loads(told.stdout)[0]["UserComment"] == expected


def test_the_parameters_are_made_of_the_log_where_no_picture_has_them(film, apple, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(apple / "run.sqlite", bare)
    with Image.open(film("bare.png", bare)) as apng:
        apng.load()
        assert apng.text["parameters"].startswith("red apple\nSteps: 6, Sampler: ")


def test_generate_makes_the_film_too(run, tmp_path):
    one = run(*APPLE, "--out", "one", "--film", "one.png")
    assert one.code == DONE and re.search(r"^one.png: 6 pictures in 1.6 s, 256 x 256, \d+ kB$", one.out, re.M)
    assert run("film", "one", "again.png").code == DONE
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "one.png").read_bytes()
    two = run("red apple", "--steps", 2, "--seed", "1,2", "--frames", "none", "--out", "two", "--film", "two.png")
    assert two.code == DONE
    assert pictures(tmp_path / "two.png")[0].shape == (256, 256 + 8 + 256, 3)


def test_generate_refuses_a_film_that_it_cannot_make_before_it_draws(run, tmp_path):
    ended = run(*APPLE, "--out", "new", "--film", "apple.avi")
    assert ended.code == USAGE and len(ended.lines()) == 1
    assert not list(tmp_path.iterdir())


# ---- what is refused


def test_what_makes_no_film_is_refused_in_one_line(refusal, apple, tmp_path):
    endings = "expected a film's ending, one of .mp4, .webm, .mkv, .gif, .webp, .png"
    assert refusal(USAGE, apple, "apple.avi") == f"'apple.avi': {endings}"
    assert refusal(USAGE, apple, "apple") == f"'apple': {endings}"
    assert refusal(USAGE, apple, "a.webm", "--codec", "h264") == (
        "'a.webm': --codec h264 wants a name that ends in .mp4"
    )
    assert refusal(USAGE, apple, "a.gif", "--codec", "av1") == (
        "'a.gif': --codec av1 wants a name that ends in .mp4, .webm or .mkv"
    )
    assert refusal(USAGE, apple, "a.png", "--fps", 0) == "--fps '0': expected a number from 0.1 to 60"
    assert refusal(USAGE, apple, "a.png", "--fps", 5, "--duration", 3) == (
        "--fps and --duration both say how fast; leave one out"
    )
    assert refusal(USAGE, apple, "a.png", "--duration", 1) == (
        "--duration 1: --hold-first and --hold-last take 1 s of it; lengthen it, or shorten them"
    )
    assert refusal(USAGE, apple, "a.png", "--quality", 80).startswith("--quality: is for .webp alone")
    assert refusal(USAGE, apple, "a.png", "--kind", "xt", "--between", 2).startswith("--between: x0 alone")
    assert refusal(USAGE, apple).startswith("no FILE; see steplapse film --help")
    assert "nowhere" in refusal(USAGE, "nowhere", "a.png")
    assert "cannot write" in refusal(OUTPUT, apple, "nowhere/a.png")


def test_a_film_that_is_there_is_kept(refusal, film, apple, tmp_path):
    for name in ("apple.png", "apple.mp4"):
        (tmp_path / name).write_text("mine")
        assert refusal(OUTPUT, apple, name) == (
            f"{name}: is there already; name another file, or --overwrite to replace it"
        )
        assert (tmp_path / name).read_text() == "mine"
        assert film(name, apple, "--overwrite").stat().st_size > 1000


def test_a_damaged_log_is_refused(refusal, apple, tmp_path):
    (tmp_path / "damaged").mkdir()
    log = bytearray((apple / "run.sqlite").read_bytes())
    log[len(log) // 2 :] = bytes(len(log) - len(log) // 2)
    (tmp_path / "damaged/run.sqlite").write_bytes(log)
    assert "damaged" in refusal(OUTPUT, "damaged", "a.png")


def test_without_ffmpeg_the_other_formats_are_named(refusal, run, apple, tmp_path):
    for name in ("apple.mp4", "apple.gif"):
        assert refusal(OUTPUT, apple, name, PATH="") == (
            f"'{name}': is made by ffmpeg, which is not on the PATH; install it, or name a .webp or .png, "
            "which are made without"
        )
    for name in ("apple.webp", "apple.png"):
        assert run("film", apple, name, PATH="").code == DONE


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo first >&2; printf 'no such codec\\n\\n' >&2; exit 1", "no such codec"),
        ("cat >/dev/null; echo late >&2; exit 1", "late"),
        ("head -c 1000 >/dev/null; kill -9 $$", "ended by signal 9"),
        ("cat >/dev/null", "it wrote nothing"),
        ("printf '\\033[31mred\\033[0m' >&2; exit 3", "\\u{1b}[31mred\\u{1b}[0m"),
    ],
)
def test_an_ffmpeg_that_fails_is_quoted_and_leaves_nothing(refusal, apple, tmp_path, script, words):
    ffmpeg = tmp_path / "bin/ffmpeg"
    ffmpeg.parent.mkdir()
    ffmpeg.write_text(f"#!/bin/sh\n{script}\n")
    ffmpeg.chmod(0o755)
    for name in ("apple.mp4", "apple.gif"):
        assert refusal(OUTPUT, apple, name, PATH=f"{ffmpeg.parent}:/usr/bin:/bin") == (
            f"{name}: ffmpeg failed: {words}"
        )


def test_a_signal_leaves_neither_ffmpeg_nor_its_file(begin, apple, tmp_path):
    ffmpeg = tmp_path / "bin/ffmpeg"
    ffmpeg.parent.mkdir()
    ffmpeg.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/number\nexec sleep 100\n")
    ffmpeg.chmod(0o755)
    process = begin("film", apple, "apple.mp4", PATH=f"{ffmpeg.parent}:/usr/bin:/bin")
    deadline = time.monotonic() + 60
    while not ((tmp_path / "number").exists() and (tmp_path / "number").read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    number = int((tmp_path / "number").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert not list(tmp_path.glob("apple.mp4*"))
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_frame_that_is_damaged_ends_the_film_without_a_trace(refusal, apple, tmp_path):
    shutil.copytree(apple, tmp_path / "damaged")
    frame = tmp_path / "damaged/frames/x0/0004.png"
    frame.write_bytes(frame.read_bytes()[:100])
    for name in ("a.mp4", "a.png"):
        assert str(frame.relative_to(tmp_path)) in refusal(USAGE, "damaged", name)


def test_labels_without_a_font_are_refused(refusal, apple, tmp_path):
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    none = {"FONTCONFIG_FILE": str(tmp_path / "fonts.conf")}
    assert refusal(OUTPUT, apple, "a.png", "--label", "step", **none).startswith("no font is installed")


def test_names_are_no_options_and_no_addresses(film, apple):
    for name in ("http:x.mp4", "a b'$(id).mp4", "./-y.mp4"):
        assert probed(film(name, apple))["codec_name"] == "h264"
