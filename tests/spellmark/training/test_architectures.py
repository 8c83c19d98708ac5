import pytest
import torch

from spellmark.model_files.card import ModelCard
from spellmark.training.architectures import ARCHITECTURES, ArchitectureError, build, fresh, outline

SMALL = ("small-cnn", "small-mlp", "small-resnet")


def card(architecture: str = "small-cnn", **changes: object) -> ModelCard:
    fields = {"classes": 5, "channels": 3, "height": 32, "width": 24, **changes}
    return ModelCard(architecture=architecture, **fields)


@pytest.mark.parametrize("architecture", SMALL)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 24), (1, 4, 5)])
def test_a_small_network_answers_with_logits(architecture, channels, height, width):
    model = build(card(architecture, channels=channels, height=height, width=width))
    answers = model(torch.rand(6, channels, height, width))
    assert answers.shape == (6, 5)
    assert answers.dtype == torch.float32


@pytest.mark.parametrize("architecture", SMALL)
def test_the_config_says_the_width_of_a_small_network(architecture):
    def size(**config: int) -> int:
        return sum(part.numel() for part in build(card(architecture, config=config)).parameters())

    assert size(width=8) < size()
    with pytest.raises(ArchitectureError, match=f"describes no “{architecture}” model"):
        size(depth=8)


def test_the_outline_takes_no_memory_and_no_random_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = outline(card())
    assert all(part.is_meta for part in model.state_dict().values())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fresh_model_depends_on_its_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (fresh(card("small-mlp"), seed).head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_refuses_a_billion_weights_before_it_takes_memory():
    # Its first linear layer alone would take 69 gigabytes.
    with pytest.raises(ArchitectureError, match="more than 1,000,000,000 numbers"):
        build(card(height=4096, width=4096))


def test_it_refuses_an_image_too_small():
    with pytest.raises(ArchitectureError, match="takes 3×3×3 images"):
        build(card(height=3, width=3))


def test_it_names_the_architectures_it_knows():
    with pytest.raises(ArchitectureError, match="“vast-net” is not known") as caught:
        build(card("vast-net"))
    assert all(name in caught.value.hint for name in ARCHITECTURES)
