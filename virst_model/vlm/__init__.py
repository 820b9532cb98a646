"""The video language model: UMT clip encoder, ToMe projector and Qwen2."""
