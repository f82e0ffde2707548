"""A text-to-image pipeline of random weights, whole but tiny, for tests that need any model at all."""

import io

import sentencepiece
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from steplapse_export.sources.pipeline import Pipeline, SentencePieceTokenizer

WORDS = [
    "red apple",
    "green apple",
    "blue whale",
    "yellow heart",
    "orange heart",
    "black cat",
    "white rabbit",
    "brown bear",
    "house with garden",
    "rocket",
    "snowman",
    "sun behind cloud",
    "crown",
    "guitar",
    "castle",
]
TOKENS = 20
WIDTH = 16


def make_tokenizer() -> SentencePieceTokenizer:
    serialized = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS),
        model_writer=serialized,
        model_type="unigram",
        vocab_size=64,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        character_coverage=1.0,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceTokenizer(serialized.getvalue(), TOKENS)


def turn_down(layer, times: float) -> None:
    """By two digits of what was measured: its last ones depend on the CPU and on threads, and weights must not."""
    for parameter in layer.parameters():
        parameter /= float(f"{times:.2g}")


@torch.no_grad()
def make_tiny_pipeline(prediction_type: str = "epsilon", seed: int = 0) -> Pipeline:
    """16 x 16 pictures of 4 x 4 latents. The UNet's answers have unit size and depend on the prompt."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            projection_dim=WIDTH,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    ).eval()
    unet = UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()
    vae = AutoencoderKL(
        sample_size=16,
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        scaling_factor=0.5,
    ).eval()
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )

    # Fresh weights answer far below unit size, and hardly hear the prompt: louder words, then louder answers.
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name or "attn2.to_v" in name:
            parameter *= 4
    conditioning = text_encoder(tokenizer(WORDS)).last_hidden_state
    latents = torch.randn(len(WORDS), 4, 4, 4)
    timesteps = torch.linspace(0, 999, len(WORDS))
    answers = unet(latents, timesteps, conditioning).sample
    turn_down(unet.conv_out, answers.std().item())
    images = vae.decode(latents / vae.config.scaling_factor).sample
    turn_down(vae.decoder.conv_out, 2 * images.std().item())
    return Pipeline(vae=vae, unet=unet, text_encoder=text_encoder, scheduler=scheduler, tokenizer=tokenizer)
