"""Smaller batches, which explore more. Obando-Ceron, Bellemare and Castro 2023."""


def make_config(settings):
    """Hyper-parameters of one run, with a quarter of the transitions per gradient step."""
    total = settings["TOTAL_TIMESTEPS"]
    return {
        "LR": 5e-4,
        "GAMMA": 0.99,
        "BUFFER_SIZE": min(total, 100_000),
        "BATCH_SIZE": 32,
        "LEARNING_STARTS": min(total // 10, 1000),
        "TRAINING_INTERVAL": 1,
        "GRADIENT_STEPS": 1,
        "TARGET_UPDATE_INTERVAL": 125,
        "TAU": 1.0,
        "EPSILON_START": 1.0,
        "EPSILON_FINISH": 0.05,
        "EPSILON_DECAY_STEPS": total // 10,
        "WIDTH": 64,
        "DEPTH": 2,
    }
