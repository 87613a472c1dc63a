"""Image classification from scratch: the examiner's side."""
