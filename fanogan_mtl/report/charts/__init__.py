"""The figures of the report, made of recorded results."""
