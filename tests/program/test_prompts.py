"""Prompts as docs/prompts.md describes them: weights, chunks, and what `steplapse tokens` shows of them."""

import contextlib
import json
import os
import re
import resource
import shutil
import sqlite3
from pathlib import Path

import pytest
import sentencepiece
import torch
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from harness import ROOT
from measure.bits import accept_files
from steplapse_export.programs import load_program

DOCS = (ROOT / "docs/prompts.md").read_text()
ONE = ["--steps", 2, "--seed", 1, "--schedule", "trailing", "--frames", "none", "--progress", "none"]
USAGE, REFUSED, OUTPUT = 2, 3, 4


@pytest.fixture
def drawn(run, tmp_path):
    """drawn("red apple", ...) is the bytes of the last latents, and what was said."""

    def drawn(prompt: str, *flags):
        ended = run(prompt, *ONE, "--out", "out", "--overwrite", *flags)
        assert ended.code == 0, ended
        return (tmp_path / "out/final.safetensors").read_bytes(), ended.err

    return drawn


@pytest.fixture
def tokens(run):
    """tokens("red apple", ...) is what --json prints."""

    def tokens(prompt: str, *flags, **more) -> dict:
        ended = run("tokens", prompt, "--json", *flags, **more)
        assert ended.code == 0, ended
        return json.loads(ended.out)

    return tokens


@pytest.fixture
def three_chunks(changed_bundle) -> Path:
    return changed_bundle(lambda manifest: manifest.update(max_chunks=3))


def words_in(chunk: dict) -> str:
    return "".join(piece for piece in chunk["pieces"] if piece is not None).replace("▁", " ").strip()


# ---- pictures


def test_weights_change_the_picture_and_a_weight_of_1_does_not(drawn):
    plain, _ = drawn("red apple")
    assert drawn("(red:1.4) apple") != (plain, "")
    assert drawn("(red:1.0) apple") == (plain, "")
    assert drawn("([red]) apple")[0] != drawn("[red] apple")[0]
    assert drawn("red apple", "--prompt-syntax", "plain") == (plain, "")
    assert (
        drawn("red apple", "--negative-prompt", "(whale:1.3)")[0] != drawn("red apple", "--negative-prompt", "whale")[0]
    )


def test_plain_draws_brackets_as_text(drawn):
    text, said = drawn("(red:1.4) [apple", "--prompt-syntax", "plain")
    assert said == ""
    assert drawn(r"\(red:1.4\) \[apple") == (text, "")


def test_the_syntax_is_recorded_and_the_prompt_as_it_was_written(drawn, tmp_path):
    prompt = "(red:1.4) apple"
    for syntax, says in (("weights", False), ("plain", True)):
        drawn(prompt, "--prompt-syntax", syntax)
        run_json = json.loads((tmp_path / "out/run.json").read_text())
        assert (run_json["prompt"], run_json["prompt_syntax"]) == (prompt, syntax)
        with contextlib.closing(sqlite3.connect(tmp_path / "out/run.sqlite")) as log:
            assert log.execute("SELECT value FROM run WHERE key = 'prompt_syntax'").fetchall() == [(syntax,)]
        text = Image.open(tmp_path / "out/final.png").text
        settings = json.loads(text["steplapse"])["settings"]
        assert (settings["prompt"], settings["prompt_syntax"]) == (prompt, syntax)
        assert text["parameters"].startswith(prompt + "\n")
        assert ("Emphasis: None" in text["parameters"]) == says
    drawn("red apple", "--prompt-syntax", "plain")
    assert "Emphasis" not in Image.open(tmp_path / "out/final.png").text["parameters"]


def test_clip_skip_is_said_where_it_is_not_1(drawn, changed_bundle, tmp_path):
    drawn("red apple")
    assert "Clip skip" not in Image.open(tmp_path / "out/final.png").text["parameters"]
    drawn("red apple", "--model", changed_bundle(lambda manifest: manifest.update(clip_skip=2)))
    assert ", Clip skip: 2, " in Image.open(tmp_path / "out/final.png").text["parameters"]


def test_a_long_prompt_draws_in_chunks(drawn, three_chunks):
    long = "red apple, " + "blue whale " * 6
    flags = ["--model", three_chunks]
    assert drawn(long, *flags)[1] == ""
    assert drawn(long, *flags)[0] != drawn("red apple, blue whale", *flags)[0]
    assert drawn("red apple", *flags, "--negative-prompt", long)[1] == ""
    assert drawn("red BREAK apple", *flags)[0] != drawn("red apple", *flags)[0]
    # One chunk alone is what it is to a bundle of one.
    assert drawn("red apple", *flags) == drawn("red apple")


def test_break_in_a_model_of_one_chunk_is_a_space(drawn):
    said = (
        "steplapse: warning: the prompt has a BREAK beyond the model's 1 chunk of 20 tokens; the words after it go on "
        "in the last\n"
    )
    assert drawn("red BREAK apple")[1] == said


def test_words_the_model_was_not_taught_are_looked_for_without_the_syntax(run, tmp_path, tiny_bundle):
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "taught"))
    (bundle / "prompts.json").write_text('[{"name": "red apple 14", "keywords": []}]')
    manifest = json.loads((bundle / "model.json").read_text())
    manifest["prompts"] = "prompts.json"
    manifest["files"]["prompts.json"] = {"size": 0, "sha256": 64 * "0"}
    (bundle / "model.json").write_text(json.dumps(manifest))
    accept_files(bundle)
    said = (
        "steplapse: warning: the model was not taught any word of 'blue aple'; nearest names: red apple 14 "
        "(all: steplapse model prompts)"
    )
    for command in ((*ONE, "--out", "out"), ("--json",)):
        first = ["tokens"] if command == ("--json",) else []
        ended = run(*first, r"(blue:14) [aple]<lora:apple:1>", "--model", bundle, *command)
        assert ended.code == 0, ended
        assert ended.lines()[-1] == said


# ---- what is refused

WEIGHT = "expected a weight as in (word:1.2); for the text itself write '\\:', or --prompt-syntax plain"
CANNOT = "which steplapse does not do; for the text itself write"


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("(red:big) apple", f"PROMPT, column 6: 'big' after ':' in '(red:big)', {WEIGHT}"),
        ("é\n(red:) apple", f"PROMPT, line 2, column 6: nothing after ':' in '(red:)', {WEIGHT}"),
        ("(red:\x1b[2J)", f"PROMPT, column 6: '\\u{{1b}}[2J' after ':' in '(red:\\u{{1b}}[2J)', {WEIGHT}"),
        (
            "(red:1000)",
            "PROMPT, column 2: the weight of 'red' comes to 1000, expected -100 to 100; for the text itself write "
            "'\\:', or --prompt-syntax plain",
        ),
        (
            "[red:blue:0.5] apple",
            "PROMPT, column 1: '[red:blue:0.5]' asks for prompt editing (words that change on the way), "
            f"{CANNOT} '\\:', or --prompt-syntax plain",
        ),
        (
            "[red|blue] apple",
            f"PROMPT, column 1: '[red|blue]' asks for alternating words, {CANNOT} '\\|', or --prompt-syntax plain",
        ),
    ],
)
def test_syntax_that_is_none_is_answered_in_one_line(run, tmp_path, prompt, message):
    for command in ((prompt,), ("tokens", prompt), (prompt, "--dry-run")):
        ended = run(*command)
        assert (ended.code, ended.out, ended.lines()) == (USAGE, "", [f"steplapse: {message}"])
    negative = run("red", "--negative-prompt", prompt)
    assert negative.lines() == [f"steplapse: {message.replace('PROMPT', '--negative-prompt')}"]
    assert run(prompt, "--prompt-syntax", "plain", "--dry-run").code == 0
    assert not list(tmp_path.iterdir())


def test_a_syntax_that_is_not_there_is_refused(run):
    said = "steplapse: --prompt-syntax 'weigths': did you mean 'weights'? choose from weights, plain"
    for command in (("red apple",), ("tokens", "red apple")):
        ended = run(*command, "--prompt-syntax", "weigths")
        assert (ended.code, ended.lines()) == (USAGE, [said])


@pytest.mark.parametrize("text", ["(", ")", "[x]", "(a:1.1)", "\\", "a, ", "BREAK ", "<lora:", "(a", "é|"])
def test_prompts_of_100_000_bytes_are_fast(run, three_chunks, text):
    prompt = text * (100_000 // len(text.encode()))
    ended = run(
        "tokens",
        "-",
        "--model",
        three_chunks,
        stdin=prompt.encode(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (20, 20)),
    )
    assert ended.code == 0, ended.err[:500]
    assert len(ended.err) < 2000


# ---- steplapse tokens


def test_ids_and_pieces_are_the_tokenizers_own(tokens, tiny_bundle):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(tiny_bundle / "tokenizer.model"))
    prompt = "red apple, brûlée"
    (found,) = tokens(prompt)["tokenizers"]
    (chunk,) = found["chunks"]
    ids = tokenizer.encode(prompt)
    assert (found["kind"], found["length"], chunk["used"]) == ("sentencepiece", 20, len(ids))
    pad = 18 - len(ids)
    assert chunk["ids"] == [tokenizer.bos_id(), *ids, tokenizer.eos_id()] + pad * [tokenizer.pad_id()]
    # What is unknown is spelled as in the prompt.
    known = [
        tokenizer.id_to_piece(i) if not tokenizer.is_unknown(i) else piece
        for i, piece in zip(ids, tokenizer.encode(prompt, out_type=str), strict=True)
    ]
    assert chunk["pieces"] == [None, *known, None] + pad * [None]
    assert chunk["weights"] == 20 * [1.0]


def test_weights_stand_beside_their_pieces(tokens):
    (found,) = tokens("(red:1.5) [blue]", "--negative-prompt", "(whale)")["tokenizers"]
    weights = {words: [] for words in (1.5, 1 / 1.1, 1)}
    for piece, weight in zip(found["chunks"][0]["pieces"], found["chunks"][0]["weights"], strict=True):
        if piece is not None:
            weights[weight].append(piece)
    assert "".join(weights[1.5]) == "▁red"
    assert "".join(weights[1 / 1.1]).replace("▁", "") == "blue"
    negative = found["negative_chunks"][0]
    assert words_in(negative) == "whale"
    assert negative["weights"][1 : 1 + negative["used"]] == negative["used"] * [1.1]


def test_chunks_are_as_many_for_both_prompts(tokens, three_chunks):
    long = "red apple BREAK blue whale"
    for arguments in ((long, "--negative-prompt", "castle"), ("castle", "--negative-prompt", long)):
        (found,) = tokens(*arguments, "--model", three_chunks)["tokenizers"]
        texts = [[words_in(chunk) for chunk in found[key]] for key in ("chunks", "negative_chunks")]
        assert sorted(texts) == [["castle", ""], ["red apple", "blue whale"]]
        empty = min(found["chunks"] + found["negative_chunks"], key=lambda chunk: chunk["used"])
        assert empty["ids"] == [1, 2] + 18 * [0] and empty["weights"] == 20 * [1]


def test_the_table_has_a_row_a_piece(run, three_chunks):
    ended = run("tokens", "(red:1.5) BREAK \x1b]0;x", "--model", three_chunks, "--negative-prompt", "")
    assert ended.code == 0
    headings = [line for line in ended.out.splitlines() if "tokenizer" in line]
    assert [re.sub(r"\d+ of 18", "N of 18", heading) for heading in headings] == [
        "prompt, tokenizer (sentencepiece), chunk 1 of 2: N of 18 used",
        "prompt, tokenizer (sentencepiece), chunk 2 of 2: N of 18 used",
        "negative prompt, tokenizer (sentencepiece), chunk 1 of 2: N of 18 used",
        "negative prompt, tokenizer (sentencepiece), chunk 2 of 2: N of 18 used",
    ]
    assert headings[2].endswith(" 0 of 18 used")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[1:3] == [["position", "id", "weight", "piece"], ["0", "1", "1", "bos"]]
    assert lines[3] == ["1", "5", "1.5", "'▁'"]
    assert lines[-3:] == [["0", "1", "1", "bos"], ["1", "2", "1", "eos"], ["2-19", "0", "1", "pad"]]
    assert "\x1b" not in ended.out + ended.err


def test_warnings_are_those_of_drawing(run, tokens):
    prompt = "a (b " + "red apple " * 20 + "BREAK <lora:x:1> 1 AND 2"
    drawn = run(prompt, *ONE, "--out", "out", "--negative-prompt", prompt)
    shown = run("tokens", prompt, "--negative-prompt", prompt)
    assert (drawn.code, shown.code) == (0, 0)
    assert len(drawn.lines()) == 8
    assert shown.err == drawn.err


def test_only_the_manifest_and_the_tokenizer_are_read(run, tmp_path, tiny_bundle):
    bundle = tmp_path / "bare"
    bundle.mkdir()
    for name in ("model.json", "tokenizer.model"):
        shutil.copy(tiny_bundle / name, bundle)
    assert run("tokens", "red apple", "--model", bundle).code == 0
    ended = run("tokens", "red apple", "--model", bundle, "--embeddings", "x.safetensors")
    assert (ended.code, ended.out) == (REFUSED, "")
    assert not (tmp_path / "x.safetensors").exists()


def test_the_prompt_is_read_from_standard_input(tokens):
    assert tokens("-", stdin="rød æble\nblue\n".encode())["prompt"] == "rød æble\nblue"


def test_a_prompt_that_is_the_word_tokens_can_be_drawn(run, tmp_path):
    assert run("generate", "tokens", *ONE, "--out", "out").code == 0
    assert json.loads((tmp_path / "out/run.json").read_text())["prompt"] == "tokens"
    for arguments, message in (
        ([], "no PROMPT; see steplapse tokens --help (to draw the prompt 'tokens': steplapse generate tokens)"),
        (
            ["x", "--stpes", "3"],
            "unknown flag '--stpes', see steplapse tokens --help (to draw the prompt "
            "'tokens x': steplapse generate \"tokens x\")",
        ),
        (
            ["of", "love"],
            "unexpected 'love'; a prompt of several words wants quotes: steplapse tokens \"of love\" "
            "(to draw the prompt 'tokens of love': steplapse generate \"tokens of love\")",
        ),
    ):
        ended = run("tokens", *arguments)
        assert (ended.code, ended.lines()) == (USAGE, [f"steplapse: {message}"])


# ---- embeddings


@torch.no_grad()
def test_embeddings_are_what_the_text_encoder_answers(tokens, three_chunks, tmp_path):
    found = tokens(
        "red apple, (blue:1.5) whale BREAK castle",
        "--negative-prompt",
        "[snow]",
        "--model",
        three_chunks,
        "--embeddings",
        "x.safetensors",
    )
    (tokenizer,) = found["tokenizers"]
    encoder = load_program(three_chunks / "text_encoder.pt", [three_chunks / "text_encoder.safetensors"], torch.float32)
    tensors = load_tensors(tmp_path / "x.safetensors")
    assert found["embeddings"] == {name: list(tensor.shape) for name, tensor in tensors.items()}
    assert tensors.keys() == {"conditioning_0", "negative_0"}
    for name, key in (("conditioning_0", "chunks"), ("negative_0", "negative_chunks")):
        ids, weights = ([chunk[part] for chunk in tokenizer[key]] for part in ("ids", "weights"))
        (wanted,) = encoder(torch.tensor([ids]), torch.tensor([weights]))
        assert tensors[name].shape == (1, 40, 16)
        assert torch.allclose(tensors[name], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("no_negative_prompt", ["encode_empty", "zeros"])
def test_without_a_negative_prompt_its_embeddings_are_what_the_bundle_says(
    run, changed_bundle, tmp_path, no_negative_prompt
):
    bundle = changed_bundle(lambda manifest: manifest.update(no_negative_prompt=no_negative_prompt))
    assert run("tokens", "red", "--model", bundle, "--embeddings", "none").code == 0
    assert run("tokens", "red", "--model", bundle, "--embeddings", "empty", "--negative-prompt", "").code == 0
    none, empty = (load_file(tmp_path / name) for name in ("none", "empty"))
    assert (none["conditioning_0"] == empty["conditioning_0"]).all()
    assert none["negative_0"].shape == none["conditioning_0"].shape
    if no_negative_prompt == "zeros":
        assert (none["negative_0"] == 0).all() and (empty["negative_0"] != 0).any()
    else:
        assert (none["negative_0"] == empty["negative_0"]).all()


def test_the_shapes_are_printed(run):
    ended = run("tokens", "red", "--embeddings", "x.safetensors")
    assert ended.out.splitlines()[-3:] == ["x.safetensors:", "  conditioning_0 [1, 20, 16]", "  negative_0 [1, 20, 16]"]


def test_a_file_is_replaced_only_when_asked(run, tmp_path):
    file = tmp_path / "x.safetensors"
    file.write_text("mine")
    ended = run("tokens", "red", "--embeddings", file.name)
    assert (ended.code, ended.out) == (OUTPUT, "")
    assert ended.lines() == [
        "steplapse: x.safetensors: is there already; name another file, or --overwrite to replace it"
    ]
    assert file.read_text() == "mine"
    assert run("tokens", "red", "--embeddings", file.name, "--overwrite").code == 0
    assert load_file(file)["conditioning_0"].shape == (1, 20, 16)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_file_that_can_not_be_written_is_exit_code_4_and_leaves_nothing(run, tmp_path):
    ended = run("tokens", "red", "--embeddings", "gone/x")
    assert (ended.code, ended.out, ended.lines()) == (
        OUTPUT,
        "",
        ["steplapse: gone/x: cannot write: No such file or directory"],
    )
    ended = run(
        "tokens", "red", "--embeddings", "x", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))
    )
    assert (ended.code, ended.out, ended.lines()) == (OUTPUT, "", ["steplapse: x: cannot write: File too large"])
    os.mkdir(tmp_path / "folder")
    ended = run("tokens", "red", "--embeddings", "folder", "--overwrite")
    assert (ended.code, ended.lines()) == (
        OUTPUT,
        ["steplapse: folder: is a folder, expected a regular file or a new name"],
    )
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_flags_that_say_nothing_are_refused(run):
    ended = run("tokens", "red", "--overwrite")
    assert (ended.code, ended.lines()) == (USAGE, ["steplapse: --overwrite: without --embeddings no file is written"])
    ended = run("tokens", "red", "--embeddings", "")
    assert (ended.code, ended.lines()) == (USAGE, ["steplapse: --embeddings '': expected a file's name"])


# ---- the page's examples


def test_the_pages_example_is_what_is_printed(tokens):
    example = json.loads(DOCS.split("```json\n")[1].split("```")[0])
    arguments = re.search(r'Of `steplapse tokens "(.*)" --json`', DOCS)
    assert tokens(arguments[1], "--model", ROOT / "models/emoji-64") == example


def test_every_key_is_documented(tokens):
    found = tokens("red", "--negative-prompt", "blue", "--embeddings", "x")
    keys = {*found, *found["tokenizers"][0], *found["tokenizers"][0]["chunks"][0]} - {"prompt", "negative_prompt"}
    for key in keys:
        assert f"`{key}`" in DOCS, key


@pytest.mark.parametrize(
    "written, weights",
    [
        ("(word)", [1.1]),
        ("((word))", [1.21]),
        ("[word]", [1 / 1.1]),
        ("(word:1.4)", [1.4]),
        ("((red:1.4) apple)", [1.54, 1.1]),
        (r"(12\:30)", [1.1]),
        (r"(word\:1.4)", [1.1]),
        (r"(Re\: Zero)", [1.1]),
    ],
)
def test_the_pages_table_holds(tokens, written, weights):
    assert f"`{written}`" in DOCS
    (found,) = tokens(written)["tokenizers"][0]["chunks"]
    pieces = zip(found["pieces"], found["weights"], strict=True)
    unique = dict.fromkeys(weight for piece, weight in pieces if piece is not None)
    assert list(unique) == pytest.approx(weights)
