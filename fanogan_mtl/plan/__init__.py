"""What a person asked for, read and checked. Nothing is trained here, and no run is begun in MLflow."""
