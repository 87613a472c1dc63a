"""The target network follows a little after each gradient step. Lillicrap et al. 2016."""


def make_config(settings):
    """Hyper-parameters of one run, with a moving average as target network."""
    total = settings["TOTAL_TIMESTEPS"]
    return {
        "LR": 5e-4,
        "GAMMA": 0.99,
        "BUFFER_SIZE": min(total, 100_000),
        "BATCH_SIZE": 128,
        "LEARNING_STARTS": min(total // 10, 1000),
        "TRAINING_INTERVAL": 1,
        "GRADIENT_STEPS": 1,
        "TARGET_UPDATE_INTERVAL": 1,
        "TAU": 0.005,
        "EPSILON_START": 1.0,
        "EPSILON_FINISH": 0.05,
        "EPSILON_DECAY_STEPS": total // 10,
        "WIDTH": 64,
        "DEPTH": 2,
    }
