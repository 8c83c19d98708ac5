import os
import subprocess
import sys

from config.supervisor import ROOT

HEAVY = ("torch", "diffusers", "transformers", "matplotlib", "onnx", "tasks")


def test_the_web_process_loads_nothing_heavy():
    code = (
        "import sys, config.wsgi, django.urls\n"
        "django.urls.get_resolver().url_patterns\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}/platform:{ROOT}/workers"}
