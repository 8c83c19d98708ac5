import numpy as np
import pytest
import torch

from spellmark.attacks.attack import AttackError
from spellmark.attacks.extract.removals import distilled, fine_tuned, pruned, quantised
from spellmark.attacks.extract.training import Trainer, copy_card
from spellmark.training.architectures import fresh
from spellmark.training.inference import predict_probabilities
from tests.spellmark.attacks.easy_locks import images
from tests.spellmark.attacks.extract.easy_guard import CARD, MLP


def _weights(model) -> dict[str, np.ndarray]:
    return {name: part.detach().numpy() for name, part in model.named_parameters() if part.ndim > 1}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_pruning_zeroes_the_smallest_weights_of_all_layers(share):
    model = fresh(CARD, 0)
    before, after = _weights(model), _weights(pruned(model, share))
    flat, left = (np.concatenate([w.ravel() for w in part.values()]) for part in (before, after))
    assert (left == 0).sum() == round(share * len(flat))
    kept = left != 0
    assert np.array_equal(flat[kept], left[kept])
    if 0 < share < 1:
        assert np.abs(flat[~kept]).max() <= np.abs(flat[kept]).min()
        # A global share: layers differ in how much they lose.
        assert len({round(float((w == 0).mean()), 2) for w in after.values()}) > 1


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_quantised_weights_take_few_values(bits):
    model = fresh(CARD, 0)
    before, after = _weights(model), _weights(quantised(model, bits))
    for name, weight in after.items():
        assert len(np.unique(weight)) <= 2**bits - 1
        step = np.abs(before[name]).max() / (2 ** (bits - 1) - 1)
        assert np.abs(weight - before[name]).max() <= step * 0.501


def test_a_bit_holds_no_weight():
    with pytest.raises(AttackError, match="1 bits"):
        quantised(fresh(MLP, 0), 1)


def test_biases_and_the_model_itself_stay_as_they_are():
    model = fresh(CARD, 0)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    for changed in (pruned(model, 0.5), quantised(model, 3)):
        state = changed.state_dict()
        assert all(torch.equal(state[n], p) for n, p in before.items() if p.ndim < 2)
    assert all(torch.equal(p, before[n]) for n, p in model.state_dict().items())


def test_fine_tuning_learns_true_labels_on_a_copy_of_the_network():
    few = images()[1][:60]
    model = fresh(MLP, 0)
    before = model.head.weight.clone()
    tuned = fine_tuned(model, MLP, few, epochs=150, seed=0)
    answers = predict_probabilities(tuned, MLP, few.images).argmax(1)
    assert (answers == few.labels).mean() > 0.9
    assert torch.equal(model.head.weight, before)
    with pytest.raises(AttackError, match="no labelled images"):
        fine_tuned(model, MLP, few[:0], epochs=1, seed=0)


def test_a_distilled_network_answers_as_its_teacher_did():
    pictures = images()[1].images[:300]
    teacher = fine_tuned(fresh(MLP, 0), MLP, images()[1][:300], epochs=40, seed=0)
    student_card = copy_card(CARD, "small-cnn")
    trainer = Trainer(student_card, epochs=1, steps=150, seed=3)
    student = distilled(teacher, MLP, pictures, trainer)
    given, found = (
        predict_probabilities(model, card, pictures)
        for model, card in ((teacher, MLP), (student, student_card))
    )
    assert (given.argmax(1) == found.argmax(1)).mean() > 0.85
    assert np.abs(given - found).mean() < 0.05
