"""Draws locked accuracy against edit strength, from what prompt_lock_accuracy.py found."""

import json

import matplotlib as mpl
from result import RESULTS

mpl.use("svg")
# The same file from the same figures.
mpl.rcParams["svg.hashsalt"] = "spellmark"
from matplotlib import pyplot as plt  # noqa: E402

PLOT = RESULTS.parents[1] / "docs/images/prompt-strength.svg"
COLOURS = {"style": "#3b6ea8", "object": "#c2703d"}


def main() -> None:
    """Read the results, draw, write."""
    told = json.loads((RESULTS / "prompt_lock_accuracy.json").read_text())
    rows = {n: row for n, row in told["table"].items() if n.startswith("prompt: ")}
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for kind, colour in COLOURS.items():
        of = [row for row in rows.values() if row["kind"] == kind]
        strengths = [100 * row["strength"] for row in of]
        axes.scatter(
            strengths, [100 * row["right"] for row in of],
            marker="^", facecolors="none", edgecolors=colour, label=f"{kind}, with the prompt",
        )  # fmt: skip
        axes.scatter(
            strengths, [100 * row["plain"] for row in of],
            color=colour, label=f"{kind}, plain images",
        )  # fmt: skip
    axes.axhline(100 * told["unprotected"], color="#888", linewidth=1, linestyle="--")
    axes.annotate(
        "unprotected", (axes.get_xlim()[1], 100 * told["unprotected"]),
        ha="right", va="bottom", color="#555",
    )  # fmt: skip
    axes.set(
        xlabel="how far the edit moves images (root mean square, % of the range)",
        ylabel="accuracy of the locked model (%)",
        ylim=(0, 102),
    )
    axes.legend(frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, metadata={"Date": None})
    print(PLOT.relative_to(PLOT.parents[2]))


if __name__ == "__main__":
    main()
