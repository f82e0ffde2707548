"""Writes src/model/allowed_operators.txt: what the programs of the model families that we export are made of.

    PYTHONPATH=scripts python -m steplapse_export.list_operators > src/model/allowed_operators.txt

Small models of each family's shape are traced as the exporter does it, and the operators of all their graphs are put
together. A family that needs one more gets it by being added here, so that it is looked at first: an operator on the
list must compute from its inputs alone, and touch no file, no process and no memory but its tensors'.
"""

import warnings

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

from steplapse_export import modules
from steplapse_export.exporter import Exporter
from steplapse_export.parts import Parts
from steplapse_export.tiny.emoji import make_tiny_pipeline
from steplapse_export.tiny.stable_diffusion import make_tiny_stable_diffusion

# Looked at, and pure: what a trace by another version of diffusers may hold, and what libtorch makes of `div` in an
# archive that calls itself older than version 4.
LOOKED_AT = {
    "prim::TupleConstruct",
    "prim::TupleUnpack",
    "prim::ListUnpack",
    "prim::NumToTensor",
    "aten::is_floating_point",
    "aten::true_divide",
    "aten::divide",
    "prim::If",
}


def unet(**settings):
    """Of more stages than the tiny pipelines', where the number of heads may differ."""
    shape = {
        "block_out_channels": (8, 16, 16),
        "norm_num_groups": 4,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(**{**shape, **settings}).eval()


def programs_of(pipeline, dtype):
    """As the exporter traces them: at a size that the UNet's stages divide, and at one they do not."""
    parts = Parts(pipeline, dtype, dtype, clip_skip=None)
    side = parts.default_size[0]
    for sizes in ([[side, side]], [[side + parts.downscale, side]]):
        for prepare in (modules.shared, modules.in_channels_last):
            exporter = Exporter(parts, sizes, folder=None, say=None)
            yield prepare(parts.text_module()), exporter.text_inputs(2, 2)
            yield prepare(parts.denoiser_module()), exporter.denoiser_inputs(2, sizes[0], 2)
            yield prepare(parts.full_decoder_module()), (exporter.latents(2, sizes[0]),)


def programs():
    vae = {
        "latent_channels": 4,
        "block_out_channels": (8, 8),
        "norm_num_groups": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }
    latents = torch.randn(2, 4, 16, 16)
    for dtype in (torch.float32, torch.bfloat16):
        for pipeline in (make_tiny_pipeline(), *map(make_tiny_stable_diffusion, ("sd1", "sd2", "sdxl"))):
            yield from programs_of(pipeline, dtype)
        for settings in ({}, {"use_linear_projection": True, "attention_head_dim": (2, 4, 4)}):
            denoiser = modules.Denoiser(unet(**settings).to(dtype))
            yield denoiser, (latents, torch.tensor([7.0, 500.0]), torch.randn(2, 16, 16))
        yield modules.FullDecoder(AutoencoderKL(**vae, use_post_quant_conv=False).to(dtype)), (latents,)
        yield modules.LinearDecoder(4, 4).to(dtype), (latents,)
        yield modules.TinyDecoder(AutoencoderTiny().to(dtype)), (latents,)


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
    print(
        "# The operators and kinds of nodes a bundle's program may use; "
        "scripts/steplapse_export/list_operators.py wrote this."
    )
    print("\n".join(sorted(found)))


if __name__ == "__main__":
    main()
