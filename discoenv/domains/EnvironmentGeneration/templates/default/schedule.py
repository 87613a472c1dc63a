"""The schedule: how much is done in each round."""


def plan(history, config):
    """What the next round does.

    Args:
        history: list of dict, one per round so far (none at first): ``evaluations``, made in all by then; ``qd_score``
            and ``coverage`` of the archive; ``new``, ``improved`` and ``rejected``, what became of its solutions;
            ``errors``, the mean absolute errors of the predictions of objective and both measures, divided by 1 and the
            widths of RANGES, of its chosen solutions; NaN in rounds without.
        config: dict, the dataset's config.yaml: BUDGET; INITIAL, EPOCHS, INNER_ITERATIONS and ROUND are settings of
            the baseline.

    Returns:
        dict of int: ``random``, how many random solutions are evaluated; ``evaluations``, how many more are chosen at
        most, which needs a surrogate that was trained for ``epochs`` and an archive of predictions that was filled in
        ``inner_iterations`` batches, at least 1. Of ``random`` and ``evaluations`` one is positive. What exceeds the
        budget is cut.
    """
    # <solution>
    # DSAGE (Bhatt et al. 2022): random solutions at first, then the same in each round.
    if not history:
        return {"random": config["INITIAL"], "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {
        "random": 0,
        "evaluations": config["ROUND"],
        "epochs": config["EPOCHS"],
        "inner_iterations": config["INNER_ITERATIONS"],
    }
    # </solution>
