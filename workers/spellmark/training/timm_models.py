"""Image classifiers of the `timm` library, where it is installed.

timm needs torchvision, so Spellmark does not depend on it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from spellmark.model_files.card import ModelCard
from spellmark.model_files.text import shown
from spellmark.training.errors import ArchitectureError


def maker(card: ModelCard) -> Callable[[], nn.Module]:
    """What makes the freshly initialised model of a card of the architecture “timm”.

    card.config: “name”, as `timm.list_models` spells it, and “arguments”, keyword arguments of
    that model: numbers, true and false, lists of them, and the name of a “global_pool”. The
    number of classes and channels is the card's.

    Raises ArchitectureError; the maker raises what timm does for arguments that make no model.
    """
    try:
        import timm  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ArchitectureError(
            "This model is one of the timm library, which is not installed here.",
            hint="Install it and the torchvision that belongs to your torch: pip install timm.",
        ) from error
    name, arguments = card.config.get("name"), card.config.get("arguments", {})
    # Names like “hf-hub:…” and “local-dir:…”, which timm would follow, are no models' names.
    if not isinstance(name, str) or not timm.is_model(name):
        raise ArchitectureError(
            f"timm has no model “{shown(str(name))}”.",
            hint="Use a name that timm.list_models() prints; a newer timm may have more.",
        )
    if card.config.keys() - {"name", "arguments"} or not _are_harmless(arguments):
        raise ArchitectureError(
            "The config of a timm model is more than a name and arguments that are numbers.",
            hint="Give “name” and “arguments”: numbers, true, false, lists of them, “global_pool”.",
        )
    # The settings that load something are all given here, so that arguments cannot: Python
    # refuses a keyword that stands twice.
    return lambda: timm.create_model(  # type: ignore[no-any-return, unused-ignore]
        name,
        pretrained=False,
        pretrained_cfg=None,
        pretrained_cfg_overlay=None,
        checkpoint_path=None,
        cache_dir=None,
        num_classes=card.classes,
        in_chans=card.channels,
        **arguments,
    )


def own_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a card keeps of timm's config.json."""
    arguments = dict(config.get("model_args", {}))
    for name in ("num_classes", "in_chans"):
        arguments.pop(name, None)
    return {"name": config["architecture"], "arguments": arguments}


def _are_harmless(arguments: object) -> bool:
    """Texts are left out because they may be paths and addresses."""
    if not isinstance(arguments, dict):
        return False
    level = [value for name, value in arguments.items() if name != "global_pool"]
    while level:
        if not all(isinstance(value, int | float | list) for value in level):
            return False
        level = [inner for value in level if isinstance(value, list) for inner in value]
    return True
