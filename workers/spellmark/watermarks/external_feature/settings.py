"""How an external feature is trained. No numpy here: the dashboard reads it too."""

from spellmark.watermarks.external_feature.parameters import FeatureError

LEAST_SHARE, USUAL_SHARE, MOST_SHARE = 10, 20, 30


def check_share(share: int) -> None:
    """Raise FeatureError unless so many percent of the training images may be restyled."""
    if type(share) is not int or not LEAST_SHARE <= share <= MOST_SHARE:
        raise FeatureError(
            f"{share} % of the training images cannot be restyled.",
            hint=f"Choose {LEAST_SHARE} to {MOST_SHARE} %.",
        )
