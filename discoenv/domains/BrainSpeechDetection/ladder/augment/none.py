"""No augmentation: what the others are compared with (Rommel et al. 2022, "Data augmentation for learning on EEG")."""


def augment(windows, labels, generator, config):
    """The batch as it is."""
    return windows, labels
