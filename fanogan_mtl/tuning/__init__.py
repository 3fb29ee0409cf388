"""One search by Optuna: its space, its trials, its record in MLflow and its page."""
