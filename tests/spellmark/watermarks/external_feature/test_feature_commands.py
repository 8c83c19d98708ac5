"""`spellmark keygen --scheme external-feature` as people type it."""

import json
import stat
from pathlib import Path

from spellmark.cli import main
from spellmark.secrets import KeyFile
from spellmark.watermarks.external_feature import SCHEME

KEYGEN = ["--scheme", "external-feature", "--height", "28", "--width", "28"]


def test_a_key_is_made_and_committed_to(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN, "--classes", "5", "--strength", "60"]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = KeyFile.load(path)
    assert (key.scheme, key.parameters) == (SCHEME, {
        "classes": 5, "channels": 1, "height": 28, "width": 28, "strength": 60, "grid": 7,
        "waves": 6,
    })  # fmt: skip
    capsys.readouterr()
    assert main(["commit", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"digest": key.commitment(), "scheme": SCHEME, "parameters": key.parameters}


def test_numbers_that_make_no_style_are_refused(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN, "--waves", "99"]) == 2
    assert "waves is a whole number from 1 to 32" in capsys.readouterr().err
    assert not path.exists()
