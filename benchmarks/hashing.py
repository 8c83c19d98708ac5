"""What hashing costs: of an upload while it streams to disk, and of signing a model.

`upload_overhead`: chunks of 1 MiB go through the storage's own `receive`, which hashes them, and
through the same with the hash left out; they take turns, each into new files, and the medians are
compared. Beside them runs a plain loop of writes with one fsync at the end.

`sign_vs_model_signing`: `spellmark sign` and `model_signing sign key` sign the same folder, in
processes of their own, in turns, with the files in the page cache for both; medians of wall time.
Nearly all bytes are in one file, which one thread has to hash: the hardest case for us. The same
with four files alike stands beside it. `model_signing verify` must accept our signature.
"""

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT / "workers")]

from result import report  # noqa: E402

MEBI = 1 << 20
# MiB of an upload, turns; MiB and number of the model's files, turns.
FULL: dict[str, Any] = {
    "upload": 1024, "upload_turns": 7, "files": [896, 96, 32], "even": [256] * 4, "sign_turns": 5,
}  # fmt: skip
QUICK: dict[str, Any] = {
    "upload": 128, "upload_turns": 5, "files": [112, 16], "even": [32] * 4, "sign_turns": 3,
}  # fmt: skip
MEANING = {
    "upload_mib": "size of the upload",
    "plain_s": "streaming it to disk by writes and one fsync, without a hash, median",
    "unhashed_s": "the same through the storage with its hash left out, median",
    "hashed_s": "the same through the storage, which hashes it, median",
    "upload_overhead": "hashed / unhashed - 1",
    "sign_mib": "size of the signed model",
    "ours_s": "`spellmark sign`, wall, median",
    "ours_shards_s": "`spellmark sign --shards`, which `model_signing verify` does not read",
    "model_signing_s": "`model_signing sign key`, wall, median",
    "sign_vs_model_signing": "ours / model_signing",
    "sign_even_vs_model_signing": "the same for as much in four files alike",
    "registered_ms": "signing the same model once it is registered: its digests are known",
    "sha256_mib_per_s": "one thread of hashlib on this machine",
}


def upload(size: int, turns: int, folder: Path) -> dict[str, float]:
    """Seconds of streaming `size` MiB to disk, with and without the hash."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["SPELLMARK_HOME"] = os.environ["SPELLMARK_STORAGE"] = str(folder)
    from registry import storage

    piece = secrets.token_bytes(MEBI)

    def chunks() -> Iterator[bytes]:
        # New bytes each time, as a socket gives them: no chunk is in the processor's cache.
        for number in range(size):
            yield number.to_bytes(8, "big") + piece[8:]

    def hashed() -> None:
        with storage.receive(chunks(), expected_size=size * MEBI) as incoming:
            assert incoming.size == size * MEBI

    def plain() -> None:
        (folder / "incoming").mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder / "incoming") as file:
            for chunk in chunks():
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def unhashed() -> None:
        with patch.object(storage, "BackgroundSha256", NoHash):
            hashed()

    times = in_turns({"hashed_s": hashed, "unhashed_s": unhashed, "plain_s": plain}, turns)
    return {**times, "upload_overhead": round(times["hashed_s"] / times["unhashed_s"] - 1, 4)}


class NoHash:
    """In the place of the storage's hash."""

    def __enter__(self) -> "NoHash":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, piece: bytes) -> None:
        """Nothing."""

    def hexdigest(self) -> str:
        """No digest."""
        return "0" * 64


def sign(sizes: list[int], turns: int, folder: Path) -> dict[str, float]:
    """Seconds of signing a folder with files of these sizes, in MiB."""
    from spellmark.certificates import keys
    from spellmark.model_files.hashing import file_digests, model_files
    from spellmark.model_files.signature import sign_digests

    model = folder / "model"
    model.mkdir(parents=True)
    for number, size in enumerate(sizes):
        with (model / f"model-{number:05}.safetensors").open("wb") as file:
            for _ in range(size):
                file.write(secrets.token_bytes(MEBI))
    key = keys.generate_p256()
    keys.save(key, folder / "key.pem")
    (folder / "public.pem").write_text(keys.public_pem(key.public_key()))

    spellmark = [sys.executable, "-m", "spellmark.cli"]
    peer = [sys.executable, "-m", "model_signing"]
    ours = [*spellmark, "sign", "model", "--key", "key.pem", "--signature", "ours.sig"]
    theirs = [
        *peer, "sign", "key", "model", "--private_key", "key.pem", "--signature", "theirs.sig"
    ]  # fmt: skip
    times = in_turns(
        {
            "ours_s": lambda: run(ours, folder),
            "model_signing_s": lambda: run(theirs, folder),
            "ours_shards_s": lambda: run([*ours, "--shards"], folder),
        },
        turns,
    )
    run(ours, folder)
    for signature in ("ours.sig", "theirs.sig"):
        check = ["verify", "key", "model", "--public_key", "public.pem", "--signature", signature]
        run([*peer, *check], folder)

    digests = file_digests(model_files(model))
    start = time.perf_counter()
    sign_digests("model", digests, key)
    return {
        **times,
        "sign_vs_model_signing": round(times["ours_s"] / times["model_signing_s"], 3),
        "registered_ms": round(1000 * (time.perf_counter() - start), 2),
    }


def in_turns(contenders: Mapping[str, Callable[[], None]], turns: int) -> dict[str, float]:
    """The median wall time of each, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, contender in contenders.items():
            # What others left to be written must not count against this one.
            os.sync()
            start = time.perf_counter()
            contender()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: round(statistics.median(taken), 3) for name, taken in times.items()}


def run(command: list[str], folder: Path) -> None:
    """Run one command; what it says counts only if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workers")}
    # Both run from compiled files, as they do where they are installed.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")


def sha256_speed() -> float:
    """MiB a second in one thread."""
    import hashlib

    data, start = secrets.token_bytes(64 * MEBI), time.perf_counter()
    hashlib.sha256(data).digest()
    return round(64 / (time.perf_counter() - start))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small honest run, under a minute")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(dir=options.folder or ROOT) as name:
        figures = {
            "upload_mib": size["upload"],
            **upload(size["upload"], size["upload_turns"], Path(name)),
            "sign_mib": sum(size["files"]),
            **sign(size["files"], size["sign_turns"], Path(name) / "one large"),
            "sign_even_vs_model_signing": sign(
                size["even"], size["sign_turns"], Path(name) / "even"
            )["sign_vs_model_signing"],
            "sha256_mib_per_s": sha256_speed(),
        }
    report("hashing", figures, MEANING, quick=options.quick)


if __name__ == "__main__":
    main()
