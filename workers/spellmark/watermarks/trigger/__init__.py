"""The trigger watermark: inputs and labels derived from a committed secret, learnt by the model.

Backdoor watermarks (1802.04633) let the owner choose the inputs, so that a cheat can choose
transferable adversarial examples (2304.06607). Here nobody chooses: images and labels are a
keystream's, from a secret that was committed before the registry drew its part. See
`docs/trigger-watermark.md`.
"""

from spellmark.watermarks.trigger.parameters import (
    SCHEME,
    TriggerMarkError,
    TriggerParameters,
    recommended,
)
from spellmark.watermarks.trigger.trigger_key import TriggerKey

__all__ = ["SCHEME", "TriggerKey", "TriggerMarkError", "TriggerParameters", "recommended"]
