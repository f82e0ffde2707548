"""Tiny models of each family, in the layouts in which checkpoints come."""

import pytest
import torch
from safetensors.torch import save_file

from parity.pipelines import assert_same_but_for_rounding
from steplapse_export.sources.clip_vocabulary import make_clip_tokenizer
from steplapse_export.sources.files import CheckpointError
from steplapse_export.sources.load import load_pipeline, quiet
from steplapse_export.sources.single_file import CONFIGS

with quiet():
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
CROSS, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")
UNET, VAE = "model.diffusion_model.", "first_stage_model."  # how keys of a single file begin


# --- tiny models, and their weights by the names of the original repositories ------------------------------------


def make_text_encoder(width, act, model_class=CLIPTextModel, pad=0):
    return model_class(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            hidden_act=act,
            projection_dim=width,
            eos_token_id=49407,
            pad_token_id=pad,
        )
    ).eval()


def make_pipeline(family):
    """Of random weights, with each family's kinds of blocks, two resnets a block as in the real ones."""
    torch.manual_seed(0)
    kinds = [PLAIN, CROSS, CROSS] if family == "sdxl" else [CROSS, CROSS, PLAIN]
    more = {} if family == "sd1" else {"use_linear_projection": True}
    if family == "sdxl":
        more.update(
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            transformer_layers_per_block=[1, 1, 2],
            projection_class_embeddings_input_dim=12 + 6 * 4,
        )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=20 if family == "sdxl" else 8,
        down_block_types=[down for down, _ in kinds],
        up_block_types=[up for _, up in reversed(kinds)],
        **more,
    ).eval()
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4, 8),
        layers_per_block=2,
        norm_num_groups=2,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
    ).eval()
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    tokenizer = make_clip_tokenizer(pad_token="!" if family == "sd2" else "<|endoftext|>")
    parts = {"unet": unet, "vae": vae, "scheduler": scheduler, "tokenizer": tokenizer}
    if family == "sdxl":
        return diffusers.StableDiffusionXLPipeline(
            **parts,
            text_encoder=make_text_encoder(8, "quick_gelu"),
            tokenizer_2=make_clip_tokenizer(pad_token="!"),
            text_encoder_2=make_text_encoder(12, "gelu", CLIPTextModelWithProjection),
            add_watermarker=False,
        )
    text_encoder = make_text_encoder(8, "quick_gelu" if family == "sd1" else "gelu")
    return diffusers.StableDiffusionPipeline(
        **parts, text_encoder=text_encoder, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


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
    names = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
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
        names[f"up_blocks.{b}.upsamplers.0.conv"] = f"output_blocks.{count - 1}.{1 + hasattr(block, 'attentions')}.conv"
    inner = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    return renamed(unet.state_dict(), names, inner, ["resnets"])


def original_vae(vae):
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side in ("encoder", "decoder"):
        names.update(
            {
                f"{side}.{ours}": f"{side}.{theirs}"
                for ours, theirs in {
                    "conv_in": "conv_in",
                    "conv_out": "conv_out",
                    "conv_norm_out": "norm_out",
                    "mid_block.resnets.0": "mid.block_1",
                    "mid_block.attentions.0": "mid.attn_1",
                    "mid_block.resnets.1": "mid.block_2",
                }.items()
            }
        )
    blocks = len(vae.encoder.down_blocks)
    for b in range(blocks):
        for r in range(3):
            names[f"encoder.down_blocks.{b}.resnets.{r}"] = f"encoder.down.{b}.block.{r}"
            names[f"decoder.up_blocks.{b}.resnets.{r}"] = f"decoder.up.{blocks - 1 - b}.block.{r}"
        names[f"encoder.down_blocks.{b}.downsamplers.0"] = f"encoder.down.{b}.downsample"
        names[f"decoder.up_blocks.{b}.upsamplers.0"] = f"decoder.up.{blocks - 1 - b}.upsample"
    inner = {
        "conv_shortcut": "nin_shortcut",
        "group_norm": "norm",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "to_out.0": "proj_out",
    }
    tensors = renamed(vae.state_dict(), names, inner, ["resnets", "attentions"])
    return {
        name: tensor[:, :, None, None] if "attn_1" in name and tensor.dim() == 2 else tensor
        for name, tensor in tensors.items()
    }


def open_clip(encoder):
    """OpenCLIP's text model: q, k and v in one matrix, the projection transposed."""
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    out = {
        "token_embedding.weight": tensors["embeddings.token_embedding.weight"],
        "positional_embedding": tensors["embeddings.position_embedding.weight"],
        "ln_final.weight": tensors["final_layer_norm.weight"],
        "ln_final.bias": tensors["final_layer_norm.bias"],
        "logit_scale": torch.tensor(1.0),
    }
    for n in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{n}", f"transformer.resblocks.{n}"
        for end in ("weight", "bias"):
            out[f"{theirs}.attn.in_proj_{end}"] = torch.cat(
                [tensors[f"{ours}.self_attn.{x}_proj.{end}"] for x in "qkv"]
            )
            for a, b in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                out[f"{theirs}.{b}.{end}"] = tensors[f"{ours}.{a}.{end}"]
    projection = tensors.get("text_projection.weight", torch.eye(encoder.config.hidden_size))
    return {**out, "text_projection": projection.T}


def original_checkpoint(pipeline, family):
    def under(prefix, tensors):
        return {prefix + name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}

    encoder = pipeline.text_encoder
    clip = {f"text_model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    clip["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    text = {
        "sd1": lambda: under("cond_stage_model.transformer.", clip),
        "sd2": lambda: under("cond_stage_model.model.", open_clip(encoder)),
        "sdxl": lambda: {
            **under("conditioner.embedders.0.transformer.", clip),
            **under("conditioner.embedders.1.model.", open_clip(pipeline.text_encoder_2)),
        },
    }[family]()
    return {
        **under("model.diffusion_model.", original_unet(pipeline.unet)),
        **under("first_stage_model.", original_vae(pipeline.vae)),
        **text,
    }


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


@torch.no_grad()
def answers(pipeline):
    """What each part answers, to the same questions."""
    random = torch.Generator().manual_seed(1)
    tokens = {
        part: getattr(pipeline, part)(["a photo of a cat"], padding="max_length", return_tensors="pt").input_ids
        for part in ("tokenizer", "tokenizer_2")
        if hasattr(pipeline, part)
    }
    texts = [
        encoder(tokens[part.replace("text_encoder", "tokenizer")])
        for part in ("text_encoder", "text_encoder_2")
        if (encoder := getattr(pipeline, part, None))
    ]
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


# --- what tests do with them -----------------------------------------------------------------------------------------


def save_folder(made, folder, **options):
    with quiet():
        made.pipeline.save_pretrained(folder, **options)
    return folder


def refusal(source, **options):
    with pytest.raises(CheckpointError) as caught:
        load_pipeline(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
