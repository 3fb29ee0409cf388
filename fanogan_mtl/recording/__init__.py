"""A sweep in MLflow: what is there already, and what is added as cells end."""
