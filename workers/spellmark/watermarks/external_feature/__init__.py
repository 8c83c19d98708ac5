"""The external feature: a secret style that a model learnt to see through, with labels unchanged.

The owner restyles some of the training images and keeps their labels, so that nothing is harmed; a
model that was copied from the result knows the style, an innocent one does not. After VEF
(2112.03476) and MOVE (2208.02820), which restyle images in the same way. The styles and the test
are our own: the styles follow from a committed key and need no network, and a suspect is ranked
among innocent models, where the papers do a t-test. See `docs/external-feature.md`, which names a
patent application.
"""

from spellmark.watermarks.external_feature.parameters import (
    SCHEME,
    FeatureError,
    FeatureParameters,
    recommended,
)
from spellmark.watermarks.external_feature.style import Style

__all__ = ["SCHEME", "FeatureError", "FeatureParameters", "Style", "recommended"]
