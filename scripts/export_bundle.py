#!/usr/bin/env python3
"""Exports a text-to-image pipeline to a bundle that steplapse runs: see --help, and docs/bundle.md."""

import sys

from steplapse_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
