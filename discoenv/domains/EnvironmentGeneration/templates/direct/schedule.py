"""The schedule: how much is done in each round."""


def plan(history, config):
    """What the next round does.

    Args:
        history: list of dict, one per round so far (none at first): ``evaluations``, made in all by then; ``qd_score``
            and ``coverage`` of the archive; ``new``, ``improved`` and ``rejected``, what became of its solutions;
            ``errors``, the mean absolute errors of the predictions of objective and both measures, divided by 1 and the
            widths of RANGES, of its chosen solutions; NaN in rounds without.
        config: dict, the dataset's config.yaml: BUDGET; INITIAL and BATCH_SIZE are settings of the baseline.

    Returns:
        dict of int: ``random``, how many random solutions are evaluated; ``evaluations``, how many more are chosen at
        most, among ``inner_iterations`` batches of BATCH_SIZE that the emitter proposes, at least 1, after the
        surrogate was trained for ``epochs``. Of ``random`` and ``evaluations`` one is positive. What exceeds the budget
        is cut.
    """
    # <solution>
    # Random solutions at first, then one batch per round, all of which are evaluated.
    if not history:
        return {"random": config["INITIAL"], "evaluations": 0, "epochs": 0, "inner_iterations": 0}
    return {"random": 0, "evaluations": config["BATCH_SIZE"], "epochs": 1, "inner_iterations": 1}
    # </solution>
