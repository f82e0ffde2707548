"""LoRA files of random numbers, and what they should add to the weights."""

import torch
from safetensors.torch import save_file

RANK, ALPHA = 4, 2.0


def lora_pair(weight, seed):
    """down and up for this weight, convolutions' as convolutions."""
    random = torch.Generator().manual_seed(seed)
    kernel = weight.shape[2:]
    return (
        torch.randn(RANK, weight.shape[1], *kernel, generator=random),
        torch.randn(weight.shape[0], RANK, *(1 for _ in kernel), generator=random),
    )


def weights_of(pipeline):
    return {
        (part, name.removeprefix("text_model.")): tensor.clone()
        for part in ("unet", "text_encoder", "text_encoder_2")
        if getattr(pipeline, part, None)
        for name, tensor in getattr(pipeline, part).state_dict().items()
    }


def save_kohya(path, pipeline, layers, seed, alpha=ALPHA):
    """`layers`: name in the file -> (part, path). Returns what is to be added at a weight of 1."""
    tensors, expected = {}, {}
    for name, (part, layer) in layers.items():
        weight = weights_of(pipeline)[part, f"{layer}.weight"]
        down, up = lora_pair(weight, seed)
        tensors.update(
            {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(alpha)}
        )
        expected[part, f"{layer}.weight"] = alpha / RANK * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    save_file(tensors, path)
    return expected


SD1_LAYERS = {
    "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_k": (
        "unet",
        "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
    ),
    "lora_unet_down_blocks_0_attentions_1_proj_in": ("unet", "down_blocks.0.attentions.1.proj_in"),
    "lora_unet_up_blocks_1_resnets_2_conv1": ("unet", "up_blocks.1.resnets.2.conv1"),
    "lora_te_text_model_encoder_layers_1_self_attn_q_proj": ("text_encoder", "encoder.layers.1.self_attn.q_proj"),
    "lora_te_text_model_encoder_layers_0_mlp_fc2": ("text_encoder", "encoder.layers.0.mlp.fc2"),
}
SDXL_LAYERS = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0": (
        "unet",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
    ),
    "lora_unet_middle_block_1_transformer_blocks_1_ff_net_0_proj": (
        "unet",
        "mid_block.attentions.0.transformer_blocks.1.ff.net.0.proj",
    ),
    "lora_unet_output_blocks_5_2_conv": ("unet", "up_blocks.1.upsamplers.0.conv"),
    "lora_te1_text_model_encoder_layers_1_self_attn_v_proj": ("text_encoder", "encoder.layers.1.self_attn.v_proj"),
    "lora_te2_text_model_encoder_layers_0_mlp_fc1": ("text_encoder_2", "encoder.layers.0.mlp.fc1"),
}
