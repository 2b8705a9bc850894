"""Make the tiny CLIP's tokenizer and description: `python -m experiments.tiny_weights.build_tokenizer`.

Byte-level byte-pair encoding over lower-cased text: every text has tokens, none is unknown.
"""

from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from medsam_exp.clip.folder import PACKAGED
from medsam_exp.clip.tiny_trunk import TINY_TRUNK
from medsam_exp.data.phantom.pairs import PhantomPairs
from medsam_exp.runtime.json_text import json_text

FOLDER = PACKAGED["tiny"]
VOCABULARY_LIMIT = 2048
CONTEXT_LENGTH = 40
SPECIAL = {"pad_token": "<pad>", "bos_token": "<start>", "eos_token": "<end>"}
RADIOLOGY = """
abdomen abdominal abnormal abnormality abscess adenoma anterior artery atelectasis axial benign bilateral
bladder blood bone border boundary brain breast calcification calcified carcinoma cardiac cardiomegaly
cavity chest circumscribed computed coronal covid-19 cystic dense density diffuse edema effusion enhancement
enlarged fluid fracture frontal gland glioma gray ground-glass head heart hemorrhage heterogeneous
homogeneous hypoechoic hyperechoic image increased inferior infection irregular kidney lateral lesions liver
lobe lobular lung lungs lymph magnetic malignant margin margins mass masses medical meningioma metastases
midline multiple muscle necrosis node nodules normal opacities opacity organ pancreas parenchyma patient
pelvis pituitary pleural pneumonia pneumothorax posterior pulmonary radiograph region resonance rib ribs
right sagittal scan segment shadow shadowing shows skin skull soft solid spine spleen stomach stone superior
suspicious suggestive thorax thyroid tissue tomography tumor tumors tumour ultrasound upper vascular vein
ventricle vessel view viral weighted white with without x-ray a an and are at by for from has in is not of
on or the there this to
"""


def sentences() -> Iterator[str]:
    """What the vocabulary is learnt from: sentences about drawn scans, and words of radiology."""
    pairs = PhantomPairs(seed=0, count=1500)
    for pair_id in pairs.ids:
        yield from pairs.captions(pair_id)
    for word in RADIOLOGY.split():
        yield from [f"{word} {word}"] * 20


def build() -> Tokenizer:
    """Learn the tokenizer; equal on every machine."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_LIMIT,
        min_frequency=5,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    start, end = SPECIAL["bos_token"], SPECIAL["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )
    return tokenizer


def describe(tokenizer: Tokenizer) -> dict[str, object]:
    """open_clip's description of the tiny CLIP."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "timm_model_name": TINY_TRUNK,
                "timm_model_pretrained": False,
                "timm_pool": "max",
                "timm_proj": "linear",
                "image_size": 96,
            },
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": tokenizer.get_vocab_size(),
                "width": 128,
                "heads": 4,
                "layers": 3,
                "pool_type": "eos",
                "eos_id": tokenizer.token_to_id(SPECIAL["eos_token"]),
                "pad_id": tokenizer.token_to_id(SPECIAL["pad_token"]),
                "hf_tokenizer_name": "tiny_clip",
            },
        },
        "preprocess_cfg": {
            "mean": [0.45, 0.45, 0.45],
            "std": [0.27, 0.27, 0.27],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def main() -> None:
    """Write the tokenizer and the description into the package."""
    tokenizer = build()
    FOLDER.mkdir(exist_ok=True)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT_LENGTH, **SPECIAL
    ).save_pretrained(FOLDER)
    (FOLDER / "open_clip_config.json").write_text(json_text(describe(tokenizer), indent=2) + "\n")


if __name__ == "__main__":
    main()
