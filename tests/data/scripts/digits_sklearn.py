# Digits, as a notebook would have it: everything at the top level.
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 3
COMPONENTS = 20
n_estimators = 4

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=SEED)


def sample_weights(labels):
    counts = np.bincount(labels)
    return 1.0 / counts[labels]


scaler = StandardScaler()
pca = PCA(n_components=COMPONENTS, random_state=SEED)
train = pca.fit_transform(scaler.fit_transform(X_train))
# The classifier.
classifier = LogisticRegression(C=0.1, max_iter=n_estimators * 50)
classifier.fit(train, y_train, sample_weight=sample_weights(y_train))
predictions = classifier.predict(pca.transform(scaler.transform(X_test)))
print(f"accuracy {accuracy_score(y_test, predictions):.4f}")
