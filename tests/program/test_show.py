"""`--show`: pictures in the terminal while they are made. The terminal is pyte, or says that it is kitty."""

import base64
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import termios

import numpy as np
import pyte
import pytest
from PIL import Image

from harness import PROGRAM, TIMEOUT, environment

COLUMNS, ROWS = 80, 24
DRAW = ("red apple", "--steps", 4, "--seed", 1, "--show", "--out", "out")
QUESTION = re.compile(rb"\x1b_Gi=(\d+),[^;]*a=q[^;]*;[^\x1b]*\x1b\\\x1b\[c")


@pytest.fixture
def shown(tiny_bundle, tmp_path):
    """shown("red apple", ..., answer=b"...") is what the program wrote to a terminal that answers its question so."""

    def shown(*arguments, answer: bytes = b"\x1b[?62;c", code: int = 0, **more: str) -> bytes:
        main, end = pty.openpty()
        fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        program = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tiny_bundle, **{"TERM": "xterm-256color", **more}),
            stdin=end,
            stdout=subprocess.DEVNULL,
            stderr=end,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(end)
        written, answered = b"", False
        while True:
            ready, _, _ = select.select([main], [], [], TIMEOUT)
            assert ready, "nothing came"
            try:
                more_written = os.read(main, 1 << 16)
            except OSError:  # all have closed the other end
                break
            written += more_written
            if not answered and QUESTION.search(written):
                os.write(main, answer)
                answered = True
        os.close(main)
        assert program.wait(TIMEOUT) == code, written
        return written

    return shown


def pixels_on(screen: pyte.Screen, rows: range) -> np.ndarray:
    """What half blocks on a screen show: two pixels a character."""
    pixels = []
    for row in rows:
        characters = [screen.buffer[row][column] for column in range(screen.columns)]
        blocks = [character for character in characters if character.data == "\u2580"]
        pixels.append([list(bytes.fromhex(block.fg)) for block in blocks])
        pixels.append([list(bytes.fromhex(block.bg)) for block in blocks])
    return np.array(pixels, np.uint8)


def test_half_blocks_show_the_last_frame_where_the_first_was(shown, tmp_path):
    written = shown(*DRAW)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(QUESTION.sub(b"", written))
    rows = [row for row, line in enumerate(screen.display) if "\u2580" in line]
    assert len(rows) == 8, "a picture of 16 x 16, once"
    frame = np.array(Image.open(tmp_path / "out/frames/x0/0004.png"))
    assert np.array_equal(pixels_on(screen, rows), frame)
    assert screen.display[rows[-1] + 1].startswith("[####"), "the bar stands below it"


def test_kitty_gets_each_frame_as_a_png(shown, tmp_path):
    written = shown(*DRAW, answer=b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c")
    assert "\u2580".encode() not in written
    pictures = re.findall(rb"\x1b_Ga=T,([^;]*);([^\x1b]*)\x1b\\", written)
    assert len(pictures) == 4
    for step, (control, data) in enumerate(pictures, 1):
        assert b"f=100" in control and b"m=0" in control
        frame = Image.open(tmp_path / f"out/frames/x0/{step:04}.png")
        assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(data)))), np.array(frame))


def test_what_a_terminal_does_not_answer_is_half_blocks(shown):
    assert "\u2580".encode() in shown(*DRAW, answer=b"")


def test_without_the_flag_nothing_is_asked_or_shown(shown):
    assert b"\x1b" not in shown(*(argument for argument in DRAW if argument != "--show"))


@pytest.mark.parametrize(
    "arguments, more, says",
    [
        ((), {"TERM": "dumb"}, "--show: standard error is no terminal that could show pictures; leave it out"),
        (("--progress", "lines"), {}, "--show: pictures stand above the progress bar; leave out --progress, or --show"),
        (("--frames", "xt"), {}, "--show: shows the x0 frames that are made, and --frames leaves them out"),
    ],
)
def test_where_nothing_can_be_shown_it_is_refused(shown, tmp_path, arguments, more, says):
    assert says in " ".join(shown(*DRAW, *arguments, code=2, **more).decode().split())
    assert not (tmp_path / "out").exists()


def test_no_terminal_is_refused(run, tmp_path):
    ended = run(*DRAW)
    assert (ended.code, "--show: standard error is no terminal" in ended.err) == (2, True)
    assert not (tmp_path / "out").exists()
