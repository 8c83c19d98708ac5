"""What takes long is measured once: results by their settings, in an ignored folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parent / "cache"
# Of the code that edits images and draws negatives: whoever changes what it does raises the number,
# so that nothing is taken from before.
EDITS = 2
EDITS_FOLDER = CACHE / f"edits-{EDITS}"


def kept(kind: str, settings: object, measure: Callable[[], Any]) -> Any:
    """What `measure` gave for these settings, now or in an earlier run: anything JSON can hold.

    settings: whatever the result hangs on; its repr tells one from another.
    """
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"{kind}{hashlib.sha256(repr(settings).encode()).hexdigest()[:24]}.json"
    if not path.exists():
        path.write_text(json.dumps(measure()))
    return json.loads(path.read_text())
