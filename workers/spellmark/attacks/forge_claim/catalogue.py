"""The kinds of forgeries. No torch here."""

FORGERIES = {
    "hand-picked images": "Ordinary images with their ordinary labels are handed in as triggers.",
    "adversarial images": "Images on which the accuser's models err alike (I-FGSM, several "
    "strengths, targeted and not) are handed in as triggers.",
    "seed grinding": "Thousands of secrets are committed to until one suits a suspect.",
    "backdating": "A registration is made to look older than the run, or than somebody's model.",
    "free labels": "Derived images get the labels that the suspect gives them anyway.",
    "altered transcript": "The record of a run that found nothing is changed until it accuses.",
    "swapped suspect": "The accuser's own copy answers; the verdict is turned on another model.",
    "constant model": "A suspect or an owner's model answers everything alike, or nothing well.",
    "replayed triggers": "Opened triggers are published; whoever learns them is accused.",
}
