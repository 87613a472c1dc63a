"""How a score comes to be: examiners, learners, exams, baselines."""
