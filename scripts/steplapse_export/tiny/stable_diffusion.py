"""Stable Diffusion pipelines of each family's true architecture, but tiny and of random weights, for tests.

CLIP's own vocabulary, 32 x 32 pictures of 8 x 8 latents, and answers of unit size: a network that hardly answers would
hide what a sampler does wrong.
"""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from steplapse_export.sources.clip_vocabulary import make_clip_tokenizer
from steplapse_export.tiny.emoji import turn_down

FAMILIES = ("sd1", "sd2", "sdxl")
WIDTH = 16  # of a text encoder; SDXL has two of them side by side
VOCABULARY = 49408
PROMPTS = ["a photo of a red apple", "blue whale", "", "a castle on a hill at night, oil painting"]


def make_text_encoder(kind, activation: str, layers: int):
    return kind(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=WIDTH,
            hidden_act=activation,
            bos_token_id=49406,
            eos_token_id=49407,
            pad_token_id=1,
        )
    ).eval()


def make_unet(family: str) -> UNet2DConditionModel:
    settings = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "norm_num_groups": 4}
    if family == "sdxl":
        settings.update(
            block_out_channels=(8, 16, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=(1, 2, 2),
            transformer_layers_per_block=(1, 1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        )
    else:
        settings.update(
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
        )
    if family == "sd2":
        settings.update(attention_head_dim=(1, 2), use_linear_projection=True, upcast_attention=True)
    return UNet2DConditionModel(**settings).eval()


def make_vae(family: str) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=32,
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=0.13025 if family == "sdxl" else 0.18215,
        force_upcast=family == "sdxl",
    ).eval()


def make_pipeline(family: str, scheduler):
    """Random weights of torch's default generator."""
    parts = {"unet": make_unet(family), "vae": make_vae(family), "scheduler": scheduler}
    if family == "sdxl":
        return StableDiffusionXLPipeline(
            **parts,
            text_encoder=make_text_encoder(CLIPTextModel, "quick_gelu", 3),
            tokenizer=make_clip_tokenizer(),
            text_encoder_2=make_text_encoder(CLIPTextModelWithProjection, "gelu", 3),
            tokenizer_2=make_clip_tokenizer(pad_token="!"),
            add_watermarker=False,
        )
    padding = {"pad_token": "!"} if family == "sd2" else {}
    activation = "gelu" if family == "sd2" else "quick_gelu"
    return StableDiffusionPipeline(
        **parts,
        text_encoder=make_text_encoder(CLIPTextModel, activation, 3),
        tokenizer=make_clip_tokenizer(**padding),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@torch.no_grad()
def speak_up(pipeline, family: str) -> None:
    """Louder words first, then answers and pictures of unit size."""
    unet, vae = pipeline.unet, pipeline.vae
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name or "attn2.to_v" in name or "add_embedding" in name:
            parameter *= 4
    encoded = pipeline.encode_prompt(PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    sizes = torch.tensor([[32, 32, 0, 0, 32, 32]]).expand(len(PROMPTS), -1)
    added = {"text_embeds": encoded[2], "time_ids": sizes} if family == "sdxl" else None
    latents = torch.randn(len(PROMPTS), 4, 8, 8)
    timesteps = torch.linspace(0, 999, len(PROMPTS))
    answers = unet(latents, timesteps, encoded[0], added_cond_kwargs=added).sample
    turn_down(unet.conv_out, answers.std().item())
    images = vae.decode(latents / vae.config.scaling_factor).sample
    turn_down(vae.decoder.conv_out, 2 * images.std().item())


def make_tiny_stable_diffusion(family: str = "sd1", prediction_type: str = "epsilon", seed: int = 0):
    """A diffusers pipeline. v_prediction comes with zero terminal SNR and trailing timesteps, as it should."""
    zero_snr = (
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if prediction_type == "v_prediction" else {}
    )
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
        **zero_snr,
    )
    torch.manual_seed(seed)
    pipeline = make_pipeline(family, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    speak_up(pipeline, family)
    return pipeline
