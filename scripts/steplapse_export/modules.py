"""The modules of a bundle (docs/bundle.md), made of a pipeline's own: what sets one model family apart from another
ends here. Each casts inside, so that float32 and int64 go in and float32 comes out whatever the weights are.

Nothing here may name a device or make a tensor from nothing, since a trace would keep it: see programs.py.
"""

import copy

import torch
from torch.nn.functional import conv2d, pixel_shuffle, pixel_unshuffle


class Module(torch.nn.Module):
    """A program names the classes it was traced from, as `__torch__.bundle_modules.Denoiser`. That name stays when this
    file moves, so that the same pipeline gives the same bytes."""

    def __init_subclass__(cls):
        super().__init_subclass__()
        cls.__module__ = "bundle_modules"


def converted(module: torch.nn.Module, convert) -> torch.nn.Module:
    """A copy whose tensors are convert(name, tensor) of the original's; those that convert returns as they are, are
    shared: a large model is not held twice."""
    replaced = {}
    for name, tensor in [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]:
        value = convert(name, tensor.data)
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        replaced[id(tensor)] = torch.nn.Parameter(value, requires_grad=False) if is_parameter else value
    return copy.deepcopy(module, replaced).eval()


def shared(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose parts can be replaced without changing the original, of the same tensors."""
    return converted(module, lambda _, tensor: tensor)


class Sinusoids(Module):
    """diffusers' Timesteps with its frequencies' indices in a buffer: `arange` in a trace would name a device.

    The indices are integers, so that casting the weights to 16 bits leaves the frequencies alone.
    """

    def __init__(self, original):
        super().__init__()
        half = original.num_channels // 2
        self.flip_sin_to_cos, self.scale = original.flip_sin_to_cos, original.scale
        self.divisor = half - original.downscale_freq_shift
        self.register_buffer("indices", torch.arange(half))

    def forward(self, timesteps):
        frequencies = torch.exp(self.indices.float() * -9.210340371976184 / self.divisor)  # log(10000)
        angles = self.scale * (timesteps[:, None].float() * frequencies[None, :])
        sines, cosines = torch.sin(angles), torch.cos(angles)
        return torch.cat([cosines, sines] if self.flip_sin_to_cos else [sines, cosines], dim=-1)


class ChannelsLastConv2d(Module):
    """A convolution whose weight is held as [out, h, w, in], and seen as [out, in, h, w]: the kernel then takes the
    whole network through `channels_last`, and safetensors, which knows no strides, need not."""

    def __init__(self, original: torch.nn.Conv2d):
        super().__init__()
        self.weight = torch.nn.Parameter(original.weight.data.permute(0, 2, 3, 1).contiguous(), requires_grad=False)
        self.bias = original.bias
        self.settings = original.stride, original.padding, original.dilation, original.groups

    def forward(self, x):
        return conv2d(x, self.weight.permute(0, 3, 1, 2), self.bias, *self.settings)


def in_channels_last(module: torch.nn.Module) -> torch.nn.Module:
    """Replaces the module's convolutions, and returns it."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ in ("Conv2d", "LoRACompatibleConv"):
                setattr(parent, name, ChannelsLastConv2d(child))
    return module


# --- text encoders -------------------------------------------------------------------------------------------


class EncoderLayers(Module):
    """CLIP's text model, up to the layer that a denoiser was taught with.

    clip_skip  counts as web UIs do: 1 is the last layer, 2 the one before.
    normed     the layer's answer goes through the final norm (SD 1.x, 2.x), or does not (SDXL).
    pooled     the end token's vector after all layers, norm and projection, is answered too.
    """

    def __init__(self, clip, clip_skip: int, normed: bool, pooled: bool):
        super().__init__()
        model = getattr(clip, "text_model", clip)
        layers = list(model.encoder.layers)
        kept = len(layers) - clip_skip + 1
        self.embeddings, self.layers = model.embeddings, torch.nn.ModuleList(layers[:kept])
        self.rest = torch.nn.ModuleList(layers[kept:] if pooled else [])
        self.normed = normed
        if normed or pooled:
            self.final_layer_norm = model.final_layer_norm
        if pooled:
            self.text_projection = clip.text_projection
            # An id of 2 is CLIP's old mistake in its config: then the end token is the greatest id there is.
            self.end = None if model.eos_token_id == 2 else model.eos_token_id

    def forward(self, ids):
        """[N, L] -> [N, L, width], and [N, width] or None."""
        hidden = self.embeddings(input_ids=ids)
        # The causal mask as a flag: a mask tensor in a trace would name a device.
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=None, is_causal=True)
        tokens = self.final_layer_norm(hidden) if self.normed else hidden
        if not hasattr(self, "text_projection"):
            return tokens.float(), None
        for layer in self.rest:
            hidden = layer(hidden, attention_mask=None, is_causal=True)
        end = (ids if self.end is None else (ids == self.end).int()).argmax(-1)
        at_end = hidden.gather(1, end[:, None, None].expand(-1, 1, hidden.shape[-1]))[:, 0]
        return tokens.float(), self.text_projection(self.final_layer_norm(at_end)).float()


class TextEncoder(Module):
    """K chunks of tokens, each encoded alone, weighted token by token, joined; one or two encoders side by side.

    A weight scales the token's vector; the chunk is then scaled so that its mean is what it was, as the web UI by
    AUTOMATIC1111 does it, for each encoder. With all weights 1 that is exactly no change. The pooled vector is the
    first chunk's, without weights.
    """

    def __init__(self, encoders: list[EncoderLayers]):
        super().__init__()
        self.encoders = torch.nn.ModuleList(encoders)

    def forward(self, *ids_and_weights):
        sequences, answer = [], []
        for encoder, ids, weights in zip(self.encoders, ids_and_weights[::2], ids_and_weights[1::2]):
            rows, chunks, length = ids.shape
            hidden, pooled = encoder(ids.reshape(rows * chunks, length))
            weighted = hidden * weights.reshape(rows * chunks, length, 1)
            mean_before, mean_after = hidden.mean((1, 2), keepdim=True), weighted.mean((1, 2), keepdim=True)
            factor = torch.where(mean_after == 0, torch.ones_like(mean_after), mean_before / mean_after)
            sequences.append((weighted * factor).reshape(rows, chunks * length, hidden.shape[-1]))
            if pooled is not None:
                answer.append(pooled.reshape(rows, chunks, pooled.shape[-1])[:, 0])
        return torch.cat(sequences, -1), *answer


# --- denoisers -----------------------------------------------------------------------------------------------


class Denoiser(Module):
    """SD 1.x and 2.x: latents, timesteps, and the text."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet
        self.unet.time_proj = Sinusoids(unet.time_proj)

    def forward(self, latents, timesteps, conditioning):
        dtype = self.unet.dtype
        return self.unet(latents.to(dtype), timesteps, conditioning.to(dtype)).sample.float()


class DenoiserWithSize(Denoiser):
    """SDXL: told the pooled text too, and the picture's size, as made at it and not cropped."""

    def __init__(self, unet, downscale: int):
        super().__init__(unet)
        self.unet.add_time_proj = Sinusoids(unet.add_time_proj)
        self.downscale = downscale

    def forward(self, latents, timesteps, conditioning, pooled):
        dtype = self.unet.dtype
        height = torch.full_like(timesteps, latents.shape[2] * self.downscale)
        width = torch.full_like(timesteps, latents.shape[3] * self.downscale)
        none = torch.zeros_like(timesteps)
        added = {
            "text_embeds": pooled.to(dtype),
            "time_ids": torch.stack([height, width, none, none, height, width], 1),
        }
        return self.unet(latents.to(dtype), timesteps, conditioning.to(dtype), added_cond_kwargs=added).sample.float()


# --- decoders ------------------------------------------------------------------------------------------------


class FullDecoder(Module):
    """The autoencoder's decoder; its encoder stays behind."""

    def __init__(self, vae):
        super().__init__()
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder
        self.scale, self.shift = 1 / vae.config.scaling_factor, vae.config.shift_factor or 0.0
        self.dtype = vae.dtype

    def forward(self, latents):
        latents = (latents * self.scale + self.shift).to(self.dtype)
        if self.post_quant_conv is not None:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents).float().clamp(-1, 1)


class TinyDecoder(Module):
    """diffusers' AutoencoderTiny, which takes the denoiser's latents as they are."""

    def __init__(self, tiny):
        super().__init__()
        self.tiny, self.scale, self.dtype = tiny.decoder, 1 / tiny.config.scaling_factor, tiny.dtype

    def forward(self, latents):
        return self.tiny((latents * self.scale).to(self.dtype)).float().clamp(-1, 1)


class LinearDecoder(Module):
    """Each latent pixel to its square of image pixels by one matrix: the least squares fit of the full decoder."""

    def __init__(self, channels: int, downscale: int):
        super().__init__()
        self.conv, self.downscale = torch.nn.Conv2d(channels, 3 * downscale**2, 1), downscale

    def forward(self, latents):
        squares = self.conv(latents.to(self.conv.weight.dtype))
        return pixel_shuffle(squares, self.downscale).float().clamp(-1, 1)


@torch.no_grad()
def fit_linear_decoder(full, latents, downscale) -> LinearDecoder:
    """The LinearDecoder nearest to `full` on `latents` [N, C, h, w]."""
    images = torch.cat([full(part) for part in latents.split(1 if latents[0].numel() > 4096 else 16)])
    squares = pixel_unshuffle(images, downscale).permute(0, 2, 3, 1).flatten(0, 2).double()
    pixels = latents.permute(0, 2, 3, 1).flatten(0, 2).double()
    pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)
    # A little ridge: fewer latents than unknowns must not give wild weights.
    gram = pixels.T @ pixels + 1e-3 * len(pixels) * torch.eye(pixels.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, pixels.T @ squares)
    linear = LinearDecoder(latents.shape[1], downscale)
    linear.conv.weight.data = solution[:-1].T[:, :, None, None].float().contiguous()
    linear.conv.bias.data = solution[-1].float()
    return linear
