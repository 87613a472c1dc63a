"""A wider network, which learns values faster. Ota, Jha and Kanezaki 2021."""


def make_config(settings):
    """Hyper-parameters of one run, with hidden layers of four times the width."""
    total = settings["TOTAL_TIMESTEPS"]
    return {
        "LR": 5e-4,
        "GAMMA": 0.99,
        "BUFFER_SIZE": min(total, 100_000),
        "BATCH_SIZE": 128,
        "LEARNING_STARTS": min(total // 10, 1000),
        "TRAINING_INTERVAL": 1,
        "GRADIENT_STEPS": 1,
        "TARGET_UPDATE_INTERVAL": 125,
        "TAU": 1.0,
        "EPSILON_START": 1.0,
        "EPSILON_FINISH": 0.05,
        "EPSILON_DECAY_STEPS": total // 10,
        "WIDTH": 256,
        "DEPTH": 2,
    }
