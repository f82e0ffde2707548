"""scripts/measure/render.py: what it prints of the model that comes with the program."""

import subprocess
import sys

from harness import PROGRAM, ROOT


def test_it_compares_frames_from_the_log_with_drawing_again(tmp_path):
    script = [sys.executable, ROOT / "scripts/measure/render.py", "--program", PROGRAM, "--work", tmp_path]
    told = subprocess.run([*script, "--models", "emoji", "--turns", "1"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "the frames were the same bytes" in told.stdout
    frames, log = [line for line in told.stdout.splitlines() if line.startswith("| emoji, 30 steps |")]
    assert all(float(cell) > 0 for cell in frames.split("|")[2:-1])
    # Two answers of 8 x 8 x 8 float32 are 4096 bytes.
    assert 4.096 < float(log.split("|")[2].split()[0]) < 3 * 4.096
