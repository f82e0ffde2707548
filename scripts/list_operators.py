#!/usr/bin/env python3
"""Writes src/allowed_operators.txt: what the programs of the model families that we export are made of.

    scripts/list_operators.py > src/allowed_operators.txt

Small models of each family's shape are traced as export_bundle.py does it, and the operators of all their graphs
are put together. A family that needs one more gets it by being added here, so that it is looked at first: an operator on
the list must compute from its inputs alone, and touch no file, no process and no memory but its tensors'.
"""

import warnings

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from export_bundle import Denoiser, FullDecoder, LinearDecoder, Sinusoids, TextEncoder, TinyDecoder

# Looked at, and pure: what a trace by another version of diffusers may hold, and what libtorch makes of `div` in an
# archive that calls itself older than version 4.
LOOKED_AT = {"prim::TupleConstruct", "prim::TupleUnpack", "prim::ListUnpack", "prim::NumToTensor",
             "aten::is_floating_point", "aten::true_divide", "aten::divide", "prim::If"}


class TwoTextEncoders(torch.nn.Module):
    """SDXL's: the last but one layer of two encoders side by side, and the second's pooled projection."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def encode(self, clip, ids, weights):
        rows, chunks, length = ids.shape
        answer = clip(ids.reshape(rows * chunks, length), output_hidden_states=True)
        hidden = answer.hidden_states[-2].float() * weights.reshape(rows * chunks, length, 1)
        return hidden.reshape(rows, chunks * length, -1), answer

    def forward(self, ids, weights, ids_2, weights_2):
        hidden, _ = self.encode(self.first, ids, weights)
        hidden_2, answer = self.encode(self.second, ids_2, weights_2)
        pooled = answer.text_embeds.float().reshape(ids.shape[0], ids.shape[1], -1)[:, 0]
        return torch.cat([hidden, hidden_2], -1), pooled


class DenoiserWithSize(torch.nn.Module):
    """SDXL's: told the pooled text and the picture's size and crop."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet
        unet.time_proj, unet.add_time_proj = Sinusoids(unet.time_proj), Sinusoids(unet.add_time_proj)

    def forward(self, latents, timesteps, conditioning, pooled):
        height = torch.full_like(timesteps, latents.shape[2] * 8)
        width = torch.full_like(timesteps, latents.shape[3] * 8)
        zero = torch.zeros_like(timesteps)
        sizes = torch.stack([height, width, zero, zero, height, width], 1)
        return self.unet(latents, timesteps, conditioning,
                         added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample.float()


def clip(kind, **settings):
    return kind(CLIPTextConfig(vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=3,
                               num_attention_heads=2, max_position_embeddings=8, projection_dim=16, eos_token_id=2,
                               bos_token_id=1, pad_token_id=0, **settings)).eval()


def unet(**settings):
    shape = {"block_out_channels": (8, 16, 16), "norm_num_groups": 4, "cross_attention_dim": 16,
             "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
             "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), "attention_head_dim": 2}
    return UNet2DConditionModel(**{**shape, **settings}).eval()


def sdxl_unet():
    return unet(addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 2, 2),
                projection_class_embeddings_input_dim=16 + 6 * 8, use_linear_projection=True)


def programs():
    """Each traced as it is exported: modules of every family, in float32 and in 16 bits."""
    ids, weights = torch.ones(2, 2, 8, dtype=torch.int64), torch.ones(2, 2, 8)
    latents, timesteps = torch.randn(2, 4, 16, 16), torch.tensor([7.0, 500.0])
    conditioning, pooled = torch.randn(2, 16, 16), torch.randn(2, 16)
    vae = {"latent_channels": 4, "block_out_channels": (8, 8), "norm_num_groups": 4,
           "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    for dtype in (torch.float32, torch.bfloat16):
        for activation in ("quick_gelu", "gelu"):
            encoder = clip(CLIPTextModel, hidden_act=activation)
            yield TextEncoder(encoder, dtype).to(dtype), (ids, weights)
        for settings in ({}, {"use_linear_projection": True, "attention_head_dim": (2, 4, 4)}):
            yield Denoiser(unet(**settings), dtype).to(dtype), (latents, timesteps, conditioning)
        for upcast in (False, True):  # SD 2.x attends in float32
            denoiser = Denoiser(unet(use_linear_projection=True, upcast_attention=upcast), dtype)
            yield denoiser.to(dtype), (latents, timesteps, conditioning)
        yield FullDecoder(AutoencoderKL(**vae), dtype).to(dtype), (latents,)
        yield FullDecoder(AutoencoderKL(**vae, use_post_quant_conv=False), dtype).to(dtype), (latents,)
        yield LinearDecoder(4, 4, dtype).to(dtype), (latents,)
        yield TinyDecoder(AutoencoderTiny(), dtype).to(dtype), (latents,)
    yield TwoTextEncoders(clip(CLIPTextModel), clip(CLIPTextModelWithProjection)), (ids, weights, ids, weights)
    yield DenoiserWithSize(sdxl_unet()), (latents, timesteps, conditioning, pooled)


def kinds(block):
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from kinds(inner)


@torch.no_grad()
def main():
    warnings.filterwarnings("ignore")
    found = set(LOOKED_AT)
    for wrapper, inputs in programs():
        program = torch.jit.trace(wrapper.eval(), inputs, check_trace=False)
        for module in program.modules():
            if module._c._has_method("forward"):
                found.update(kinds(module._c._get_method("forward").graph))
    print("# The operators and kinds of nodes a bundle's program may use; scripts/list_operators.py wrote this.")
    print("\n".join(sorted(found)))


if __name__ == "__main__":
    main()
