"""Half as many random levels at first, and three times as many predictions in each round."""


def plan(history, config):
    """As the base, with other numbers."""
    if not history:
        return {"random": config["INITIAL"] // 2, "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {
        "random": 0,
        "evaluations": config["ROUND"],
        "epochs": config["EPOCHS"],
        "inner_iterations": 3 * config["INNER_ITERATIONS"],
    }
