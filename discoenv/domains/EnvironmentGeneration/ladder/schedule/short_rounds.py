"""Few evaluations in each round, so that the surrogate learns of its errors sooner. Gaier et al. 2018 (SAIL)."""


def plan(history, config):
    """As the base, with rounds of a quarter of the size and fewer predictions in each."""
    if not history:
        return {"random": config["INITIAL"], "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {
        "random": 0,
        "evaluations": config["ROUND"] // 4,
        "epochs": config["EPOCHS"],
        "inner_iterations": config["INNER_ITERATIONS"] * 2 // 3,
    }
