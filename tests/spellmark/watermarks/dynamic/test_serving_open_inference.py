import json
from types import SimpleNamespace

import numpy as np
import pytest

from spellmark.watermarks.dynamic import DynamicMarkError
from spellmark.watermarks.dynamic.serving.open_inference import guard_outputs, guard_response
from tests.spellmark.watermarks.dynamic.mark_samples import (
    answers_of,
    guard_file_of,
    guard_of,
    inputs_of,
)

ANSWERS = answers_of(6)
LABELS = {"name": "label", "shape": [6], "datatype": "INT64", "data": [0, 1, 2, 3, 4, 0]}


def tensor(data, datatype="FP64", name="probabilities", shape=(6, 5)) -> dict:
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": data}


def test_flat_nested_and_array_data_are_marked_and_stay_what_they_are():
    guard = guard_of()
    expected = guard(ANSWERS)
    flat, nested, array, labels = guard_outputs(
        guard,
        {
            "outputs": [
                tensor(ANSWERS.ravel().tolist()),
                tensor(ANSWERS.tolist()),
                tensor(ANSWERS),
                LABELS,
            ]
        },
    )["outputs"]
    assert flat["data"] == expected.ravel().tolist()
    assert nested["data"] == expected.tolist()
    assert (array["data"] == expected).all()
    assert labels is LABELS


def test_single_precision_stays_single():
    data = ANSWERS.astype(np.float32)
    response = {"outputs": [tensor(data.tolist(), "FP32")]}
    marked = guard_outputs(guard_of(), response)["outputs"][0]["data"]
    assert marked == guard_of()(data).tolist()
    file = guard_file_of(more={"decimals": 3})
    rounded = guard_outputs(file.guard(), response)["outputs"][0]["data"]
    assert max(len(str(number)) for row in rounded for number in row) == 5


def test_cells_look_at_the_request():
    guard, inputs = guard_file_of(cells=4).guard(), inputs_of(6)
    asked = {"name": "input", "shape": [6, 1, 8, 8], "datatype": "UINT8"}
    response = {"outputs": [tensor(ANSWERS.tolist())]}
    for data in (inputs.tolist(), inputs.ravel().tolist()):
        marked = guard_outputs(guard, response, {"inputs": [{**asked, "data": data}]})
        assert marked["outputs"][0]["data"] == guard(ANSWERS, inputs).tolist()
    for request in (None, {}, {"inputs": []}, {"inputs": [{**asked, "data": [1, 2]}]}):
        with pytest.raises(DynamicMarkError):
            guard_outputs(guard, response, request)


def test_v1_predictions_are_marked():
    guard = guard_of()
    marked = guard_outputs(guard, {"predictions": ANSWERS.tolist(), "more": 1})
    assert marked == {"predictions": guard(ANSWERS).tolist(), "more": 1}
    cells, inputs = guard_file_of(cells=4).guard(), inputs_of(6)
    asked = {"instances": inputs.tolist()}
    marked = guard_outputs(cells, {"predictions": ANSWERS.tolist()}, asked)
    assert marked["predictions"] == cells(ANSWERS, inputs).tolist()


@pytest.mark.parametrize(
    "response",
    [
        [],
        {"name": "model", "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1, 5]}]},
        {"error": "no such model"},
        {"outputs": [LABELS]},
        {"predictions": [1, 2, 3]},
        # Five classes: a shape, labels, counts, times, one probability.
        {"shape": [5, 3, 224, 224, 1], "labels": [4.0, 0.0, 1.0, 2.0, 3.0]},
        {"took": 12.5, "of": 20, "label": "cat", "score": 0.9},
        {"boxes": [[1.5, 2.5, 3.5, 4.5]]},
    ],
)
def test_what_holds_no_probabilities_is_left_alone(response):
    assert guard_outputs(guard_of(), response) is response


@pytest.mark.parametrize(
    "response",
    [
        {"outputs": [tensor(ANSWERS.tolist(), shape=(6, 1, 5))]},
        {"outputs": [tensor([0.5] * 12, shape=(6, 2))]},
        {"outputs": [tensor(np.log(ANSWERS + 1e-9).tolist())]},
        {"outputs": [tensor([["a"] * 5] * 6)]},
        {"outputs": [tensor([[0.5, 0.5], [1.0]])]},
        {"outputs": [tensor(ANSWERS.tolist()), tensor([1.5], name="embedding", shape=(1, 1))]},
        {"outputs": [{**tensor(None), "parameters": {"binary_data_size": 240}}]},
        {"predictions": [{"probabilities": [1, 0, 0, 0, 0]}]},
        {"predictions": [0.5, 0.5]},
        # Formats that the guard does not know.
        ANSWERS.tolist(),
        {"probabilities": ANSWERS.tolist()},
        {"outputs": ANSWERS.tolist()},
        {"outputs": {"probabilities": ANSWERS.tolist()}},
        [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}],
        {"outputs": [tensor(ANSWERS.tolist())], "raw": {"cat": 0.9, "dog": 0.1}},
        {"predictions": ANSWERS.tolist(), "more": [[0.5, 0.5]]},
        # Probabilities in other clothes: logits, log-probabilities, percentages, by class or not.
        {"logits": [[3.1, -0.2, 1.5, 2.25, -4.0]]},
        {"logits": [3.0, -2.0, 1.0, 2.5, -4.0], "label": "cat"},
        {"logprobs": np.log(ANSWERS[0] + 1e-9).tolist()},
        {"percent": {"cat": 93.1, "dog": 4.0, "cow": 2.0, "owl": 0, "fox": 1}},
        {"label": "cat", "cat": 93.1, "dog": 4.0, "cow": 2.0, "owl": 0, "fox": 1},
        {"predictions": ANSWERS.tolist(), "logits": np.log(ANSWERS + 1e-9)},
        {"outputs": [tensor(ANSWERS.tolist()), tensor(np.log(ANSWERS + 1e-9).tolist(), "STRING")]},
    ],
)
def test_what_it_cannot_mark_is_refused(response):
    with pytest.raises(DynamicMarkError) as caught:
        guard_outputs(guard_of(), response)
    assert caught.value.hint


def test_of_two_classes_one_share_tells_both():
    guard = guard_of(classes=2, cells=1)
    for answer in (0.93, {"label": "cat", "score": 0.93}, [{"score": 0.93}], {"logits": [2.5, -1]}):
        with pytest.raises(DynamicMarkError, match="may tell probabilities"):
            guard_outputs(guard, answer)
    for answer in ({"label": "cat", "version": 1.5}, {"shape": [1, 2], "labels": [0, 1]}, [1, 0]):
        assert guard_outputs(guard, answer) is answer


def test_the_output_to_mark_can_be_named():
    others = tensor([1.5], name="embedding", shape=(1, 1))
    response = {"outputs": [tensor(ANSWERS.tolist()), others]}
    marked = guard_outputs(guard_of(), response, output="probabilities")
    assert marked["outputs"][1] is others
    assert marked["outputs"][0]["data"] == guard_of()(ANSWERS).tolist()
    assert json.dumps(marked)


def test_objects_are_changed_in_place():
    output = SimpleNamespace(**tensor(ANSWERS.ravel().tolist()))
    response = SimpleNamespace(outputs=[output, SimpleNamespace(**LABELS)])
    assert guard_response(guard_of(), response) is response
    assert output.data == guard_of()(ANSWERS).ravel().tolist()


def test_objects_with_other_outputs_that_may_tell_probabilities_are_refused():
    logits = SimpleNamespace(**tensor(np.log(ANSWERS + 1e-9), "STRING", name="logits"))
    response = SimpleNamespace(outputs=[SimpleNamespace(**tensor(ANSWERS)), logits])
    with pytest.raises(DynamicMarkError, match="may tell probabilities"):
        guard_response(guard_of(), response)
    guard_response(guard_of(), response, output="probabilities")
