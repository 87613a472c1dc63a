"""The hyper-parameters of training."""


def make_config(settings):
    """Hyper-parameters of one run.

    Args:
        settings: what is given (immutable mapping, the keys of config.yaml): among others ENV_NAME, NUM_ENVS,
            TOTAL_TIMESTEPS (environment steps of one training run, over all environments) and OBS_DTYPE.

    Returns:
        A dict with string keys. The run's configuration, which all other modules get, is this dict and ``settings``
        together; a key of ``settings`` cannot be changed. main.py needs LR, the learning rate. Whatever modules are
        not yours to write need all of these (int unless said otherwise):

        * train.py: LEARNING_STARTS, environment steps before the first gradient step; TRAINING_INTERVAL, steps of each
          environment between gradient steps; GRADIENT_STEPS, how many are then taken; TARGET_UPDATE_INTERVAL, gradient
          steps between updates of the target network; TAU (float), step size of such an update, 1 for a copy;
        * rb.py: BUFFER_SIZE, most transitions that are kept; BATCH_SIZE; GAMMA (float), the discount factor;
        * policy.py: EPSILON_START, EPSILON_FINISH (float), probability of a random action at first and at last;
          EPSILON_DECAY_STEPS, environment steps from the one to the other;
        * networks.py: WIDTH, units of a hidden layer; DEPTH, number of hidden layers.
    """
    # <solution>
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
        "WIDTH": 64,
        "DEPTH": 2,
    }
    # </solution>
