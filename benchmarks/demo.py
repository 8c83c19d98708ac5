"""Times the newcomer's way: a clean clone, one command, the story's end; and a second start."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from result import report

ROOT = Path(__file__).resolve().parents[1]
MEANING = {
    "install_s": "seconds to make .venv and install, in a fresh clone with an empty home",
    "story_s": "seconds of the story itself",
    "first_demo_s": "seconds of `make demo ARGS=--exit` after the installation",
    "second_start_s": "seconds of the same command once more",
    "right_accuracy": "locked model, right key",
    "plain_accuracy": "locked model, plain images",
    "wrong_mean": "locked model, mean over 1,000 wrong keys",
    "thief_p": "exact p-value of the thief's copy, by keyed labels",
    "innocent_p": "p-value of the innocent model",
    "spell_right": "prompt lock: the right spell",
    "spell_wrong_mean": "prompt lock: mean over 100 random spells",
    "spell_near_mean": "prompt lock: mean over texts near the spell",
    "copy_p": "p-value of the copy of the guarded API, by its mark",
    "copy_questions": "questions until that decision",
    "guard_innocent_p": "p-value of the innocent model, by the guard's mark",
}


def main() -> None:
    """Clone, install, tell the story, start again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="use this tree's own .venv instead of installing"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spellmark-bench-") as folder:
        clone, home = Path(folder) / "spellmark", Path(folder) / "home"
        home.mkdir()
        _run(["git", "clone", "--quiet", str(ROOT), str(clone)], clone.parent, home)
        if options.quick:
            (clone / ".venv").symlink_to(ROOT / ".venv")
            install = 0.0
        else:
            install = _run(["make", ".venv/installed"], clone, home)
        first = _run(["make", "demo", "ARGS=--exit"], clone, home)
        second = _run(["make", "demo", "ARGS=--exit"], clone, home)
        story = json.loads((clone / "var/demo/figures.json").read_text())
    figures = {
        "install_s": round(install, 1),
        "story_s": story["story_s"],
        "first_demo_s": round(first, 1),
        "second_start_s": round(second, 1),
        **{
            name: float(f"{story[name]:.3g}")
            for name in (
                "unprotected_accuracy", "right_accuracy", "plain_accuracy", "wrong_mean",
                "wrong_p95", "wrong_max", "thief_accuracy", "innocent_accuracy", "thief_p",
                "innocent_p", "spell_right", "spell_plain", "spell_wrong_mean", "spell_wrong_max",
                "spell_near_mean", "guard_labels_changed", "guard_l1", "copy_accuracy", "copy_p",
                "copy_questions", "guard_innocent_p",
            )
        },
    }  # fmt: skip
    report("demo", figures, MEANING, quick=options.quick)


def _run(command: list[str], folder: Path, home: Path) -> float:
    """Run a command with an empty home folder; how long it took in seconds."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, env={**os.environ, "HOME": str(home)})
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with code {done.returncode}")
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
