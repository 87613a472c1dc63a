"""More epochs in each round: the "long" variants. Bhatt et al. 2022, appendix."""


def plan(history, config):
    """As the base, with twice the epochs."""
    if not history:
        return {"random": config["INITIAL"], "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {
        "random": 0,
        "evaluations": config["ROUND"],
        "epochs": 2 * config["EPOCHS"],
        "inner_iterations": config["INNER_ITERATIONS"],
    }
