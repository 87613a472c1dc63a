"""Holds the record and refits the model whenever it grows: what the examiner questions."""

import numpy as np
from data_processing import inverse_transform, make_features, transform
from model import make_model


class Forecaster:
    """A model of one record.

    Args:
        history: float64[N, 4], in order of time: decimal year, month, day of the year, value.
        config: dict, the dataset's config.yaml.
    """

    def __init__(self, history, config):
        self._config = config
        self._history = np.empty((0, 4))
        self._forecast = {}
        self.observe(history)

    def observe(self, rows):
        """Append rows (float64[N, 4]) that have been observed since, and fit a new model to the whole record."""
        errors = [row[3] - self._forecast[row[0]] for row in rows if row[0] in self._forecast]
        if errors:
            rmse = np.sqrt(np.mean(np.square(errors)))
            print(
                f"until {rows[-1, 0]:.2f}: RMSE {rmse:.4g} {self._config['unit']} of the forecast from the last origin"
            )
        history = self._history = np.concatenate([self._history, rows])
        times = history[:, :3].copy()
        X = make_features(times, history.copy())
        y = transform(history[:, 3].copy(), times, history.copy())
        self._model = make_model(self._config)
        self._model.fit(X, y)

    def forecast(self, times):
        """Mixing ratios float64[M] at future times (float64[M, 3]), in the unit of the record."""
        history = self._history
        prediction = self._model.predict(make_features(times.copy(), history.copy()))
        values = np.asarray(inverse_transform(prediction, times.copy(), history.copy()), dtype=np.float64)
        self._forecast = dict(zip(times[:, 0].tolist(), np.ravel(values).tolist(), strict=False))
        return values
