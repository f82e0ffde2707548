#!/usr/bin/env python3
"""What it costs to claim a cell of a sweep: the system calls of src/studies/sweep/cell_claims.cpp, for many cells.

scripts/measure/claims.py --cells 100000 --others 15 [--folder DIR]

prints microseconds a cell: to claim, count and release it, and to find that another process has it. Name a folder on a
network file system to see what a claim costs there.
"""

import argparse
import errno
import fcntl
import os
import tempfile
import time
from pathlib import Path


def claim(file: int, cell: int) -> bool:
    os.pread(file, 1, cell)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, cell)
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.EACCES)
        return False
    os.pread(file, 1, cell)
    return True


def finish(file: int, cell: int) -> None:
    os.pwrite(file, b"\1", cell)
    fcntl.lockf(file, fcntl.LOCK_UN, 1, cell)


def microseconds_each(work, cells: range) -> float:
    begun = time.perf_counter()
    for cell in cells:
        work(cell)
    return (time.perf_counter() - begun) / len(cells) * 1e6


def hold_in_another_process(path: Path, cells: range) -> int:
    ready, told = os.pipe()
    process = os.fork()
    if process == 0:
        file = os.open(path, os.O_RDWR)
        assert all(claim(file, cell) for cell in cells)
        os.write(told, b"\1")
        while True:
            time.sleep(1000)
    os.read(ready, 1)
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--others", type=int, default=15, help="processes that hold 16 cells each")
    parser.add_argument("--folder", type=Path, help="where the file of claims is made (a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "claims"
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        held = [range(options.cells + 16 * i, options.cells + 16 * (i + 1)) for i in range(options.others)]
        processes = [hold_in_another_process(path, cells) for cells in held]
        free = microseconds_each(lambda cell: claim(file, cell) and finish(file, cell), range(options.cells))
        print(f"a cell that is free: {free:.1f} µs to claim, count and release")
        if held:
            taken = microseconds_each(lambda cell: claim(file, cell), range(held[0].start, held[-1].stop))
            print(f"a cell that another process has: {taken:.1f} µs")
        for process in processes:
            os.kill(process, 9)
            os.waitpid(process, 0)


if __name__ == "__main__":
    main()
