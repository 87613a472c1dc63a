"""How the few futures that are asked for come about: what the network starts from, what of its output is answered."""

import torch


def make_anchors(scenes, config, generator):
    """Departures from constant velocity from which the network starts, one per query.

    Args:
        scenes: the training scenes, a dict of tensors on the CPU: "agents" float32[N, AGENTS, HISTORY, 2], metres,
            "agents_mask" bool[N, AGENTS, HISTORY], "lanes" float32[N, LANES, LANE_POINTS, 2], "lanes_mask" bool[N,
            LANES, LANE_POINTS], "future" float32[N, FUTURE, 2], "future_mask" bool[N, FUTURE].
        config: the run's configuration (dict): MODES, MAX_QUERIES, FUTURE.
        generator: torch.Generator on the CPU, for all randomness.

    Returns:
        float32[Q, FUTURE, 2], metres, Q from 1 to MAX_QUERIES.
    """
    # <solution>
    # No anchors: what tells the queries apart is learned.
    return torch.zeros(config["MODES"], config["FUTURE"], 2)
    # </solution>


def choose(outputs, config):
    """The answer to B scenes, from what the network said of all queries.

    Args:
        outputs: dict of tensors, as of the network: "trajectories" float32[B, Q, FUTURE, 2], "scales", "logits"
            float32[B, Q], "anchors".
        config: the run's configuration (dict): MODES.

    Returns:
        float32[B, MODES, FUTURE, 2] and float32[B, MODES], not negative, of sum 1.
    """
    # <solution>
    # The most probable ones; if there are fewer queries than modes, the last is repeated with probability 0.
    probabilities, order = outputs["logits"].softmax(dim=1).sort(dim=1, descending=True, stable=True)
    most = min(config["MODES"], order.shape[1])
    rows = torch.arange(len(order), device=order.device)[:, None]
    chosen = outputs["trajectories"][rows, order[:, :most]]
    probabilities = probabilities[:, :most] / probabilities[:, :most].sum(dim=1, keepdim=True)
    missing = config["MODES"] - most
    if missing > 0:
        chosen = torch.cat([chosen, chosen[:, -1:].expand(-1, missing, -1, -1)], dim=1)
        probabilities = torch.cat([probabilities, probabilities.new_zeros(len(order), missing)], dim=1)
    return chosen, probabilities
    # </solution>
