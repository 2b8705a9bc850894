"""Every choice of conf/grounding: three texts for each image, none of them its own, the same whatever the order."""

import pytest

from medsam_exp.config.build import build
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.types import Sample, UserError
from tests.compose import choices, composed

SAMPLES = tuple(Sample(f"s{number}", ("cyst", "glioma", "nodule")[number % 3]) for number in range(9))
TEXTS = {sample.id: (f"a {sample.class_name}, number {sample.id}",) for sample in SAMPLES}


@pytest.fixture(params=choices("grounding"))
def controls(request: pytest.FixtureRequest):
    return build(composed(f"grounding={request.param}").grounding)


def test_each_image_has_one_text_of_each_kind_that_is_not_its_own(controls) -> None:
    bound = controls.bind(SAMPLES, TEXTS, 0)
    assert tuple(bound) == KINDS
    for kind in KINDS:
        assert bound[kind].keys() == TEXTS.keys()
        for sample_id, texts in bound[kind].items():
            assert len(texts) == 1
            assert texts[0].strip()
            assert texts[0] not in TEXTS[sample_id]


def test_other_images_texts_contradict_only_across_classes(controls) -> None:
    classes = {TEXTS[sample.id][0]: sample.class_name for sample in SAMPLES}
    bound = controls.bind(SAMPLES, TEXTS, 0)["contradictory"]
    for sample in SAMPLES:
        assert classes[bound[sample.id][0]] != sample.class_name


def test_the_datasets_own_contradiction_comes_first(controls) -> None:
    samples = [Sample("a", "cyst", "a cyst", "a bright star"), Sample("b", "cyst", "a cyst", "a dark star")]
    bound = controls.bind(samples, {"a": ("a cyst",), "b": ("a cyst",)}, 0)["contradictory"]
    assert bound == {"a": ("a bright star",), "b": ("a dark star",)}


def test_texts_follow_seed_and_id_and_not_the_order(controls) -> None:
    bound = controls.bind(SAMPLES, TEXTS, 3)
    assert controls.bind(SAMPLES, TEXTS, 3) == bound
    assert controls.bind(SAMPLES[::-1], dict(reversed(TEXTS.items())), 3) == bound
    assert controls.bind(SAMPLES, TEXTS, 4) != bound
    assert len(set(bound["nonsense"].values())) > 1


def test_fewer_images_keep_their_absent_targets_and_nonsense(controls) -> None:
    few, all_ = (controls.bind(samples, TEXTS, 0) for samples in (SAMPLES[:4], SAMPLES))
    for kind in ("absent", "nonsense"):
        assert few[kind] == {sample.id: all_[kind][sample.id] for sample in SAMPLES[:4]}


def test_one_text_for_all_images_of_one_class_has_no_contradiction(controls) -> None:
    with pytest.raises(UserError, match=r"no text contradicts that of sample 's0'.*contradictory_texts"):
        controls.bind([Sample("s0"), Sample("s1")], {"s0": ("lungs",), "s1": ("lungs",)}, 0)


def test_given_contradictory_texts_are_used() -> None:
    given = build(composed("grounding.contradictory_texts=[a healthy scan,lungs]").grounding)
    assert given.bind([Sample("s0")], {"s0": ("lungs",)}, 0)["contradictory"] == {"s0": ("a healthy scan",)}


@pytest.mark.parametrize("wrong", ["absent_texts=[]", "nonsense_sentences=[]", "nonsense_words=0"])
def test_nothing_to_choose_from_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="grounding needs at least one"):
        build(composed(f"grounding.{wrong}").grounding)
