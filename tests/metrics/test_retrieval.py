import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medsam_exp.metrics import retrieval
from medsam_exp.metrics.retrieval import CaptionedImages, caption_groups
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.types import UserError


def pairs(query: Tensor, key: Tensor, groups: Tensor) -> CaptionedImages:
    """One caption an image."""
    return CaptionedImages(query, key, torch.arange(len(query)), groups)


def recall_at_k(query: Tensor, key: Tensor, groups: Tensor, **options: Any) -> dict[int, Tensor]:
    return pairs(query, key, groups).of_all(**options)["image_to_text"]


def batched_top_k(query: Tensor, key: Tensor, groups: Tensor, **options: Any) -> dict[int, Tensor]:
    return pairs(query, key, groups).in_batches(**options, drop_last=True)["image_to_text"]


def retrieval_figures(image: Tensor, text: Tensor, groups: Tensor, **options: Any) -> dict[str, Any]:
    return retrieval.retrieval_figures(pairs(image, text, groups), **options, drop_last=True)


def slow_hits(query: Tensor, key: Tensor, groups: list[int], k: int) -> list[float]:
    """Share of all orders of tied keys in which a right one is among the first k, by listing every order."""
    hits = []
    for row, vector in enumerate(query.double()):
        cosines = [round(float(vector @ other / vector.norm() / other.norm()), 9) for other in key.double()]
        orders = [
            order
            for order in itertools.permutations(range(len(key)))
            if all(cosines[a] >= cosines[b] for a, b in itertools.pairwise(order))
        ]
        hits.append(np.mean([any(groups[j] == groups[row] for j in order[:k]) for order in orders]))
    return hits


def random_pairs(count: int, seed: int = 0, noise: float = 2.0) -> tuple[Tensor, Tensor]:
    """Embeddings whose partners are near each other."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(count, 8, generator=generator)
    return image, image + noise * torch.randn(count, 8, generator=generator)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_many_ties_and_duplicates_equal_the_mean_over_all_orders(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    query, key = (torch.tensor(generator.choice([-1.0, 1.0], (6, 2))) for _ in range(2))
    groups = generator.integers(0, 4, 6)
    found = recall_at_k(query, key, torch.tensor(groups), ks=(k,))[k]
    assert found.tolist() == pytest.approx(slow_hits(query, key, groups.tolist(), k))


def test_without_ties_it_is_the_rank_of_the_partner() -> None:
    query, key = random_pairs(80)
    found = recall_at_k(query, key, torch.arange(80), ks=(1, 5, 10))
    unit = [each / each.norm(dim=1, keepdim=True) for each in (query.double(), key.double())]
    for row, line in enumerate(unit[0] @ unit[1].T):
        place = sum(float(value) > float(line[row]) for value in line)
        assert {k: float(hits[row]) for k, hits in found.items()} == {k: float(place < k) for k in (1, 5, 10)}
    assert 0.05 < found[1].mean() < found[5].mean() < found[10].mean() < 0.95


@pytest.mark.parametrize("rows", [1, 7, 80, 1000])
def test_rows_at_once_change_nothing(rows: int) -> None:
    query, key = random_pairs(80)
    groups = torch.arange(80) // 2
    whole, chunked = (recall_at_k(query, key, groups, rows_at_once=n) for n in (None, rows))
    assert all(torch.equal(whole[k], chunked[k]) for k in whole)


def test_no_square_of_all_pairs_is_ever_in_memory() -> None:
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    query, key = random_pairs(300)
    with Watch():
        recall_at_k(query, key, torch.arange(300), rows_at_once=10)
    assert 10 * 300 <= largest < 300 * 300 / 4


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1234567])
@pytest.mark.parametrize("width", [1, 512])
def test_a_collapsed_model_scores_chance(value: float, width: int) -> None:
    """Chance that one of c right ones is among k of N drawn: 1 - C(N - c, k) / C(N, k)."""
    groups = torch.tensor([0] * 3 + list(range(1, 98)))
    alike = torch.full((100, width), value)
    for k, hits in recall_at_k(alike, alike, groups).items():
        for row, right in ((0, 3), (50, 1)):
            assert float(hits[row]) == pytest.approx(1 - math.comb(100 - right, k) / math.comb(100, k))
    batched = batched_top_k(alike, alike, torch.arange(100), batch_size=50, shuffles=2, seed=0)
    assert batched[1].unique().tolist() == pytest.approx([1 / 50])
    assert batched[2].unique().tolist() == pytest.approx([2 / 50])


def test_rounding_decides_nothing() -> None:
    """A collapsed model whose embeddings differ in their last bits still scores chance."""
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(512, generator=generator)
    nearly = [one * (1 + 1e-7 * torch.randn(64, 1, generator=generator)) for _ in range(2)]
    hits = recall_at_k(*nearly, torch.arange(64), ks=(1,))[1]
    assert hits.mean() == pytest.approx(1 / 64)


def test_random_embeddings_score_chance_and_perfect_ones_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(2000, 16, generator=generator) for _ in range(2))
    options = {"batch_size": 50, "shuffles": 5, "seed": 0}
    figures = retrieval_figures(image, text, torch.arange(2000), **options)
    for name, figure in figures.items():
        assert figure["mean"] == pytest.approx(figure["chance"], abs=0.012), name
    assert figures["top2_image_to_text"]["chance"] == pytest.approx(0.04)
    assert figures["recall5_text_to_image"]["chance"] == pytest.approx(5 / 2000)
    perfect = retrieval_figures(image, 3 * image, torch.arange(2000), **options)
    assert {figure["mean"] for figure in perfect.values()} == {1.0}


def test_batches_equal_a_slow_loop() -> None:
    query, key = random_pairs(23)
    groups = [row % 20 for row in range(23)]
    hits = batched_top_k(query, key, torch.tensor(groups), batch_size=5, shuffles=3, seed=4)
    for shuffle in range(3):
        order = torch.randperm(23, generator=torch_generator(4, "retrieval", shuffle)).tolist()
        for k in (1, 2):
            expected = [math.nan] * 23
            for start in range(0, 20, 5):
                batch = order[start : start + 5]
                found = slow_hits(query[batch], key[batch], [groups[row] for row in batch], k)
                for row, hit in zip(batch, found, strict=True):
                    expected[row] = hit
            assert hits[k][shuffle].tolist() == pytest.approx(expected, nan_ok=True)


def test_an_incomplete_batch_is_left_out_and_one_whole_batch_is_all_pairs() -> None:
    query, key = random_pairs(23)
    groups = torch.arange(23) % 20
    hits = batched_top_k(query, key, groups, batch_size=7, shuffles=3, seed=5)
    assert hits[1].isnan().sum(1).tolist() == [23 % 7] * 3
    for k, found in batched_top_k(query, key, groups, batch_size=23, shuffles=1, seed=5).items():
        assert found[0].tolist() == recall_at_k(query, key, groups, ks=(k,))[k].tolist()


def test_shuffles_depend_on_the_seed_alone() -> None:
    query, key = random_pairs(40)
    groups = torch.arange(40)
    options = {"batch_size": 9, "shuffles": 4}
    first, again, other = (batched_top_k(query, key, groups, seed=s, **options)[1] for s in (0, 0, 1))
    assert torch.equal(first.nan_to_num(2), again.nan_to_num(2))
    assert not torch.equal(first.isnan(), other.isnan())
    assert len({tuple(row.isnan().tolist()) for row in first}) == 4, "every shuffle is another one"
    fewer = batched_top_k(query, key, groups, seed=0, batch_size=9, shuffles=2)[1]
    assert torch.equal(first[:2].nan_to_num(2), fewer.nan_to_num(2))


def test_length_and_type_of_embeddings_do_not_matter() -> None:
    query, key = random_pairs(40)
    stretched = query.double() * torch.linspace(0.1, 90, 40)[:, None]
    groups = torch.arange(40)
    assert torch.equal(recall_at_k(query, key, groups)[5], recall_at_k(stretched, key, groups)[5])


def test_equal_texts_are_each_others_right_answers() -> None:
    groups = caption_groups(["a lesion", "no lesion", "a lesion", "A lesion"])
    assert groups.tolist() == [0, 1, 0, 2]
    image = torch.eye(4)
    text = torch.eye(4)[[2, 1, 0, 3]]  # images 0 and 2 point at each other's text
    assert recall_at_k(image, text, groups, ks=(1,))[1].tolist() == [1, 1, 1, 1]
    assert recall_at_k(image, text, torch.arange(4), ks=(1,))[1].tolist() == [0, 1, 0, 1]


def test_figures_have_the_form_of_other_metrics() -> None:
    image, text = random_pairs(47)
    figures = retrieval_figures(image, text, torch.arange(47), batch_size=10, shuffles=5, seed=3)
    names = [
        f"{m}_{d}"
        for d in ("image_to_text", "text_to_image")
        for m in ("top1", "top2", "recall1", "recall5", "recall10")
    ]
    assert list(figures) == names
    for figure in figures.values():
        assert list(figure) == ["mean", "std", "ci95", "n", "chance"]
        assert figure["ci95"][0] <= figure["mean"] <= figure["ci95"][1]
        assert figure["chance"] < figure["mean"]
    hits = batched_top_k(text, image, torch.arange(47), batch_size=10, shuffles=5, seed=3)[1]
    by_shuffle = [np.nanmean(row.numpy()) for row in hits]
    assert figures["top1_text_to_image"]["mean"] == pytest.approx(np.mean(by_shuffle))
    assert figures["top1_text_to_image"]["std"] == pytest.approx(np.std(by_shuffle, ddof=1))
    once = retrieval_figures(image, text, torch.arange(47), batch_size=10, shuffles=1, seed=3)
    assert once["top1_image_to_text"]["std"] == 0
    assert once["top1_image_to_text"]["n"] == 40


def test_too_few_pairs_for_a_batch_are_named() -> None:
    image, text = random_pairs(12)
    with pytest.raises(UserError, match="There are 12 pairs, fewer than one retrieval batch of 50"):
        batched_top_k(image, text, torch.arange(12), batch_size=50, shuffles=5, seed=0)


def test_a_broken_embedding_is_no_hit() -> None:
    image, text = random_pairs(12)
    image[3] = torch.nan
    with pytest.raises(ValueError, match="1 of 12 embeddings are not finite"):
        recall_at_k(image, text, torch.arange(12))


def test_pairs_of_known_patients_are_drawn_by_patient() -> None:
    image, text = random_pairs(40)
    told = {"batch_size": 15, "shuffles": 2, "seed": 3}
    patients = [f"p{number // 4}" for number in range(40)]
    alone, together = (
        retrieval_figures(image, text, caption_groups(list(map(str, range(40)))), **told, clusters=clusters)
        for clusters in (None, patients)
    )
    for name, figure in together.items():
        assert figure["patients"] == 10
        assert (figure["mean"], figure["std"], figure["n"]) == (
            alone[name]["mean"],
            alone[name]["std"],
            alone[name]["n"],
        )
    assert together["recall5_image_to_text"]["ci95"] != alone["recall5_image_to_text"]["ci95"]
