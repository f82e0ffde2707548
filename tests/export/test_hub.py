"""A Hugging Face id becomes a pipeline, from its cache where the network is away. No socket connects here."""

import types

import pytest

from export.checkpoints import assert_same, refusal, save_folder
from steplapse_export.sources.load import files_to_fetch, load_pipeline

pytestmark = pytest.mark.usefixtures("attempts")


COMMIT = 40 * "a"


@pytest.fixture
def cached(sd1, tmp_path, monkeypatch):
    cache = tmp_path / "models--someone--cats"
    save_folder(sd1, cache / "snapshots" / COMMIT)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return cache / "snapshots" / COMMIT


def test_an_id_in_the_cache_needs_no_network(cached, sd1, attempts, capsys):
    capsys.readouterr()
    source = load_pipeline("someone/cats")
    assert attempts
    attempts.clear()
    assert source.description == f"someone/cats@{COMMIT}"
    assert_same(source.pipeline, sd1.pipeline)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("someone/cats: Hugging Face can't be reached (")
    assert err.endswith(f"), taking commit {COMMIT} from its cache\n")


def test_what_is_no_network_error_is_not_hidden_by_the_cache(cached, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", fail)
    assert refusal("someone/cats") == "someone/cats can't be fetched: [Errno 28] No space left on device"


def test_a_snapshot_of_only_what_was_asked_for_is_found_again(cached, monkeypatch, attempts):
    import huggingface_hub
    from huggingface_hub.errors import IncompleteSnapshotError

    def lacking(*_, **__):
        raise IncompleteSnapshotError("3 file(s) are missing", snapshot_path=str(cached))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lacking)
    assert load_pipeline("someone/cats").description == f"someone/cats@{COMMIT}"
    attempts.clear()


def test_a_download_shows_its_progress_and_is_of_the_named_revision(cached, monkeypatch):
    import huggingface_hub
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = []

    def download(id, revision, allow_patterns):
        assert (id, revision, allow_patterns) == ("someone/cats", "v2", ["unet/config.json"])
        hidden.append(are_progress_bars_disabled())
        return cached

    model = types.SimpleNamespace(sha=COMMIT, siblings=[types.SimpleNamespace(rfilename="unet/config.json")])
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: model)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_pipeline("someone/cats", revision="v2").description == f"someone/cats@{COMMIT}"
    disable_progress_bars()
    try:
        load_pipeline("someone/cats", revision="v2")
        assert are_progress_bars_disabled()
    finally:
        enable_progress_bars()
    assert hidden == [False, True]


def test_a_folder_goes_before_an_id(sd1, tmp_path, monkeypatch):
    save_folder(sd1, tmp_path / "someone/cats")
    monkeypatch.chdir(tmp_path)
    assert load_pipeline("someone/cats").description == "folder cats"


def test_only_the_parts_are_fetched_in_one_precision():
    names = [
        "README.md",
        "model.safetensors",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/merges.txt",
        "safety_checker/model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin",
        "unet/model.onnx",
    ]
    shared = ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt", "unet/config.json"]
    assert files_to_fetch(names, False) == [
        *shared,
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.bin",
    ]
    assert files_to_fetch(names, True) == [
        *shared,
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.bin",
    ]
