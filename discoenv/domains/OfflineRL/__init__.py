"""OfflineRL: worlds, recordings of them, and the examiner of policies that were learned from these."""
