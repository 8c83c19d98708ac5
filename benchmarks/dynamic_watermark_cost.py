"""What a guard costs: microseconds an answer, and the share of a real server's throughput.

The microseconds are the median over single answers, on one thread. The throughput is that of the
demo's LitServe server with a small model, once bare and once guarded: both run all the time and are
asked in turns, so that whatever else the machine does meets both alike.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import torch
from result import report
from scipy import stats

# For the demo's server; a benchmark beside this one has the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.people import CARD
from demo.served import served
from spellmark.secrets import KeyFile
from spellmark.training import architectures, weights
from spellmark.watermarks.dynamic import SCHEME, Guard, GuardFile, MarkKey, MarkParameters
from spellmark.watermarks.dynamic.guard import calibrate
from spellmark.watermarks.dynamic.parameters import recommended

CLIENTS = 4
# What the answers are about: read where inputs are cut into cells.
IMAGES = np.random.default_rng(2).integers(0, 256, (500, 1, 28, 28), np.uint8)
MEANING = {
    "guard_us_10": "microseconds to mark an answer of 10 classes, one thread, median",
    "guard_us_1000": "the same for 1,000 classes",
    "label_channel_us_10": "the same for 10 classes with the label channel on",
    "decimals_us_10": "the same for 10 classes rounded to six decimals",
    "cells_us_2": "the same for 2 classes with 32 cells, about images of 28 by 28",
    "top_5_us_1000": "the same for 1,000 classes of which the five likeliest are sent",
    "throughput_loss": "share of a LitServe server's answers a second that the guard costs, median",
    "throughput_loss_low": "the same, lower end of its exact 95 % interval over the pairs",
    "throughput_loss_high": "the same, upper end",
    "bare_per_second": "answers a second without the guard, median over turns",
    "guarded_per_second": "the same with it",
    "turns": "pairs of turns that the medians are over",
}


def main() -> None:
    """Time the guard alone, then in front of a server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer answers and turns")
    options = parser.parse_args()
    torch.set_num_threads(1)
    answers = 2_000 if options.quick else 50_000
    figures: dict[str, Any] = {
        f"guard_us_{classes}": _microseconds(Guard(MarkKey.open(_key_file(classes))), answers)
        for classes in (10, 1000)
    }
    close = MarkKey.open(_key_file(10, label_margin=50))
    figures["label_channel_us_10"] = _microseconds(Guard(close), answers)
    rounded = Guard(MarkKey.open(_key_file(10)), decimals=6)
    figures["decimals_us_10"] = _microseconds(rounded, answers)
    figures["cells_us_2"] = _microseconds(_with_cells(), answers)
    few = Guard(MarkKey.open(_key_file(1000)), top_k=5)
    figures["top_5_us_1000"] = _microseconds(few, answers)
    turns, requests = (8, 100) if options.quick else (40, 400)
    report(
        "dynamic_watermark_cost",
        {**figures, **_throughput(turns, requests)},
        MEANING,
        quick=options.quick,
    )


def _key_file(classes: int, **choices: int) -> KeyFile:
    return KeyFile.generate(SCHEME, MarkParameters(classes=classes, **choices).as_dict())


def _with_cells() -> Guard:
    """As few classes as there can be, with as many cells as a key for them gets."""
    best = recommended(2)
    key = MarkKey.open(_key_file(2, cells=best.cells))
    return Guard(key, thresholds=calibrate(key, _answers(2), IMAGES))


def _answers(classes: int) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(0).dirichlet(np.full(classes, 0.3), len(IMAGES))
    return drawn.astype(np.float32)


def _microseconds(guard: Guard, count: int) -> float:
    batches = [
        (row[None], image[None] if guard.cells > 1 else None)
        for row, image in zip(_answers(guard.classes), IMAGES, strict=True)
    ]
    for batch in batches:
        guard(*batch)  # draws the rows of the key
    taken = []
    for number in range(count):
        batch = batches[number % len(batches)]
        begin = time.perf_counter()
        guard(*batch)
        taken.append(time.perf_counter() - begin)
    return round(statistics.median(taken) * 1e6, 2)


def _throughput(turns: int, requests: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="spellmark-bench-") as name:
        folder = Path(name)
        torch.manual_seed(0)
        weights.save(architectures.build(CARD), CARD, folder / "model.safetensors")
        # The demo's server rounds to six decimals; so both servers send as many bytes.
        GuardFile(key=_key_file(CARD.classes), decimals=6).save(folder / "guard.json")
        served_model, guard = str(folder / "model.safetensors"), str(folder / "guard.json")
        one_thread = {"OMP_NUM_THREADS": "1"}
        with (
            served("demo.serve", served_model, log=folder / "bare.log", **one_thread) as bare,
            served(
                "demo.serve",
                served_model,
                log=folder / "guarded.log",
                SPELLMARK_GUARD=guard,
                **one_thread,
            ) as guarded,
        ):
            return _compare(bare, guarded, turns, requests)


def _compare(bare: str, guarded: str, turns: int, requests: int) -> dict[str, Any]:
    rates: dict[str, list[float]] = {bare: [], guarded: []}
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
        for turn in range(turns + 1):
            # Each goes first as often as the other; the first turn warms both up.
            for url in (bare, guarded) if turn % 2 else (guarded, bare):
                rate = _answers_per_second(client, pool, url, requests)
                if turn:
                    rates[url].append(rate)
    pairs = zip(rates[bare], rates[guarded], strict=True)
    losses = [1 - with_it / without for without, with_it in pairs]
    interval = stats.quantile_test(losses, q=0, p=0.5).confidence_interval(0.95)
    return {
        "throughput_loss": round(statistics.median(losses), 4),
        "throughput_loss_low": round(interval.low, 4),
        "throughput_loss_high": round(interval.high, 4),
        "bare_per_second": round(statistics.median(rates[bare]), 1),
        "guarded_per_second": round(statistics.median(rates[guarded]), 1),
        "turns": turns,
    }


def _answers_per_second(
    client: httpx.Client, pool: ThreadPoolExecutor, url: str, requests: int
) -> float:
    image = np.random.default_rng(1).integers(0, 256, (1, 1, CARD.height, CARD.width))
    tensor = {
        "name": "input",
        "shape": list(image.shape),
        "datatype": "UINT8",
        "data": image.ravel().tolist(),
    }

    def ask(_: int) -> None:
        path = f"{url}/v2/models/classifier/infer"
        client.post(path, json={"inputs": [tensor]}).raise_for_status()

    begin = time.perf_counter()
    list(pool.map(ask, range(requests)))
    return requests / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
