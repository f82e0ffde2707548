"""The networks of models/emoji-mix-64 before they are trained, and its tokenizer."""

import io

import sentencepiece
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

from emoji import data
from emoji.train import Conditioned
from steplapse_export.sources.pipeline import SentencePieceTokenizer

LATENT_SIDE = 8
LATENT_CHANNELS = 12
TEXT_WIDTH = 160
TOKENS = 20
VOCABULARY = 3000


def new_autoencoder() -> AutoencoderKL:
    """64 x 64 pictures to 8 x 8 latents. Few channels where there are many pixels: that is where the time goes."""
    return AutoencoderKL(
        sample_size=data.IMAGE_SIDE,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(12, 24, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def new_tiny_decoder() -> AutoencoderTiny:
    """Its decoder is for previews; its encoder is not used, and as small as it can be."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(4, 4, 4, 4),
        decoder_block_out_channels=(12, 12, 12, 12),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(80, 160),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # diffusers takes it for the number of heads
    )


def new_text_encoder(vocabulary: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )


def new_denoiser(vocabulary: int) -> Conditioned:
    """For training: plain matrix products, since for so few tokens the fused attention's backward pass is slower."""
    unet, text_encoder = new_unet(), new_text_encoder(vocabulary)
    unet.set_attn_processor(AttnProcessor())
    text_encoder.set_attn_implementation("eager")
    return Conditioned(unet, text_encoder)


def train_tokenizer(captions: list[str], characters: list[str]) -> SentencePieceTokenizer:
    """Byte pairs; it folds case, so that "Red Apple" is "red apple"; each of `characters` is a piece."""
    serialized = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions),
        model_writer=serialized,
        model_type="bpe",
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        user_defined_symbols=characters,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceTokenizer(serialized.getvalue(), TOKENS)
