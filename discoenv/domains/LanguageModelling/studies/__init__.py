"""What is beside the exams: freezing the corpus of code, and what was measured about them."""
