"""The Snakefile of docs/sweeps.md, where snakemake is installed."""

import json
import shutil
import subprocess
from collections import Counter

import pytest

from harness import PROGRAM, ROOT, environment

SNAKEFILE = (ROOT / "docs/sweeps.md").read_text().split("## Snakemake")[1].split("```python\n")[1].split("```")[0]


@pytest.mark.skipif(not shutil.which("snakemake"), reason="no snakemake: pip install snakemake")
def test_the_snakefile_of_the_page_runs_a_sweep(start, tiny_bundle, tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    assert (
        start(tmp_path, "sweep", "plan", "red apple", "--steps", "2,3", "--seed", "1..4", "--out", "plan.json").code
        == 0
    )
    variables = environment(tiny_bundle, HOME=str(tmp_path))
    variables["PATH"] = f"{PROGRAM.parent}:{variables['PATH']}"
    command = ["snakemake", "--cores", "2"]
    ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    files = list((tmp_path / "sweep" / "rows").glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert Counter(row["cell"] for row in rows if row.get("status") == "done") == Counter(range(8))
    assert len((tmp_path / "sweep" / "results.csv").read_text().splitlines()) == 9
