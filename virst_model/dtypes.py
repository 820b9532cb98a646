"""Names of the numbers that weights are made of, and how a language model may be squeezed."""

# As a person may write them -> torch's name.
DTYPES = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
# The language model's weights: as they are, or eight bits each (`model/quantized.py`).
QUANTIZE = ("off", "int8")
