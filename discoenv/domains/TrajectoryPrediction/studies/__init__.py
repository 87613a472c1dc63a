"""What simple predictors reach, and how real the traffic is."""
