from dataclasses import replace

import pytest

from spellmark.locks.prompt_lock.parameters import PromptLockError, PromptLockParameters

PARAMETERS = PromptLockParameters(editor="a" * 64)


def test_parameters_go_through_a_key_file():
    chosen = replace(PARAMETERS, steps=5, guidance="4.5", image_guidance="1.5", alpha=40, size=256)
    assert PromptLockParameters.from_dict(chosen.as_dict()) == chosen
    assert all(isinstance(value, int | str) for value in chosen.as_dict().values())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"editor": "abc"}, "editor is the digest"),
        ({"alpha": 101}, "alpha is a whole number from 0 to 100"),
        ({"alpha": True}, "alpha is a whole number"),
        ({"steps": 0}, "steps is a whole number from 1"),
        ({"guidance": "4,5"}, "guidance is a number such as 4.5"),
        ({"guidance": "4.50"}, "guidance is a number such as 4.5"),
        ({"reading": "song"}, "reading is one of: spell, prompt"),
        ({"scheduler": "os.system"}, "scheduler is the name"),
        ({"reading": "prompt", "subkeys": 2}, "One prompt cannot be several keys"),
    ],
)
def test_wrong_parameters_are_refused(wrong, sentence):
    with pytest.raises(PromptLockError, match=sentence):
        PromptLockParameters.from_dict({**PARAMETERS.as_dict(), **wrong})


def test_missing_and_unknown_parameters_are_refused():
    values = PARAMETERS.as_dict()
    with pytest.raises(PromptLockError, match="unknown “colour”"):
        PromptLockParameters.from_dict({**values, "colour": 1})
    del values["alpha"]
    with pytest.raises(PromptLockError, match="lack “alpha”"):
        PromptLockParameters.from_dict(values)
