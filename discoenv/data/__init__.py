"""Raw data that several domains share: downloads, image sets, generators."""
