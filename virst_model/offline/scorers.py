"""How well a frame shows what a sentence says: what "guided" anchors are chosen by (Table 5)."""

from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError
import torch
import torch.nn.functional as F
from transformers import AutoImageProcessor, AutoTokenizer, CLIPConfig, CLIPModel

from virst_model.checkpoints.folder import WeightsError, read_object
from virst_model.synthetic.shapes import RGB

# How far a pixel may be from a colour that a sentence names, in RGB.
NEAR = 60.0


class ClipError(WeightsError):
    """A folder is no CLIP that can be used; `str()` is one line."""

    advice = (
        "; give a folder that CLIPModel, its tokenizer and its image processor were saved to "
        "(transformers' save_pretrained, as safetensors)"
    )


class ClipScorer:
    """CLIP's image-text similarity, the guide of Table 5 (Sec. 4.4): -1..1.

    A sentence is encoded once, and a frame once for all sentences that follow each other.
    """

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        """Reads a folder of transformers: nothing is downloaded, no code of the folder is run.

        Raises:
            ClipError: it is missing, damaged, or of another model.
        """
        self._device = torch.device(device)
        self._model, self._tokenizer, self._processor = _load(folder)
        self._model.to(self._device)
        self._longest = self._model.config.text_config.max_position_embeddings
        self._sentences: dict[str, torch.Tensor] = {}
        self._image_HW3: np.ndarray | None = None  # the last one, and its embedding
        self._embedding = torch.empty(0)

    @torch.inference_mode()
    def __call__(self, image_HW3: np.ndarray, text: str) -> float:
        """The cosine of a frame (uint8 RGB) and a sentence; what CLIP cannot read is cut off."""
        if text not in self._sentences:
            self._sentences[text] = self._encode_text(text)
        if image_HW3 is not self._image_HW3:
            self._image_HW3, self._embedding = image_HW3, self._encode_image(image_HW3)
        return float(F.cosine_similarity(self._embedding, self._sentences[text]))

    def _encode_text(self, text: str) -> torch.Tensor:
        tokens = self._tokenizer(
            text, truncation=True, max_length=self._longest, return_tensors="pt"
        ).to(self._device)
        states = self._model.text_model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        return self._model.text_projection(states.pooler_output)

    def _encode_image(self, image_HW3: np.ndarray) -> torch.Tensor:
        images = self._processor(images=image_HW3, return_tensors="pt")["pixel_values"]
        states = self._model.vision_model(pixel_values=images.to(self._device))
        return self._model.visual_projection(states.pooler_output)


def _load(folder: Path) -> tuple:
    """CLIPModel, tokenizer and image processor of a folder."""
    if not folder.is_dir():
        raise ClipError(folder, "no such folder")
    kind = read_object(folder / "config.json").get("model_type")
    if kind != CLIPConfig.model_type:
        raise ClipError(folder, f"is a {kind or 'nameless'} model, not clip")
    here = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, report = CLIPModel.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **here)
        processor = AutoImageProcessor.from_pretrained(folder, **here)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ClipError(folder, str(error)) from None
    if report["missing_keys"]:
        raise ClipError(folder, f"lacks {sorted(report['missing_keys'])[:3]}")
    return model.float().eval(), tokenizer, processor


def colour_score(image_HW3: np.ndarray, text: str) -> float:
    """Share of the picture (0..1) in the colours that a sentence names.

    What stands in for CLIP in Table 5 where there is none: a colour score, not a similarity of
    image and text.
    """
    named = [rgb for word, rgb in RGB.items() if word in text.lower().split()]
    small = cv2.resize(image_HW3, (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    near = [np.linalg.norm(small - np.float32(rgb), axis=2) < NEAR for rgb in named]
    return float(np.mean(near)) if near else 0.0
