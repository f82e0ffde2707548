"""Where pipelines come from: diffusers folders, checkpoint files, Hugging Face."""
