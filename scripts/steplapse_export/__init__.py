"""Makes bundles of text-to-image pipelines (docs/bundle.md). scripts/export_bundle.py is its command."""

from steplapse_export import spin_count  # noqa: F401  before any module here imports torch
