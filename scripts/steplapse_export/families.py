"""What sets the model families apart: which text encoders there are, and what the denoiser is told of them."""

from steplapse_export import modules
from steplapse_export.programs import ExportError
from steplapse_export.sources.pipeline import SentencePieceTokenizer


class Family:
    """SD 1.x, SD 2.x and what is built like them. A family that differs overrides what differs."""

    text_encoders = ("text_encoder",)  # parts of the pipeline; each has its tokenizer
    clip_skip = 1  # the text encoder's layer that the denoiser was taught with, as web UIs count
    guidance_scale = 7.5  # default of generate

    def __init__(self, name: str):
        self.name = name  # as model.json has it

    def upcasts_decoder(self, pipeline) -> bool:
        """Whether the autoencoder's decoder overflows in 16 bits."""
        return False

    def no_negative_prompt(self, pipeline) -> str:
        """As model.json has it."""
        return "encode_empty"

    def hidden(self, encoder, answer, clip_skip: int):
        """Of a text encoder's answer with all its layers: [N, L, width], what the denoiser is told."""
        return encoder.final_layer_norm(answer.hidden_states[-clip_skip])

    def pooled(self, answer) -> tuple:
        """Of the last text encoder's answer: nothing, or one vector [N, width], which the denoiser is told too."""
        return ()

    def encoder_layers(self, encoder, clip_skip: int, is_last: bool) -> modules.EncoderLayers:
        return modules.EncoderLayers(encoder, clip_skip, normed=True, pooled=False)

    def denoiser(self, unet, downscale: int) -> modules.Denoiser:
        return modules.Denoiser(unet)


class StableDiffusionXL(Family):
    text_encoders = ("text_encoder", "text_encoder_2")
    clip_skip = 2
    guidance_scale = 5.0

    def upcasts_decoder(self, pipeline) -> bool:
        """SDXL's own does, and its config says so (diffusers keeps to it for SDXL alone)."""
        return bool(pipeline.vae.config.get("force_upcast"))

    def no_negative_prompt(self, pipeline) -> str:
        return "zeros" if pipeline.config.get("force_zeros_for_empty_prompt", True) else "encode_empty"

    def hidden(self, encoder, answer, clip_skip: int):
        return answer.hidden_states[-clip_skip]

    def pooled(self, answer) -> tuple:
        return (answer.text_embeds,)

    def encoder_layers(self, encoder, clip_skip: int, is_last: bool) -> modules.EncoderLayers:
        return modules.EncoderLayers(encoder, clip_skip, normed=False, pooled=is_last)

    def denoiser(self, unet, downscale: int) -> modules.DenoiserWithSize:
        return modules.DenoiserWithSize(unet, downscale)


def family_of(pipeline) -> Family:
    """Told by the UNet and the tokenizer. Of the UNets of SD 1.x and 2.x only the latter's project linearly."""
    config = pipeline.unet.config
    if config.get("addition_embed_type") == "text_time":
        family = StableDiffusionXL("sdxl")
    elif isinstance(pipeline.tokenizer, SentencePieceTokenizer):
        family = Family("emoji")
    else:
        family = Family("sd2" if config.get("use_linear_projection") else "sd1")
    for name in family.text_encoders:
        if getattr(pipeline, name, None) is None:
            raise ExportError(f"the pipeline has no {name}: an SDXL refiner can't make a picture alone")
    return family
