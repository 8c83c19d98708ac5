import os
import subprocess
import sys

import numpy as np

from config.supervisor import ROOT

HEAVY = ("torch", "numba", "diffusers", "transformers", "matplotlib", "onnx", "tasks")


def test_the_web_process_loads_nothing_heavy():
    assert _heavy_after("") == "[]"


def test_drawing_large_sample_images_loads_nothing_heavy(tmp_path):
    images, labels = np.zeros((12, 224, 224, 3), np.uint8), np.arange(12) % 10
    np.savez(
        tmp_path / "large.npz",
        train_images=images, train_labels=labels, test_images=images, test_labels=labels,
    )  # fmt: skip
    code = (
        "from protection import options, samples\n"
        "card = dict(architecture='small-cnn', classes=10, channels=3, height=224, width=224)\n"
        "assert samples.sample_sheet('large', card, options.recommended(card))\n"
    )
    assert _heavy_after(code, SPELLMARK_DATA=str(tmp_path)) == "[]"


def _heavy_after(code: str, **environment: str) -> str:
    """What of the heavy modules the web process has loaded after running this."""
    code = (
        "import sys, config.wsgi, django.urls\n"
        f"django.urls.get_resolver().url_patterns\n{code}"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/platform:{ROOT}/workers", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
