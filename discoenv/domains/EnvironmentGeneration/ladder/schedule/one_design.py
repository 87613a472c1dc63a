"""Half of the budget for random levels, then a surrogate that is trained once: offline. Forrester and Keane 2009."""


def plan(history, config):
    """One round of random solutions; then rounds with few epochs until the budget is spent."""
    if not history:
        return {"random": config["BUDGET"] // 2, "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {
        "random": 0,
        "evaluations": config["BUDGET"],
        "epochs": 3 * config["EPOCHS"] if len(history) == 1 else 0,
        "inner_iterations": config["INNER_ITERATIONS"],
    }
