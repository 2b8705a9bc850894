from medsam_exp.saliency.grounding.control_texts import ControlTexts
from medsam_exp.types import Sample


def test_no_control_holds_for_another_class_of_the_image_and_order_does_not_matter() -> None:
    shared = [Sample("1", "A"), Sample("2", "B"), Sample("3", "A"), Sample("4", "B")]
    texts = {"1": ("round mass",), "2": ("round mass",), "3": ("bright spot",), "4": ("dark spot",)}
    source = ControlTexts(None, ["a polyp"], ["a red car"], 3)
    bound = source.bind(shared, texts, 0)
    assert bound == source.bind(shared[::-1], texts, 0)
    assert bound["contradictory"]["4"] == ("bright spot",)  # "round mass" is said of its own class too
    one_image = [
        Sample("x@A", "A", image_id="x"),
        Sample("x@B", "B", image_id="x"),
        Sample("y@C", "C", image_id="y"),
    ]
    said = {"x@A": ("an A",), "x@B": ("a B",), "y@C": ("a C",)}
    chosen = source.bind(one_image, said, 0)["contradictory"]
    assert (chosen["x@A"], chosen["x@B"]) == (("a C",), ("a C",))
