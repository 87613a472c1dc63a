"""Windows anywhere, each drawn by itself (as nanoGPT does, Karpathy 2022)."""


def choose_windows(tokens, config, generator):
    """Where windows begin: int64[STEPS, BATCH]."""
    shape = (config["STEPS"], config["BATCH"])
    return generator.integers(len(tokens) - config["CONTEXT"], size=shape)
