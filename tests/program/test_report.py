"""`steplapse report`: its page in Debian's Chromium, as people use it; and what it refuses."""

import base64
import contextlib
import csv
import hashlib
import html.parser
import io
import json
import math
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect, sync_playwright

DONE, FAILED, USAGE, OUTPUT = 0, 1, 2, 4
STEPS = 6
HOSTILE = (
    "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'> \"&amp;\" \u202eelppa\u2028 שלום"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def make(folder, start):
    """make("report", "apple") lets the program run in the module's folder, and well."""

    def make(*arguments):
        ended = start(folder, *arguments)
        assert ended.code == DONE, ended.err
        return ended

    return make


@pytest.fixture(scope="module")
def apple(folder, make) -> Path:
    """A page of one run, whose frames are all there."""
    apple = ("red apple", "--seed", 1, "--steps", STEPS, "--guidance-scale", 3, "--frames", "x0,xt", "--out", "apple")
    make(*apple, "--sampler", "ddim", "--progress", "none")
    make("report", "apple")
    return folder / "apple.html"


@pytest.fixture(scope="module")
def two(folder, make, apple) -> Path:
    """A page of two runs of other numbers of steps."""
    make("whale", "--seed", 2, "--steps", 3, "--frames", "none", "--out", "whale", "--progress", "none")
    make("report", "apple", "whale", "--out", "two.html")
    return folder / "two.html"


@pytest.fixture(scope="module")
def sweep(folder, make) -> Path:
    """A page of a folder of runs."""
    pictures = [
        {"prompt": prompt, "seed": seed, "steps": 2} for prompt in ("red apple", "blue whale") for seed in (10, 9, 8)
    ]
    (folder / "prompts").write_text("".join(json.dumps(picture) + "\n" for picture in pictures))
    make("generate", "--prompts", "prompts", "--frames", "none", "--out", "sweep", "--progress", "none")
    make("report", "sweep")
    return folder / "sweep.html"


@pytest.fixture(scope="module")
def hostile(folder, make) -> Path:
    """A page of a run whose prompt and folder attack it."""
    name = "<b>&'\"\u202egnp"
    make(HOSTILE, "--prompt-syntax", "plain", "--seed", 1, "--steps", 2, "--out", name, "--progress", "none")
    make("report", name, "--out", "hostile.html")
    return folder / "hostile.html"


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """opened(page) is it in a window of its own. By the end the console had nothing to say, and nobody was asked."""
    contexts, said, asked = [], [], []

    def opened(file: Path, **settings):
        contexts.append(chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    near = [url for url in asked if not url.startswith("data:")]
    assert all(url.startswith("file:///") for url in near) and not [url for url in near if "favicon" in url]


def pixels(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))).convert("RGB"))


def pixels_of(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def panes(page) -> list[np.ndarray]:
    return [pixels(image.get_attribute("src")) for image in page.locator("#panes img").all()]


def rows_of(run: Path) -> list[dict]:
    return list(csv.DictReader((run / "steps.csv").open()))


def where(page) -> str:
    return page.locator("#where").text_content()


# ---- one run


def test_the_slider_shows_the_frames_that_the_run_wrote(opened, apple, folder):
    page = opened(apple)
    page.locator("#position").fill("3")
    x0, xt = panes(page)
    assert (x0 == pixels_of(folder / "apple/frames/x0/0003.png")).all()
    assert (xt == pixels_of(folder / "apple/frames/xt/0003.png")).all()
    row = rows_of(folder / "apple")[2]
    ratio = float(row["sigma"]) / float(row["alpha"])
    assert where(page) == f"step 3 of {STEPS}, sigma {ratio:.3g}, timestep {float(row['timestep']):g}"
    about = page.locator("#panes img").first.get_attribute("alt")
    assert about == f"x0 at step 3, sigma {ratio:.3g}"
    page.get_by_role("checkbox", name="change of x0").check()
    changed = panes(page)[2]
    assert changed.shape == x0.shape and not (changed == x0).all()


def test_keys_step_and_play(opened, apple):
    page = opened(apple)
    assert where(page).startswith(f"step {STEPS} of")
    page.keyboard.press("ArrowLeft")
    assert where(page).startswith(f"step {STEPS - 1} of")
    page.keyboard.press("Home")
    assert where(page) == "the noise at the start"
    page.keyboard.press("ArrowRight")
    assert where(page).startswith("step 1 of")
    page.locator("#speed").select_option("20")
    page.locator("h2").first.click()
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_text("Stop")
    expect(page.locator("#where")).to_contain_text(f"step {STEPS} of")
    expect(page.locator("#play")).to_have_text("Play")
    page.keyboard.press(" ")  # from the beginning again
    expect(page.locator("#play")).to_have_text("Stop")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#play")).to_have_text("Play")


def test_keys_that_a_control_has_a_use_for_are_its_own(opened, apple):
    page = opened(apple)
    page.locator("#back").focus()
    page.keyboard.press(" ")  # presses the button
    assert where(page).startswith(f"step {STEPS - 1} of")
    text = page.locator(".command input")
    text.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert where(page).startswith(f"step {STEPS - 1} of")


def test_all_controls_can_be_reached_by_tab(opened, apple):
    page = opened(apple)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate("""() => {
            const element = document.activeElement;
            return [element.id || element.textContent.trim(), getComputedStyle(element).outlineStyle];
        }""")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert outline != "none", name
        reached.add(name)
    assert {"back", "play", "forward", "position", "speed", "All steps in numbers", "Copy"} <= reached


def test_a_wipe_lays_one_picture_over_the_other(opened, apple, folder):
    page = opened(apple)
    page.locator("#position").fill("1")
    page.get_by_label("wipe across").check()
    left, right = panes(page)
    assert (left == pixels_of(folder / "apple/frames/x0/0001.png")).all()
    assert (right == pixels_of(folder / "apple/frames/xt/0001.png")).all()
    stack = page.locator(".stack")
    page.locator("#wipe").fill("25")
    shown = np.asarray(Image.open(io.BytesIO(stack.screenshot())).convert("RGB"), float)
    page.locator("#wipe").fill("100")
    only_left = np.asarray(Image.open(io.BytesIO(stack.screenshot())).convert("RGB"), float)
    page.locator("#wipe").fill("0")
    only_right = np.asarray(Image.open(io.BytesIO(stack.screenshot())).convert("RGB"), float)
    border = shown.shape[1] // 4
    assert (shown[:, : border - 2] == only_left[:, : border - 2]).all()
    assert (shown[:, border + 2 :] == only_right[:, border + 2 :]).all()
    assert not (only_left == only_right).all()


def test_the_cursor_and_the_reading_of_curves_follow_the_slider(opened, apple, folder):
    page = opened(apple)
    svg = page.locator("#change svg")
    left, right = (float(svg.get_attribute(f"data-{side}")) for side in ("left", "right"))
    for step in (2, 5):
        page.locator("#position").fill(str(step))
        cursor = float(page.locator("#change .cursor").get_attribute("x1"))
        assert cursor == pytest.approx(left + (step - 1) / (STEPS - 1) * (right - left), abs=0.01)
        row = rows_of(folder / "apple")[step - 1]
        reading = page.locator("#change .reading").text_content()
        said = dict(re.findall(r"change of (x0|xt) ([\d.e-]+)", reading))
        assert float(said["x0"]) == pytest.approx(float(row["x0_rms_change"]), rel=5e-3)
        assert float(said["xt"]) == pytest.approx(float(row["latents_rms_change"]), rel=5e-3)
    third = (left + 0.4 * (right - left)) / 360  # of the chart's width; step 3 of 6
    svg.click(position={"x": svg.bounding_box()["width"] * third, "y": 40})
    assert where(page).startswith("step 3 of")


def test_the_curves_lie_where_the_numbers_say(opened, apple, folder):
    page = opened(apple)
    path = page.locator("#sigma .curve").get_attribute("d")
    points = [tuple(map(float, point.split())) for point in re.split("[ML]", path)[1:]]
    logs = [math.log(float(row["sigma"]) / float(row["alpha"])) for row in rows_of(folder / "apple")]
    assert len(points) == STEPS
    slope = (points[-1][1] - points[0][1]) / (logs[-1] - logs[0])
    for (_, y), log in zip(points, logs, strict=True):
        assert y == pytest.approx(points[0][1] + slope * (log - logs[0]), abs=0.11)


def test_the_csv_has_what_the_run_and_explain_say(apple, folder, make):
    told = list(csv.DictReader(apple.with_suffix(".csv").open()))
    explained = json.loads(make("explain", "apple", "--json").out)["steps"]
    for row, own, said in zip(told, rows_of(folder / "apple"), explained, strict=True):
        assert (row["run"], row["step"], row["sigma"]) == ("apple", own["step"], own["sigma"])
        assert float(row["latents_rms_change"]) == float(own["latents_rms_change"])
        for key in ("angle", "guidance_x0_rms", "x0_rms_to_final"):
            assert float(row[key]) == pytest.approx(said[key.replace("x0_rms_to_final", "x0_rms_to_final")])
        bands = [float(row[f"x0_rms_{band}"]) for band in ("colours", "coarse_form", "middle", "details")]
        assert math.sqrt(sum(band**2 for band in bands)) == pytest.approx(float(row["x0_rms"]), rel=1e-5)


def test_it_says_what_explain_says(opened, apple, make):
    page = opened(apple)
    text = " ".join(page.locator(".explanation").text_content().split())
    said = " ".join(make("explain", "apple").out.split())
    for sentence in re.findall(r"Last of nine regions[^:]*: [^.]*\.|x0(?:'s second| went)[^.]*\d[^.]*\.", said):
        assert sentence in text
    assert "measured on the latents" in text


def test_the_command_makes_the_picture_again(opened, apple, folder, start):
    page = opened(apple)
    command = shlex.split(page.locator(".command code").text_content())
    assert command[:2] == ["steplapse", "generate"]
    again = start(folder, *command[1:], "--out", "again", "--frames", "none", "--progress", "none")
    assert again.code == DONE
    assert (pixels_of(folder / "again/final.png") == pixels_of(folder / "apple/final.png")).all()


# ---- several runs


def test_runs_stand_side_by_side_at_the_same_sigma(opened, two, folder):
    page = opened(two)
    ratios = {
        run: [float(row["sigma"]) / float(row["alpha"]) for row in rows_of(folder / run)] for run in ("apple", "whale")
    }
    strip = page.locator("article[data-run='1'] img[data-kind=x0]")
    for step in range(1, STEPS + 1):
        page.locator("#position").fill(str(step))
        away = [abs(math.log(ratio) - math.log(ratios["apple"][step - 1])) for ratio in ratios["whale"]]
        nearest = away.index(min(away))
        assert (panes(page)[1] == pixels(strip.nth(nearest).get_attribute("src"))).all()
    assert page.locator("#change .curve").count() == 2


def test_the_grid_has_the_axes_that_are_chosen(opened, sweep):
    page = opened(sweep)
    assert page.locator("#grid thead th").all_text_contents() == ["8", "9", "10"]
    assert page.locator("#grid tbody th").all_text_contents() == ["red apple", "blue whale"]
    assert page.locator("#grid button").count() == 6
    page.locator("#rows").select_option("seed")
    page.locator("#columns").select_option("")
    assert page.locator("#grid tbody th").all_text_contents() == ["8", "9", "10"]
    assert [row.locator("button").count() for row in page.locator("#grid tbody tr").all()] == [2, 2, 2]


def test_a_cell_opens_its_frames_and_its_command(opened, sweep, folder):
    page = opened(sweep)
    runs = sorted(path for path in (folder / "sweep").iterdir())
    page.locator("#grid button", has_text=runs[4].name).click()
    shown = page.locator("article.run:visible")
    assert shown.locator("h2").all_text_contents() == [runs[4].name]
    page.locator("#position").fill("2")
    assert (panes(page)[0] == pixels(shown.locator("img[data-kind=x0][data-step='2']").get_attribute("src"))).all()
    shown.locator(".command select").select_option(label="steps")
    shown.locator(".command input").fill("it's")
    text = shown.locator("code").text_content()
    assert shlex.split(text)[shlex.split(text).index("--steps") + 1] == "it's"
    page.get_by_label("side by side").first.check()
    page.locator("#grid button", has_text=runs[0].name).click()
    assert page.locator("article.run:visible").count() == 2 and len(panes(page)) == 2


def test_the_table_is_filtered_and_sorted(opened, sweep, folder):
    page = opened(sweep)
    rows = page.locator("#table tbody tr:visible")
    page.get_by_label("Filter").fill("whale, seed 9")
    assert rows.count() == 1 and page.locator("#grid button").count() == 1
    expect(page.locator("#found")).to_have_text("1 of 6 runs")
    page.get_by_label("Filter").fill("")
    seconds = [json.loads((run / "run.json").read_text())["total_seconds"] for run in (folder / "sweep").iterdir()]
    for name, values in (("time", seconds), ("seed", [8, 8, 9, 9, 10, 10])):
        header = page.locator("#table th", has_text=name)
        column = page.locator("#table th").all_text_contents().index(name)
        for falls in (False, True):
            header.get_by_role("button").click()
            assert header.get_attribute("aria-sort") == ("descending" if falls else "ascending")
            told = [float(row.locator("td, th").nth(column).get_attribute("data-value")) for row in rows.all()]
            assert told == pytest.approx(sorted(values, reverse=falls), rel=1e-5)


# ---- any page


@pytest.mark.parametrize(
    ("name", "scheme"), [("apple", "light"), ("apple", "dark"), ("two", "dark"), ("sweep", "light")]
)
def test_axe_finds_nothing(opened, request, name, scheme):
    page = opened(request.getfixturevalue(name), color_scheme=scheme)
    for details in page.locator("summary:visible").all():
        details.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("name", ["apple", "sweep", "hostile"])
def test_nothing_is_wider_than_the_window(opened, request, name, width, scheme):
    page = opened(request.getfixturevalue(name), viewport={"width": width, "height": 700}, color_scheme=scheme)
    for details in page.locator("summary:visible").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red + green + blue > 3 * 200) == (scheme == "light")


@pytest.mark.parametrize("name", ["apple", "two", "sweep"])
def test_it_can_be_read_without_its_script(opened, request, folder, name):
    page = opened(request.getfixturevalue(name), java_script_enabled=False)
    assert not page.locator("#watch").is_visible() and not page.locator("button:visible").count()
    for picture in page.locator(".frame, [data-final]").all():
        assert picture.is_visible() and picture.bounding_box()["width"] >= 32
    for details in page.locator("summary").all():
        details.click()
    assert page.locator(".numbers tbody tr:visible").count() == page.locator(".numbers tbody tr").count() > 0
    assert page.locator("#change svg").is_visible() and page.locator("code").first.is_visible()
    assert "done" in page.locator("body").inner_text()


def test_hostile_text_stays_text(opened, hostile):
    page = opened(hostile)
    assert page.locator("h1").text_content() == HOSTILE
    assert page.evaluate("window.hit") is None
    assert page.locator("h1 bdi").evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"
    assert "\u202e" not in page.title()
    command = shlex.split(page.locator("code").text_content())
    assert command[command.index("--prompt") + 1] == HOSTILE
    text = hostile.read_text()
    assert text.count("<script") == 2 and "<img src=x" not in text


class Policy(html.parser.HTMLParser):
    """What a page may load, and what its scripts and styles are."""

    def __init__(self, text: str):
        super().__init__()
        self.policy, self.contents, self.open = "", {"script": [], "style": []}, None
        self.attributes = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.attributes += told
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"]
        self.open = tag if tag in self.contents and told.get("type") != "application/json" else None

    def handle_data(self, data):
        if self.open:
            self.contents[self.open].append(data)
            self.open = None


def test_the_policy_allows_this_script_and_this_style_alone(apple):
    page = Policy(apple.read_text())
    directives = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert directives["default-src"] == "'none'" and directives["img-src"] == "data:"
    for kind in ("script", "style"):
        (content,) = page.contents[kind]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[f"{kind}-src"] == f"'sha256-{digest}'"
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}


# ---- large pictures


@pytest.fixture(scope="module")
def large(folder, make) -> Path:
    """A run of 12 steps whose frames are of 512 x 512: shapes under noise, which no encoding makes small."""
    make("red apple", "--seed", 1, "--steps", 12, "--frames", "x0,xt", "--out", "large", "--progress", "none")
    noise, run = np.random.default_rng(0), folder / "large"
    rows, columns = np.mgrid[0:512, 0:512]
    shape = np.stack([rows / 2, columns / 2, 128 + 127 * np.sin(rows * columns / 4000)], axis=-1)
    for file in [*run.glob("frames/*/*.png"), run / "final.png"]:
        amount = 60 / int(file.stem) if file.stem.isdigit() and int(file.stem) else 8
        picture = np.clip(shape + noise.normal(size=shape.shape) * amount, 0, 255)
        Image.fromarray(picture.astype(np.uint8)).save(file, compress_level=1)
    return run


def test_pictures_that_are_too_large_become_lossy_and_the_page_says_so(opened, large, make, folder):
    told = make("report", "large").out
    file = folder / "large.html"
    assert 5_000_000 < file.stat().st_size <= 10_000_000
    assert "WebP of quality" in told
    page = opened(file)
    assert "WebP of quality" in page.locator("footer").text_content()
    page.locator("#position").fill("12")
    source = page.locator("#panes img").first.get_attribute("src")
    assert source.startswith("data:image/webp")
    distance = pixels(source).astype(float) - pixels_of(large / "frames/x0/0012.png")
    assert 0 < np.sqrt(np.mean(distance**2)) < 16


def test_a_folder_keeps_them_lossless_beside_the_page(opened, large, make, folder):
    make("report", "large", "--folder", "a folder #1", "--out", "beside.html")
    assert (folder / "beside.html").stat().st_size < 1_000_000
    pictures = folder / "a folder #1/1"
    assert (pixels_of(pictures / "x0/0009.png") == pixels_of(large / "frames/x0/0009.png")).all()
    page = opened(folder / "beside.html")
    page.locator("#position").fill("9")
    expect(page.locator("#panes img").first).to_have_js_property("naturalWidth", 512)
    assert page.evaluate("[...document.images].filter(image => image.complete && !image.naturalWidth).length") == 0


# ---- bad input


@pytest.fixture
def copy(apple, folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder / "apple", tmp_path / "copy"))


def change_log(run: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(run / "run.sqlite")) as log:
        for statement in statements:
            log.execute(statement)
        log.commit()


def test_a_run_that_was_cut_off_is_shown_as_far_as_it_goes(run, opened, copy, tmp_path):
    ended = "DELETE FROM run WHERE key IN ('ended', 'ended_reason', 'frame_steps') OR key LIKE '%_seconds'"
    change_log(copy, "DELETE FROM calls WHERE step > 4", "DELETE FROM steps WHERE step > 4", ended)
    shutil.rmtree(copy / "frames")
    (copy / "final.png").unlink()
    assert run("report", "copy").code == DONE
    page = opened(tmp_path / "copy.html")
    assert where(page).startswith("step 4 of 4")
    assert "was cut off" in page.locator(".note").text_content()


def test_frames_that_are_not_there_are_decoded(run, opened, copy, folder, tmp_path):
    shutil.rmtree(copy / "frames")
    assert run("report", "copy").code == DONE
    page = opened(tmp_path / "copy.html")
    page.locator("#position").fill("3")
    off = np.abs(panes(page)[0].astype(int) - pixels_of(folder / "apple/frames/x0/0003.png"))
    assert off.max() <= 1


def test_a_damaged_log_is_named_and_nothing_is_written(run, copy, tmp_path):
    change_log(copy, "UPDATE calls SET cond = zeroblob(length(cond)) WHERE call = 2")
    told = run("report", "copy")
    assert told.code == FAILED and len(told.lines()) == 1
    assert "copy/run.sqlite: call 2" in told.err and "damaged" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_damaged_run_of_a_folder_is_left_out_and_said(run, opened, copy, folder, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(folder / "apple", runs / "good")
    shutil.move(copy, runs / "bad")
    change_log(runs / "bad", "UPDATE calls SET cond = zeroblob(length(cond)) WHERE call = 2")
    told = run("report", "runs")
    assert told.code == DONE and told.err.startswith("steplapse: warning: runs/bad/run.sqlite: call 2")
    assert told.err.endswith("; it is left out\n") and "runs.html: 1 run," in told.out


def test_what_is_there_is_replaced_only_with_overwrite(run, copy, tmp_path):
    for name in ("copy.html", "copy.csv"):
        (tmp_path / name).write_text("mine")
        told = run("report", "copy")
        assert (told.code, len(told.lines())) == (OUTPUT, 1) and name in told.err and "--overwrite" in told.err
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/mine").write_text("mine")
    told = run("report", "copy", "--folder", "pictures")
    assert told.code == OUTPUT and told.err == (
        "steplapse: pictures: is not empty; name another --folder, or --overwrite to replace the pictures there\n"
    )
    assert run("report", "copy", "--folder", "pictures", "--overwrite").code == DONE
    assert (tmp_path / "pictures/mine").read_text() == "mine"


def test_what_is_no_run_or_no_page_is_refused(run, copy, tmp_path):
    (tmp_path / "empty").mkdir()
    assert (told := run("report", "empty")).code == USAGE and "holds no run" in told.err
    assert (told := run("report", "nowhere")).code == USAGE and "nowhere" in told.err
    told = run("report", "copy", "--out", "page.pdf")
    assert (told.code, told.err) == (USAGE, "steplapse: --out 'page.pdf': expected the name of a .html\n")
    assert run("report").code == USAGE
    (copy / "frames/x0/0002.png").write_bytes(b"no picture")
    told = run("report", "copy")
    assert told.code == USAGE and "0002.png" in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "empty"]
