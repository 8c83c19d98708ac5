import numpy as np
import pytest

from spellmark.secrets import KeyFile
from spellmark.watermarks.dynamic import SCHEME, Guard, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.report_card import expected_calibration_error, report_card


def guard(**choices: int) -> Guard:
    parameters = MarkParameters(**{"classes": 10} | choices)
    file = KeyFile(SCHEME, parameters.as_dict(), bytes(32), bytes(32))
    return Guard(MarkKey.open(file))


def answers(count: int = 400):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, count)
    logits = generator.normal(0, 1, (count, 10))
    logits[np.arange(count), labels] += 3
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True), labels


def test_a_guard_without_the_label_channel_costs_no_label():
    probabilities, labels = answers()
    report = report_card(guard(), probabilities, labels, labels)
    assert report.labels_changed == 0
    assert report.accuracy_before == report.accuracy_after
    assert 0 < report.l1 <= 0.1
    assert report.confidence_after < report.confidence_before
    assert (report.strength, report.tail_bits, report.label_bits) == (50, 90, 0)
    assert report.as_dict()["test_images"] == 400


def test_the_label_channel_is_told():
    probabilities, labels = answers()
    report = report_card(guard(label_margin=200), probabilities, labels, labels)
    assert report.labels_changed > 0
    assert report.label_bits == 45


def test_the_figures_are_those_of_their_definitions():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    labels = np.array([0, 1, 1])
    report = report_card(guard(classes=2, strength=1), probabilities, labels, labels)
    assert report.nll_before == pytest.approx(-np.log([0.9, 0.4, 0.7]).mean())
    assert report.accuracy_before == pytest.approx(2 / 3)
    assert report.confidence_before == pytest.approx((0.9 + 0.6 + 0.7) / 3)
    assert report.ece_before == pytest.approx((0.1 + 0.6 + 0.3) / 3)


def test_calibration_is_measured_bin_by_bin():
    confidences = np.array([0.5, 0.5, 1.0, 1.0])
    assert expected_calibration_error(confidences, np.array([True, False, True, True])) == 0
    assert expected_calibration_error(confidences, np.zeros(4, bool)) == pytest.approx(0.75)
