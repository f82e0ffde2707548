"""What steplapse_export.sources promises. No socket connects here."""

import copy
import hashlib
import json
import pickle
import shutil
import socket
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from steplapse_export.sources import single_file
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import files_to_fetch, load_pipeline, load_tiny_decoder, quiet
from steplapse_export.sources.clip_vocabulary import make_clip_tokenizer
from steplapse_export.sources.lora import merge_loras
from parity import assert_same_but_for_rounding
from steplapse_export.sources.pipeline import Pipeline
from steplapse_export.tiny.emoji import make_tiny_pipeline

with quiet():
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CONFIGS = single_file.CONFIGS
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
CROSS, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")


@pytest.fixture(autouse=True)
def attempts(monkeypatch):
    """What tried to reach a network; a test that lets it try clears the list."""
    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise OSError("this test has no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield attempts
    assert attempts == []


# --- tiny models, and their weights by the names of the original repositories ------------------------------------


def make_text_encoder(width, act, model_class=CLIPTextModel, pad=0):
    return model_class(CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act=act, projection_dim=width, eos_token_id=49407, pad_token_id=pad)).eval()


def make_pipeline(family):
    """Of random weights, with each family's kinds of blocks, two resnets a block as in the real ones."""
    torch.manual_seed(0)
    kinds = [PLAIN, CROSS, CROSS] if family == "sdxl" else [CROSS, CROSS, PLAIN]
    more = {} if family == "sd1" else {"use_linear_projection": True}
    if family == "sdxl":
        more.update(addition_embed_type="text_time", addition_time_embed_dim=4, transformer_layers_per_block=[1, 1, 2],
                    projection_class_embeddings_input_dim=12 + 6 * 4)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16, 16), layers_per_block=2, norm_num_groups=4, attention_head_dim=2,
        cross_attention_dim=20 if family == "sdxl" else 8, down_block_types=[down for down, _ in kinds],
        up_block_types=[up for _, up in reversed(kinds)], **more).eval()
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 8), layers_per_block=2, norm_num_groups=2, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2).eval()
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    tokenizer = make_clip_tokenizer(pad_token="!" if family == "sd2" else "<|endoftext|>")
    parts = {"unet": unet, "vae": vae, "scheduler": scheduler, "tokenizer": tokenizer}
    if family == "sdxl":
        return diffusers.StableDiffusionXLPipeline(
            **parts, text_encoder=make_text_encoder(8, "quick_gelu"), tokenizer_2=make_clip_tokenizer(pad_token="!"),
            text_encoder_2=make_text_encoder(12, "gelu", CLIPTextModelWithProjection), add_watermarker=False)
    text_encoder = make_text_encoder(8, "quick_gelu" if family == "sd1" else "gelu")
    return diffusers.StableDiffusionPipeline(**parts, text_encoder=text_encoder, safety_checker=None,
                                             feature_extractor=None, requires_safety_checker=False)


def renamed(tensors, prefixes, inner, inside):
    """`prefixes` replace a name's beginning; then, if that has one of the words `inside`, `inner` the names within."""
    out = {}
    for name, tensor in tensors.items():
        old = next(prefix for prefix in prefixes if name.startswith(f"{prefix}."))
        rest = name.removeprefix(old)
        if any(word in old for word in inside):
            for ours, theirs in inner.items():
                rest = rest.replace(f".{ours}.", f".{theirs}.")
        out[prefixes[old] + rest] = tensor
    return out


def original_unet(unet):
    """Counted as the original builds them: one list of blocks down, one up, a downsampler being a block of its own."""
    names = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
             "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
             "add_embedding.linear_2": "label_emb.0.2", "mid_block.resnets.0": "middle_block.0",
             "mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2",
             "conv_norm_out": "out.0", "conv_out": "out.2"}
    count = 1
    for b, block in enumerate(unet.down_blocks):
        for r in range(len(block.resnets)):
            names[f"down_blocks.{b}.resnets.{r}"] = f"input_blocks.{count}.0"
            names[f"down_blocks.{b}.attentions.{r}"] = f"input_blocks.{count}.1"
            count += 1
        if block.downsamplers:
            names[f"down_blocks.{b}.downsamplers.0.conv"] = f"input_blocks.{count}.0.op"
            count += 1
    count = 0
    for b, block in enumerate(unet.up_blocks):
        for r in range(len(block.resnets)):
            names[f"up_blocks.{b}.resnets.{r}"] = f"output_blocks.{count}.0"
            names[f"up_blocks.{b}.attentions.{r}"] = f"output_blocks.{count}.1"
            count += 1
        names[f"up_blocks.{b}.upsamplers.0.conv"] = \
            f"output_blocks.{count - 1}.{1 + hasattr(block, 'attentions')}.conv"
    inner = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
             "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    return renamed(unet.state_dict(), names, inner, ["resnets"])


def original_vae(vae):
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side in ("encoder", "decoder"):
        names.update({f"{side}.{ours}": f"{side}.{theirs}" for ours, theirs in {
            "conv_in": "conv_in", "conv_out": "conv_out", "conv_norm_out": "norm_out",
            "mid_block.resnets.0": "mid.block_1", "mid_block.attentions.0": "mid.attn_1",
            "mid_block.resnets.1": "mid.block_2"}.items()})
    blocks = len(vae.encoder.down_blocks)
    for b in range(blocks):
        for r in range(3):
            names[f"encoder.down_blocks.{b}.resnets.{r}"] = f"encoder.down.{b}.block.{r}"
            names[f"decoder.up_blocks.{b}.resnets.{r}"] = f"decoder.up.{blocks - 1 - b}.block.{r}"
        names[f"encoder.down_blocks.{b}.downsamplers.0"] = f"encoder.down.{b}.downsample"
        names[f"decoder.up_blocks.{b}.upsamplers.0"] = f"decoder.up.{blocks - 1 - b}.upsample"
    inner = {"conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
             "to_out.0": "proj_out"}
    tensors = renamed(vae.state_dict(), names, inner, ["resnets", "attentions"])
    return {name: tensor[:, :, None, None] if "attn_1" in name and tensor.dim() == 2 else tensor
            for name, tensor in tensors.items()}


def open_clip(encoder):
    """OpenCLIP's text model: q, k and v in one matrix, the projection transposed."""
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    out = {"token_embedding.weight": tensors["embeddings.token_embedding.weight"],
           "positional_embedding": tensors["embeddings.position_embedding.weight"],
           "ln_final.weight": tensors["final_layer_norm.weight"], "ln_final.bias": tensors["final_layer_norm.bias"],
           "logit_scale": torch.tensor(1.0)}
    for n in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{n}", f"transformer.resblocks.{n}"
        for end in ("weight", "bias"):
            out[f"{theirs}.attn.in_proj_{end}"] = torch.cat([tensors[f"{ours}.self_attn.{x}_proj.{end}"] for x in "qkv"])
            for a, b in (("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                         ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
                out[f"{theirs}.{b}.{end}"] = tensors[f"{ours}.{a}.{end}"]
    projection = tensors.get("text_projection.weight", torch.eye(encoder.config.hidden_size))
    return {**out, "text_projection": projection.T}


def original_checkpoint(pipeline, family):
    def under(prefix, tensors):
        return {prefix + name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}

    encoder = pipeline.text_encoder
    clip = {f"text_model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    clip["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    text = {"sd1": lambda: under("cond_stage_model.transformer.", clip),
            "sd2": lambda: under("cond_stage_model.model.", open_clip(encoder)),
            "sdxl": lambda: {**under("conditioner.embedders.0.transformer.", clip),
                             **under("conditioner.embedders.1.model.", open_clip(pipeline.text_encoder_2))}}[family]()
    return {**under("model.diffusion_model.", original_unet(pipeline.unet)),
            **under("first_stage_model.", original_vae(pipeline.vae)), **text}


def save_configs(pipeline, family, folder):
    for part in ("unet", "vae", "scheduler"):
        getattr(pipeline, part).save_config(folder / part)
    for part in ("text_encoder", "text_encoder_2") if family == "sdxl" else ("text_encoder",):
        getattr(pipeline, part).config.save_pretrained(folder / part)
    for path in [CONFIGS / family / "model_index.json", *(CONFIGS / family).glob("tokenizer*/*")]:
        copied = folder / path.relative_to(CONFIGS / family)
        copied.parent.mkdir(exist_ok=True)
        copied.write_bytes(path.read_bytes())
    return folder


class Made:
    def __init__(self, family, folder):
        self.family, self.pipeline = family, make_pipeline(family)
        self.tensors = original_checkpoint(self.pipeline, family)
        self.config = save_configs(self.pipeline, family, folder / "config")
        self.file = folder / f"{family}.safetensors"
        save_file(self.tensors, self.file)

    def load(self, file=None, **options):
        return load_pipeline(str(file or self.file), config=self.config, **options)


@pytest.fixture(scope="session")
def sd1(tmp_path_factory):
    return Made("sd1", tmp_path_factory.mktemp("sd1"))


@pytest.fixture(scope="session")
def sd2(tmp_path_factory):
    return Made("sd2", tmp_path_factory.mktemp("sd2"))


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory):
    return Made("sdxl", tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(params=["sd1", "sd2", "sdxl"])
def made(request):
    return request.getfixturevalue(request.param)


@torch.no_grad()
def answers(pipeline):
    """What each part answers, to the same questions."""
    random = torch.Generator().manual_seed(1)
    tokens = {part: getattr(pipeline, part)(["a photo of a cat"], padding="max_length", return_tensors="pt").input_ids
              for part in ("tokenizer", "tokenizer_2") if hasattr(pipeline, part)}
    texts = [encoder(tokens[part.replace("text_encoder", "tokenizer")])
             for part in ("text_encoder", "text_encoder_2") if (encoder := getattr(pipeline, part, None))]
    context = torch.cat([text.last_hidden_state for text in texts], -1)
    sizes = torch.tensor([[64, 64, 0, 0, 64, 64]])
    added = {"text_embeds": texts[-1].text_embeds, "time_ids": sizes} if len(texts) > 1 else None
    latents = torch.randn(1, 4, 8, 8, generator=random)
    noise = pipeline.unet(latents, torch.tensor([500]), context, added_cond_kwargs=added).sample
    image = pipeline.vae.decode(latents).sample
    return [*texts[0].values(), *texts[-1].values(), noise, image, pipeline.vae.encode(image).latent_dist.mean]


def assert_same(pipeline, other):
    """Each weight is the same to the bit, and so each answer is but for rounding."""
    for part in PARTS:
        one, two = (getattr(each, part, None) for each in (pipeline, other))
        assert (one is None) == (two is None), part
        if one is not None:
            torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0, msg=part)
    assert_same_but_for_rounding(answers(pipeline), answers(other))


# --- single files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_single_file_answers_as_the_pipeline_it_was_made_from(made, suffix, tmp_path):
    file = made.file
    if suffix == ".ckpt":
        file = tmp_path / "model.ckpt"
        torch.save({"state_dict": made.tensors, "global_step": 7}, file)
    source = made.load(file)
    assert type(source.pipeline) is type(made.pipeline)
    assert_same(source.pipeline, made.pipeline)


def test_only_what_is_needed_is_read(sd1, tmp_path):
    extra = {"model_ema.decay": torch.tensor(0.9999), "model_ema.diffusion_modeltime_embed0weight": torch.zeros(2, 2),
             "alphas_cumprod": torch.zeros(1000), "first_stage_model.loss.logvar": torch.zeros(())}
    save_file({**sd1.tensors, **extra}, tmp_path / "training.safetensors")
    assert_same(sd1.load(tmp_path / "training.safetensors").pipeline, sd1.pipeline)


def test_text_encoder_keys_may_lack_a_level(sd1, tmp_path):
    short = {key.replace("transformer.text_model.", "transformer."): tensor for key, tensor in sd1.tensors.items()}
    assert not short.keys() >= sd1.tensors.keys()
    save_file(short, tmp_path / "short.safetensors")
    assert_same(sd1.load(tmp_path / "short.safetensors").pipeline, sd1.pipeline)


def test_each_tensor_keeps_the_type_it_has_in_the_file(sdxl, tmp_path):
    types = {"model.": torch.float16, "first_": torch.float32, "conditioner.embedders.0": torch.float16,
             "conditioner.embedders.1": torch.bfloat16}
    mixed = {key: tensor.to(next(dtype for prefix, dtype in types.items() if key.startswith(prefix)))
             for key, tensor in sdxl.tensors.items() if tensor.is_floating_point()}
    save_file(mixed, tmp_path / "mixed.safetensors")
    pipeline = sdxl.load(tmp_path / "mixed.safetensors").pipeline
    assert [getattr(pipeline, part).dtype for part in PARTS] == [*types.values()]
    key = f"{UNET}input_blocks.0.0.bias"
    save_file({**mixed, key: torch.full((8,), 1e5)}, tmp_path / "mixed.safetensors")  # 65504 is float16's largest
    unet = sdxl.load(tmp_path / "mixed.safetensors").pipeline.unet
    assert (unet.conv_in.weight.dtype, unet.conv_in.bias.dtype) == (torch.float16, torch.float32)
    assert unet.conv_in.bias.max() == 1e5


def mapped(tensor):
    """Whether the numbers are the file's own pages in memory."""
    ranges = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return any(len(line) > 5 and line[5].endswith(".safetensors")
               and int(line[0].split("-")[0], 16) <= tensor.data_ptr() < int(line[0].split("-")[1], 16) for line in ranges)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sixteen_bit_weights_stay_in_the_file(sd2, tmp_path):
    half = {key: tensor.half() for key, tensor in sd2.tensors.items() if tensor.is_floating_point()}
    save_file(half, tmp_path / "half.safetensors")
    unet = sd2.load(tmp_path / "half.safetensors").pipeline.unet
    assert mapped(unet.conv_in.weight) and not mapped(unet.conv_in.weight.clone())
    with single_file.in_float32(unet):
        assert unet.conv_in.weight.dtype == torch.float32
    assert mapped(unet.conv_in.weight)
    copy.deepcopy(sd2.pipeline).to(dtype=torch.float16).save_pretrained(tmp_path / "model")
    assert mapped(load_pipeline(tmp_path / "model").pipeline.unet.conv_in.weight)


def test_a_measurement_leaves_mixed_types_as_they_were():
    class Mixed(torch.nn.Linear):
        def forward(self, x, timestep, conditioning):
            return types.SimpleNamespace(sample=super().forward(x))

    unet = Mixed(32, 32)
    unet.weight.data, unet.bias.data = torch.eye(32, dtype=torch.float16), torch.full((32,), 1e-6)
    assert single_file.measure_prediction_type(unet, torch.zeros(1, 77, 8), Path("x.ckpt")) == "epsilon"
    assert (unet.weight.dtype, unet.bias.dtype) == (torch.float16, torch.float32)
    assert unet.bias[0].item() == pytest.approx(1e-6)


def test_eight_bit_weights_become_float16(sd1, tmp_path):
    small = {key: tensor.to(torch.float8_e4m3fn) if key.startswith("model.") else tensor
             for key, tensor in sd1.tensors.items()}
    save_file(small, tmp_path / "small.safetensors")
    unet = sd1.load(tmp_path / "small.safetensors").pipeline.unet
    assert unet.dtype == torch.float16
    assert torch.equal(unet.conv_in.weight, small["model.diffusion_model.input_blocks.0.0.weight"].to(torch.float16))


def test_the_description_names_the_file_and_its_hash(sd1, tmp_path):
    file = tmp_path / "named.safetensors"
    file.write_bytes(sd1.file.read_bytes())
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert sd1.load(file).description == f"named.safetensors (SD 1.x, SHA-256 {sha256})"


def test_nothing_is_printed(made, capfd):
    made.load()
    assert capfd.readouterr() == ("", "")


# Tensors of UNet, VAE and text encoders in the published files.
TENSORS = {"sd1": 686 + 248 + 197, "sd2": 686 + 248 + 294, "sdxl": 2515}


@pytest.mark.parametrize("family", TENSORS)
def test_every_tensor_of_a_full_size_file_finds_its_place(family, monkeypatch):
    # On the meta device: names and shapes without numbers.
    index = json.loads((CONFIGS / family / "model_index.json").read_text())
    parts = {}
    with torch.device("meta"):
        for part in ("unet", "vae", "text_encoder", *(["text_encoder_2"] if family == "sdxl" else [])):
            model_class = single_file.part_class(index, part)
            parts[part] = model_class(CLIPTextConfig.from_pretrained(CONFIGS / family / part)) if "text" in part else \
                model_class.from_config(model_class.load_config(CONFIGS / family / part))
    tensors = original_checkpoint(types.SimpleNamespace(**parts), family)
    if family == "sd2":  # the last layer is in the file, and not used
        tensors.update({key.replace(".22.", ".23."): tensor for key, tensor in tensors.items() if "resblocks.22." in key})
    assert len(tensors) == TENSORS[family]
    monkeypatch.setattr(single_file, "read_weights", lambda path: (tensors, {}))
    pipeline, _ = single_file.load_single_file(Path("full.safetensors"), prediction_type="v_prediction")
    for part, model in parts.items():
        assert {name: tensor.shape for name, tensor in getattr(pipeline, part).state_dict().items()} == \
            {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert pipeline.unet.config.sample_size == {"sd1": 64, "sd2": 96, "sdxl": 128}[family]


# --- what a UNet predicts ----------------------------------------------------------------------------------------


def with_markers(made, folder, *markers):
    save_file({**made.tensors, **{marker: torch.zeros(0) for marker in markers}}, folder / "marked.safetensors")
    return folder / "marked.safetensors"


def test_markers_in_the_file_say_what_it_predicts(sdxl, tmp_path):
    assert sdxl.load().pipeline.scheduler.config.prediction_type == "epsilon"
    config = sdxl.load(with_markers(sdxl, tmp_path, "v_pred")).pipeline.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", False)
    scheduler = sdxl.load(with_markers(sdxl, tmp_path, "v_pred", "ztsnr")).pipeline.scheduler
    assert (scheduler.config.prediction_type, scheduler.config.timestep_spacing) == ("v_prediction", "trailing")
    assert scheduler.alphas_cumprod[-1] == 0  # no signal is left


def test_what_the_caller_says_it_predicts_wins(sdxl, tmp_path):
    source = sdxl.load(with_markers(sdxl, tmp_path, "v_pred"), prediction_type="epsilon")
    assert source.pipeline.scheduler.config.prediction_type == "epsilon"


class OfGaussianData(torch.nn.Module):
    """The exact answer where x0 is N(0, s²): x0 = alpha s² x / (alpha² s² + sigma²), and eps from it."""

    def __init__(self, kind, s):
        super().__init__()
        self.kind, self.s, self.dtype = kind, s, torch.float32

    def forward(self, x, timestep, conditioning):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        alpha = (1 - betas).cumprod(0)[timestep].sqrt().item()
        sigma = (1 - alpha**2) ** 0.5
        x0 = alpha * self.s**2 * x / (alpha**2 * self.s**2 + sigma**2)
        eps = (x - alpha * x0) / sigma
        answer = {"epsilon": eps, "v_prediction": alpha * eps - sigma * x0, "between": 0.5 * x}[self.kind]
        return types.SimpleNamespace(sample=answer)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("s", [0.5, 1, 1.5])
def test_one_answer_to_noise_tells_epsilon_from_v(kind, s):
    assert single_file.measure_prediction_type(OfGaussianData(kind, s), torch.zeros(1, 77, 8), Path("x.ckpt")) == kind


def test_an_answer_between_the_two_asks_the_caller():
    with pytest.raises(CheckpointError) as caught:
        single_file.measure_prediction_type(OfGaussianData("between", 1), torch.zeros(1, 77, 8), Path("x.ckpt"))
    assert str(caught.value) == (
        "x.ckpt: whether the UNet predicts noise or velocity is not in the file, and its answer to pure noise is 0.50 of it "
        "(noise: 1, velocity: 0); say --prediction-type epsilon or v_prediction")


# --- the configs that come with us -------------------------------------------------------------------------------

# The published models' numbers of parameters.
SIZES = {("sd1", "unet"): 859_520_964, ("sd2", "unet"): 865_910_724, ("sdxl", "unet"): 2_567_463_684,
         ("sd1", "vae"): 83_653_863, ("sd2", "vae"): 83_653_863, ("sdxl", "vae"): 83_653_863,
         ("sd1", "text_encoder"): 123_060_480, ("sd2", "text_encoder"): 340_387_840,
         ("sdxl", "text_encoder"): 123_060_480, ("sdxl", "text_encoder_2"): 694_659_840}


@pytest.mark.parametrize("family, part", SIZES)
def test_shipped_configs_have_the_published_sizes(family, part):
    index = json.loads((CONFIGS / family / "model_index.json").read_text())
    model_class = single_file.part_class(index, part)
    with torch.device("meta"):
        if part in ("unet", "vae"):
            model = model_class.from_config(model_class.load_config(CONFIGS / family / part))
        else:
            model = model_class(CLIPTextConfig.from_pretrained(CONFIGS / family / part))
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES[family, part]


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_shipped_noise_is_stable_diffusions(family):
    # beta_t = (sqrt(0.00085) .. sqrt(0.012))²; at the last timestep alpha² is 0.0047, as the papers on zero SNR give it.
    config = json.loads((CONFIGS / family / "scheduler/scheduler_config.json").read_text())
    scheduler = getattr(diffusers, config.pop("_class_name")).from_config(config)
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0.068265**2, rel=1e-3)


def test_the_vocabulary_is_clips():
    tokenizer = make_clip_tokenizer()
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("", padding="max_length").input_ids == [49406] + 76 * [49407]
    assert make_clip_tokenizer(pad_token="!")("", padding="max_length").input_ids == [49406, 49407] + 75 * [0]


# --- LoRA --------------------------------------------------------------------------------------------------------

RANK, ALPHA = 4, 2.0


def lora_pair(weight, seed):
    """down and up for this weight, convolutions' as convolutions."""
    random = torch.Generator().manual_seed(seed)
    kernel = weight.shape[2:]
    return (torch.randn(RANK, weight.shape[1], *kernel, generator=random),
            torch.randn(weight.shape[0], RANK, *(1 for _ in kernel), generator=random))


def weights_of(pipeline):
    return {(part, name.removeprefix("text_model.")): tensor.clone()
            for part in ("unet", "text_encoder", "text_encoder_2") if getattr(pipeline, part, None)
            for name, tensor in getattr(pipeline, part).state_dict().items()}


def save_kohya(path, pipeline, layers, seed, alpha=ALPHA):
    """`layers`: name in the file -> (part, path). Returns what is to be added at a weight of 1."""
    tensors, expected = {}, {}
    for name, (part, layer) in layers.items():
        weight = weights_of(pipeline)[part, f"{layer}.weight"]
        down, up = lora_pair(weight, seed)
        tensors.update({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up,
                        f"{name}.alpha": torch.tensor(alpha)})
        expected[part, f"{layer}.weight"] = alpha / RANK * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    save_file(tensors, path)
    return expected


SD1_LAYERS = {
    "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_k":
        ("unet", "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k"),
    "lora_unet_down_blocks_0_attentions_1_proj_in": ("unet", "down_blocks.0.attentions.1.proj_in"),
    "lora_unet_up_blocks_1_resnets_2_conv1": ("unet", "up_blocks.1.resnets.2.conv1"),
    "lora_te_text_model_encoder_layers_1_self_attn_q_proj": ("text_encoder", "encoder.layers.1.self_attn.q_proj"),
    "lora_te_text_model_encoder_layers_0_mlp_fc2": ("text_encoder", "encoder.layers.0.mlp.fc2"),
}
SDXL_LAYERS = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0":
        ("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0"),
    "lora_unet_middle_block_1_transformer_blocks_1_ff_net_0_proj":
        ("unet", "mid_block.attentions.0.transformer_blocks.1.ff.net.0.proj"),
    "lora_unet_output_blocks_5_2_conv": ("unet", "up_blocks.1.upsamplers.0.conv"),
    "lora_te1_text_model_encoder_layers_1_self_attn_v_proj": ("text_encoder", "encoder.layers.1.self_attn.v_proj"),
    "lora_te2_text_model_encoder_layers_0_mlp_fc1": ("text_encoder_2", "encoder.layers.0.mlp.fc1"),
}


@pytest.mark.parametrize("family, layers", [("sd1", SD1_LAYERS), ("sdxl", SDXL_LAYERS)])
def test_loras_add_up_in_the_weights_they_name(request, family, layers, tmp_path):
    made = request.getfixturevalue(family)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    first = save_kohya(one, made.pipeline, layers, seed=1)
    second = save_kohya(two, made.pipeline, dict(list(layers.items())[::2]), seed=2, alpha=1.0)
    source = made.load(loras=[(one, 0.5), (two, -2)])
    before, after = weights_of(made.pipeline), weights_of(source.pipeline)
    for key, weight in before.items():
        wanted = weight + 0.5 * first.get(key, 0) - 2 * second.get(key, 0)
        torch.testing.assert_close(after[key], wanted, msg=lambda text, key=key: f"{key}: {text}")
    assert source.description.split("; ")[1:] == [
        f"LoRA {file.name} at {weight} (SHA-256 {__import__('hashlib').sha256(file.read_bytes()).hexdigest()})"
        for file, weight in ((one, "0.5"), (two, "-2"))]
    modules = [module for part in ("unet", "text_encoder") for module in getattr(source.pipeline, part).modules()]
    assert not [module for module in modules if "lora" in type(module).__module__ or "peft" in type(module).__module__]
    assert {type(module) for module in modules} == {
        type(module) for part in ("unet", "text_encoder") for module in getattr(made.pipeline, part).modules()}


def test_what_a_lora_was_added_to_is_float32_and_all_else_as_it_was(sd1, tmp_path):
    half = {key: tensor.half() for key, tensor in sd1.tensors.items() if tensor.is_floating_point()}
    save_file(half, tmp_path / "half.safetensors")
    lora = tmp_path / "lora.safetensors"
    added = save_kohya(lora, sd1.pipeline, SD1_LAYERS, seed=1)
    before = weights_of(sd1.load(tmp_path / "half.safetensors").pipeline)
    # Beyond float16 and back: nothing is lost on the way.
    after = weights_of(sd1.load(tmp_path / "half.safetensors", loras=[(lora, 1e6), (lora, 1 - 1e6)]).pipeline)
    for key, weight in after.items():
        assert weight.dtype == (torch.float32 if key in added else torch.float16), key
        if key in added:
            assert (weight - (before[key].float() + added[key])).abs().max() < 1
        else:
            assert torch.equal(weight, before[key])
    once = weights_of(sd1.load(tmp_path / "half.safetensors", loras=[(lora, 0.3)]).pipeline)
    for key, change in added.items():
        torch.testing.assert_close(once[key], before[key].float() + 0.3 * change)


@pytest.mark.parametrize("down, up, alpha", [
    ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight", None),
    ("base_model.model.unet.{}.lora_A.default.weight", "base_model.model.unet.{}.lora_B.default.weight", None),
    ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight", "unet.{}.alpha"),
])
def test_diffusers_and_pefts_key_names(sd1, down, up, alpha, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.weight"]
    a, b = lora_pair(weight, 3)
    tensors = {down.format(path): a, up.format(path): b, **({alpha.format(path): torch.tensor(1.0)} if alpha else {})}
    save_file(tensors, tmp_path / "lora.safetensors")
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)["unet", f"{path}.weight"]
    torch.testing.assert_close(merged, weight + (1.0 / RANK if alpha else 1) * b @ a)


def test_old_attention_processors_key_names(sd1, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.to_out.0.weight"]
    a, b = lora_pair(weight, 3)
    name = f"unet.{path}.processor.to_out_lora"
    save_file({f"{name}.down.weight": a, f"{name}.up.weight": b}, tmp_path / "lora.safetensors")
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)
    torch.testing.assert_close(merged["unet", f"{path}.to_out.0.weight"], weight + b @ a)


def test_pefts_alpha_is_in_the_metadata(sd1, tmp_path):
    path = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = weights_of(sd1.pipeline)["unet", f"{path}.weight"]
    a, b = lora_pair(weight, 3)
    settings = {"unet.r": RANK, "unet.lora_alpha": 12}
    save_file({f"unet.{path}.lora_A.weight": a, f"unet.{path}.lora_B.weight": b}, tmp_path / "lora.safetensors",
              metadata={"lora_adapter_metadata": json.dumps(settings)})
    merged = weights_of(sd1.load(loras=[(tmp_path / "lora.safetensors", 1)]).pipeline)
    torch.testing.assert_close(merged["unet", f"{path}.weight"], weight + 12 / RANK * b @ a)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_merging_every_layer_of_the_unet_agrees_with_peft(request, family, tmp_path):
    # diffusers and peft find each layer in their own way; for SDXL the names are the original repository's.
    made = request.getfixturevalue(family)
    names = original_unet(made.pipeline.unet) if family == "sdxl" else made.pipeline.unet.state_dict()
    tensors = {}
    for n, (name, weight) in enumerate(names.items()):
        if name.endswith(".weight") and weight.dim() > 1:
            layer = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            down, up = lora_pair(weight, n)
            tensors.update({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up,
                            f"{layer}.alpha": torch.tensor(ALPHA)})
    save_file(tensors, tmp_path / "lora.safetensors")
    other = copy.deepcopy(made.pipeline)
    with quiet():
        other.load_lora_weights(dict(tensors))
        other.fuse_lora(lora_scale=0.7)
        other.unload_lora_weights()
    merged = made.load(loras=[(tmp_path / "lora.safetensors", 0.7)]).pipeline
    before, wanted = weights_of(made.pipeline), weights_of(other)
    for key, weight in weights_of(merged).items():
        torch.testing.assert_close(weight, wanted[key], msg=lambda text, key=key: f"{key}: {text}")
        assert torch.equal(weight, before[key]) == (key[0] != "unet" or weight.dim() == 1)


# --- folders and ids ---------------------------------------------------------------------------------------------


def save_folder(made, folder, **options):
    with quiet():
        made.pipeline.save_pretrained(folder, **options)
    return folder


@pytest.mark.parametrize("safe", [True, False])
def test_a_diffusers_folder_answers_as_what_was_saved(made, safe, tmp_path, capfd):
    folder = save_folder(made, tmp_path / "model", safe_serialization=safe)
    capfd.readouterr()
    source = load_pipeline(str(folder))
    assert capfd.readouterr() == ("", "")
    assert source.description == "folder model"
    assert_same(source.pipeline, made.pipeline)


def test_a_folder_of_16_bit_variants_stays_16_bit(sdxl, tmp_path):
    half = copy.deepcopy(sdxl.pipeline).to(dtype=torch.float16)
    half.save_pretrained(tmp_path / "model", variant="fp16")
    assert (tmp_path / "model/unet/diffusion_pytorch_model.fp16.safetensors").exists()
    pipeline = load_pipeline(tmp_path / "model").pipeline
    for part in PARTS:
        assert getattr(pipeline, part).dtype == torch.float16, part
    assert torch.equal(pipeline.unet.conv_in.weight, half.unet.conv_in.weight)


def test_of_two_precisions_the_smaller_is_taken_when_it_is_asked_for(sd1, tmp_path):
    save_folder(sd1, tmp_path / "model")
    with torch.no_grad():
        half = copy.deepcopy(sd1.pipeline).to(dtype=torch.float16)
        half.unet.conv_in.bias.fill_(3)
    half.save_pretrained(tmp_path / "model", variant="fp16")
    full, small = (load_pipeline(tmp_path / "model", prefer_half=half).pipeline.unet for half in (False, True))
    assert torch.equal(full.conv_in.bias, sd1.pipeline.unet.conv_in.bias)
    assert (small.dtype, small.conv_in.bias[0].item()) == (torch.float16, 3)


@pytest.mark.parametrize("safe", [True, False])
def test_a_folders_part_has_its_files_type(sd1, safe, tmp_path):
    half = copy.deepcopy(sd1.pipeline)
    half.unet.to(torch.bfloat16), half.text_encoder.to(torch.float16)
    half.text_encoder.final_layer_norm.to(torch.float32).bias.data.fill_(1e5)
    with quiet():
        half.save_pretrained(tmp_path / "model", safe_serialization=safe)
    pipeline = load_pipeline(tmp_path / "model").pipeline
    # A mixture is float32, which loses nothing.
    assert (pipeline.unet.dtype, pipeline.vae.dtype, pipeline.text_encoder.dtype) == (
        torch.bfloat16, torch.float32, torch.float32)
    assert pipeline.text_encoder.final_layer_norm.bias.max() == 1e5


def test_a_folder_with_a_sentencepiece_tokenizer_is_our_own_pipeline(tmp_path):
    tiny = make_tiny_pipeline()
    tiny.save_pretrained(tmp_path / "tiny")
    source = load_pipeline(tmp_path / "tiny")
    assert type(source.pipeline) is Pipeline
    assert source.pipeline.tokenizer.serialized == tiny.tokenizer.serialized


def test_prediction_type_of_a_folder_can_be_said(sd1, tmp_path):
    folder = save_folder(sd1, tmp_path / "model")
    assert load_pipeline(folder, prediction_type="v_prediction").pipeline.scheduler.config.prediction_type == "v_prediction"


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
    names = ["README.md", "model.safetensors", "model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt",
             "safety_checker/model.safetensors", "unet/config.json", "unet/diffusion_pytorch_model.bin",
             "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
             "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin", "unet/model.onnx"]
    shared = ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/merges.txt", "unet/config.json"]
    assert files_to_fetch(names, False) == [
        *shared, "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin"]
    assert files_to_fetch(names, True) == [
        *shared, "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.bin"]


# --- what is refused ---------------------------------------------------------------------------------------------


class WritesAFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


def refusal(source, **options):
    with pytest.raises(CheckpointError) as caught:
        load_pipeline(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, legacy):
    file, written = tmp_path / "evil.ckpt", tmp_path / "written"
    if legacy:
        file.write_bytes(pickle.dumps({"state_dict": WritesAFile(written)}))
    else:
        torch.save({"state_dict": {"x": torch.zeros(1)}, "callbacks": WritesAFile(written)}, file)
    assert refusal(file) == (f"{file} holds more than weights, and could run code if it were loaded: "
                             "convert it to safetensors where that may happen, and give that file")
    assert not written.exists()


def test_a_folder_that_would_run_code_is_refused_and_runs_none(sd1, tmp_path):
    folder = save_folder(sd1, tmp_path / "model", safe_serialization=False)
    file = folder / "unet/diffusion_pytorch_model.bin"
    line = f"{file} holds more than weights, and could run code if it were loaded"
    file.write_bytes(pickle.dumps(WritesAFile(tmp_path / "written")))
    assert refusal(folder).startswith(line)
    torch.save({"x": WritesAFile(tmp_path / "written")}, file)
    assert refusal(folder).startswith(line)
    assert not (tmp_path / "written").exists()


UNET, VAE = "model.diffusion_model.", "first_stage_model."
NO_MODEL = "wanted: a checkpoint of SD 1.x, SD 2.x or SDXL"


def strangers():
    conv_in = f"{UNET}input_blocks.0.0.weight"
    text = "wanted: a text-to-image model"
    yield {"lora_unet_mid_block_x.lora_up.weight": [2, 2]}, \
        f"a LoRA: give the checkpoint it belongs to, and this file with --lora; {NO_MODEL}"
    yield {"unet.mid_block.x.lora_A.weight": [2, 2]}, \
        f"a LoRA: give the checkpoint it belongs to, and this file with --lora; {NO_MODEL}"
    yield {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": [2]}, \
        f"an AnimateDiff motion module; {NO_MODEL}"
    yield {"control_model.time_embed.0.weight": [2, 2]}, f"a ControlNet; {NO_MODEL}"
    yield {"controlnet_cond_embedding.conv_in.weight": [2], "conv_in.weight": [2]}, f"a ControlNet; {NO_MODEL}"
    yield {f"{UNET}joint_blocks.0.x_block.mlp.fc1.weight": [2, 2]}, f"an SD 3 model; {NO_MODEL}"
    yield {"double_blocks.0.img_attn.qkv.weight": [2, 2]}, f"a Flux model; {NO_MODEL}"
    yield {f"{UNET}input_blocks.1.1.time_stack.0.norm1.weight": [2]}, f"a video model; {NO_MODEL}"
    yield {"emb_params": [1, 768]}, f"a textual inversion embedding; {NO_MODEL}"
    yield {"encoder.conv_in.weight": [2], "decoder.conv_in.weight": [2]}, \
        "a VAE alone; wanted: a checkpoint with UNet and text encoder"
    yield {"first_stage_model.decoder.conv_in.weight": [2]}, "a VAE alone; wanted: a checkpoint with UNet and text encoder"
    yield {"input_blocks.0.0.weight": [2]}, "a UNet alone; wanted: a checkpoint with text encoder and VAE"
    yield {conv_in: [2, 9, 3, 3]}, f"an inpainting model: its UNet takes 9 channels; {text}, which takes 4"
    yield {conv_in: [2, 8, 3, 3]}, f"an instruct-pix2pix model: its UNet takes 8 channels; {text}, which takes 4"
    yield {conv_in: [2, 5, 3, 3]}, f"a depth model: its UNet takes 5 channels; {text}, which takes 4"
    yield {conv_in: [2, 6, 3, 3]}, f"no text-to-image model: its UNet takes 6 channels; {text}, which takes 4"
    yield {conv_in: [2, 4, 3, 3], f"{UNET}label_emb.0.0.weight": [2, 2560]}, "an SDXL refiner; wanted: the base model"
    yield {conv_in: [2, 4, 3, 3], f"{UNET}label_emb.0.0.weight": [2, 2048], "cond_stage_model.model.ln_final.bias": [2]}, \
        f"an SD 2.x unCLIP model, which is told a picture; {text}"
    yield {"weight": [2]}, f"no checkpoint of SD 1.x, SD 2.x or SDXL: it has no '{UNET}…', its first key is 'weight'"


@pytest.mark.parametrize("shapes, line", [*strangers()])
def test_other_files_are_refused_by_what_they_are(shapes, line, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, file)
    assert refusal(file) == f"{file} is {line}"


def test_a_missing_part_is_named(made, tmp_path):
    name = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL"}[made.family]
    parts = {"VAE": VAE, **{part.replace("_", " "): prefix for part, prefix in {
        "sd1": {"text_encoder": "cond_stage_model.transformer."}, "sd2": {"text_encoder": "cond_stage_model.model."},
        "sdxl": {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."},
    }[made.family].items()}}
    context = {"sd1": 768, "sd2": 1024, "sdxl": 2048}[made.family]
    for part, prefix in parts.items():
        kept = {key: tensor for key, tensor in made.tensors.items() if not key.startswith(prefix)}
        for key in kept:  # without a text encoder only this width tells SD 1.x from 2.x
            if key.endswith("attn2.to_k.weight") and part != "VAE":
                kept[key] = torch.zeros(1, context)
        file = tmp_path / "part.safetensors"
        save_file(kept, file)
        assert refusal(file) == (f"{file}, an {name} checkpoint, has no {part} ('{prefix}…'): "
                                 "take the version of it that has all parts in one file")


def test_tensors_that_lack_or_do_not_fit_are_named(sd1, tmp_path):
    file, key = tmp_path / "changed.safetensors", f"{UNET}input_blocks.1.0.in_layers.2.weight"
    begin = f"{file}, an SD 1.x checkpoint: its"

    def refusal_of(tensors):
        save_file(tensors, file)
        return refusal(file, config=sd1.config)

    assert refusal_of({name: tensor for name, tensor in sd1.tensors.items() if name != key}) == \
        f"{begin} unet lacks 'down_blocks.0.resnets.0.conv1.weight'"
    assert refusal_of({**sd1.tensors, key: torch.zeros(8, 8, 1, 1)}) == \
        f"{begin} unet: 'down_blocks.0.resnets.0.conv1.weight' is [8, 8, 1, 1], the config asks for [8, 8, 3, 3]"
    extra = f"{UNET}time_embed.cond_proj.weight"
    assert refusal_of({**sd1.tensors, extra: torch.zeros(2, 2)}) == \
        f"{begin} unet has '{extra}', for which the config has no place"
    file.write_bytes(sd1.file.read_bytes()[:1000])
    assert refusal(file).startswith(f"{file} is no whole safetensors file: ")
    empty = tmp_path / "empty.ckpt"
    empty.write_bytes(b"")
    assert refusal(empty).startswith(f"{empty} can't be read as a checkpoint: ")


def test_what_is_nowhere_is_said_to_be(tmp_path, monkeypatch, attempts):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    nowhere = "no such file or folder, and no Hugging Face id, which is owner/name"
    for source in ("/nowhere/model.safetensors", "models/cat.ckpt", "cat", "a/b/c"):
        assert refusal(source) == f"{source}: {nowhere}"
    assert refusal("someone/cats", revision="v2").startswith(
        "someone/cats at revision 'v2': no such folder here, none in Hugging Face's cache, "
        "and Hugging Face can't be reached: ")
    assert attempts
    attempts.clear()


def test_folders_that_are_no_such_pipeline_are_refused(sd1, tmp_path):
    assert refusal(tmp_path) == f"{tmp_path} is no pipeline that diffusers saved: it has no model_index.json"
    index = tmp_path / "model_index.json"
    index.write_text('{"_class_name": "FluxPipeline"}')
    assert refusal(tmp_path) == f"{index} is of a FluxPipeline; wanted: StableDiffusionPipeline or StableDiffusionXLPipeline"
    folder = save_folder(sd1, tmp_path / "model")
    weights = folder / "text_encoder/model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if not name.endswith("layers.1.mlp.fc1.bias")}, weights,
              metadata={"format": "pt"})
    assert refusal(folder) == f"{folder / 'text_encoder'}: its weights lack 'encoder.layers.1.mlp.fc1.bias'"
    weights.unlink()
    assert refusal(folder) == f"{folder / 'text_encoder'} holds no weights; wanted: *.safetensors, or *.bin"


@pytest.mark.parametrize("part, entry, line", [
    ("vae", ["diffusers", "DiffusionPipeline"], "vae is DiffusionPipeline; wanted: AutoencoderKL"),
    ("unet", None, "unet is missing; wanted: UNet2DConditionModel"),
    ("text_encoder", ["transformers", "AutoModel"], "text_encoder is AutoModel; wanted: CLIPTextModel"),
    ("text_encoder", "CLIPTextModel", "text_encoder is CLIPTextModel; wanted: [library, CLIPTextModel]"),
    ("scheduler", None, "scheduler is missing; wanted: a scheduler of diffusers"),
    ("scheduler", ["diffusers", "DiffusionPipeline"], "scheduler is DiffusionPipeline; wanted: a scheduler that diffusers has"),
    ("scheduler", ["diffusers", "OwnScheduler"], "scheduler is OwnScheduler; wanted: a scheduler that diffusers has"),
])
@pytest.mark.parametrize("ours", [False, True])
def test_only_the_classes_of_such_a_pipeline_are_loaded(sd1, part, entry, line, ours, tmp_path):
    folder = tmp_path / "model"
    if ours:  # with the tokenizer that is of this repository
        make_tiny_pipeline().save_pretrained(folder)
    else:
        save_folder(sd1, folder)
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, part: entry}))
    assert refusal(folder) == f"{path}: {line}"


@pytest.mark.parametrize("part, line", [
    ("unet", "holds no weights; wanted: *.safetensors, or *.bin"),
    ("scheduler", "holds no scheduler_config.json; wanted: a DDIMScheduler's"),
    ("tokenizer", "holds no vocabulary; wanted: tokenizer.json, or vocab.json and merges.txt")])
def test_a_missing_part_is_no_id(sd1, part, line, tmp_path, monkeypatch):
    save_folder(sd1, tmp_path / "model")
    (tmp_path / "model" / part).rename(tmp_path / part)
    monkeypatch.chdir(tmp_path)
    assert refusal("model") == f"{tmp_path / 'model' / part} {line}"


def test_a_suffix_may_be_in_capitals(sd1, tmp_path):
    file = tmp_path / "model.SAFETENSORS"
    file.write_bytes(sd1.file.read_bytes())
    assert_same(sd1.load(file).pipeline, sd1.pipeline)
    assert refusal("models/cat.CKPT").startswith("models/cat.CKPT: no such file or folder")


def test_configs_that_do_not_fit_are_refused(sd1, sdxl, tmp_path):
    nowhere, other = tmp_path / "nowhere", tmp_path / "other"
    assert refusal(sd1.file, config=nowhere) == f"{nowhere}: no such folder; wanted: one of component configs for {sd1.file}"
    assert refusal(sd1.file, config=tmp_path) == (
        f"{tmp_path} is no pipeline that diffusers saved: it has no model_index.json")
    assert refusal(sd1.file, config=sdxl.config) == (
        f"{sdxl.config} is of a StableDiffusionXLPipeline, {sd1.file} is an SD 1.x checkpoint")
    shutil.copytree(sd1.config, other)
    (other / "vae/config.json").unlink()
    assert refusal(sd1.file, config=other) == f"{other} lacks vae/config.json, which {sd1.file} needs"


# --- the tiny decoder --------------------------------------------------------------------------------------------


@pytest.fixture
def taesd(tmp_path):
    tiny = diffusers.AutoencoderTiny(encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4),
                                     num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))
    tiny.half().save_pretrained(tmp_path / "taesd")
    return tmp_path / "taesd", tiny


def test_a_tiny_decoder_is_the_one_that_was_saved(taesd, monkeypatch, capfd):
    folder, tiny = taesd
    monkeypatch.chdir(folder.parent)
    capfd.readouterr()
    loaded = load_tiny_decoder("taesd")
    assert capfd.readouterr() == ("", "")
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert loaded.dtype == torch.float16 and not loaded.training


def test_what_is_no_tiny_decoder_is_refused(taesd, sd1, tmp_path, monkeypatch):
    folder, tiny = taesd
    weights = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)

    def refusal_of(folder):
        with pytest.raises(CheckpointError) as caught:
            load_tiny_decoder(folder)
        return str(caught.value)

    monkeypatch.chdir(tmp_path)
    assert refusal_of("madebyollin/taesd") == (
        f"{tmp_path / 'madebyollin/taesd'}: no such folder; wanted: that of an AutoencoderTiny. "
        "Download madebyollin/taesd, or for SDXL madebyollin/taesdxl, and give the folder it is in")
    assert refusal_of(tmp_path) == f"{tmp_path} holds no config.json; wanted: the folder of an AutoencoderTiny"
    sd1.pipeline.vae.save_pretrained(tmp_path / "vae")
    assert refusal_of(tmp_path / "vae") == (
        f"{tmp_path / 'vae/config.json'} is of class AutoencoderKL; wanted: AutoencoderTiny")
    name = next(iter(tensors))
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, weights, metadata={"format": "pt"})
    assert refusal_of(folder) == f"{folder}: its weights lack '{name}'"
    save_file({**tensors, "other": torch.zeros(1)}, weights, metadata={"format": "pt"})
    assert refusal_of(folder) == f"{folder}: its weights have 'other', for which the config has no place"
    weights.unlink()
    assert refusal_of(folder) == f"{folder} holds no weights; wanted: *.safetensors, or *.bin"


def test_options_that_mean_nothing_are_refused(sd1, tmp_path):
    assert refusal(sd1.file, revision="v2") == f"{sd1.file} is on this disk: only a Hugging Face id has revisions, not 'v2'"
    assert refusal(tmp_path, config="x") == (
        f"{tmp_path} is no single file: a folder and an id bring their own configs, not x")


def test_loras_that_do_not_fit_are_refused(sd1, sdxl, tmp_path):
    file = tmp_path / "lora.safetensors"
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    pair = {f"{key}.lora_down.weight": torch.zeros(2, 16), f"{key}.lora_up.weight": torch.zeros(16, 2)}

    def refusal_of_file():
        with pytest.raises(CheckpointError) as caught:
            merge_loras(sd1.pipeline, [(file, 1)])
        return str(caught.value)

    def refusal_of(tensors, metadata=None):
        save_file(tensors, file, metadata)
        return refusal_of_file()

    save_kohya(file, sdxl.pipeline, SDXL_LAYERS, seed=1)
    assert refusal_of_file() == (
        f"{file}: 2 of its 5 layers have no place in this model, "
        "'lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha' for one: was it made for another family?")
    assert refusal_of({**pair, f"{key}.lora_down.weight": torch.zeros(2, 1024)}) == (
        f"{file}: '{key}.lora_down.weight' is for a layer of shape [16, 1024], this model's is [16, 16]: "
        "it was made for another model")
    assert refusal_of({f"{key}.lora_down.weight": torch.zeros(2, 16)}) == (
        f"{file}: '{key}.lora_down.weight' has no counterpart, a layer of a LoRA has up and down")
    assert refusal_of({**pair, "something.else": torch.zeros(1)}) == (
        f"{file}: 'something.else' is no part of a LoRA; "
        "wanted: keys that end as '.lora_down.weight', '.lora_A.weight' or '.alpha'")
    assert refusal_of({**pair, f"{key}.dora_scale": torch.zeros(1)}) == (
        f"{file} is a DoRA file ('{key}.dora_scale'); wanted: a LoRA, which has only up, down and alpha")
    assert refusal_of({}) == f"{file} holds no weights; wanted: a LoRA"
    assert refusal_of({**pair, f"{key}.lora_up.weight": torch.full((16, 2), torch.nan)}) == (
        f"{file}: '{key}.lora_down.weight' leaves the range of torch.float32 once merged")
    assert refusal_of({**pair, f"{key}.alpha": torch.ones(2)}) == f"{file}: '{key}.alpha' holds 2 numbers; wanted: 1"
    assert refusal_of({f"{key}.lora_down.weight": torch.zeros(0, 16), f"{key}.lora_up.weight": torch.zeros(16, 0)}) == (
        f"{file}: '{key}.lora_down.weight' is [0, 16]; wanted: a rank of 1 or more")
    for settings, line in [("[1, 2]", "its metadata 'lora_adapter_metadata' is [1, 2]; wanted: an object"),
                           ('{"unet.lora_alpha": "8"}', "its metadata has 'unet.lora_alpha' \"8\"; wanted: a number"),
                           ('{"unet.alpha_pattern": [8]}', "its metadata has 'unet.alpha_pattern' [8]; wanted: an object"),
                           ('{"unet.alpha_pattern": {"q": "8"}}',
                            "its metadata has 'unet.alpha_pattern' 'q' \"8\"; wanted: a number"),
                           ('{"unet.alpha_pattern": {"(": 8}}',
                            "its metadata has 'unet.alpha_pattern' '(', which is no pattern: missing ), "
                            "unterminated subpattern at position 0")]:
        assert refusal_of(pair, {"lora_adapter_metadata": settings}) == f"{file}: {line}"
    assert refusal(sd1.file, config=sd1.config, loras=[(file, 1)]).startswith(f"{file}: its metadata has 'unet.alpha")
    file.write_bytes(b"not at all")
    assert refusal_of_file().startswith(f"{file} is no whole safetensors file: ")
    missing = tmp_path / "missing.safetensors"
    assert refusal(sd1.file, config=sd1.config, loras=[(missing, 1)]) == f"{missing}: no such file"
