"""Import this before torch: OpenMP's threads then sleep soon where other programs keep the cores busy.

As src/spin_count.cpp does for the program, and with the same number; libgomp reads it when torch is imported. What the
user has set wins.
"""

import os

if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "2000"
