"""`spellmark keygen --scheme trigger-watermark` as people type it."""

import json
import stat
from pathlib import Path

from spellmark.cli import main
from spellmark.secrets import KeyFile
from spellmark.watermarks.trigger import SCHEME

KEYGEN = ["--scheme", "trigger-watermark", "--height", "28", "--width", "28"]


def test_a_key_is_made_and_committed_to(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN, "--classes", "5", "--triggers", "128"]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = KeyFile.load(path)
    assert (key.scheme, key.parameters) == (SCHEME, {
        "classes": 5, "channels": 1, "height": 28, "width": 28, "triggers": 128, "queries": 64,
        "digits": 6, "grid": 7,
    })  # fmt: skip
    capsys.readouterr()
    assert main(["commit", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"digest": key.commitment(), "scheme": SCHEME, "parameters": key.parameters}


def test_numbers_that_make_no_watermark_are_refused(tmp_path: Path, capsys):
    path = tmp_path / "owner.spellkey"
    assert main(["keygen", str(path), *KEYGEN, "--triggers", "32"]) == 2
    assert "at most its triggers" in capsys.readouterr().err
    assert not path.exists()
